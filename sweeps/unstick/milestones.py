"""Watch the milestones of arms live: a bound on a metric, within a window of iterations counted from the branch.

A milestone is passed if the bound holds at the window's last evaluation. Each is decided once, as soon as the window is
over, and recorded before anything shows it; an arm that ended before has missed the milestone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean, stdev
from typing import Any

from unstuck.records.axis import Axis
from unstuck.records.files import branch_file, read_checkpoint_records
from unstuck.records.measurement import Record
from unstuck.records.unstick import MilestoneRecord, describe_demand
from unstuck.rl import metrics
from unstuck.rl.config import TRIAGE, require
from unstuck.rl.errors import ConfigError
from unstuck.rl.wording import find_nearest
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.stopping.live_trial import LiveTrial
from unstuck.sweeps.unstick.reach import find_reach

OBJECTIVE = "objective"
"""Word in a check for the metric that arms are compared by, `sweep.metric`."""

LEVEL_EVALUATIONS = 10
"""Number of the run's last evaluations (or iterations) that give the level before the branch."""

LEAST_SPREAD = 0.01
"""Least standard deviation of the level before the branch, as a share of the level: a constant metric has none."""

_TRAIN = (*metrics.TRAIN, *metrics.CRITIC, *metrics.NETWORKS, *map(metrics.action_metric, metrics.ACTIONS))
_EXAMPLE = "write {metric: eval/f1, above: 0.3, iterations: [1, null]}"


class Bound(StrEnum):
    """Kinds of bound that a milestone in `milestones.checks` can set on a metric; each value is the key in YAML.

    Attributes:
        ABOVE: The metric lies above a number.
        BELOW: The metric lies below a number.
        RISES_BY: The metric lies above its level before the branch by so many standard deviations.
        FALLS_BY: The metric lies below its level before the branch by so many standard deviations.
        IMPROVES_BY: One of the two, whichever is better by `sweep.mode`; for the objective alone.
    """

    ABOVE = "above"
    BELOW = "below"
    RISES_BY = "rises_by"
    FALLS_BY = "falls_by"
    IMPROVES_BY = "improves_by"

    @property
    def is_relative(self) -> bool:
        """True for a kind of bound that is relative to the metric's level in the stuck run."""
        return self in (Bound.RISES_BY, Bound.FALLS_BY, Bound.IMPROVES_BY)

    @property
    def side(self) -> "Bound":
        """Return on which side of the limit the metric has to lie, as `ABOVE` or `BELOW`."""
        return Bound.ABOVE if self in (Bound.ABOVE, Bound.RISES_BY) else Bound.BELOW


@dataclass(frozen=True)
class Check:
    """Checked entry of `milestones.checks`: a metric, a kind of bound and a window of iterations.

    Attributes:
        metric: Name of the metric, as in `rl.metrics`.
        bound: Kind of bound.
        number: The bound, or how many standard deviations the metric has to move.
        first: First iteration of the window, counted from the branch.
        last: Last iteration of the window.
    """

    metric: str
    bound: Bound
    number: float
    first: int
    last: int


@dataclass(frozen=True)
class Milestone:
    """Milestone: a limit for a metric, and the iterations in which a stuck run's branch has to keep the limit.

    Attributes:
        number: Place among the sweep's milestones, from 1.
        metric: Name of the metric, as in `rl.metrics`.
        side: `Bound.ABOVE` or `Bound.BELOW`.
        limit: Number that the metric has to lie above or below.
        first: First iteration of the window, counted from the branch.
        last: Last iteration of the window.
        why: Reason for a limit nearer than the check asks for, since the metric cannot go so far; else empty.
    """

    number: int
    metric: str
    side: Bound
    limit: float
    first: int
    last: int
    why: str = ""

    def holds(self, value: float) -> bool:
        """Return True if a metric's value lies on the right side of the milestone's limit; NaN never does."""
        return value > self.limit if self.side is Bound.ABOVE else value < self.limit

    def decide(self, iteration: int, value: float | None) -> MilestoneRecord:
        """Make the record that a value passes or misses the milestone's limit; a missing value misses."""
        return MilestoneRecord(
            number=self.number,
            metric=self.metric,
            bound=str(self.side),
            limit=self.limit,
            first=self.first,
            last=self.last,
            iteration=iteration,
            value=value,
            passed=value is not None and self.holds(value),
        )


def parse_checks(config: SweepConfig) -> tuple[Check, ...]:
    """Check the setting `milestones.checks` (bounds on metrics), and return the entries as typed objects.

    Raises:
        ConfigError: An entry has no metric, bound or window that can be judged in this sweep.
    """
    return tuple(
        _parse_check(check, f"milestones.checks[{index}]", config)
        for index, check in enumerate(config.milestones.checks)
    )


