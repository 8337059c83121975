"""The networks' shape lets little through: a layer of one or two units, or so many layers that gradients vanish."""

from unstuck.analysis.diagnosis.finding import (
    Cause,
    Evidence,
    Finding,
    Ground,
    Kind,
    Remedy,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import is_solved, judge_standing
from unstuck.analysis.words import pluralize
from unstuck.rl import metrics

NARROW, DEEP = 4, 8
"""Units of the narrowest layer below which, and layers from which on, a network of tanh units is unusual: two layers of
64 are the default everywhere, and 1 to 4 layers were swept by Andrychowicz et al. 2021."""

FEWEST = 3
"""Units below which a layer holds a run back even if it learns, unless its task is solved."""

VERY_DEEP = 16
"""Layers from which the same is true: nobody trains so many without connections past them."""

USUAL = (64, 64)


def examine(run: Signals) -> Finding | None:
    """Return a finding if a layer has hardly any units, or there are too many layers; None otherwise."""
    sizes = run.setting("ppo.hidden_sizes")
    if not isinstance(sizes, tuple | list) or not sizes or not all(isinstance(size, int) for size in sizes):
        return None
    narrow, deep = min(sizes) < NARROW, len(sizes) >= DEEP
    if not narrow and not deep:
        return None
    units = f"{pluralize(min(sizes), 'unit')} in the narrowest layer"
    text = units if narrow else f"{pluralize(len(sizes), 'layer')} one behind the other"
    standing = judge_standing(run)
    too_far = min(sizes) < FEWEST or len(sizes) >= VERY_DEEP
    lets_nothing_through = too_far and not standing.at_best and not is_solved(run)
    return Finding(
        headline=f"The networks' shape lets little through: {text}",
        kind=Kind.FAULT if not standing.has_learned or lets_nothing_through else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"two layers of 64 units are usual; {standing.brief}",
        evidence=(Evidence(text, ("ppo.hidden_sizes",)),),
        causes=(
            Cause(
                "a layer through which hardly anything passes" if narrow else "gradients that vanish on their way back",
                "branch from the start with hidden_sizes [64, 64]",
                Support.SUPPORTED,
                f"hidden_sizes {list(sizes)}" if len(sizes) <= DEEP else f"{len(sizes)} hidden layers",
            ),
        ),
        remedies=(Remedy({"ppo.hidden_sizes": USUAL}, "the usual shape", "the score above the control's"),),
        since=1,
        ground=Ground.MEASURED if lets_nothing_through else Ground.STATE,
    )


RULE = Rule(
    name="network_shape",
    title="Networks of an unusual shape",
    stage=Stage.SCALE,
    needs=((metrics.TRAIN_RETURN, metrics.EVAL_RETURN, metrics.F1),),
    explains=(
        *("updates_too_small", "updates_too_large", "critic_underfits", "entropy_pinned", "signal_lost"),
        *("greedy_collapsed", "oscillating", "units_saturated", "policy_starved", "greedy_vs_sampled"),
    ),
    says="a layer has hardly any units, or there are so many layers that gradients vanish",
    threshold=(
        "fewer than 4 units in a layer, or 8 layers and more; a fault unless the run has learned, and with 1 "
        "or 2 units, or 16 layers, unless its task is solved"
    ),
    source=(
        "Andrychowicz et al. 2021 (widths and depths swept); Glorot and Bengio 2010 (gradients of deep tanh networks)"
    ),
    examine=examine,
)
