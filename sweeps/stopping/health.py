"""Stop sick trials by rules on a trial's own losses, regardless of the other trials.

Values are means over a trial's members, as the learner reports them. The rules in words: `docs/early_stopping.md`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from unstuck.records.axis import ITERATIONS, Axis
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.rl import metrics
from unstuck.sweeps.config.settings import HealthConfig
from unstuck.sweeps.stopping.live_trial import LiveTrial

Metrics = Mapping[str, float]
"""One iteration's metrics, under the names of `rl.metrics`. A metric that was not measured is absent."""

EXPLOSION_FLOOR = 1.0
"""Lowest value loss that explosions are measured from. Normalised returns start near 1.0 anyway; a trial on raw returns
with rare rewards starts near 0, and the first reward must not look like an explosion."""

MUST_BE_FINITE = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.GRAD_NORM, metrics.F1, metrics.EVAL_RETURN)
"""Metrics that are always measured; e.g. a rollout in which no episode ended has no episode return."""


class HealthRules:
    """Judge that ends a trial whose metrics are not finite, whose value loss explodes, or that makes no progress.

    Losses are compared with the trial's own start, never with other trials (see `sweeps.stopping.judge.Judge`).
    """

    def __init__(self, config: HealthConfig, objective: str = metrics.F1, axis: Axis = ITERATIONS) -> None:
        """Compute the limits beyond which a trial counts as exploding or stuck.

        Args:
            config: Thresholds beyond which a trial counts as exploding or stuck.
            objective: Metric that the sweep compares trials by; the objective must be finite, like the losses.
            axis: Axis that the sweep counts trials by: the grace period is in iterations of the unchanged
                configuration.
        """
        self._config, self._axis = config, axis
        self._must_be_finite = tuple(dict.fromkeys((*MUST_BE_FINITE, objective)))

    def judge(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Return outcome and reason if a metric is not finite, or the value loss explodes or is stuck; else None.

        Only numbers that are not finite end the control: a stopped control would be compared by where it was stopped.
        The same holds for a trial that has no start to be compared with.
        """
        if (verdict := self._judge_finiteness(period)) is not None:
            return verdict
        start = trial.start_value_loss
        losses = [record.metrics[metrics.VALUE_LOSS] for record in period if metrics.VALUE_LOSS in record.metrics]
        if trial.is_control or not self._config.enabled or start is None or not losses:
            return None
        level = _compute_mean(losses)
        if (verdict := self._judge_explosion(start, level, period[-1].iteration)) is not None:
            return verdict
        reached = period[-1].step // self._axis.scale
        return None if reached < self._config.stuck_grace_iterations else self._judge_progress(start, level, period)

    def _judge_finiteness(self, period: Sequence[Record]) -> Verdict | None:
        for record in period:
            for name in self._must_be_finite:
                for whose, value in _list_member_values(record.metrics, name):
                    if not math.isfinite(value):
                        return Verdict(Outcome.DIVERGED, f"{name}{whose} is {value} at iteration {record.iteration}")
        return None

    def _judge_explosion(self, start: float, level: float, iteration: int) -> Verdict | None:
        factor = self._config.explosion_factor
        if level <= factor * max(start, EXPLOSION_FLOOR):
            return None
        base = f"its start {_format_loss(start)}"
        if start < EXPLOSION_FLOOR:
            base = f"{EXPLOSION_FLOOR:g} ({base} raised to this floor)"
        return Verdict(
            Outcome.DIVERGED, f"value loss {_format_loss(level)} > {factor:g} x {base} at iteration {iteration}"
        )

    def _judge_progress(self, start: float, level: float, period: Sequence[Record]) -> Verdict | None:
        config, iteration = self._config, period[-1].iteration
        evaluation = next((record.metrics for record in reversed(period) if metrics.F1 in record.metrics), {})
        trivial = {name: evaluation[name] for name in metrics.TRIVIAL if name in evaluation}
        if not trivial or level < config.stuck_value_loss * start:
            return None
        # A value loss at the starting level is no sign alone: with independent flows no critic does much better.
        best = max(trivial, key=trivial.__getitem__)
        f1, bar = evaluation[metrics.F1], trivial[best] + config.stuck_f1_margin
        if f1 > bar:
            return None
        policy = best.removeprefix(f"{metrics.F1}_").replace("_", " ")
        return Verdict(
            Outcome.STUCK,
            f"value loss {_format_loss(level)} >= {config.stuck_value_loss:g} x its start {_format_loss(start)} and "
            f"F1 {f1:.3f} <= {bar:.3f} ({policy} {trivial[best]:.3f} + {config.stuck_f1_margin:g}) "
            f"at iteration {iteration}",
        )


def _list_member_values(values: Metrics, name: str) -> Iterator[tuple[str, float]]:
    """Yield a metric's values as pairs of a text (which seed, or the mean) and the number."""
    member = 0
    while (value := values.get(metrics.seed_metric(name, member))) is not None:
        yield f" of member {member}", value
        member += 1
    if name in values:
        yield "", values[name]


def _compute_mean(values: list[float]) -> float:
    # Not statistics.fmean, which raises where the sum is inf; an infinite loss has exploded.
    return sum(values) / len(values)


def _format_loss(value: float) -> str:
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.4g}"
