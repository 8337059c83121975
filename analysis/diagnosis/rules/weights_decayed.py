"""Weight decay pulls the networks to zero: a decay that Adam takes for a part of the gradient is scaled up with it."""

from unstuck.analysis.diagnosis.finding import (
    Cause,
    Evidence,
    Finding,
    Kind,
    Remedy,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import PARAMETER_NORM
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

SHRUNK = 0.7
"""Share of its first value to which the parameters' norm falls: in healthy training it stays or grows."""

LARGE = 1e-2
"""Weight decay on record above which a small gradient is less than the decay: 0 is usual, and 1e-4 is much."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if the norm of all parameters has shrunk far; None otherwise."""
    start, late = run.select_first(PARAMETER_NORM, 1), run.select_last(PARAMETER_NORM)
    if start is None or late is None or start.mean <= 0:
        return None
    share, decay = late.mean / start.mean, run.read_number("ppo.weight_decay")
    shrunk = share < SHRUNK
    if not shrunk and not (decay is not None and decay > LARGE and share < 1):
        return None
    standing = judge_standing(run)
    text = f"the parameters' norm fell from {number(start.mean, 3)} to {number(late.mean, 3)} ({percent(share)})"
    return Finding(
        headline=f"Weight decay shrinks the networks: {text}",
        kind=Kind.FAULT if shrunk else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"no loss of PPO pulls parameters to zero; {standing.brief}",
        evidence=(Evidence(text, (PARAMETER_NORM,), (start.iterations[0], late.iterations[-1])),),
        causes=(
            Cause(
                "a weight decay that is no fraction of the learning rate: Adam scales it up as it does the gradient",
                "print weight_decay of the optimiser's parameter groups; take AdamW, or 0",
                Support.OPEN if decay is None else Support.SUPPORTED,
                "" if decay is None else f"weight_decay {number(decay)}",
            ),
            Cause("a penalty on the weights in the loss", "print the parts of the loss"),
        ),
        remedies=()
        if decay is None
        else (Remedy({"ppo.weight_decay": 0.0}, "no pull to zero", "the parameters' norm no longer falls"),),
        since=late.iterations[0],
    )


RULE = Rule(
    name="weights_decayed",
    title="Weights decayed",
    stage=Stage.SCALE,
    needs=((PARAMETER_NORM,),),
    explains=(
        *("updates_too_small", "policy_frozen", "entropy_pinned", "critic_underfits", "signal_lost", "oscillating"),
        *("greedy_collapsed", "greedy_vs_sampled", "observations_constant", "learned_and_lost", "updates_too_large"),
        *("policy_starved", "value_explosion", "return_frozen"),
    ),
    says="the parameters' norm shrinks far: a decay pulls the networks to zero",
    threshold=(
        "the norm of all parameters falls below 70 % of its first value; a doubt where it falls at all under a weight "
        "decay above 0.01"
    ),
    source="Loshchilov and Hutter 2019, Decoupled weight decay regularization; measured here",
    helps=(metrics.UPDATE_NORM,),
    examine=examine,
)
