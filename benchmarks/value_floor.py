"""Measure what the value floor and all diagnosis metrics cost, as shares of training time on one thread.

    make bench-floor
    make bench-floor ARGS="--pairs 9"

By the clock: the time inside, over the rest of the training that it is part of. And as a check that nothing escapes
the clock, by two learners of the same seeds that take turns, an iteration each; one of them has no floor. A pair is as
many iterations of both as there are from one question to the probe to the next. Time is the process's own CPU time, so
that others on the machine change little; on a busy one the first figure is by far the steadier.

"All" is the floor, the other metrics of the critic, and those of `rl.measures`: gradients by their origin, units,
inputs, the first ratio, scales. Looks at the environment are few, and stand in columns of their own. For the floor
alone the Monte Carlo returns, which `train/explained_variance_mc` needs as well, count as training. Evaluations are
left out: they would make the shares smaller.
"""

import argparse
import math
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from unstuck.rl import estimates
from unstuck.rl import measures as diagnostics
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.dynamics import Bounds
from unstuck.rl.envs.evaluate import Act, Results
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.rl.value_probe import ValueFloor, choose_interval

TO_STAY_BELOW = 3.0
"""Percent of training time."""


@dataclass(frozen=True)
class Case:
    """One case to time: width of observations (4: CartPole; else triage), members, and evaluation interval."""

    width: int
    members: int
    eval_every: int


CASES = (
    *(Case(width, members, 1) for width in (4, 20, 118) for members in (1, 4, 16)),
    *(Case(width, members, eval_every) for eval_every in (5, 20) for width in (4, 20, 118) for members in (4, 16)),
)
"""Several widths and members where both are wanted most often, and at usual rhythms."""

ALL_FROM = 5
"""Iterations between evaluations, or more, at which all together must stay below as well: the floor is asked for only
now and then, the rest at every evaluation."""


A_RUN = 120
"""Iterations of a run for which the looks at the environment are counted: four times as far apart each time, they cost
a longer run less."""


class _Unjudged:
    """Evaluator that does nothing and takes no time."""

    def evaluate(self, act: Act, num_members: int) -> Results:
        return {}


class _NoFloor(ValueFloor):
    """Value floor that does nothing and takes no time."""

    def update(self, iteration: int, observations: Tensor, targets: Tensor) -> None:
        pass

    def floor_metrics(self, values: Tensor, targets: Tensor, unit: Tensor) -> dict[str, Tensor]:
        return {}


class _Clock:
    """Counter of the CPU seconds that selected methods take."""

    seconds = 0.0

    def on(self, owner: Any, method: str) -> AbstractContextManager[Any]:
        """Return a context in which calls of one more method are timed."""
        function = getattr(owner, method)

        def counted(*args: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args)
            finally:
                self.seconds += time.process_time() - start

        return mock.patch.object(owner, method, counted)


@dataclass(frozen=True)
class Pair:
    """CPU seconds of a stretch of training, with and without the value floor, and of the metrics within the stretch."""

    with_floor: float
    of_it_floor: float
    of_it_all: float
    without: float


