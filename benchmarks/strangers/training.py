"""Train healthy and faulty scripts, and keep a folder for each run: what the trainer wrote, the probe's log, the score.

The trainer writes what its users have: its logger's `progress.csv`, a `Monitor` file of each lane, `evaluations.npz`
where the script evaluates, and the model as saved at the end. Runs of the first two draws hold `progress.csv` alone.
The probe changes nothing in a training, so that one training leaves both logs. The score lies beside the folders of
the logs: a diagnosis never sees it.
"""

import hashlib
import inspect
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import gymnasium
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize, sync_envs_normalization

import unstuck
from benchmarks.diagnosis.training import HEALTHY
from benchmarks.strangers.faults import FAULTS
from benchmarks.strangers.healthy import VARIANTS
from benchmarks.strangers.script import Change, Script, Wrap
from benchmarks.strangers.worlds import WORLDS, World

SEEDS, VARIANT_SEEDS, BASE_SEEDS = 3, 2, 4
"""Runs of a fault in a world, of a healthy variant, and of the plain healthy script that harm is measured against."""

BASE = "base"
EVALUATIONS, EVALUATED_EPISODES = 10, 5
JUDGED_EPISODES, JUDGED_ENVS = 20, 10


@dataclass(frozen=True)
class Arm:
    """Runs of one script in one world, which differ in their seeds.

    Attributes:
        name: The fault's, or the healthy variant's.
        world: Where it is trained.
        is_healthy: True if no fault is planted.
        change: What is changed in the world's healthy script.
    """

    name: str
    world: str
    is_healthy: bool
    change: Change = field(compare=False)

    @property
    def pair(self) -> str:
        """Name and world as text, `<name> in <world>`."""
        return f"{self.name} in {self.world}"

    @property
    def form(self) -> str:
        """Name of what is planted, for the tables that are shared: `healthy` or `planted`."""
        return HEALTHY if self.is_healthy else "planted"

    @property
    def setting(self) -> World:
        """World of the arm."""
        return WORLDS[self.world]

    @property
    def script(self) -> Script:
        """Script that is trained."""
        return self.setting.script.changed(self.change)

    @property
    def seeds(self) -> int:
        """Number of runs."""
        return SEEDS if not self.is_healthy else BASE_SEEDS if self.name == BASE else VARIANT_SEEDS


@dataclass(frozen=True)
class Run:
    """Folder of one run of an arm: `log` holds what the trainer wrote, `probe` what the probe wrote.

    Attributes:
        arm: Whose it is.
        seed: Its number within the arm.
        folder: Of this run alone.
    """

    arm: Arm
    seed: int
    folder: Path

    @property
    def log(self) -> Path:
        """Folder of what the trainer wrote: all that a diagnosis of a stranger's folder may read."""
        return self.folder / "log"

    @property
    def probe(self) -> Path:
        """Folder of what the probe wrote: all that a diagnosis of the probe's log may read."""
        return self.folder / "probe"

    @property
    def is_finished(self) -> bool:
        """True if the run was trained and scored."""
        return (self.folder / "score.json").exists()

    @property
    def score(self) -> float:
        """Mean return of the judged episodes after training; the world's worst if training broke off."""
        return float(json.loads((self.folder / "score.json").read_text())["score"])


def arms() -> list[Arm]:
    """Return all arms of the benchmark: the healthy ones first, then each fault in each world."""
    healthy = [Arm(name, world, True, change) for name, (worlds, change) in VARIANTS.items() for world in worlds]
    faulty = [
        Arm(fault.name, world, False, change) for fault in FAULTS.values() for world, change in fault.planted.items()
    ]
    return [*healthy, *faulty]


def list_runs(arm: Arm, folder: Path) -> list[Run]:
    """Return an arm's runs, trained or not, with their places in the benchmark's folder."""
    env = arm.setting.env
    code = env if isinstance(env, str) else inspect.getsource(env)
    digest = hashlib.sha256(f"{code}\n{arm.script.describe()}".encode()).hexdigest()[:12]
    place = folder / f"{arm.pair.replace(' ', '-')}-{digest}"
    return [Run(arm, seed, place / str(seed)) for seed in range(arm.seeds)]


def train(run: Run) -> None:
    """Train and score a run, unless that is done; what an interrupted training left is removed first."""
    if run.is_finished:
        return
    shutil.rmtree(run.folder, ignore_errors=True)
    run.log.mkdir(parents=True)
    seed = crc32(f"{run.arm.pair} {run.seed}".encode())
    score = train_script(run.arm.setting, run.arm.script, seed, run.log, run.probe)
    scratch = run.folder / "score.tmp"
    scratch.write_text(json.dumps({"score": score}))
    scratch.replace(run.folder / "score.json")


