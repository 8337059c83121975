"""What the driver does with a trial: proposes it, judges it, records it. Knows no Ray, so it runs without.

The one place that writes to ledger and tracker, and always in this order: attributes and reason, curve, `tell`, then
MLflow, which is derived and can be replayed (DESIGN D6).
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl import metrics
from rl.errors import ConfigError
from sweeps.asha import Asha
from sweeps.assignment import Assignment
from sweeps.config import SweepConfig
from sweeps.errors import SweepError, TrackingError
from sweeps.health import HealthRules
from sweeps.ledger import MLFLOW_RUN, VALUES, Ledger
from sweeps.outcome import Outcome, Verdict
from sweeps.progress import Progress
from sweeps.record import Record
from sweeps.schema import to_yaml
from sweeps.space import Space
from sweeps.tracking import Tracker

FINAL_EVALUATIONS = 3
"""A trial's value is the mean of this many last evaluations, never the best one (DESIGN D2)."""

MAX_INFEASIBLE_IN_A_ROW = 100
"""Proposals refused one after the other before the space itself is."""


@dataclass
class _Running:
    values: Mapping[str, Any]
    started: float
    last_iteration: int = 0
    rungs: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[Mapping[str, float]] = field(default_factory=list)


class Driver:
    """The life of every trial of one sweep.

    Args:
        config: The sweep.
        num_trials: Trials to run, those that are infeasible not counted.
        space: What is searched.
        ledger: Freshly created.
        tracker: Its parent run is open.
        progress: Is told what happens.

    Attributes:
        failure: Why the sweep cannot go on, if it cannot.
    """

    def __init__(
        self,
        config: SweepConfig,
        num_trials: int,
        space: Space,
        ledger: Ledger,
        tracker: Tracker,
        progress: Progress,
    ) -> None:
        self._config, self._num_trials, self._space = config, num_trials, space
        self._ledger, self._tracker, self._progress = ledger, tracker, progress
        self._health = HealthRules(config.health, config.sweep.metric)
        self._asha = (
            Asha(config.scheduler, config.ppo.num_iterations, config.sweep.mode, config.sweep.seed)
            if config.scheduler.name == "asha"
            else None
        )
        self._running: dict[int, _Running] = {}
        self._proposed = 0
        self._tracking_failed = False
        self.failure: SweepError | None = None

    def propose(self) -> Assignment | None:
        """The next trial, on record as running; None when there is nothing left to propose.

        A configuration that cannot run is recorded as infeasible, and the sampler asked again.
        """
        if self.failure or self._proposed == self._num_trials:
            return None
        refused = ""
        for _ in range(MAX_INFEASIBLE_IN_A_ROW):
            number, raw = self._ledger.ask(self._space.distributions())
            values = self._space.decode(raw)
            self._ledger.annotate(number, {VALUES: dict(values)})
            try:
                config = self._space.apply(self._config, values)
            except ConfigError as error:
                refused = str(error)
                self._refuse(number, values, refused)
                continue
            self._proposed += 1
            self._running[number] = _Running(values, time.monotonic())
            self._start_run(number, values, config)
            self._progress.started(number, values)
            return Assignment(number, config)
        self.failure = SweepError(
            f"the space must hold configurations that can run; {MAX_INFEASIBLE_IN_A_ROW} proposals in a row could "
            f"not, the last because {refused}; narrow the space"
        )
        return None

    def receive(self, number: int, records: Sequence[Record]) -> Verdict | None:
        """Judge and record one evaluation period of a trial.

        Args:
            number: The trial.
            records: Its iterations since the last call, oldest first. Those that are on record already (a worker
                that died repeats them) are skipped.

        Returns:
            How the trial ended; None: it goes on.
        """
        trial = self._running.get(number)
        if trial is None:
            return None
        records = [record for record in records if record.iteration > trial.last_iteration]
        if not records:
            return None
        trial.last_iteration = records[-1].iteration
        evaluated = [record for record in records if self._config.sweep.metric in record.metrics]
        verdict = self._judge(number, trial, records)
        for record in evaluated:
            trial.evaluations.append(record.metrics)
            self._ledger.report(number, record.iteration, record.metrics[self._config.sweep.metric])
        if verdict:
            self._finish(number, verdict, records)
        else:
            self._track(lambda: self._tracker.log(number, records))
            if trial.evaluations:
                self._progress.evaluated(number, trial.last_iteration, *self._standing(trial))
        return verdict

    def crash(self, number: int, error: str) -> None:
        """Record that a trial's worker died more often than allowed, or raised.

        Args:
            number: The trial.
            error: Its traceback; the last line becomes the reason.
        """
        if number not in self._running:
            return
        lines = error.strip().splitlines()
        self._ledger.annotate(number, {"traceback": error})
        self._finish(number, Verdict(Outcome.CRASHED, lines[-1] if lines else "the worker died"))

    def interrupt(self, reason: str) -> None:
        """Record all trials that still run as interrupted."""
        for number in list(self._running):
            self._finish(number, Verdict(Outcome.INTERRUPTED, reason))

    @property
    def is_finished(self) -> bool:
        """Whether all trials have been proposed and have ended, or none can be proposed."""
        return not self._running and (self._proposed == self._num_trials or self.failure is not None)

    def _judge(self, number: int, trial: _Running, records: Sequence[Record]) -> Verdict | None:
        last = records[-1]
        verdict = self._health.judge(number, [(record.iteration, record.metrics) for record in records])
        value = last.metrics.get(self._config.sweep.metric)
        if self._asha and verdict is None and value is not None:
            tie_breaker = last.metrics[metrics.EVAL_RETURN]
            entries, verdict = self._asha.judge(number, last.iteration, value, tie_breaker)
            if entries:
                trial.rungs += [dataclasses.asdict(entry) for entry in entries]
                self._ledger.annotate(number, {"rungs": trial.rungs})
        if verdict is None and last.iteration >= self._config.ppo.num_iterations:
            verdict = Verdict(Outcome.COMPLETED, f"reached iteration {last.iteration}")
        return verdict

    def _finish(self, number: int, verdict: Verdict, records: Sequence[Record] = ()) -> None:
        trial = self._running.pop(number)
        self._health.forget(number)
        summary = self._summary(trial)
        value, spread = self._standing(trial) if trial.evaluations else (None, 0.0)
        self._ledger.finish(number, verdict, value if verdict.outcome is Outcome.COMPLETED else None, summary)
        self._track(lambda: self._tracker.log(number, records))
        self._track(lambda: self._tracker.end_trial(number, verdict, summary))
        self._progress.ended(number, verdict, value, spread)

    def _refuse(self, number: int, values: Mapping[str, Any], reason: str) -> None:
        verdict = Verdict(Outcome.INFEASIBLE, reason)
        self._start_run(number, values, self._config)
        self._ledger.finish(number, verdict)
        self._track(lambda: self._tracker.end_trial(number, verdict, {}))
        self._progress.ended(number, verdict, None, 0.0)

    def _start_run(self, number: int, values: Mapping[str, Any], config: SweepConfig) -> None:
        fixed = {group: dataclasses.asdict(getattr(config, group)) for group in ("ppo", "env", "data")}
        tags = {"seeds": str(config.sweep.seeds), "seed": str(config.sweep.seed)}

        def start() -> None:
            run = self._tracker.start_trial(number, values, fixed, tags, to_yaml(config))
            self._ledger.annotate(number, {MLFLOW_RUN: run})

        self._track(start)

    def _standing(self, trial: _Running) -> tuple[float, float]:
        """The trial's value so far, and its spread: the standard deviation of the members' own values."""
        last = trial.evaluations[-FINAL_EVALUATIONS:]
        members = list(self._member_values(last).values())
        return _mean(last, self._config.sweep.metric), _spread(members)

    def _member_values(self, evaluations: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Each member's own value, over the same evaluations."""
        values = {}
        for member in range(self._config.sweep.seeds):
            name = metrics.seed_metric(self._config.sweep.metric, member)
            final = metrics.seed_metric(metrics.FINAL_VALUE, member)
            values[final] = _mean(evaluations, name)
        return values

    def _summary(self, trial: _Running) -> dict[str, float]:
        summary = {
            metrics.FINAL_ITERATIONS: float(trial.last_iteration),
            metrics.FINAL_SECONDS: time.monotonic() - trial.started,
        }
        if trial.evaluations:
            value, spread = self._standing(trial)
            summary |= {metrics.FINAL_VALUE: value, metrics.FINAL_SPREAD: spread}
            summary |= self._member_values(trial.evaluations[-FINAL_EVALUATIONS:])
        return summary

    def _track(self, write: Callable[[], None]) -> None:
        """A tracker that fails never ends a sweep: the ledger holds the truth."""
        try:
            write()
        except TrackingError as error:
            if not self._tracking_failed:  # a store that is gone fails at every write, each with a message of its own
                self._progress.warn(f"{error}; the sweep goes on, and does not warn of this again")
            self._tracking_failed = True


# numpy, since the module `statistics` raises for numbers that are not finite, which a diverged trial reports.
def _mean(evaluations: Sequence[Mapping[str, float]], name: str) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.mean([evaluation[name] for evaluation in evaluations]))


def _spread(values: Sequence[float]) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