def main() -> int:
    """Measure what the value floor costs in all cases and print the table; return 1 if a median is too high."""
    options = _options()
    torch.set_num_threads(1)
    table = Table(title=f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread")
    for column in ("width", "members", "eval_every", "asked every", "iteration, ms", "floor, %", "with / without, %"):
        table.add_column(column, justify="right")
    table.add_column("all, %", justify="right")
    table.add_column("environment, ms", justify="right")
    table.add_column(f"of {A_RUN} iterations, %", justify="right")
    too_much = 0
    for case in CASES:
        every = math.ceil(choose_interval(case.width) / case.eval_every) * case.eval_every
        pairs = _pairs(case, every, options.pairs)
        floor = [100 * pair.of_it_floor / (pair.with_floor - pair.of_it_floor) for pair in pairs]
        total = [100 * pair.of_it_all / (pair.with_floor - pair.of_it_all) for pair in pairs]
        to_judge = (floor, total) if case.eval_every >= ALL_FROM else (floor,)
        too_much += any(statistics.median(shares) >= TO_STAY_BELOW for shares in to_judge)
        look = _time_look(case)
        usual = 1000 * statistics.median(pair.without for pair in pairs) / every
        table.add_row(
            *(str(value) for value in (case.width, case.members, case.eval_every, every)),
            f"{usual:.0f}",
            _spread(floor),
            _spread([100 * (pair.with_floor / pair.without - 1) for pair in pairs]),
            _spread(total),
            f"{look:.0f}",
            f"{100 * _count_looks(case.eval_every) * look / (A_RUN * usual):.1f}",
        )
    Console(width=140).print(table)
    return int(too_much > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="stretches of both sides (default: 5)")
    return parser.parse_args()


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _pairs(case: Case, iterations: int, count: int) -> list[Pair]:
    """Measure `count` pairs of stretches with and without the value floor, each of `iterations` iterations."""
    data = None if case.width == 4 else load_flows(DataConfig(num_features=case.width))
    measured, without = _learner(case, data), _learner(case, data)
    without.value_floor = _NoFloor(case.members)
    for learner in (measured, without):
        learner.iterate()  # warm-up
    measured.value_floor.measured_at.fill_(-math.inf)
    return [_pair(measured, without, iterations) for _ in range(count)]


def _pair(measured: Learner, without: Learner, iterations: int) -> Pair:
    of_floor, of_all, of_dynamics, seconds = _Clock(), _Clock(), _Clock(), {measured: 0.0, without: 0.0}
    for iteration in range(iterations):
        for learner in (measured, without) if iteration % 2 else (without, measured):
            with _clocked(measured, of_floor, of_all, of_dynamics) if learner is measured else nullcontext():
                start = time.process_time()
                learner.iterate()
                seconds[learner] += time.process_time() - start
    of_one = seconds[measured] - of_dynamics.seconds  # reported for itself
    return Pair(of_one, of_floor.seconds, of_all.seconds, seconds[without])


@contextmanager
def _clocked(learner: Learner, of_floor: _Clock, of_all: _Clock, of_dynamics: _Clock) -> Iterator[None]:
    floor = learner.value_floor
    with (
        of_floor.on(floor, "update"),
        of_floor.on(floor, "floor_metrics"),
        of_all.on(learner, "_critic_metrics"),
        of_all.on(diagnostics, "measure_before_update"),
        of_all.on(diagnostics, "measure_after_update"),
        of_all.on(estimates, "measure_repeats"),
        of_all.on(estimates, "describe_rollout"),
        of_all.on(diagnostics, "measure_alike"),
        of_dynamics.on(diagnostics, "measure_dynamics"),
    ):
        yield


def _time_look(case: Case) -> float:
    """Measure the CPU milliseconds of one look at the environment, the least of three."""
    learner = _learner(case, None if case.width == 4 else load_flows(DataConfig(num_features=case.width)))
    learner.iterate()
    bounds = Bounds.from_space(learner.env.single_action_space)
    taken = []
    for _ in range(3):
        start = time.process_time()
        diagnostics.measure_dynamics(learner.rollout, torch.zeros(*learner.rollout.rewards.shape, 1), bounds)
        taken.append(1000 * (time.process_time() - start))
    return min(taken)


def _count_looks(eval_every: int) -> int:
    """Count the first evaluations from iteration 1, 4, 16 ... on in a run of `A_RUN` iterations."""
    firsts = {math.ceil(4**power / eval_every) * eval_every for power in range(10)}
    return len([first for first in firsts if first <= A_RUN])


def _learner(case: Case, data: FlowData | None) -> Learner:
    config = PPOConfig(num_iterations=10**9, eval_every=case.eval_every)
    env = EnvConfig() if data else EnvConfig(id="CartPole-v1")
    learner = make_learner(config, env, make_member_seeds(0, case.members), make_evaluation_seed(0), data)
    learner.evaluator = _Unjudged()
    return learner


if __name__ == "__main__":
    raise SystemExit(main())