def train_script(world: World, script: Script, seed: int, log: Path, probe: Path) -> float:
    """Train a script, with the trainer's own log in one folder, and the probe's in another one; return the score.

    A training breaks off where the policy's numbers are no longer finite, and the score is the world's worst.
    """
    torch.set_num_threads(1)
    lanes = make_training_lanes(world, script, log)
    model = PPO(choose_policy(lanes), lanes, seed=seed % 2**31, device="cpu", **script.ppo)
    model.set_logger(configure(str(log), ["csv"]))
    for plant in script.plants:
        plant(model)
    try:
        with _ending_at_nan():
            try:
                model.learn(script.steps, callback=[*_evaluations(world, script, seed, log), unstuck.SB3Probe(probe)])
            finally:
                model.save(log / "model")
            return _judge(world, script, model, seed)
        return world.worst
    finally:
        model.logger.close()
        lanes.close()


@contextmanager
def _ending_at_nan() -> Iterator[None]:
    """End the block in silence where the policy's numbers are no longer finite."""
    try:
        yield
    except ValueError as error:
        if "satisfy the constraint" not in str(error):  # torch's words for parameters that are NaN
            raise


def choose_policy(lanes: VecEnv) -> str:
    """Return the trainer's name of the policy for an observation space."""
    return "MultiInputPolicy" if isinstance(lanes.observation_space, spaces.Dict) else "MlpPolicy"


def make_training_lanes(world: World, script: Script, log: Path | None = None) -> VecEnv:
    """Make the environments that a script trains on; each one's `Monitor` writes `<lane>.monitor.csv` into the log."""
    inside = (*script.seen, *script.paid, *script.training)
    files = [str(log / str(lane)) if log else None for lane in range(script.envs)]
    lanes: VecEnv = DummyVecEnv([partial(_make, world, inside, script.unwatched, file) for file in files])
    return _normalise(lanes, script, ("observations", "rewards"), float(script.ppo["gamma"]))


def make_evaluation_lanes(world: World, script: Script, count: int, wraps: Sequence[Wrap]) -> VecEnv:
    """Make environments for evaluation: rewards are not normalised, nor observations where a script forgets that."""
    lanes: VecEnv = DummyVecEnv([partial(_make, world, wraps, ())] * count)
    lanes = _normalise(lanes, script, () if script.forgets_normaliser else ("observations",), 1.0)
    if isinstance(lanes, VecNormalize):
        lanes.training = False
    return lanes


def _make(
    world: World, inside: Sequence[Wrap], outside: Sequence[Wrap], file: str | None = None
) -> gymnasium.Env[Any, Any]:
    env = world.make()
    for wrap in inside:
        env = wrap(env)
    watched: gymnasium.Env[Any, Any] = Monitor(env, file)
    for wrap in outside:
        watched = wrap(watched)
    return watched


def _normalise(lanes: VecEnv, script: Script, what: Sequence[str], gamma: float) -> VecEnv:
    if not script.normalised:
        return lanes
    seen, paid = (name in script.normalised and name in what for name in ("observations", "rewards"))
    return VecNormalize(lanes, norm_obs=seen, norm_reward=paid, gamma=gamma)


def _evaluations(world: World, script: Script, seed: int, log: Path) -> list[BaseCallback]:
    if not script.evaluates:
        return []
    lanes = make_evaluation_lanes(world, script, EVALUATED_EPISODES, (*script.seen, *script.paid))
    lanes.seed((seed + 1) % 2**31)
    every = max(script.steps // script.envs // EVALUATIONS, 1)
    return [EvalCallback(lanes, n_eval_episodes=EVALUATED_EPISODES, eval_freq=every, log_path=str(log), verbose=0)]


def _judge(world: World, script: Script, model: PPO, seed: int) -> float:
    """Return the mean true return of the policy as it explores: the world's rewards and ends, the script's inputs.

    Greedy actions would hide an exploration that never ends, and get caught in loops that chance breaks.
    """
    lanes = make_evaluation_lanes(world, script, JUDGED_ENVS, script.seen)
    lanes.seed((seed + 1000) % 2**31)
    if isinstance(lanes, VecNormalize):
        own = model.get_vec_normalize_env()
        assert own is not None
        sync_envs_normalization(own, lanes)
    mean, _ = evaluate_policy(model, lanes, JUDGED_EPISODES, deterministic=False, warn=False)
    assert isinstance(mean, float)
    return float(mean)
