"""Name the usual suspects of a run that learned nothing, where its own numbers name no cause, or too few.

Runs of strangers often log little more than returns, and what keeps most of them from learning is one of few things.
They stand in the order of how often each was the cause in public logs, times what the run's own numbers say of it. A
suspect is no finding: each comes with its test, and with what to log to tell it from the others.
"""

from collections.abc import Mapping
from dataclasses import replace

from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import (
    Cause,
    Finding,
    Ground,
    Kind,
    Rule,
    Support,
    Sureness,
    Unexamined,
    Usual,
)
from unstuck.analysis.diagnosis.other_learners import find_other_learner
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import count_equal_returns, judge_standing
from unstuck.analysis.diagnosis.suspects.steps import find_one_policy
from unstuck.analysis.diagnosis.suspects.suspicion import HARDLY, HINTS, SPEAKS, Suspicion
from unstuck.analysis.diagnosis.suspects.table import KNOWN, MOVE, SUSPECTS

Answer = Finding | Unexamined | None

SHOWN = 3
"""Causes that a diagnosis names at most before it begins to guess no more."""

GREEDY = ("greedy_vs_sampled", "greedy_collapsed")
"""Rules that tell how the greedy policy does beside the sampled one: of a run that learned nothing, no cause."""

SYMPTOMS = ("signal_lost", "learned_and_lost", "return_frozen")
"""Rules that tell what became of the return beside those that only describe it: a cause is still wanted."""


def suspect_usual(run: Signals, answers: Mapping[Rule, Answer]) -> dict[Rule, Answer]:
    """Return what rules say of a run, with usual suspects for a run of another learner that ended with nothing learned.

    Where a cause is named, or suspected, what the curve of the returns looks like is no fault beside it.

    Args:
        run: The run.
        answers: What each rule says of the run.
    """
    found = {**answers, **_choose_suspects(run, answers)}
    told = bool(_list_causes(found))
    for rule, answer in found.items():
        if told and isinstance(answer, Finding) and _is_fault(rule, answer):
            found[rule] = replace(answer, kind=Kind.SUSPECT)
        elif isinstance(answer, Finding) and _is_rare(run, rule, answer) and _has_a_likelier_cause(found, rule):
            found[rule] = replace(answer, kind=Kind.SUSPECT, usual=Usual(SHOWN + 1, is_hinted=True))
    return found


def _is_rare(run: Signals, rule: Rule, answer: Finding) -> bool:
    """True if what tells of a cause in another program's log is left by other causes more often.

    A lost signal that only the result tells of was the cause in 2 of the 87 logs of the seventh to eleventh look, and a
    reward that turned in none (`benchmarks/RESULTS.md`): a policy that was lost may return the opposite by chance.
    """
    by_result = rule.name == "signal_lost" and answer.ground is Ground.PACE
    return (by_result or rule.name == "reward_turned") and not run.is_measured_by_us


def _has_a_likelier_cause(answers: Mapping[Rule, Answer], rare: Rule) -> bool:
    """True if a rule names or suspects a cause, or the numbers hint at a usual suspect, beside a rare one's answer.

    Beside a reward that turned, what was learned and lost is told as well.
    """
    others = {rule: answer for rule, answer in answers.items() if rule is not rare and rule.name not in GREEDY}
    if any(finding.usual is None or finding.usual.is_hinted for finding in _list_causes(others)):
        return True
    return rare.name == "reward_turned" and any(
        rule.name == "learned_and_lost" and isinstance(answer, Finding) for rule, answer in others.items()
    )


