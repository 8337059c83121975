"""Diagnoses trials as they go, so that nobody has to wait for a sweep's end to read why one of them is stuck.

The rules are those of `python -m analysis diagnose` (docs/diagnosis.md), on the same numbers: what the driver receives
of a trial is what MLflow holds of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rl.budget import Budget
from sweeps.config import SweepConfig
from sweeps.ledger import DIAGNOSIS, FINDINGS
from sweeps.outcome import Verdict
from sweeps.record import Record
from sweeps.replay import recorded_settings

if TYPE_CHECKING:  # imported where first needed: it brings pandas
    from analysis.diagnosis import Diagnosis
    from analysis.diagnosis.finding import Ranked
    from analysis.history import History

STEP = 0.1
"""Share of a trial's planned length after which it is diagnosed again; one diagnosis takes 15 to 30 ms."""


@dataclass(frozen=True)
class Found:
    """What the rules say of a trial.

    Attributes:
        title: What comes first, in two or three words, a doubt with a question mark; empty if nothing was found.
        headline: The same in one sentence with its numbers; empty likewise.
        notes: What is kept of it in ledger and MLflow, by name.
    """

    title: str
    headline: str
    notes: Mapping[str, str]

    def reason(self, verdict: Verdict) -> Verdict:
        """The verdict on a trial that stands still, with why it does."""
        return replace(verdict, reason=f"{self.headline or 'no rule says why'}; {verdict.reason}")


_NOTHING = Found("", "", {DIAGNOSIS: "no fault found", FINDINGS: ""})


@dataclass
class _Trial:
    config: SweepConfig
    records: list[Record] = field(default_factory=list)
    looked_at: int = 0
    found: Found | None = None
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def iteration(self) -> int:
        return self.records[-1].iteration if self.records else 0


class Diagnoses:
    """The running trials' diagnoses. When one is looked at follows from its iterations alone.

    Args:
        warn: Is told of a rule that fails. It must not end a sweep.
        budget: What trials share in a sweep that counts environment steps.
    """

    def __init__(self, warn: Callable[[str], None], budget: Budget | None = None) -> None:
        self._warn, self._budget = warn, budget
        self._trials: dict[int, _Trial] = {}

    def follow(self, number: int, config: SweepConfig, told: Mapping[str, str]) -> None:
        """A trial starts, or is taken up again, with this configuration; `told` are the notes on record."""
        self._trials[number] = _Trial(config, told=told)

    def take(self, number: int, records: Sequence[Record]) -> None:
        """What a trial has measured, oldest first."""
        self._trials[number].records += records

    def forget(self, number: int) -> None:
        """A trial has ended."""
        self._trials.pop(number, None)

    def found(self, number: int) -> Found:
        """What the rules say of a trial as it stands."""
        trial = self._trials[number]
        if trial.found is None or trial.looked_at < trial.iteration:
            trial.found, trial.looked_at = self._look(number, trial), trial.iteration
        return trial.found

    def news(self, number: int, ended: bool) -> Found | None:
        """What the rules say of a trial, if it is time to look and they say something else than when last asked.

        Args:
            number: The trial.
            ended: Whether it has: then it is looked at whole.
        """
        trial = self._trials[number]
        if not ended and trial.iteration < trial.looked_at + STEP * trial.config.ppo.num_iterations:
            return None
        found = self.found(number)
        compared = (DIAGNOSIS, FINDINGS) if ended else (FINDINGS,)  # numbers move all the time
        if all(found.notes[name] == trial.told.get(name) for name in compared):
            return None
        trial.told = found.notes
        return found

    def title(self, number: int) -> str:
        """What came first when the trial was last looked at; empty if nothing did, or before that."""
        found = self._trials[number].found
        return found.title if found else ""

    def _look(self, number: int, trial: _Trial) -> Found:
        from analysis.diagnosis import diagnose

        try:
            return summarise(diagnose(history_of(number, trial.config, trial.records, {}, self._budget)))
        except Exception as error:  # whatever it is: only the diagnosis is lost
            self._warn(f"trial {number} could not be diagnosed: {error!r}")
            return _NOTHING


def history_of(
    number: int,
    config: SweepConfig,
    records: Sequence[Record],
    tags: Mapping[str, str],
    budget: Budget | None = None,
) -> "History":
    """A trial as the analysis reads runs.

    Args:
        number: The trial's.
        config: The trial's.
        records: Its iterations, oldest first.
        tags: What else is known of it: `outcome` and `reason`, if it has ended, and `run_id`, if MLflow has it.
        budget: What trials share in a sweep that counts environment steps.
    """
    import pandas as pd

    from analysis.history import History

    index = pd.Index([record.iteration for record in records], name="iteration", dtype=int)
    table = pd.DataFrame([dict(record.metrics) for record in records], index=index, dtype=float)
    run = tags.get("run_id")
    own = {"sweep_id": config.id} if config.id else {}
    return History(
        name=f"{config.sweep.name}/{number}",
        source=f"MLflow run {run}" if run else f"trial {number} of the sweep {config.sweep.name}",
        table=table,
        settings=recorded_settings(config, budget),
        tags={"sweep": str(config.sweep.name), "trial": str(number), **own, **tags},
    )


def summarise(diagnosis: "Diagnosis") -> Found:
    """A diagnosis in a few words."""
    from analysis.diagnosis.finding import Kind
    from analysis.report.verdict import lower

    found = diagnosis.of(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)
    if not found:
        return _NOTHING
    first = found[0]
    headline = first.finding.headline
    names = ", ".join(_named(ranked) for ranked in found)
    title = lower(first.rule.title) + ("?" if first.finding.kind is Kind.SUSPECT else "")
    return Found(title, headline, {DIAGNOSIS: f"{first.finding.kind}: {headline}", FINDINGS: names})


def _named(ranked: "Ranked") -> str:
    kind = ranked.finding.kind
    return ranked.rule.name if kind == "fault" else f"{ranked.rule.name} ({kind})"
