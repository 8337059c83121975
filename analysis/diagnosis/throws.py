"""Find single updates that threw away what had been learned: a ruinous KL, and a return that falls at once."""

import numpy as np
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Remedy, Support, Sureness
from unstuck.analysis.diagnosis.remedies import change_rate
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.words import join_words, number
from unstuck.rl import metrics

RUINOUS_KL = 0.3
"""KL beyond doubt on any task, and 15 times what a clip range of 0.2 allows a ratio to move (0.2 ** 2 / 2)."""

BESIDE = 3
"""Returns on either side of an update that are compared."""

LOST = 0.5
"""Share of the gain so far that such an update must cost."""

CLEAR = 6.0
"""Usual changes from one return to the next that the fall must exceed."""

AGAIN = 2
"""Updates from which on a fall behind a large KL is no chance."""

NAMED = 4
"""Falls that are told at most."""


def tell_throws(run: Signals) -> Finding | None:
    """Return a fault if single updates threw away what had been learned, more than once; None otherwise."""
    thrown = find_throws(run)
    if thrown is None:
        return None
    watch = "no update of a KL above 0.05, and a return that keeps its level"
    limit = Remedy({"ppo.target_kl": 0.02}, "ends an update before it undoes what was learned", watch)
    smaller = change_rate(run, (1 / 3,), "smaller steps undo less", watch)
    return Finding(
        headline=f"Updates are too large: {thrown.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why="what was learned is thrown away by single updates, more than once",
        evidence=(thrown,),
        causes=(
            Cause(
                "nothing ends an update that has gone too far",
                "branch with target_kl 0.02: no such update is left",
                Support.OPEN if run.setting("ppo.target_kl") is None else Support.RULED_OUT,
                thrown.text,
            ),
            Cause("learning rate too high", "branch at a third of it: the largest KL falls with it at once"),
            Cause(
                "a rollout unlike those before: a rare reward, or all episodes of one kind, after normalisation",
                "set spread and largest size of the advantages beside KL: they rise with it",
            ),
        ),
        remedies=(limit, *smaller) if run.setting("ppo.target_kl") is None else smaller,
        since=thrown.iterations[1] if thrown.iterations else None,
        ground=Ground.STATE,
    )


def find_throws(run: Signals) -> Evidence | None:
    """Return evidence of two updates or more whose KL was ruinous and whose policies earned far less; else None.

    A program may log an update with the rollout before or behind it, so the return of that iteration tells nothing.
    """
    kl, returns = run.select_finite(metrics.APPROX_KL), run.select_finite(metrics.TRAIN_RETURN)
    values, at = returns.to_numpy(dtype=np.float64), returns.index.to_numpy()
    if len(values) < 4 * BESIDE:
        return None
    usual = 1.4826 * float(np.median(np.abs(np.diff(values))))
    found: list[tuple[int, float, float]] = []
    for iteration in kl.index[kl.to_numpy() > RUINOUS_KL]:
        place = int(np.searchsorted(at, iteration))
        before, after = values[max(0, place - BESIDE) : place], values[place + 1 : place + 1 + BESIDE]
        if len(before) < BESIDE or len(after) < BESIDE or (found and iteration - found[-1][0] <= BESIDE):
            continue
        then, now = float(np.median(before)), float(np.median(after))
        if then - now > max(LOST * (then - float(values[:place].min())), CLEAR * usual, 0.0):
            found.append((int(iteration), then, now))
    if len(found) < AGAIN:
        return None
    falls = [f"from {number(then, 3)} to {number(now, 3)} at iteration {place}" for place, then, now in found[:NAMED]]
    most = float(kl.loc[[place for place, _, _ in found]].max())
    text = f"single updates of KL up to {number(most, 2)}, with which the return falls {join_words(falls)}"
    return Evidence(text, (metrics.APPROX_KL, metrics.TRAIN_RETURN), (found[0][0], found[-1][0]))
