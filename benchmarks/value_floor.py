"""What the value floor costs: training with and without it, one thread.

    make bench-floor
    make bench-floor ARGS="--pairs 9"

Two learners of the same seeds train alike, but one of them has no floor. They take turns, an iteration each, over as
many iterations as there are from one question to the probe to the next; that makes a pair. Time is the process's own
CPU time, which others on the machine hardly change. Evaluations are left out on both sides: they would make the share
smaller. Monte Carlo returns, which `train/explained_variance_mc` needs as well, count on both sides.
"""

import argparse
import math
import platform
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from rl.config import DataConfig, EnvConfig, PPOConfig
from rl.data import FlowData, load_flows
from rl.envs.evaluate import Act, Results
from rl.learner import Learner
from rl.seeding import evaluation_seed, member_seeds
from rl.training import make_learner
from rl.value_floor import ValueFloor, rest

TO_STAY_BELOW = 3.0
"""Percent of training time."""

WIDTHS, MEMBERS, EVAL_EVERY = (4, 20, 60, 118, 250), (1, 4, 16), (1, 5, 20, 50)


@dataclass(frozen=True)
class Case:
    """What is trained: CartPole at its 4 columns, else triage with as many features as `width`."""

    width: int
    members: int
    eval_every: int


class _Unjudged:
    """Takes no time."""

    def evaluate(self, act: Act, num_members: int) -> Results:
        return {}


class _NoFloor(ValueFloor):
    """Takes no time either."""

    def update(self, iteration: int, observations: Tensor, targets: Tensor) -> None:
        pass

    def under(self, values: Tensor, targets: Tensor, unit: Tensor) -> dict[str, Tensor]:
        return {}


def main() -> int:
    """Measure all cases and print the table; returns 1 if a median reaches `TO_STAY_BELOW`."""
    options = _options()
    torch.set_num_threads(1)
    table = Table(title=f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread")
    for column in ("width", "members", "eval_every", "asked every", "iteration, ms", "share, % (min to max)"):
        table.add_column(column, justify="right")
    too_much = 0
    for case in _cases():
        every = math.ceil(rest(case.width) / case.eval_every) * case.eval_every
        pairs = _pairs(case, every, options.pairs)
        shares = [100 * (with_floor / without - 1) for with_floor, without in pairs]
        too_much += statistics.median(shares) >= TO_STAY_BELOW
        table.add_row(
            *(str(value) for value in (case.width, case.members, case.eval_every, every)),
            f"{1000 * statistics.median(without for _, without in pairs) / every:.0f}",
            f"{statistics.median(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})",
        )
    Console(width=120).print(table)
    return int(too_much > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="stretches of both sides (default: 5)")
    return parser.parse_args()


def _cases() -> Iterator[Case]:
    """All widths and members where the floor is wanted most often; the most expensive of them at other rhythms."""
    for width in WIDTHS:
        for members in MEMBERS:
            yield Case(width, members, EVAL_EVERY[0])
    for eval_every in EVAL_EVERY[1:]:
        yield Case(60, 16, eval_every)


def _pairs(case: Case, iterations: int, count: int) -> list[tuple[float, float]]:
    """Seconds of CPU, with and without, of `count` stretches of so many iterations."""
    data = None if case.width == 4 else load_flows(DataConfig(num_features=case.width))
    learners = [_learner(case, data), _learner(case, data)]
    learners[1].value_floor = _NoFloor(case.members)
    result = []
    for _ in range(count + 1):
        seconds = [0.0, 0.0]
        for iteration in range(iterations):
            for side in (0, 1) if iteration % 2 else (1, 0):
                start = time.process_time()
                learners[side].iterate()
                seconds[side] += time.process_time() - start
        result.append((seconds[0], seconds[1]))
    return result[1:]  # the first was a warm-up


def _learner(case: Case, data: FlowData | None) -> Learner:
    config = PPOConfig(num_iterations=10**9, eval_every=case.eval_every)
    env = EnvConfig() if data else EnvConfig(id="CartPole-v1")
    learner = make_learner(config, env, member_seeds(0, case.members), evaluation_seed(0), data)
    learner.evaluator = _Unjudged()
    return learner


if __name__ == "__main__":
    raise SystemExit(main())
