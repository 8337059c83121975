"""Asks one rule about a made-up run, and takes apart what it says."""

from dataclasses import replace
from typing import Any

from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Blind, Cause, Finding, Kind, Rule
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History


def ask(rule: Rule, run: History) -> Finding | Blind | None:
    """What the rule says of a run, by itself."""
    return rule.examine(Signals(run))


def found(rule: Rule, run: History) -> Finding:
    """A finding, with all that every finding of something wrong must hold."""
    finding = ask(rule, run)
    assert isinstance(finding, Finding), f"{rule.name} says nothing"
    if finding.kind in (Kind.FAULT, Kind.SUSPECT):
        assert finding.evidence
        assert finding.causes
        assert finding.since is None or 1 <= finding.since <= run.length
    assert all(cause.what and cause.test for cause in finding.causes)
    assert all(remedy.change and remedy.why and remedy.watch for remedy in finding.remedies)
    return finding


def kind(rule: Rule, run: History) -> Kind | None:
    """What kind of a finding it is; None without one."""
    finding = ask(rule, run)
    return finding.kind if isinstance(finding, Finding) else None


def is_blind(rule: Rule, run: History) -> bool:
    """Whether the rule says that it cannot judge the run."""
    return isinstance(ask(rule, run), Blind)


def is_quiet(rule: Rule, run: History) -> bool:
    """Whether the rule says nothing wrong of a run."""
    return kind(rule, run) in (None, Kind.FINE, Kind.LIMIT)


def facts(finding: Finding) -> list[str]:
    """The evidence, in words."""
    return [fact.text for fact in finding.evidence]


def cause(finding: Finding, beginning: str) -> Cause:
    """The cause whose words begin so."""
    (one,) = [cause for cause in finding.causes if cause.what.startswith(beginning)]
    return one


def changes(finding: Finding) -> list[dict[str, Any]]:
    """What the remedies change, in their order."""
    return [dict(remedy.change) for remedy in finding.remedies]


def blind(rule: Rule, run: History) -> tuple[tuple[str, ...], ...]:
    """Metrics for want of which a diagnosis says that it could not ask the rule; empty if it could."""
    return next((one.missing for one in diagnose(run).unexamined if one.rule is rule), ())


def first(run: History, iterations: int) -> History:
    """The run as it was after so many iterations."""
    return replace(run, table=run.table.loc[:iterations])


def without(run: History, *names: str) -> History:
    """The run without these metrics, by their whole names."""
    return replace(run, table=run.table.drop(columns=list(names)))


def unset(run: History, *paths: str) -> History:
    """The run without these settings on record."""
    return replace(run, settings={path: value for path, value in run.settings.items() if path not in paths})
