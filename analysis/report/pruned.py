"""Blocks on pruning: the iterations saved, and the good trials at risk."""

import math

from unstuck.analysis.document import Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.sweep.pruning import LEAST, Pruning, measure_pruning
from unstuck.analysis.sweep.trials import Sweep
from unstuck.analysis.words import join_words, number, percent, pluralize

WEAK = 0.5
"""Rank correlation below which a rung says little about the end."""


def pruning_blocks(sweep: Sweep) -> list[Block]:
    """Return report blocks on early stopping: iterations saved, and how well early values predict final ones."""
    found = measure_pruning(sweep)
    if found is None:
        return []
    text = (
        f"Stopping trials early saved {percent(found.saved)} of the budget: {sweep.axis.describe_length(found.done)} "
        f"instead of {found.planned:,}."
    )
    if sweep.control and sweep.control.is_control:
        text += f" The control, trial {sweep.control.number}, is never stopped early, unless a number is not finite."
    blocks: list[Block] = [Heading("What pruning saved, and what it risked"), Paragraph(text)]
    if found.rungs:
        rows = tuple(
            (
                str(rung.number),
                str(rung.iteration),
                str(rung.reached),
                str(rung.stopped),
                _describe_correlation(rung.correlation, rung.completed, rung.overlaps),
                _describe_correlation(rung.unselected, rung.spared, rung.overlaps),
            )
            for rung in found.rungs
        )
        correlations = ("rank here and at the end", "of spared trials alone")
        header = ("rung", sweep.axis.unit, "judged", "stopped here", *correlations)
        blocks.append(Table("Rungs", header, rows, frozenset(range(6))))
        blocks += [Paragraph(text) for text in (_explain_brackets(found), _describe_risk(sweep, found)) if text]
    return blocks


def _describe_correlation(correlation: float, count: int, overlaps: bool) -> str:
    if math.isfinite(correlation):
        return f"{correlation:.2f} ({count})"
    return f"{'not told' if overlaps else 'too few' if count < LEAST else 'not known'} ({count})"


def _explain_brackets(found: Pruning) -> str:
    """Explain the numbers in brackets after rank correlations, and how large these are by chance."""
    words = (
        "In brackets, how many trials a rank correlation rests on; none is told of fewer than "
        f"{LEAST}. Those that completed were chosen by their rank at the rungs, which hides what was lost; spared "
        "trials were not."
    )
    told = [rung.spared for rung in found.rungs if math.isfinite(rung.unselected)]
    if told:
        chance = f"{_compute_chance(min(told)):.2f}"
        words += f" By chance alone, {min(told)} trials come to {chance} or more in one of 40 sweeps."
    if any(rung.overlaps for rung in found.rungs):
        words += " Not told: at a rung whose evaluation the final value averages, so that they agree by construction."
    return words


def _compute_chance(trials: int) -> float:
    """Compute the rank correlation that chance alone exceeds in one of 40 cases (normal approximation)."""
    return min(1.0, 1.96 / math.sqrt(trials - 1))


def _describe_risk(sweep: Sweep, found: Pruning) -> str:
    """Describe how likely early stopping lost good trials, judged by the trials that were never stopped."""
    among = " (the control among them)" if sweep.control in found.spared else ""
    who = f"{pluralize(len(found.spared), 'spared trial')}{among}"
    facts = f"Of {who} that completed, {_would_stop(found)}"
    if len(found.spared) < LEAST:
        return (
            f"{facts}. That is too few to say what pruning cost: {LEAST} tell something, by more trials or a larger "
            "scheduler.spared_share."
        )
    if not found.is_recorded:
        return f"{facts}, so what pruning cost is not known."
    if not found.doomed:
        return f"{facts}: no loss is on record."
    lost = [place for _, place in found.doomed if place <= max(1, found.finals // 4)]
    verdict = (
        f"{len(lost)} of them ended among the best quarter: pruning throws good trials away here; begin later "
        "(scheduler.grace_iterations)"
        if lost
        else "none of them ended among the best quarter: pruning lost nothing that is on record"
    )
    first = found.rungs[0]
    if math.isfinite(first.unselected) and first.unselected < WEAK:
        verdict += f"; the first rung's rank correlation of {number(first.unselected, 2)} is weak"
    return f"{facts}; {verdict}."


def _would_stop(found: Pruning) -> str:
    """Describe how many never-stopped trials would have been stopped, and each one's final rank."""
    if not found.is_recorded:
        return "it is not on record which ones would have been stopped"
    if not found.doomed:
        return "none would have been stopped"
    places = [f"trial {trial.number} ended {_place(place)} of {found.finals}" for trial, place in found.doomed]
    return f"{len(found.doomed)} would have been stopped: {join_words(places)}"


def _place(place: int) -> str:
    return f"{place}{'th' if 10 <= place % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')}"
