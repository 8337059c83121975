"""Diagnose a run: one rule a file, each with evidence, possible causes and the tests that tell the causes apart."""

from collections.abc import Sequence

from unstuck.analysis.diagnosis.finding import Diagnosis, Kind, Ranked, Unexamined
from unstuck.analysis.diagnosis.questions import WOULD_TELL
from unstuck.analysis.diagnosis.rules import RULES, load_rules
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History

__all__ = ["RULES", "Diagnosis", "diagnose"]

_ORDER = {Kind.FAULT: 0, Kind.SUSPECT: 1, Kind.LIMIT: 2, Kind.FINE: 3}


def diagnose(history: History) -> Diagnosis:
    """Apply all rules to a run's history; return findings, the most basic cause first, and rules without data."""
    run = Signals(history)
    ranked, unexamined = [], []
    for rule in load_rules():
        missing = tuple(group for group in rule.needs if not any(_recorded(run, name) for name in group))
        if missing:
            unexamined.append(Unexamined(rule, missing))
        elif finding := rule.examine(run):
            ranked.append(Ranked(rule, finding))
    findings = _ranked(ranked)
    return Diagnosis(run, findings, tuple(unexamined), _questions(findings, unexamined))


def _recorded(run: Signals, name: str) -> bool:
    """True if the run recorded a metric, or one of the family: `train/action/<action>`, `eval/f1/seed_<member>`."""
    if name.endswith("/seed_<member>"):
        return bool(run.history.seeds(name.removesuffix("/seed_<member>")))
    return bool(run.history.family(name.removesuffix("<action>"))) if name.endswith("<action>") else run.has(name)


def _ranked(found: Sequence[Ranked]) -> tuple[Ranked, ...]:
    """Order findings: faults first, by stage; a finding follows all findings that explain the symptom."""
    left = sorted(found, key=lambda one: (_ORDER[one.finding.kind], one.rule.stage, -one.finding.sureness))
    result: list[Ranked] = []
    while left:
        one = next((one for one in left if not _explained(one, left)), left[0])
        left.remove(one)
        result.append(Ranked(one.rule, one.finding, tuple(above.rule.name for above in _explained(one, result))))
    return tuple(result)


def _explained(one: Ranked, others: Sequence[Ranked]) -> list[Ranked]:
    """List the other findings, of no weaker kind, that may cause the given finding."""
    wrong = (Kind.FAULT, Kind.SUSPECT)
    if one.finding.kind not in wrong:
        return []
    worse = [other for other in others if _ORDER[other.finding.kind] <= _ORDER[one.finding.kind]]
    return [other for other in worse if one.rule.name in other.rule.explains]


def _questions(findings: Sequence[Ranked], unexamined: Sequence[Unexamined]) -> dict[str, str]:
    """List metrics that were not recorded and would decide: first about faults, then about rules without a verdict."""
    wanted: dict[str, None] = {}
    for one in findings:
        if one.finding.kind is not Kind.FINE:
            wanted |= dict.fromkeys(one.finding.missing)
    for blind in unexamined:
        wanted |= dict.fromkeys(name for group in blind.missing for name in group)
    return {name: WOULD_TELL[name] for name in wanted if name in WOULD_TELL}
