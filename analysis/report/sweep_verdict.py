"""The first sentence of a sweep's report."""

from collections.abc import Sequence

from unstuck.analysis.comparison import describe_difference, describe_lead, judge_difference, remedy
from unstuck.analysis.report.searched import what_matters
from unstuck.analysis.statistics import difference
from unstuck.analysis.sweep.importance import Importance
from unstuck.analysis.sweep.judgements import Judgement
from unstuck.analysis.sweep.trials import Sweep, Trial, counts
from unstuck.analysis.words import counted, give_or_take, listed, number
from unstuck.records.outcome import Outcome


def sweep_verdict(sweep: Sweep, importances: Sequence[Importance]) -> str:
    """Return the first sentence of a sweep's report: best trial, lead over the control, key setting."""
    best = sweep.best
    if best is None:
        ended = listed([f"{count} {outcome}" for outcome, count in counts(sweep.trials).items()])
        return f"No trial completed, so there is no best one: {ended or 'none was started'}."
    told = what_matters(importances)
    matters = f"; {told}" if told else ""
    if reading := sweep.judgement:
        return f"{judgement_text(sweep, reading)}{_often(sweep)}{matters}."
    words = f"Trial {best.number} is the best of {counted(len(sweep.feasible), 'trial')}: {sweep.metric} "
    words += give_or_take(best.value or 0.0, best.estimate.spread if best.estimate else None)
    words += f" over {counted(len(best.seeds), 'seed')}, as the search saw it"
    return f"{words}{_against_control(sweep, best)}{_others(sweep, best)}{matters}."


def judgement_text(sweep: Sweep, reading: Judgement) -> str:
    """Return a phrase on a trial's result on fresh seeds: verdict, value, difference from the control."""
    on = f"{sweep.metric} {number(reading.estimate.mean)} on {counted(len(reading.champion), 'fresh seed')}"
    found = sweep.judgements.difference(reading)
    if found is None:
        own = sweep.control is not None and reading.trial == sweep.control.number
        beside = "it is the control itself" if own else "with no control beside it"
        return f"Trial {reading.trial}: {on} and unseen data; {beside}"
    verdict, lead = judge_difference(found, sweep.sign), describe_difference(found)
    text = f"Trial {reading.trial} {verdict}: {on} and unseen data, {lead} against the control"
    return f"{text}; {more}" if (more := remedy(found)) else text


def _often(sweep: Sweep) -> str:
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
    return f"; {describe_lead(difference(best.seeds, control.seeds, choices(sweep)))}"


def choices(sweep: Sweep) -> int:
    """Return the number of trials that the best one was chosen from: stopped ones included, control left out."""
    return max(1, len(sweep.ranked()) - 1)


def _others(sweep: Sweep, best: Trial) -> str:
    """Describe the trials judged on fresh seeds when the present best has not been judged."""
    texts = [judgement_text(sweep, reading) for reading in sweep.judgements.distinct]
    return f"; trial {best.number} has not been judged, others have: {'; '.join(texts)}" if texts else ""
