"""Diagnose a run: one rule a file, each with evidence, possible causes and the tests that tell the causes apart."""

from collections.abc import Sequence
from dataclasses import replace

from unstuck.analysis.diagnosis.examining import examine_rule
from unstuck.analysis.diagnosis.finding import Diagnosis, Finding, Kind, Ranked, Rule, Unexamined
from unstuck.analysis.diagnosis.other_learners import find_other_learner
from unstuck.analysis.diagnosis.questions import OF_TRIAGE, list_questions
from unstuck.analysis.diagnosis.rules import RULES, load_rules
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects.naming import suspect_usual
from unstuck.analysis.diagnosis.together import read_together
from unstuck.analysis.diagnosis.translation import translate_diagnosis
from unstuck.analysis.diagnosis.withhold import withhold_remedies
from unstuck.analysis.history import History

__all__ = ["RULES", "Diagnosis", "diagnose"]

_ORDER = {Kind.FAULT: 0, Kind.SUSPECT: 1, Kind.LIMIT: 2, Kind.FINE: 3}


def diagnose(history: History) -> Diagnosis:
    """Apply all rules to a run's history; return the findings, the most basic cause first, and rules that lack data."""
    run = Signals(history)
    rules = [rule for rule in load_rules() if _concerns(run, rule)]
    answers = read_together(run, {rule: examine_rule(run, rule) for rule in rules})
    suspected = suspect_usual(run, answers)  # which does not make a rule that lacks data one that has judged
    ranked = [Ranked(rule, found) for rule, found in suspected.items() if isinstance(found, Finding)]
    unexamined = [found for found in answers.values() if isinstance(found, Unexamined)]
    findings = withhold_remedies(_order_findings(ranked))
    questions = {} if find_other_learner(run) else list_questions(run, findings, unexamined)
    return translate_diagnosis(Diagnosis(run, findings, tuple(unexamined), questions))


def _concerns(run: Signals, rule: Rule) -> bool:
    """True if a rule fits the run's task, e.g. a rule on network flows only fits a run that triages flows."""
    return run.is_triage or not any(set(group) <= OF_TRIAGE for group in rule.needs)


def _order_findings(found: Sequence[Ranked]) -> tuple[Ranked, ...]:
    """Order findings for display: faults first, then by the rules' stage; causes always precede consequences.

    What stands in a few seeds of a trial alone comes behind what stands in most.
    """
    left = sorted(found, key=_place)
    result: list[Ranked] = []
    while left:
        one = next((one for one in left if not _explained(one, left)), left[0])
        left.remove(one)
        result.append(Ranked(one.rule, one.finding, tuple(above.rule.name for above in _explained(one, result))))
    return tuple(result)


def _place(one: Ranked) -> tuple[float, ...]:
    finding = one.finding
    return (*_rank(finding), finding.usual.place if finding.usual else 0, one.rule.stage, -finding.sureness)


def _rank(finding: Finding) -> tuple[int, bool]:
    return _ORDER[finding.kind], finding.is_of_few_seeds


def _explained(one: Ranked, others: Sequence[Ranked]) -> list[Ranked]:
    """List the other findings that may cause the given one: equal or worse in kind, and true of as many seeds.

    What only describes a curve follows from a doubt as well.
    """
    wrong = (Kind.FAULT, Kind.SUSPECT)
    if one.finding.kind not in wrong:
        return []
    least = _rank(replace(one.finding, kind=Kind.SUSPECT) if one.rule.describes else one.finding)
    worse = [other for other in others if _rank(other.finding) <= least]
    worse = [other for other in worse if not other.finding.usual or _explains_unsaid(other, one)]
    return [other for other in worse if one.rule.name in other.rule.explains]


def _explains_unsaid(suspect: Ranked, one: Ranked) -> bool:
    """True if a usual suspect may stand above a finding: what only describes a curve, or what is no suspect's fault."""
    return not one.finding.usual and (one.rule.describes or suspect.finding.kind is Kind.FAULT)
