"""Choose what a tracker shows of a trial: names, tags, and the objective so far, alike in every tracker."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from unstuck.records.measurement import Record
from unstuck.records.mlflow.names import OBJECTIVE, OBJECTIVE_SPREAD, RENAMED, is_curve, make_tags, to_mlflow
from unstuck.records.score import compute_value_and_spread
from unstuck.records.tracker import SweepHeader
from unstuck.rl import metrics


class ShownMetrics:
    """Metrics of a sweep's trials as trackers show them: readable names, and the trial's value at each evaluation.

    Args:
        header: Facts on the sweep; a sweep of an older format keeps the names of `rl.metrics`.
    """

    def __init__(self, header: SweepHeader) -> None:
        self._metric, self._renames = header.metric, header.format >= RENAMED
        self._evaluations: dict[int, dict[int, Mapping[str, float]]] = {}
        self._scores: dict[int, Mapping[str, float]] = {}

    def start(self, number: int) -> None:
        """Forget a trial's evaluations, because the trial starts or is written again."""
        self._evaluations[number], self._scores[number] = {}, {}

    def translate(self, number: int, records: Sequence[Record]) -> tuple[Sequence[Record], dict[str, str]]:
        """Rename the metrics of a trial's new iterations for display, add the value so far; return these, and tags."""
        if not self._renames:
            return records, {}
        translated: list[Record] = []
        tags: dict[str, str] = {}
        for record in records:
            tags |= make_tags(record.metrics)
            named = {to_mlflow(name): value for name, value in record.metrics.items() if is_curve(name)}
            translated.append(replace(record, metrics=self._compute_score(number, record) | named))
        return translated, tags

    def translate_summary(self, number: int, summary: Mapping[str, float]) -> tuple[dict[str, float], dict[str, str]]:
        """Rename a trial's final metrics for display, except those already logged; return these, and tags."""
        if not self._renames:
            return dict(summary), {}
        final = {to_mlflow(name): value for name, value in summary.items() if is_curve(name)}
        logged = self._scores.get(number, {})
        lacking = {name: value for name, value in final.items() if repr(logged.get(name)) != repr(value)}
        return lacking, make_tags(summary)

    def _compute_score(self, number: int, record: Record) -> dict[str, float]:
        """Compute a trial's value so far and spread over seeds, under display names; empty without evaluation.

        Iterations may come again.
        """
        known = self._evaluations.setdefault(number, {})
        if self._metric not in record.metrics:
            return {}
        known[record.step] = record.metrics
        until = [known[step] for step in sorted(known) if step <= record.step]
        seeds = sum(
            metrics.seed_metric(self._metric, member) in record.metrics for member in range(len(record.metrics))
        )
        value, spread = compute_value_and_spread(until, self._metric, seeds)
        self._scores[number] = {OBJECTIVE: value} if spread is None else {OBJECTIVE: value, OBJECTIVE_SPREAD: spread}
        return dict(self._scores[number])