def _choose_suspects(run: Signals, answers: Mapping[Rule, Answer]) -> dict[Rule, Finding]:
    """Return the suspects of a run as findings; none where it learns, or may go on, or its cause is known for sure.

    Of a run that has lost a part of what was learned only those are named at which its numbers hint.
    """
    standing, named = judge_standing(run), _list_causes(answers)
    if run.is_ours or run.is_triage or not run.has_ended or find_other_learner(run):
        return {}
    wanted = standing.level is not None and (standing.is_poor or standing.state is State.FALLING)
    if not wanted or standing.at_best or count_equal_returns(run) or any(map(_is_beyond_doubt, named)):
        return {}
    ranked = _rank_suspects(run, answers, HINTS if named or not standing.is_poor else 0.0)
    at_fault, found = not named and any(_is_fault(rule, answer) for rule, answer in answers.items()), {}
    for place, (rule, suspicion) in enumerate(ranked[: max(0, SHOWN - len(named))], start=1):
        at_fault = at_fault and suspicion.factor >= SPEAKS
        found[rule] = _tell(rule, suspicion, place, Kind.FAULT if at_fault else Kind.SUSPECT)
    return found


def _list_causes(answers: Mapping[Rule, Answer]) -> list[Finding]:
    """Return the findings that name a cause, and do not only tell what became of the return."""
    wrong = (Kind.FAULT, Kind.SUSPECT)
    found = {rule: answer for rule, answer in answers.items() if isinstance(answer, Finding) and answer.kind in wrong}
    return [finding for rule, finding in found.items() if not rule.describes and rule.name not in SYMPTOMS]


def _is_beyond_doubt(finding: Finding) -> bool:
    """True if a finding tells what is wrong so surely that no suspect is wanted."""
    measured = finding.ground in (Ground.PROOF, Ground.MEASURED) or finding.sureness is Sureness.SURE
    return finding.kind is Kind.FAULT and measured


def _is_fault(rule: Rule, answer: Answer) -> bool:
    """True if a rule that only describes a curve calls the run at fault, and so what the run's numbers speak for is."""
    return rule.describes and isinstance(answer, Finding) and answer.kind is Kind.FAULT


def _rank_suspects(run: Signals, answers: Mapping[Rule, Answer], least: float) -> list[tuple[Rule, Suspicion]]:
    """Return suspicions by rule, the likeliest first, without those that a rule has judged, or that say too little."""
    weighed = []
    for rule, answer in answers.items():
        if rule.name not in SUSPECTS or (isinstance(answer, Finding) and answer.kind is not Kind.FINE):
            continue
        suspect = SUSPECTS[rule.name]
        suspicion = suspect.judge(run)
        if suspicion is not None and rule.name in MOVE and suspicion.factor < SPEAKS and find_one_policy(run):
            suspicion = replace(suspicion, factor=suspicion.factor * HARDLY)
        if suspicion is not None and suspicion.factor >= (HINTS if isinstance(answer, Finding) else least):
            weighed.append((suspect.often * suspicion.factor, rule, suspicion))
    weighed.sort(key=lambda one: -one[0])
    return [(rule, suspicion) for _, rule, suspicion in weighed]


def _tell(rule: Rule, suspicion: Suspicion, place: int, kind: Kind) -> Finding:
    """Return a suspect as a finding that says how often it was the cause elsewhere, and what would tell here."""
    suspect, speaks = SUSPECTS[rule.name], suspicion.factor >= SPEAKS
    often = f"it was the cause in {suspect.often} of {KNOWN} public logs whose cause is known"
    says = "speak for it" if speaks else "hint at it" if suspicion.factor >= HINTS else "do not tell"
    support = Support.SUPPORTED if speaks else Support.OPEN
    return Finding(
        headline=f"{suspect.headline}: {suspicion.fact.text}",
        kind=kind,
        sureness=Sureness.POSSIBLE,
        why=f"a usual suspect of a run that learned nothing: {often}, and this run's numbers {says}",
        evidence=(suspicion.fact,),
        causes=(Cause(suspect.cause, suspicion.test, support, suspicion.fact.text if speaks else ""),),
        missing=suspicion.missing,
        ground=Ground.PACE,
        usual=Usual(place, is_hinted=suspicion.factor >= HINTS),
    )
