"""First sentence on a run: the most basic fault, and how well the run does; or that the record does not tell."""

from collections.abc import Sequence

from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import Diagnosis, Kind, Ranked, Sureness
from unstuck.analysis.diagnosis.other_learners import find_other_learner
from unstuck.analysis.diagnosis.rules.entropy_collapsed import describe_low_entropy
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import Standing, count_equal_returns, judge_standing
from unstuck.analysis.history.record import FINISHED
from unstuck.analysis.words import pluralize
from unstuck.rl import metrics

SURENESS = {Sureness.SURE: "sure", Sureness.LIKELY: "likely", Sureness.POSSIBLE: "possible"}

_SHOWN = 3
"""Names that a headline lists at most."""

_TELLING = (
    *(metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.ENTROPY),
    *(metrics.VALUE_LOSS, metrics.EXPLAINED_VARIANCE),
)
"""Metrics of the update without any of which no rule can have looked for a fault."""


def state_verdict(diagnosis: Diagnosis) -> str:
    """Return a sentence on a run: stuck or learning, the most basic fault, the score, or columns not read."""
    parts = (other_learner_text(diagnosis.signals), describe_unread_names(diagnosis), _describe_state(diagnosis))
    return " ".join(filter(None, parts))


def other_learner_text(run: Signals) -> str:
    """Return a sentence on a log whose columns are those of DQN, SAC or the like; empty if PPO may have made it."""
    found = find_other_learner(run)
    return f"{found[0]} is logged by {found[1]}, not by PPO: only the return is judged." if found else ""


def describe_unread_names(diagnosis: Diagnosis) -> str:
    """Return a sentence on columns that may matter but were not recognised; empty if there are none."""
    names = diagnosis.signals.history.unrecognised
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"Not read: {', '.join(names[:_SHOWN])}{more}, which may matter (say what they are: --names)."


def _describe_state(diagnosis: Diagnosis) -> str:
    standing = judge_standing(diagnosis.signals)
    faults = diagnosis.select_findings(Kind.FAULT)
    if faults:
        state = "Stuck" if standing.is_poor else "Getting worse" if standing.state is State.FALLING else "Held back"
        if not standing.is_poor and not standing.has_learned and standing.state is not State.FALLING:
            state = "Fault found"
        fault, sureness = lower_first_letter(shorten_headline(faults[0])), SURENESS[faults[0].finding.sureness]
        sureness += faults[0].finding.name_seeds(", ", "")
        return f"{state}: {fault} ({sureness}); {standing.text}."
    suspects = diagnosis.select_findings(Kind.SUSPECT)
    doubted = lower_first_letter(shorten_headline(suspects[0])) + suspects[0].finding.name_seeds() if suspects else ""
    doubt = f"; a doubt: {doubted}" if suspects else ""
    if standing.level is None:
        return f"Cannot tell whether it learns: {standing.text}{doubt}."
    if same := _describe_same(diagnosis.signals, standing):
        more = doubt if suspects and suspects[0].rule.name != "return_frozen" else ""
        return f"Cannot tell solved from stuck: {same} are the same; {standing.text}{more}."
    if standing.is_poor and _is_late(diagnosis, standing):
        return _describe_stuck(suspects, doubted, standing)
    if standing.state is State.FALLING:
        return f"Getting worse, and why is not settled: {standing.text}{doubt}."
    if not standing.has_learned:
        ask = "; if the run has ended, --set finished=true says so" if _may_have_ended(diagnosis, standing) else ""
        return f"Cannot tell: {standing.text}{doubt}{ask}."
    if suspects:
        return f"Learning, with a doubt: {doubted}; {standing.text}."
    return _all_clear(diagnosis, standing)


def _describe_stuck(suspects: Sequence[Ranked], doubted: str, standing: Standing) -> str:
    """Return the sentence on a run that learned nothing and in which no fault was found."""
    if guesses := _list_guesses(suspects):
        return f"Stuck, and no number on record says why: {standing.text}; usual suspects: {', '.join(guesses)}."
    if suspects:
        return f"Stuck, and why is not settled: {doubted}; {standing.text}."
    return f"Stuck, and none of the rules that could look says why; {standing.text}."


def _list_guesses(suspects: Sequence[Ranked]) -> list[str]:
    """Return the headlines of usual suspects at none of which the run's numbers hint; none where a cause is doubted."""
    causes = [one for one in suspects if not one.rule.describes]
    if any(one.finding.usual is None or one.finding.usual.is_hinted for one in causes):
        return []
    return [lower_first_letter(shorten_headline(one)) for one in causes]


def _describe_same(run: Signals, standing: Standing) -> str:
    """Return words for returns that are all equal, such as `the last 20 returns`; "" if they vary.

    Returns that are all 0 or less may as well be the least.
    """
    if standing.frozen:
        learned = standing.has_learned and not standing.at_best
        return f"the last {pluralize(standing.frozen, 'return')}" if learned else ""
    count = 0 if standing.trivial is not None or standing.failed else count_equal_returns(run)
    return f"all {pluralize(count, 'return')}" if count else ""


def _is_late(diagnosis: Diagnosis, standing: Standing) -> bool:
    """True if a run that has not learned counts as stuck; False if it may be too short to judge."""
    run = diagnosis.signals
    return (
        run.is_ours or standing.trivial is not None or run.planned is not None or run.has_ended or standing.frozen > 0
    )


def _may_have_ended(diagnosis: Diagnosis, standing: Standing) -> bool:
    """True if a run has achieved nothing, and would count as stuck if it were known to have ended."""
    return standing.is_poor and diagnosis.signals.setting(FINISHED) is None


def _all_clear(diagnosis: Diagnosis, standing: Standing) -> str:
    """Return a text that no fault was found, with the number of rules that could not judge."""
    run = diagnosis.signals
    if not any(run.has(name) for name in _TELLING):
        return f"Learning: {standing.text}; nothing of the updates is on record, so no rule could look for a fault."
    if run.history.unrecognised:
        return f"Learning: {standing.text}; no fault in what was read."
    blind = len(diagnosis.unexamined)
    looked = f" ({pluralize(blind, 'rule')} could not look)" if blind and not run.is_ours else ""
    low = "" if standing.at_best else describe_low_entropy(run)
    return f"No fault found{looked}: {standing.text}{f'; {low}' if low else ''}."


def shorten_headline(ranked: Ranked) -> str:
    """Return a finding's headline up to the first colon, without the numbers after it."""
    return ranked.finding.headline.partition(": ")[0]


def lower_first_letter(text: str) -> str:
    """Return a text with its first letter in lower case; names such as F1 and KL stay as they are.

    Example:
        >>> lower_first_letter("Entropy fell"), lower_first_letter("KL is large"), lower_first_letter("F1 is low")
        ('entropy fell', 'KL is large', 'F1 is low')
    """
    named = text[1:2].isupper() or text[1:2].isdigit()
    return text if named else text[:1].lower() + text[1:]
