"""Stable-Baselines3 as a trainer: resume, branches, settings in force, one's own script, and a whole unstick."""

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from unstuck.records.errors import LibraryError
from unstuck.records.files import read_records, trials_folder
from unstuck.rl import metrics
from unstuck.rl.branch import Part
from unstuck.rl.budget import Budget
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig, TrainerConfig
from unstuck.sweeps.run.settings_in_force import describe_mismatch
from unstuck.sweeps.trainers import sb3
from unstuck.sweeps.trainers.members import MembersInTurn
from unstuck.sweeps.trainers.object_state import UnsavableError, pack, unpack
from unstuck.sweeps.trainers.protocol import RANDOMNESS, TrialSpec
from unstuck.sweeps.worker.assignment import Assignment
from unstuck.sweeps.worker.training import Training

from tests.conftest import Command
from tests.sweeps_tests.real import leave_out_diagnoses

pytest.importorskip("stable_baselines3", reason="it comes with the extra `sb3`")
from stable_baselines3 import PPO
from unstuck.sweeps.trainers.sb3_evaluator import Sb3Evaluator
from unstuck.sweeps.trainers.sb3_member import Sb3Member

ROOT = Path(__file__).parents[3]
CONFIG = SweepConfig(
    sweep=StudyConfig(name="mine", seeds=2, metric=metrics.EVAL_RETURN),
    env=EnvConfig(id="CartPole-v1", eval_episodes=3),
    trainer=TrainerConfig(name="sb3"),
    ppo=PPOConfig(
        num_iterations=4,
        eval_every=2,
        num_envs=2,
        num_steps=16,
        minibatch_size=16,
        num_epochs=1,
        hidden_sizes=(8,),
        lr=1e-3,
        lr_schedule="linear",
        normalize_observations=True,
    ),
)


def with_ppo(**ppo: Any) -> SweepConfig:
    return replace(CONFIG, ppo=replace(CONFIG.ppo, **ppo))


def trainer_of(config: SweepConfig = CONFIG, seeds: int = 2, block: str = "search") -> MembersInTurn:
    members = make_member_seeds(0, seeds, block)
    return sb3.make_trainer(TrialSpec(config, members, make_evaluation_seed(0), None, Budget.from_config(config.ppo)))


def model_of(trainer: MembersInTurn, member: int = 0) -> PPO:
    found = trainer.members[member]
    assert isinstance(found, Sb3Member)
    return found.model


def plain(measured: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() for name, value in measured.items()}


@pytest.fixture(scope="module")
def whole() -> list[dict[str, Any]]:
    """Metrics of an undisturbed trial."""
    trainer = trainer_of()
    return [plain(trainer.iterate()) for _ in range(4)]


def test_metrics_have_our_names_and_signs(whole: list[dict[str, Any]]) -> None:
    last = whole[-1]
    expected = {metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.ENTROPY, metrics.APPROX_KL, metrics.CLIP_FRACTION}
    assert expected | {metrics.EXPLAINED_VARIANCE, metrics.LR, metrics.TRAIN_RETURN, metrics.EVAL_RETURN} <= set(last)
    # The probe's, at evaluations.
    assert {*metrics.TRAIN, *metrics.CRITIC, metrics.GRAD_NORM_POLICY, metrics.ADVANTAGE_FOLLOWED} <= set(last)
    assert last[metrics.ENTROPY] == pytest.approx([np.log(2)] * 2, rel=0.05)  # theirs is negative
    assert last[metrics.LR] == pytest.approx([0.25e-3] * 2)
    assert [metrics.EVAL_RETURN in one for one in whole] == [False, True, False, True]


def test_a_worker_that_takes_over_goes_on_bit_for_bit(tmp_path: Path, whole: list[dict[str, Any]]) -> None:
    trials_folder(tmp_path).mkdir()
    first = Training(Assignment(0, CONFIG, tmp_path), None).next_period()
    second = Training(Assignment(0, CONFIG, tmp_path), None)
    assert second.take_notes() == {"resumed_from": "2"}
    assert second.next_period() == first
    records = [*first, *second.next_period()]
    assert read_records(tmp_path, 0) == records
    for name in metrics.PER_SEED:
        told = [[r.metrics[f"{name}/seed_{n}"] for n in range(2)] for r in records if name in r.metrics]
        assert told == [one[name] for one in whole if name in one]
    assert [describe_mismatch(record, CONFIG.ppo) for record in records] == [""] * 4
    assert sum("effective/lr" in record.metrics for record in records) == 2


