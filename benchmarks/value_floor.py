"""What the value floor costs, as a share of training time, one thread.

    make bench-floor
    make bench-floor ARGS="--pairs 9"

By the clock: the time inside the floor, over the rest of the training that it is part of. And as a check that nothing
escapes the clock, by two learners of the same seeds that take turns, an iteration each; one of them has no floor. A
pair is as many iterations of both as there are from one question to the probe to the next. Time is the process's own
CPU time, so that others on the machine change little; on a busy one the first figure is by far the steadier.

Evaluations are left out: they would make the share smaller. Monte Carlo returns, which `train/explained_variance_mc`
needs as well, count as training.
"""

import argparse
import math
import platform
import statistics
import time
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


@dataclass(frozen=True)
class Case:
    """What is trained: CartPole at its 4 columns, else triage with as many features as `width`."""

    width: int
    members: int
    eval_every: int


CASES = (
    *(Case(width, members, 1) for width in (4, 20, 60, 118, 250) for members in (1, 4, 16)),
    *(Case(60, 16, eval_every) for eval_every in (5, 20, 50)),
)
"""All widths and members where the floor is wanted most often, and one of them at other rhythms."""


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


class _ClockedFloor(ValueFloor):
    """Counts the seconds that it takes."""

    seconds = 0.0

    def update(self, iteration: int, observations: Tensor, targets: Tensor) -> None:
        start = time.process_time()
        super().update(iteration, observations, targets)
        self.seconds += time.process_time() - start

    def under(self, values: Tensor, targets: Tensor, unit: Tensor) -> dict[str, Tensor]:
        start = time.process_time()
        result = super().under(values, targets, unit)
        self.seconds += time.process_time() - start
        return result


@dataclass(frozen=True)
class Pair:
    """Seconds of CPU that a stretch took."""

    with_floor: float
    of_it_floor: float
    without: float


def main() -> int:
    """Measure all cases and print the table; returns 1 if a median reaches `TO_STAY_BELOW`."""
    options = _options()
    torch.set_num_threads(1)
    table = Table(title=f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread")
    for column in ("width", "members", "eval_every", "asked every", "iteration, ms", "share, %", "with / without, %"):
        table.add_column(column, justify="right")
    too_much = 0
    for case in CASES:
        every = math.ceil(rest(case.width) / case.eval_every) * case.eval_every
        pairs = _pairs(case, every, options.pairs)
        shares = [100 * pair.of_it_floor / (pair.with_floor - pair.of_it_floor) for pair in pairs]
        too_much += statistics.median(shares) >= TO_STAY_BELOW
        table.add_row(
            *(str(value) for value in (case.width, case.members, case.eval_every, every)),
            f"{1000 * statistics.median(pair.without for pair in pairs) / every:.0f}",
            _spread(shares),
            _spread([100 * (pair.with_floor / pair.without - 1) for pair in pairs]),
        )
    Console(width=120).print(table)
    return int(too_much > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="stretches of both sides (default: 5)")
    return parser.parse_args()


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _pairs(case: Case, iterations: int, count: int) -> list[Pair]:
    """So many pairs, of so many iterations a side."""
    data = None if case.width == 4 else load_flows(DataConfig(num_features=case.width))
    learners = [_learner(case, data), _learner(case, data)]
    clocked = learners[0].value_floor = _ClockedFloor(case.members)
    learners[1].value_floor = _NoFloor(case.members)
    for learner in learners:
        learner.iterate()  # warm-up
    clocked.measured_at.fill_(-math.inf)
    pairs = []
    for _ in range(count):
        seconds, clocked.seconds = [0.0, 0.0], 0.0
        for iteration in range(iterations):
            for side in (0, 1) if iteration % 2 else (1, 0):
                start = time.process_time()
                learners[side].iterate()
                seconds[side] += time.process_time() - start
        pairs.append(Pair(seconds[0], clocked.seconds, seconds[1]))
    return pairs


def _learner(case: Case, data: FlowData | None) -> Learner:
    config = PPOConfig(num_iterations=10**9, eval_every=case.eval_every)
    env = EnvConfig() if data else EnvConfig(id="CartPole-v1")
    learner = make_learner(config, env, member_seeds(0, case.members), evaluation_seed(0), data)
    learner.evaluator = _Unjudged()
    return learner


if __name__ == "__main__":
    raise SystemExit(main())
