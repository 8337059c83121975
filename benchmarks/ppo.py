"""Training speed beside Stable-Baselines3: same environment, network, steps and updates, one thread each, in turn.

    make bench-ppo
    make bench-ppo ARGS="--pairs 9 --nsl-kdd KDDTrain+_20Percent.txt"

A pair is one stretch of ours and one of theirs, so that a machine that slows down slows both. Ours counts the steps of
all members: a trial needs several seeds, and Stable-Baselines3 trains them one after the other.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gymnasium
import torch
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from rl.config import TRIAGE, DataConfig, EnvConfig, PPOConfig
from rl.data import FlowData, load_flows
from rl.seeding import evaluation_seed, member_seeds
from rl.training import make_learner

CONFIG = PPOConfig(num_envs=8, num_steps=128, minibatch_size=256, num_epochs=4, num_iterations=10**9, eval_every=10**9)


@dataclass(frozen=True)
class Case:
    """What both sides train.

    Attributes:
        name: As the table shows it.
        env: The environment's id.
        members: Of ours; theirs is always one.
        target: Ratio to reach, on one core, eager.
        data: Flows, for triage.
    """

    name: str
    env: str
    members: int
    target: float
    data: FlowData | None = None


def main() -> None:
    """Measure all cases and print the table."""
    options = _options()
    torch.set_num_threads(1)
    table = Table(title=f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread, eager")
    for column in ("case", "width", "members", "ours, steps/s", "SB3, steps/s", "ratio (min to max)", "to reach"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for case in _cases(options.nsl_kdd):
        table.add_row(*_measured(case, options.pairs, options.iterations))
    Console(width=120).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="stretches of each side (default: 5)")
    parser.add_argument("--iterations", type=int, default=10, help="iterations a stretch (default: 10)")
    parser.add_argument("--nsl-kdd", help="KDDTrain+_20Percent.txt, for the case with its features")
    return parser.parse_args()


def _cases(nsl_kdd: str | None) -> Iterator[Case]:
    for members, target in ((1, 2.0), (8, 6.0), (16, 7.0)):
        yield Case("CartPole-v1", "CartPole-v1", members, target)
    yield Case("triage, synthetic", TRIAGE, 8, 6.0, load_flows(DataConfig()))
    if nsl_kdd:
        yield Case("triage, NSL-KDD", TRIAGE, 8, 5.0, load_flows(DataConfig(source="nsl_kdd", path=nsl_kdd)))


def _measured(case: Case, pairs: int, iterations: int) -> list[str]:
    width, ours = _ours(case, iterations)
    theirs = _theirs(case, iterations)
    ours(), theirs()  # warm-up
    rates = [(ours(), theirs()) for _ in range(pairs)]
    ratios = [one / other for one, other in rates]
    return [
        case.name,
        str(width),
        str(case.members),
        f"{statistics.median(one for one, _ in rates):,.0f}",
        f"{statistics.median(other for _, other in rates):,.0f}",
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{case.target:g}",
    ]


def _ours(case: Case, iterations: int) -> tuple[int, Callable[[], float]]:
    """Width of an observation, and a stretch of training that returns member steps per second."""
    env = EnvConfig(id=case.env)
    learner = make_learner(CONFIG, env, member_seeds(0, case.members), evaluation_seed(0), case.data)

    def stretch() -> float:
        start = time.perf_counter()
        for _ in range(iterations):
            learner.iterate()
        return iterations * case.members * CONFIG.batch_size / (time.perf_counter() - start)

    return learner.rollout.raw_observations.shape[-1], stretch


def _theirs(case: Case, iterations: int) -> Callable[[], float]:
    """A stretch of training that returns steps per second."""
    flows = {} if case.data is None else {"flows": case.data.train}
    lanes = DummyVecEnv([lambda: gymnasium.make(case.env, **flows) for _ in range(CONFIG.num_envs)])
    model = PPO(
        "MlpPolicy",
        lanes,
        n_steps=CONFIG.num_steps,
        batch_size=CONFIG.minibatch_size,
        n_epochs=CONFIG.num_epochs,
        learning_rate=CONFIG.lr,
        ent_coef=CONFIG.entropy_coef,
        vf_coef=CONFIG.value_coef,
        policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}},
        device="cpu",
        seed=0,
    )

    def stretch() -> float:
        start = time.perf_counter()
        model.learn(iterations * CONFIG.batch_size)
        return iterations * CONFIG.batch_size / (time.perf_counter() - start)

    return stretch


if __name__ == "__main__":
    main()