def test_changed_settings_are_in_force_after_a_restore(tmp_path: Path) -> None:
    run = trainer_of()
    run.iterate()
    changed = {
        "lr": 0.1,
        "lr_schedule": "constant",
        "gamma": 0.5,
        "gae_lambda": 0.8,
        "clip_range": 0.3,
        "clip_range_vf": 0.4,
        "entropy_coef": 0.2,
        "value_coef": 2.0,
        "max_grad_norm": 3.0,
        "target_kl": 0.05,
        "adam_eps": 1e-7,
        "num_steps": 32,
    }
    arm = trainer_of(with_ppo(**changed))
    arm.branch(run.take_snapshot())
    model = model_of(arm)
    (group,) = model.policy.optimizer.param_groups
    assert (group["lr"], group["eps"], model.lr_schedule(0.3)) == (0.1, 1e-7, 0.1)
    assert (model.n_steps, model.rollout_buffer.buffer_size, model.rollout_buffer.gamma) == (32, 32, 0.5)
    assert {name: value[0] for name, value in arm.read_effective().items()} == {
        name: value for name, value in changed.items() if name not in ("num_steps", "lr_schedule")
    }
    assert arm.iterate()[metrics.LR].tolist() == [0.1, 0.1]
    # Theirs: a learning rate that is set after a load is never used.
    model_of(run).save(tmp_path / "saved")
    loaded = PPO.load(tmp_path / "saved", device="cpu")
    loaded.learning_rate = 0.1
    assert loaded.lr_schedule(1.0) != 0.1
    # Ours tells when two places differ.
    model.policy.optimizer.param_groups[0]["lr"] = 0.2
    assert np.isnan(arm.read_effective()["lr"]).tolist() == [True, False]


def test_parts_start_anew_and_the_rest_goes_on() -> None:
    run = trainer_of()
    for _ in range(2):
        run.iterate()
    arm, untrained = trainer_of(), trainer_of()
    arm.branch(run.take_snapshot(), [Part.VALUE_HEAD, Part.ADAM, Part.OBSERVATION_NORMALIZER])
    now, before, trained = (model_of(one).policy.state_dict() for one in (arm, untrained, run))
    for name, tensor in now.items():
        assert tensor.equal((before if name.startswith("value_net") else trained)[name]), name
    assert not model_of(arm).policy.optimizer.state
    normalizer = model_of(arm).get_vec_normalize_env()
    assert normalizer is not None
    assert float(normalizer.obs_rms.count) < 1  # type: ignore[union-attr]
    assert set(sb3.SB3.parts) == {*Part, RANDOMNESS}


def test_fresh_repeats_differ_from_each_other() -> None:
    run = trainer_of()
    run.iterate()
    fresh = trainer_of(seeds=4, block="verdict")
    fresh.branch(run.take_snapshot(), [], fresh=True)
    assert len(set(fresh.iterate()[metrics.VALUE_LOSS].tolist())) == 4
    policies = [model_of(fresh, n) for n in range(4)]
    assert policies[0].num_timesteps == policies[2].num_timesteps == 64


def test_a_state_of_other_networks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"size mismatch"):
        trainer_of(with_ppo(hidden_sizes=(4,))).branch(trainer_of().take_snapshot())


