"""Training speed beside Stable-Baselines3: same environment, network, steps and updates, one thread each, in turn.

    make bench-ppo
    make bench-ppo ARGS="--pairs 9 --nsl-kdd KDDTrain+_20Percent.txt"

A round is one stretch of ours eager, one of ours compiled and one of theirs, so that a machine that slows down slows
all three. Times are those of the process on its core, not of the clock on the wall: what else runs counts little. Ours
counts the steps of all members: a trial needs several seeds, and Stable-Baselines3 trains them one after the other.
Compiling is not counted; `benchmarks.profile` says what it takes.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO
from unstuck.rl.config import TRIAGE, DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.errors import ConfigError
from unstuck.rl.machine import require_machine
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

from benchmarks import sb3

CONFIG = PPOConfig(num_envs=8, num_steps=128, minibatch_size=256, num_epochs=4, num_iterations=10**9, eval_every=10**9)

Stretch = Callable[[], float]
"""Trains for a while, and returns steps per second."""


@dataclass(frozen=True)
class Case:
    """One environment to measure our PPO and Stable-Baselines3 on, with number of members and speed ratios to reach.

    Attributes:
        name: As the table shows it.
        env: The environment's id.
        members: Of ours; theirs is always one.
        targets: Ratios to reach on one core, eager and compiled; None: there is none.
        data: Flows, for triage.
    """

    name: str
    env: str
    members: int
    targets: tuple[float | None, float | None]
    data: FlowData | None = None


def main() -> None:
    """Measure all cases; print a table of training steps per second, our PPO's beside Stable-Baselines3's."""
    options = _options()
    torch.set_num_threads(1)
    modes = _modes()
    table = Table(title=f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread")
    for column in (
        "case",
        "width",
        "trunk",
        "members",
        "update",
        "ours, steps/s",
        "SB3",
        "ratio (min to max)",
        "target",
    ):
        table.add_column(column, justify="left" if column in ("case", "trunk", "update") else "right")
    for case in _cases(options.nsl_kdd):
        for row in _measured(case, modes, options.pairs, options.iterations):
            table.add_row(*row)
    Console(width=120).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="stretches of each side (default: 5)")
    parser.add_argument("--iterations", type=int, default=10, help="iterations a stretch (default: 10)")
    parser.add_argument("--nsl-kdd", help="KDDTrain+_20Percent.txt, for the case with its features")
    return parser.parse_args()


def _modes() -> dict[str, PPOConfig]:
    """Return the PPO configurations to measure by name: eager, and compiled if the machine can compile."""
    modes = {"eager": CONFIG, "compiled": replace(CONFIG, compile=True)}
    try:
        require_machine(modes["compiled"])
    except ConfigError as error:
        print(f"eager only: {error}")
        del modes["compiled"]
    return modes


def _cases(nsl_kdd: str | None) -> Iterator[Case]:
    for members, targets in ((1, (2.0, None)), (8, (6.0, 7.0)), (16, (7.0, 9.0))):
        yield Case("CartPole-v1", "CartPole-v1", members, targets)
    for features, targets in ((20, (6.0, 8.0)), (118, (5.0, 6.0))):
        yield Case("triage, synthetic", TRIAGE, 8, targets, load_flows(DataConfig(num_features=features)))
    if nsl_kdd:
        data = load_flows(DataConfig(source="nsl_kdd", path=nsl_kdd))
        yield Case("triage, NSL-KDD", TRIAGE, 8, (5.0, 6.0), data)


def _measured(case: Case, modes: dict[str, PPOConfig], pairs: int, iterations: int) -> Iterator[list[str]]:
    width, ours = 0, {}
    for mode, config in modes.items():
        width, ours[mode] = _ours(case, config, iterations)
    sides = {**ours, "SB3": _theirs(case, iterations)}
    for stretch in sides.values():
        stretch()  # warm-up
    rounds = [{side: stretch() for side, stretch in sides.items()} for _ in range(pairs)]
    for mode, target in zip(ours, case.targets, strict=False):
        ratios = [rates[mode] / rates["SB3"] for rates in rounds]
        yield [
            case.name,
            str(width),
            "shared" if CONFIG.shared_trunk else "separate",
            str(case.members),
            mode,
            f"{statistics.median(rates[mode] for rates in rounds):,.0f}",
            f"{statistics.median(rates['SB3'] for rates in rounds):,.0f}",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"{target:g}" if target else "",
        ]


def _ours(case: Case, config: PPOConfig, iterations: int) -> tuple[int, Stretch]:
    """Return the width of an observation, and a function that trains our PPO and returns the steps per second."""
    env = EnvConfig(id=case.env)
    learner = make_learner(config, env, make_member_seeds(0, case.members), make_evaluation_seed(0), case.data)

    def stretch() -> float:
        start = time.process_time()
        for _ in range(iterations):
            learner.iterate()
        return iterations * case.members * config.batch_size / (time.process_time() - start)

    return learner.rollout.raw_observations.shape[-1], stretch


def _theirs(case: Case, iterations: int) -> Stretch:
    flows = {} if case.data is None else {"flows": case.data.train}
    lanes = sb3.lanes(case.env, CONFIG.num_envs, **flows)
    model = PPO("MlpPolicy", lanes, device="cpu", seed=0, **sb3.arguments(CONFIG))

    def stretch() -> float:
        start = time.process_time()
        model.learn(iterations * CONFIG.batch_size)
        return iterations * CONFIG.batch_size / (time.process_time() - start)

    return stretch


if __name__ == "__main__":
    main()
