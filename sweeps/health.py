"""Who stops the sick: rules that judge a trial by its own losses, whatever the other trials do.

Values are means over a trial's members, as the learner reports them. The rules in words: `docs/early_stopping.md`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from rl import metrics
from sweeps.config import HealthConfig
from sweeps.outcome import Outcome, Verdict

Metrics = Mapping[str, float]
"""One iteration's metrics, under the names of `rl.metrics`. What was not measured is absent."""

START_ITERATIONS = 3
"""A trial's start is its median value loss over this many first iterations: one alone is noise, and a mean would take
an explosion in the third for the level to compare with."""

EXPLOSION_FLOOR = 1.0
"""Explosions are measured from at least this value loss. Normalised returns start near 1.0 anyway; a trial on raw
returns whose rewards are rare starts near 0, and its first reward must not look like an explosion."""

MUST_BE_FINITE = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.GRAD_NORM, metrics.F1, metrics.EVAL_RETURN)
"""Not all metrics: some have no value at times, such as the episode return of a rollout in which no episode ended."""

STATE_PREFIX = "start_"


class HealthRules:
    """Judges trials, each against its own start. Holds nothing but those starts."""

    def __init__(self, config: HealthConfig, objective: str = metrics.F1) -> None:
        """Set the thresholds.

        Args:
            config: When a trial counts as exploding or stuck.
            objective: What the sweep compares trials by; it must be finite, like the losses.
        """
        self._config = config
        self._must_be_finite = tuple(dict.fromkeys((*MUST_BE_FINITE, objective)))
        self._starts: dict[int, dict[int, float]] = {}

    def judge(
        self,
        trial: int,
        records: Sequence[tuple[int, Metrics]],
        is_control: bool = False,
        reached: int | None = None,
    ) -> Verdict | None:
        """Judge one evaluation period of a trial.

        Judging a period again changes nothing, so a resume may replay it.

        Args:
            trial: The trial's number.
            records: `(iteration, metrics)` of the iterations since the last call, oldest first, iterations counted
                from 1. The last normally holds the evaluation.
            is_control: Whether all others are compared with this trial at the end: then only the rule on finite
                numbers applies, since a trial that was stopped would be compared by where it was stopped.
            reached: How far it has come, in iterations of the unchanged configuration; None: the last of its own.

        Returns:
            Why the trial must end, or None. Without iterations 1 to 3, and without `restore`, a trial has no start
            to be compared with; then only the rule on finite numbers applies.
        """
        if (verdict := self._not_finite(records)) is not None:
            return verdict
        start = self._update_start(trial, records)
        losses = [values[metrics.VALUE_LOSS] for _, values in records if metrics.VALUE_LOSS in values]
        if is_control or not self._config.enabled or start is None or not losses:
            return None
        level = _mean(losses)
        if (verdict := self._exploded(start, level, records[-1][0])) is not None:
            return verdict
        reached = records[-1][0] if reached is None else reached
        return None if reached < self._config.stuck_grace_iterations else self._stuck(start, level, records)

    def forget(self, trial: int) -> None:
        """Drop what is held about a trial that has ended."""
        self._starts.pop(trial, None)

    def state(self, trial: int) -> dict[str, float]:
        """What a fresh process needs to judge this trial as before: its first value losses, at most 3."""
        return {f"{STATE_PREFIX}{iteration}": loss for iteration, loss in self._starts.get(trial, {}).items()}

    def restore(self, trial: int, state: Mapping[str, float]) -> None:
        """Take up what `state` returned, of this trial or of the one that it was branched from."""
        self._starts[trial] = {int(name.removeprefix(STATE_PREFIX)): loss for name, loss in state.items()}

    def _update_start(self, trial: int, records: Sequence[tuple[int, Metrics]]) -> float | None:
        first = self._starts.setdefault(trial, {})
        for iteration, values in records:
            if iteration <= START_ITERATIONS and metrics.VALUE_LOSS in values:
                first.setdefault(iteration, values[metrics.VALUE_LOSS])
        return median(first.values()) if first else None

    def _not_finite(self, records: Sequence[tuple[int, Metrics]]) -> Verdict | None:
        for iteration, values in records:
            for name in self._must_be_finite:
                for whose, value in _own_and_members(values, name):
                    if not math.isfinite(value):
                        return Verdict(Outcome.DIVERGED, f"{name}{whose} is {value} at iteration {iteration}")
        return None

    def _exploded(self, start: float, level: float, iteration: int) -> Verdict | None:
        factor = self._config.explosion_factor
        if level <= factor * max(start, EXPLOSION_FLOOR):
            return None
        base = f"its start {_show(start)}"
        if start < EXPLOSION_FLOOR:
            base = f"{EXPLOSION_FLOOR:g} ({base} raised to this floor)"
        return Verdict(Outcome.DIVERGED, f"value loss {_show(level)} > {factor:g} x {base} at iteration {iteration}")

    def _stuck(self, start: float, level: float, records: Sequence[tuple[int, Metrics]]) -> Verdict | None:
        config, iteration = self._config, records[-1][0]
        evaluation = next((values for _, values in reversed(records) if metrics.F1 in values), {})
        trivial = {name: evaluation[name] for name in metrics.TRIVIAL if name in evaluation}
        if not trivial or level < config.stuck_value_loss * start:
            return None
        # A value loss at its start is no sign by itself: with independent flows no critic can do much better.
        best = max(trivial, key=trivial.__getitem__)
        f1, bar = evaluation[metrics.F1], trivial[best] + config.stuck_f1_margin
        if f1 > bar:
            return None
        policy = best.removeprefix(f"{metrics.F1}_").replace("_", " ")
        return Verdict(
            Outcome.STUCK,
            f"value loss {_show(level)} >= {config.stuck_value_loss:g} x its start {_show(start)} and "
            f"F1 {f1:.3f} <= {bar:.3f} ({policy} {trivial[best]:.3f} + {config.stuck_f1_margin:g}) "
            f"at iteration {iteration}",
        )


def _own_and_members(values: Metrics, name: str) -> Iterator[tuple[str, float]]:
    """Whose value and the value: each member's where recorded, since it says more, then the mean's."""
    member = 0
    while (value := values.get(metrics.seed_metric(name, member))) is not None:
        yield f" of member {member}", value
        member += 1
    if name in values:
        yield "", values[name]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)  # not statistics.fmean, which raises where this is inf, and inf has exploded


def _show(value: float) -> str:
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.4g}"
