"""The first sentence of a sweep's report."""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.importance import Importance
from analysis.report.searched import what_matters
from analysis.statistics import bootstrap_difference
from analysis.trials import Sweep, Trial, counts
from analysis.words import counted, give_or_take, listed, number


def sweep_verdict(sweep: Sweep, importances: Sequence[Importance]) -> str:
    """Who won, by how much and how sure; and which setting did it, where one stands out."""
    best = sweep.best
    if best is None:
        ended = listed([f"{count} {outcome}" for outcome, count in counts(sweep.trials).items()])
        return f"No trial completed, so there is no best one: {ended or 'none was started'}."
    judged = sweep.champion
    told = what_matters(importances)
    matters = f"; {told}" if told else ""
    if judged and judged.get("difference"):
        difference = judged["difference"]
        clear = difference["low"] > 0 or difference["high"] < 0
        better = (difference["mean"] > 0) == (sweep.sign > 0)
        how = "beats the control" if clear and better else "is worse than the control" if clear else _UNDECIDED
        return (
            f"Trial {judged['trial']} {how}: {sweep.metric} {number(judged['champion']['mean'])} on fresh seeds and "
            f"unseen data, {difference['mean']:+.3g} ({interval(difference)}) against the control{matters}."
        )
    estimate = best.estimate
    words = f"Trial {best.number} is the best of {counted(len(sweep.trials), 'trial')}: {sweep.metric} "
    words += give_or_take(best.value or 0.0, estimate.spread if estimate else 0.0)
    words += f" over {counted(len(best.seeds), 'seed')}, as the search saw it"
    return f"{words}{_against_control(sweep, best)}{matters}."


_UNDECIDED = "cannot be told from the control"


def _against_control(sweep: Sweep, best: Trial) -> str:
    control = sweep.control
    if control is None or not control.seeds or not best.seeds:
        return ""
    if control is best:
        return ": the unchanged configuration itself"
    found = bootstrap_difference(best.seeds, control.seeds)
    clear = found.low > 0 or found.high < 0
    told = f"{found.mean:+.3g} ({number(found.low, 3)} to {number(found.high, 3)}) against the control"
    return f"; {told}{'' if clear else ', which cannot be told from noise'}, not yet judged on fresh seeds"


def interval(found: Mapping[str, Any]) -> str:
    """An interval in words."""
    return f"{number(found['low'])} to {number(found['high'])}"
