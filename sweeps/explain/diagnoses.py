"""Diagnose running trials, so that the user learns why a trial is stuck before the sweep ends.

The rules are the rules of `python -m unstuck.analysis diagnose` (docs/diagnosis.md), on the same numbers: the driver
receives what MLflow holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from unstuck.records.measurement import Record
from unstuck.records.names import DIAGNOSIS, FINDINGS, ID_TAG, RUN_ID, SWEEP_TAG, TRIAL_TAG
from unstuck.rl.budget import Budget
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.mirror import recorded_settings
from unstuck.sweeps.stopping.live_trial import LiveTrial, TrialDiagnosis
from unstuck.sweeps.trainers.kinds import find_trainer

if TYPE_CHECKING:  # imported where first needed, since the analysis loads pandas
    from unstuck.analysis.diagnosis import Diagnosis
    from unstuck.analysis.diagnosis.finding import Ranked
    from unstuck.analysis.history import History

STEP = 0.1
"""Share of a trial's planned length after which a trial is diagnosed again; one diagnosis takes 15 to 30 ms."""


_NOTHING = TrialDiagnosis("", "", {DIAGNOSIS: "no fault found", FINDINGS: ""})


class Diagnoses:
    """Diagnoses of running trials: applies the rules of `analysis diagnose` about ten times during a trial.

    Only the number of iterations decides when a trial is diagnosed again.

    Args:
        warn: Function that tells the user of a failing rule, which must not end a sweep.
        budget: Budget that trials share in a sweep that counts environment steps.
    """

    def __init__(self, warn: Callable[[str], None], budget: Budget | None = None) -> None:
        self._warn, self._budget = warn, budget

    def refresh(self, trial: LiveTrial) -> TrialDiagnosis:
        """Return a running trial's diagnosis; compute a new one if iterations have arrived since the last."""
        if trial.diagnosis is None or trial.diagnosed_at < trial.iteration:
            trial.diagnosis, trial.diagnosed_at = self._diagnose(trial), trial.iteration
        return trial.diagnosis

    def refresh_if_due(self, trial: LiveTrial, ended: bool) -> TrialDiagnosis | None:
        """Diagnose a running trial if it is time to; return the diagnosis if recorded notes have to change, else None.

        Args:
            trial: Running trial.
            ended: True for a trial that has ended, which is diagnosed in any case.
        """
        if not ended and trial.iteration < trial.diagnosed_at + STEP * trial.config.ppo.num_iterations:
            return None
        found = self.refresh(trial)
        compared = (DIAGNOSIS, FINDINGS) if ended else (FINDINGS,)  # numbers in headlines change all the time
        if all(found.notes[name] == trial.notes_on_record.get(name) for name in compared):
            return None
        trial.notes_on_record = found.notes
        return found

    def _diagnose(self, trial: LiveTrial) -> TrialDiagnosis:
        from unstuck.analysis.diagnosis import diagnose

        try:
            return summarise(diagnose(make_history(trial.number, trial.config, trial.records, {}, self._budget)))
        except Exception as error:  # an error in a rule costs the diagnosis, not the trial
            self._warn(f"trial {trial.number} could not be diagnosed: {error!r}")
            return _NOTHING


def make_history(
    number: int,
    config: SweepConfig,
    records: Sequence[Record],
    tags: Mapping[str, str],
    budget: Budget | None = None,
) -> "History":
    """Convert a running trial's metrics, settings and tags to a `History`, the table that the analysis reads.

    Args:
        number: Number of the trial.
        config: Configuration of the trial.
        records: Iterations of the trial, oldest first.
        tags: Tags by name: `outcome` and `reason` of an ended trial, `run_id` of a trial that MLflow has.
        budget: Budget that trials share in a sweep that counts environment steps.
    """
    import pandas as pd
    from unstuck.analysis.history import History

    index = pd.Index([record.iteration for record in records], name="iteration", dtype=int)
    table = pd.DataFrame([record.list_values() for record in records], index=index, dtype=float)
    run = tags.get(RUN_ID)
    own, kind = {ID_TAG: config.id} if config.id else {}, find_trainer(config.trainer.name)
    return History(
        name=f"{config.sweep.name}/{number}",
        source=f"MLflow run {run}" if run else f"trial {number} of the sweep {config.sweep.name}",
        table=table,
        settings=recorded_settings(config, budget),
        dialect=kind.name_dialect(config),
        probed=kind.program,
        tags={SWEEP_TAG: str(config.sweep.name), TRIAL_TAG: str(number), **own, **tags},
    )


def summarise(diagnosis: "Diagnosis") -> TrialDiagnosis:
    """Shorten a diagnosis to a `TrialDiagnosis`: title and main sentence of the first finding, notes to store."""
    from unstuck.analysis.diagnosis.finding import Kind
    from unstuck.analysis.report.verdict import lower_first_letter

    found = diagnosis.select_findings(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)
    if not found:
        return _NOTHING
    first = found[0]
    headline = first.finding.headline + first.finding.name_seeds()
    names = ", ".join(_name_finding(ranked) for ranked in found)
    title = lower_first_letter(first.rule.title) + ("?" if first.finding.kind is Kind.SUSPECT else "")
    return TrialDiagnosis(title, headline, {DIAGNOSIS: f"{first.finding.kind}: {headline}", FINDINGS: names})


def _name_finding(ranked: "Ranked") -> str:
    kind = ranked.finding.kind
    return ranked.rule.name if kind == "fault" else f"{ranked.rule.name} ({kind})"