def _parse_check(check: Mapping[str, Any], where: str, config: SweepConfig) -> Check:
    known = ("metric", "iterations", *Bound)
    for name in check:
        require(
            name in known,
            f"{where} may hold {', '.join(known)}, got {name}; did you mean {find_nearest(str(name), known)}?",
        )
    bounds = [bound for bound in Bound if bound in check]
    got = " and ".join(bounds) or "none"
    require(len(bounds) == 1, f"{where} must hold exactly one of {', '.join(Bound)}, got {got}; {_EXAMPLE}")
    bound, number = bounds[0], check[bounds[0]]
    require(
        _is_number(number) and math.isfinite(number) and (number > 0 or not bound.is_relative),
        f"{where}.{bound} must be a {'positive ' if bound.is_relative else ''}number, got {number!r}; {_EXAMPLE}",
    )
    metric = _parse_metric(check.get("metric"), where, config)
    if bound is Bound.IMPROVES_BY:
        require(
            check.get("metric") == OBJECTIVE,
            f"{where}.improves_by must be of the metric {OBJECTIVE}, got {metric}; write rises_by or falls_by",
        )
        bound = Bound.RISES_BY if config.sweep.mode == "max" else Bound.FALLS_BY
    _require_gain(check.get("metric"), bound, where, config)
    first, last = _parse_window(check.get("iterations"), where, config)
    return Check(metric, bound, float(number), first, last)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse_metric(metric: Any, where: str, config: SweepConfig) -> str:
    """Return the name of the metric in a milestone's entry; raise an error if the sweep does not measure it."""
    if metric == OBJECTIVE:
        return config.sweep.metric
    evaluated = (*metrics.EVAL, metrics.F1_TRAIN) if config.env.id == TRIAGE else (metrics.EVAL_RETURN,)
    known = (OBJECTIVE, *evaluated, *_TRAIN)
    if metric in known:
        return str(metric)
    from unstuck.analysis.history.names import find_our_metric  # late: it brings pandas

    ours = find_our_metric(str(metric))
    near = ours if ours in known else find_nearest(str(metric), known)
    raise ConfigError(
        f"{where}.metric must be {OBJECTIVE}, or a metric of training or evaluation that {config.env.id} has "
        f"(docs/metrics.md), got {metric!r}; did you mean {near}?"
    )


def _require_gain(metric: Any, bound: Bound, where: str, config: SweepConfig) -> None:
    """Raise an error for a milestone that a stuck run's branch could pass while becoming worse."""
    better = Bound.RISES_BY if config.sweep.mode == "max" else Bound.FALLS_BY
    require(
        metric != OBJECTIVE or not bound.is_relative or bound is better,
        f"{where} must use {better} for the objective with sweep.mode={config.sweep.mode}, got {bound}; "
        f"write {better} in its place",
    )


def _parse_window(window: Any, where: str, config: SweepConfig) -> tuple[int, int]:
    """Return the first and last iteration in which a milestone counts; refuse a window without evaluation."""
    where, length, every = f"{where}.iterations", config.unstick.iterations, config.ppo.eval_every
    is_window = isinstance(window, list | tuple) and len(window) == 2 and type(window[0]) is int
    require(
        is_window and (window[1] is None or type(window[1]) is int),
        f"{where} must be [first, last], counted from the branch, with null for the last iteration, got {window!r}; "
        "write [1, null] for all",
    )
    first, last = window[0], length if window[1] is None else window[1]
    require(
        last <= length and first <= length,
        f"{where} must end within unstick.iterations = {length}, got {list(window)}; "
        f"set unstick.iterations={max(first, last)}, or choose an earlier window",
    )
    require(1 <= first <= last, f"{where} must be [first, last] with 1 <= first <= last, got {list(window)}")
    require(
        last == length or last // every * every >= first,
        f"{where} must hold an iteration that is evaluated, one that ppo.eval_every = {every} divides or the last, "
        f"got {list(window)}; widen the window, or lower ppo.eval_every",
    )
    return first, last


def set_milestones(config: SweepConfig, history: Sequence[Record]) -> tuple[Milestone, ...]:
    """Compute the limits of milestones (bounds on metrics), from their settings and the stuck run's metrics.

    Args:
        config: Settings of the sweep.
        history: Records of the run that is branched, oldest first.

    Raises:
        ConfigError: A check cannot be judged, or asks for a level before the branch that the run did not record.
    """
    found = []
    for index, check in enumerate(parse_checks(config)):
        limit, why = _find_limit(check, history, f"milestones.checks[{index}]", config.env.id)
        found.append(Milestone(index + 1, check.metric, check.bound.side, limit, check.first, check.last, why))
    return tuple(found)


