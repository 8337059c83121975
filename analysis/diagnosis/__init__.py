"""Diagnose a run: one rule a file, each with evidence, possible causes and the tests that tell the causes apart."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from unstuck.analysis.diagnosis.finding import (
    Blind,
    Diagnosis,
    Finding,
    Ground,
    Kind,
    Ranked,
    Rule,
    Sureness,
    Unexamined,
)
from unstuck.analysis.diagnosis.other_learners import find_other_learner
from unstuck.analysis.diagnosis.questions import OF_TRIAGE, list_questions
from unstuck.analysis.diagnosis.rules import RULES, load_rules
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.translation import translate_diagnosis
from unstuck.analysis.history import History

__all__ = ["RULES", "Diagnosis", "diagnose"]

ENDED = 0.5
"""Share of its plan from which on a run of another learner that has nothing to show is late."""

_ORDER = {Kind.FAULT: 0, Kind.SUSPECT: 1, Kind.LIMIT: 2, Kind.FINE: 3}


def diagnose(history: History) -> Diagnosis:
    """Apply all rules to a run's history; return the findings, the most basic cause first, and rules that lack data."""
    run = Signals(history)
    ranked, unexamined = [], []
    for rule in filter(partial(_concerns, run), load_rules()):
        missing = tuple(group for group in rule.needs if not any(_recorded(run, name) for name in group))
        if missing:
            unexamined.append(Unexamined(rule, missing))
            continue
        found = rule.examine(run)
        if isinstance(found, Blind):
            unexamined.append(Unexamined(rule, found.missing, found.why))
        elif found:
            ranked.append(Ranked(rule, weigh_finding(run, found)))
    findings = withhold_remedies(_order_findings(ranked))
    questions = {} if find_other_learner(run) else list_questions(run, findings, unexamined)
    return translate_diagnosis(Diagnosis(run, findings, tuple(unexamined), questions))


def _concerns(run: Signals, rule: Rule) -> bool:
    """True if a rule fits the run's task: a rule that needs metrics of flow triage fits a triage run only."""
    return run.is_triage or not any(set(group) <= OF_TRIAGE for group in rule.needs)


def weigh_finding(run: Signals, finding: Finding) -> Finding:
    """Return a finding with kind and sureness weakened as needed where the run is not from our own learner.

    Sizes and paces are known of our own learner. Of another one only a proof is sure; what a run does not suffer from
    is no fault; and that nothing was learned so far is one only if the run was planned to be at its end by now.
    """
    if run.is_ours or finding.ground is Ground.PROOF or finding.kind not in (Kind.FAULT, Kind.SUSPECT):
        return finding
    kind, why = finding.kind, finding.why
    ended = run.planned is not None and run.compute_progress(run.history.last_iteration) >= ENDED
    if kind is Kind.FAULT and judge_standing(run).has_learned:
        kind, why = Kind.SUSPECT, why or judge_standing(run).brief
    elif kind is Kind.FAULT and finding.ground is Ground.PACE and not ended:
        kind, why = Kind.SUSPECT, f"{why}; how long this task takes is not known"
    return replace(finding, kind=kind, why=why, sureness=min(finding.sureness, Sureness.LIKELY))


def _recorded(run: Signals, name: str) -> bool:
    """True if the run recorded a metric, or one metric of a pattern such as `train/action/<action>`."""
    if name.endswith("/seed_<member>"):
        return bool(run.history.seeds(name.removesuffix("/seed_<member>")))
    return bool(run.history.family(name.removesuffix("<action>"))) if name.endswith("<action>") else run.has(name)


def _order_findings(found: Sequence[Ranked]) -> tuple[Ranked, ...]:
    """Order findings: faults first, then by the rules' stage, and always causes before consequences."""
    left = sorted(found, key=lambda one: (_ORDER[one.finding.kind], one.rule.stage, -one.finding.sureness))
    result: list[Ranked] = []
    while left:
        one = next((one for one in left if not _explained(one, left)), left[0])
        left.remove(one)
        result.append(Ranked(one.rule, one.finding, tuple(above.rule.name for above in _explained(one, result))))
    return tuple(result)


def withhold_remedies(findings: Sequence[Ranked]) -> tuple[Ranked, ...]:
    """Return findings without the changes of those that follow from a fault that no setting can cure.

    Labels that are wrong end in an entropy that is gone, and no learning rate brings either back.
    """
    incurable = {one.rule.name for one in findings if one.finding.kind is Kind.FAULT and not one.rule.curable}
    return tuple(
        replace(one, finding=_without_changes(one.finding)) if incurable & set(one.follows_from) else one
        for one in findings
    )


def _without_changes(finding: Finding) -> Finding:
    """Return a finding that proposes no change of a setting: neither a remedy nor a cause to try out."""
    causes, unsupported = (
        tuple(replace(cause, change={}) for cause in causes) for causes in (finding.causes, finding.unsupported)
    )
    why = f"{finding.why}; no setting cures what it follows from" if finding.remedies else finding.why
    return replace(finding, why=why, causes=causes, unsupported=unsupported, remedies=())


def _explained(one: Ranked, others: Sequence[Ranked]) -> list[Ranked]:
    """List the other findings that may cause the given finding and are of an equal or worse kind."""
    wrong = (Kind.FAULT, Kind.SUSPECT)
    if one.finding.kind not in wrong:
        return []
    worse = [other for other in others if _ORDER[other.finding.kind] <= _ORDER[one.finding.kind]]
    return [other for other in worse if one.rule.name in other.rule.explains]
