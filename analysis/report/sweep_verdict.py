"""The first sentence of a sweep's report."""

from collections.abc import Sequence

from unstuck.analysis.comparison import advise_more_seeds, describe_difference, describe_lead, judge_difference
from unstuck.analysis.report.searched import describe_main_setting
from unstuck.analysis.report.unstick_verdict import unstick_verdict
from unstuck.analysis.statistics import compute_difference
from unstuck.analysis.sweep.importance import Importance
from unstuck.analysis.sweep.judgements import Judgement
from unstuck.analysis.sweep.trials import Sweep, Trial, count_outcomes
from unstuck.analysis.words import format_uncertain, join_words, number, pluralize
from unstuck.records.outcome import Outcome


def sweep_verdict(sweep: Sweep, importances: Sequence[Importance]) -> str:
    """Return the first sentence of a sweep's report: best trial, difference from the control, main setting.

    Of an unstick the sentences are the verdict on the best arm.
    """
    if sweep.unstick:
        return unstick_verdict(sweep, sweep.unstick)
    best = sweep.best
    if best is None:
        ended = join_words([f"{count} {outcome}" for outcome, count in count_outcomes(sweep.trials).items()])
        return f"No trial completed, so there is no best one: {ended or 'none was started'}."
    matters = f"; {describe_main_setting(importances)}"
    if reading := sweep.judgement:
        return f"{describe_judgement(sweep, reading)}{_describe_times(sweep)}{matters}."
    words = f"Trial {best.number} is the best of {pluralize(len(sweep.feasible), 'trial')}: {sweep.metric} "
    words += format_uncertain(best.value or 0.0, best.estimate.spread if best.estimate else None)
    words += f" over {pluralize(len(best.seeds), 'seed')}, as the search saw it"
    return f"{words}{_against_control(sweep, best)}{_describe_others(sweep, best)}{matters}."


def describe_judgement(sweep: Sweep, reading: Judgement) -> str:
    """Return a phrase on one trial trained on fresh seeds: how it compares with the control, and its value."""
    on = f"{sweep.metric} {number(reading.estimate.mean)} on {pluralize(len(reading.champion), 'fresh seed')}"
    found = sweep.judgements.difference(reading)
    if found is None:
        own = sweep.control is not None and reading.trial == sweep.control.number
        beside = "it is the control itself" if own else "with no control beside it"
        return f"Trial {reading.trial}: {on} and unseen data; {beside}"
    verdict, lead = judge_difference(found, sweep.sign), describe_difference(found, metric=sweep.metric)
    text = f"Trial {reading.trial} {verdict}: {on} and unseen data, {lead} against the control"
    return f"{text}; {more}" if (more := advise_more_seeds(found)) else text


def _describe_times(sweep: Sweep) -> str:
    count = len(sweep.judgements.readings)
    return f"; the test part has been read {count} times" if count > 1 else ""


def _against_control(sweep: Sweep, best: Trial) -> str:
    control = sweep.control
    if control is None:
        return "; no control was run to compare it with"
    if control is best:
        return ": the unchanged configuration itself"
    if control.outcome != Outcome.COMPLETED:
        ended = f"{control.outcome}: {control.reason}" if control.reason else control.outcome or "running"
        return f"; no verdict against the control, which did not run to its end ({ended})"
    if not control.seeds or not best.seeds:
        return ""
    return f"; {describe_lead(compute_difference(best.seeds, control.seeds, count_choices(sweep)), sweep.metric)}"


def count_choices(sweep: Sweep) -> int:
    """Count the trials with a value, except the control, among which the best one was chosen."""
    return max(1, len(sweep.rank_trials()) - 1)


def _describe_others(sweep: Sweep, best: Trial) -> str:
    """Describe tests of other trials on fresh seeds, for a sweep whose best trial has none."""
    texts = [describe_judgement(sweep, reading) for reading in sweep.judgements.distinct]
    return f"; trial {best.number} has not been judged, others have: {'; '.join(texts)}" if texts else ""