SCRIPT = """
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

class Counter(BaseCallback):
    steps = 0
    def __init__(self):
        super().__init__()
        self.steps, self.rewards = 0, []
    def _on_step(self):
        self.steps += 1
        self.rewards.append(float(self.locals["rewards"].sum()))
        return True

def make(settings):
    envs = make_vec_env(settings.env_id, n_envs=settings.num_envs)
    return PPO("MlpPolicy", envs, **settings.arguments), Counter()

def stubborn(settings):
    return PPO("MlpPolicy", settings.env_id, n_steps=64, learning_rate=7e-4, device="cpu")

def scheduled(settings):
    return PPO("MlpPolicy", settings.env_id, learning_rate=lambda left: 1e-3 * left ** 2, device="cpu")

def nothing(settings):
    return None
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_sb3_script.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_sb3_script", None)


def by_script(function: str, **ppo: Any) -> SweepConfig:
    return replace(
        with_ppo(normalize_observations=False, **ppo),
        trainer=TrainerConfig(name="sb3", make=f"my_sb3_script:{function}"),
    )


def test_callbacks_of_a_script_go_on_with_what_they_hold(script: Path) -> None:
    run, restored = trainer_of(by_script("make")), trainer_of(by_script("make"))
    run.iterate()
    restored.restore(run.take_snapshot())
    restored.iterate()
    member = restored.members[0]
    assert isinstance(member, Sb3Member)
    held = vars(member._own_callback)
    assert (held["steps"], held["rewards"], restored.resumed_exactly) == (32, [2.0] * 32, True)


def test_a_script_with_other_settings_than_the_sweeps_is_refused_with_what_to_write(script: Path) -> None:
    with pytest.raises(ConfigError) as error:
        sb3.check(by_script("stubborn"), None)
    assert "my_sb3_script:stubborn of trainer.make must make a PPO of the sweep's settings" in str(error.value)
    assert "ppo.num_steps=64" in str(error.value)
    assert "ppo.lr=0.0007" in str(error.value)
    written = dict(re.findall(r"ppo\.(\w+)=(\S+?)(?=[ ,])", str(error.value).partition("; write ")[2]))
    assert {"num_envs", "num_steps", "minibatch_size", "num_epochs", "lr", "lr_schedule", "hidden_sizes"} <= set(
        written
    )
    sb3.check(
        by_script(
            "stubborn",
            **{"num_envs": 1, "num_steps": 64, "minibatch_size": 64, "num_epochs": 10, "lr": 7e-4},
            **{"lr_schedule": "constant", "hidden_sizes": (64, 64), "entropy_coef": 0.0},
        ),
        None,
    )
    with pytest.raises(
        ConfigError, match=r"ppo.lr must be constant or fall linearly to 0, and make\(\) of trainer.make"
    ):
        sb3.check(by_script("scheduled"), None)
    with pytest.raises(ConfigError, match=r"must return a PPO, or a PPO and its callback, got NoneType"):
        sb3.check(by_script("nothing"), None)
    with pytest.raises(ConfigError, match=r"trainer.make must name a function that can be imported"):
        sb3.check(by_script("missing"), None)


def test_it_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ConfigError, match=r"needs Stable-Baselines3, which is not installed; .* 'unstuck\[sb3\]'"):
        sb3.check(CONFIG, None)


def test_a_version_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sb3, "version", lambda package: "2.3.2")
    with pytest.raises(ConfigError, match=r"needs Stable-Baselines3 2.9, got 2.3.2; .* 'unstuck\[sb3\]'"):
        sb3.check(CONFIG, None)


def test_the_version_asked_for_is_the_one_in_pyproject(monkeypatch: pytest.MonkeyPatch) -> None:
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    bounds = re.fullmatch(r"stable-baselines3>=([\d.]+),<([\d.]+)", extras["sb3"][0])
    assert bounds is not None
    monkeypatch.setattr(sb3, "version", lambda package: f"{bounds[1]}.7")
    sb3.check(CONFIG, None)
    monkeypatch.setattr(sb3, "version", lambda package: f"{bounds[2]}.0")
    with pytest.raises(ConfigError, match=f"needs Stable-Baselines3 {bounds[1]}, got {bounds[2]}.0"):
        sb3.check(CONFIG, None)


def test_a_library_that_fails_on_import_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(f"{name}: cannot import name 'x'\nfrom 'torch'")

    monkeypatch.setattr(sb3, "import_module", fail)
    with pytest.raises(LibraryError, match=r"can be imported, got ImportError: .* 'x' from 'torch'; install what fits"):
        trainer_of()


def test_lanes_that_rest_and_a_policy_set_once_change_no_return() -> None:
    """Three episodes in two lanes: the second lane rests while the last episode runs, and has none of its steps."""
    trainer = trainer_of()
    trainer.iterate()
    model = model_of(trainer)
    member = trainer.members[0]
    assert isinstance(member, Sb3Member)
    evaluator = Sb3Evaluator(member._spec)
    found = evaluator.evaluate(model)
    env, returns = evaluator._env, []
    for seed, most in zip(member._spec.evaluation_seeds, (2, 1), strict=False):
        env.seed(seed)
        observations: Any = env.reset()
        sums, running = np.zeros(2), np.ones(2, bool)
        while running[:most].any():
            observations, rewards, dones, _ = env.step(model.predict(observations, deterministic=True)[0])
            sums += rewards * running
            running &= ~dones
        returns += sums[:most].tolist()
    assert found == np.mean(returns)
    assert "set_training_mode" not in vars(model.policy)
    assert evaluator.evaluate(model) == found


def test_environments_that_cannot_be_saved_start_new_episodes_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer_of()
    run.iterate()
    env = model_of(run).get_env()
    assert env is not None
    env.set_attr("engine", object())
    restored = trainer_of()
    restored.restore(run.take_snapshot())
    assert (restored.resumed_exactly, restored.iteration) == (False, 1)
    assert len(restored.iterate()[metrics.VALUE_LOSS]) == 2


def test_the_check_makes_one_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(env_id: str, **options: Any) -> gymnasium.Env[Any, Any]:
        made.append(env_id)
        return gymnasium_make(env_id, **options)

    gymnasium_make = gymnasium.make
    monkeypatch.setattr(gymnasium, "make", make)
    sb3.check(replace(CONFIG, env=EnvConfig(id="MountainCar-v0")), None)
    assert made == ["MountainCar-v0"]


def test_a_probe_has_each_attribute_that_its_saved_state_leaves_out() -> None:
    """A name that no object has would be an attribute that was renamed, and is saved since."""
    trainer = trainer_of()
    trainer.iterate()
    member = trainer.members[0]
    assert isinstance(member, Sb3Member)
    objects, declared = [member._probe], []
    for one in objects:
        names = getattr(type(one), "NOT_SAVED", ())
        declared += [(type(one).__name__, name) for name in names]
        assert set(names) <= set(vars(one))
        own = [value for name, value in vars(one).items() if name not in (*names, "model", "logger", "parent")]
        objects += [value for value in own if type(value).__module__.startswith("unstuck.probe.")]
    assert {kind for kind, _ in declared} == {"SB3Probe", "Probe", "EpisodeEnds", "_Episodes", "_RawObservations"}


class _Holder:
    NOT_SAVED = ("link",)

    def __init__(self) -> None:
        self.link: Any = object()
        self.draws, self.rows, self.rule = np.random.default_rng(3), [np.arange(3), (1, None)], len
        self.inner: Any = None


def test_objects_are_captured_without_code_and_set_in_place() -> None:
    one, other = _Holder(), _Holder()
    one.inner, other.inner = _Holder(), _Holder()
    one.inner.draws.random(5)
    packed = pack(one, skip=("rule",))
    assert unpack(packed, other) is other
    assert other.inner.draws.random() == one.inner.draws.random()
    assert other.rule is len
    assert other.link is not one.link
    assert other.rows[0].tolist() == [0, 1, 2]
    assert other.rows[1] == (1, None)
    one.inner = object()
    with pytest.raises(UnsavableError, match=r"inner must be plain, got object"):
        pack(one)
    one.inner = one
    with pytest.raises(UnsavableError, match=r"inner must not hold itself"):
        pack(one)


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray")
def test_a_stuck_run_of_the_pages_script_is_unstuck(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of docs/trainers.md with a learning rate that is far too large: diagnosis, arms, control, verdict.

    So large that the run learns nothing, whichever vector instructions a processor has: its last digits differ.
    """
    page = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
    script = next(block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "def make(settings)" in block)
    (command.folder / "my_script.py").write_text(script)
    common = ("tracking=none", "resources.cpus=1")
    small = ("ppo.num_envs=4", "ppo.num_steps=64", "ppo.minibatch_size=64", "ppo.eval_every=2", "env.eval_episodes=3")
    stuck = command(
        *("trainer=sb3", "trainer.make=my_script:make", "env.id=CartPole-v1", "ppo.lr=3", "ppo.num_iterations=12"),
        *("sweep.seeds=1", "sweep.seed=2", "sweep.name=stuck", *small, *common),
        *("sampler=points", "sweep.num_trials=null", "sampler.points=[{}]", "scheduler=none", "health=none"),
    )
    assert stuck.code == 0, stuck.err
    assert "updates too large" in stuck.out
    leave_out_diagnoses(monkeypatch)
    fixed = command(
        *("+experiment=unstick", "run=stuck/0", "sweep.name=fixed", "unstick.iterations=6", "unstick.max_arms=1"),
        *("unstick.repeats=3", "unstick.stages=1", "arms=[prescribed]", *common),
    )
    assert fixed.code == 0, fixed.err
    assert "updates are too large" in fixed.out
    assert "arm 0: the control, nothing changed" in fixed.out
    assert "lr 0.001, started anew (learning_rate 3 is far above what is usual)" in fixed.out
    assert re.search(
        r"Trial 1 \(lr 0\.001, started anew\) wins: eval/episode_return \d+.* against (8|9)\.\d+", fixed.out
    )
    assert (command.folder / "runs" / "fixed" / "report" / "verdicts.json").exists()
    audit = command.sweeps("audit", "fixed")
    assert audit.code == 0, audit.out