def _find_limit(check: Check, history: Sequence[Record], where: str, env_id: str) -> tuple[float, str]:
    """Compute a milestone's limit for a metric; return it, and in words how it was computed.

    The level is the mean of the run's last `LEVEL_EVALUATIONS` finite values: of evaluations, for a `train/` metric of
    iterations. The standard deviation is that of the same values, with n - 1, and at least 1 % of the level. A limit
    that the metric cannot pass gives way to a nearer one.

    Returns:
        The limit, and the reason for a nearer one than the check asks for.
    """
    if not check.bound.is_relative:
        return check.number, ""
    measured = [record.metrics[check.metric] for record in history if check.metric in record.metrics]
    level = [value for value in measured[-LEVEL_EVALUATIONS:] if math.isfinite(value)]
    require(
        len(level) > 0,
        f"{where} must name a metric with finite values among the run's last {LEVEL_EVALUATIONS} for {check.bound}, "
        f"got none of {check.metric}; write above or below with a number, or milestones=none",
    )
    rises = check.bound is Bound.RISES_BY
    reach = find_reach(check.metric, rises, env_id)
    require(
        not reach.is_exhausted(mean(level), rises),
        f"{where} must ask for what the run has not reached, got {check.bound} of {check.metric}, which stands at "
        f"{mean(level):g}, the best that there is; write milestones=none",
    )
    spread = max(stdev(level) if len(level) > 1 else 0.0, LEAST_SPREAD * abs(mean(level)))
    bound = mean(level) + (check.number if rises else -check.number) * spread
    return reach.limit_bound(bound, mean(level))


def read_milestones(config: SweepConfig) -> tuple[Milestone, ...]:
    """Return the milestones (limits for metrics) of a recorded sweep; empty if it branches no stuck run.

    Raises:
        ConfigError: A check cannot be judged.
        CheckpointError: The copy of the run's checkpoint cannot be read.
    """
    if config.run is None:
        return ()
    is_relative = any(check.bound.is_relative for check in parse_checks(config))
    history = read_checkpoint_records(branch_file(config.own_folder)) if is_relative else []
    return set_milestones(config, history)


class MilestoneWatch:
    """Watch over a stuck run's branches, which decides if each has kept the milestones' limits in time.

    Args:
        milestones: Milestones of the sweep; none for a sweep that branches no run.
        axis: Axis that the sweep counts trials by.
    """

    def __init__(self, milestones: Sequence[Milestone], axis: Axis) -> None:
        self._milestones, self._axis = milestones, axis

    def decide(self, trial: LiveTrial, has_ended: bool) -> list[MilestoneRecord]:
        """Decide the milestones (bounds on metrics) of a trial that are due; store and return the new results.

        Args:
            trial: Trial with all records that were received.
            has_ended: True for a trial that trains no further, whose open milestones are all missed.
        """
        decided = {one.number for one in trial.milestones}
        reached = self._count_iterations(max(trial.last_step, trial.last_judged_before_resume))
        new = [
            _decide(milestone, self._list_evaluations(trial, milestone), reached)
            for milestone in self._milestones
            if milestone.number not in decided
            and (has_ended or self._count_iterations(trial.last_step) >= milestone.last)
        ]
        trial.milestones = (*trial.milestones, *new)
        return new

    def _list_evaluations(self, trial: LiveTrial, milestone: Milestone) -> list[tuple[int, float | None]]:
        """List a trial's evaluations within a milestone's window: iteration, and the metric's value or None."""
        numbered = [(self._count_iterations(record.step), record.metrics) for record in trial.records]
        return [
            (iteration, measured.get(milestone.metric))
            for iteration, measured in numbered
            if metrics.EVAL_RETURN in measured and milestone.first <= iteration <= milestone.last
        ]

    def _count_iterations(self, step: int) -> int:
        """Convert a trial's step to iterations of the unchanged configuration, in which windows are counted.

        Where arms differ in the size of a rollout, steps are environment steps, and the last update may go beyond.
        """
        return min(step, self._axis.length) // self._axis.scale


def _decide(milestone: Milestone, evaluations: Sequence[tuple[int, float | None]], reached: int) -> MilestoneRecord:
    """Decide if a trial passes a milestone (bound on a metric), from its evaluations in the window."""
    if reached < milestone.last or not evaluations:
        return milestone.decide(reached, None)
    return milestone.decide(*evaluations[-1])


def describe_milestones(milestones: Sequence[Milestone]) -> list[str]:
    """Describe a sweep's milestones (limits for metrics) in lines of text, one for each."""
    return [
        f"milestone {one.number}: {describe_demand(one.metric, one.side, one.limit)} "
        f"at the last evaluation of iterations {one.first} to {one.last}" + (f" ({one.why})" if one.why else "")
        for one in milestones
    ]
