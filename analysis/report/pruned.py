"""What pruning saved, and what it risked."""

import math

from analysis.document import Heading, Paragraph, Table
from analysis.document.blocks import Block
from analysis.pruning import Pruning, pruning_of
from analysis.trials import Sweep
from analysis.words import counted, listed, number, percent

WEAK = 0.5
"""Rank correlation below which a rung says little about the end."""


def pruning_blocks(sweep: Sweep) -> list[Block]:
    """Rungs, what they stopped, and how well they foresee the end."""
    found = pruning_of(sweep)
    if found is None:
        return []
    text = (
        f"Stopping trials early saved {percent(found.saved)} of the budget: {found.done:,} iterations instead of "
        f"{found.planned:,}."
    )
    blocks: list[Block] = [Heading("What pruning saved, and what it risked"), Paragraph(text)]
    if found.rungs:
        rows = tuple(
            (
                str(place),
                str(rung.iteration),
                str(rung.reached),
                str(rung.stopped),
                _told(rung.correlation, rung.completed),
                _told(rung.unselected, rung.spared),
            )
            for place, rung in enumerate(found.rungs, start=1)
        )
        header = ("rung", "iteration", "judged", "stopped here", "rank here and at the end", "of spared trials alone")
        blocks.append(Table("Rungs", header, rows, frozenset(range(6))))
    return [*blocks, Paragraph(_risk(sweep, found))]


def _told(correlation: float, count: int) -> str:
    return f"{correlation:.2f} ({count})" if math.isfinite(correlation) else f"not known ({count})"


def _risk(sweep: Sweep, found: Pruning) -> str:
    """What is known of good trials stopped: only spared ones tell, as the others never got to show it."""
    spared = [trial for trial in sweep.ranked("completed") if trial.spared]
    words = (
        "In brackets, how many trials a rank correlation rests on. Those that completed were chosen by their rank at "
        "the rungs, which hides what was lost; spared trials were not."
    )
    if not spared:
        return f"{words} No spared trial completed, so what pruning cost is not known."
    if not found.doomed:
        return f"{words} None of {counted(len(spared), 'spared trial')} would have been stopped: no loss is on record."
    places = [f"trial {trial.number} ended {_place(place)} of {found.finals}" for trial, place in found.doomed]
    lost = [place for _, place in found.doomed if place <= max(1, found.finals // 4)]
    verdict = (
        f"{len(lost)} of them ended among the best quarter: pruning throws good trials away here; begin later "
        "(scheduler.grace_iterations)"
        if lost
        else "none of them ended among the best quarter: pruning lost nothing that is on record"
    )
    first = found.rungs[0] if found.rungs else None
    if first and math.isfinite(first.unselected) and first.unselected < WEAK:
        verdict += f"; the first rung's rank correlation of {number(first.unselected, 2)} is weak"
    of = f"Of {counted(len(spared), 'spared trial')}, {len(found.doomed)} would have been stopped"
    return f"{words} {of}: {listed(places)}; {verdict}."


def _place(place: int) -> str:
    return f"{place}{'th' if 10 <= place % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')}"
