"""Suspect how long episodes last: beyond what gamma sees, too short to learn from, or longer than a rollout.

Each function returns a suspicion with its numbers, or None where the record speaks against the cause.
"""

from unstuck.analysis.diagnosis.remedies import HORIZON
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects.suspicion import HINTS, SPEAKS, Suspicion, build_evidence, select_returns
from unstuck.analysis.words import number

SHORT_SIGHT, HORIZONS, SHORTEST_SIGHT = 0.95, 2.0, 0.9
"""gamma up to which, and horizons in an episode from which on, what comes later is hardly seen; gamma of which that is
told by itself."""

FEW_STEPS, SMALL_ROLLOUT = 10.0, 512.0
"""Steps of an episode, and of a rollout, that are few."""


def suspect_short_sight(run: Signals) -> Suspicion | None:
    """Suspect a gamma that sees no further than a part of the episode."""
    gamma, (_, lengths) = run.read_number(HORIZON), select_returns(run)
    if gamma is None or lengths is None or gamma > SHORT_SIGHT or lengths.median < HORIZONS / (1 - gamma):
        return None
    text = f"gamma {gamma:g} sees {number(1 / (1 - gamma), 2)} steps, of episodes of {number(lengths.median, 3)}"
    factor = SPEAKS if gamma <= SHORTEST_SIGHT else HINTS
    return Suspicion(
        factor, build_evidence(text, lengths), "branch at gamma 0.99: the return rises above the control's"
    )


def suspect_early_ends(run: Signals) -> Suspicion | None:
    """Suspect episodes that end before anything can be learned."""
    _, lengths = select_returns(run)
    if lengths is None or lengths.median > FEW_STEPS:
        return None
    text = f"episodes last {number(lengths.median, 2)} steps"
    return Suspicion(
        HINTS, build_evidence(text, lengths), "print why episodes end; loosen the condition: the return rises"
    )


def suspect_small_rollouts(run: Signals) -> Suspicion | None:
    """Suspect rollouts that hold less than an episode, and few steps."""
    lanes, steps = run.read_number("ppo.num_envs") or 1.0, run.read_number("ppo.num_steps")
    _, lengths = select_returns(run)
    if steps is None or lengths is None or lanes * steps >= min(SMALL_ROLLOUT, lengths.median):
        return None
    text = f"a rollout of {number(lanes * steps)} steps, of episodes of {number(lengths.median, 3)}"
    return Suspicion(SPEAKS, build_evidence(text, lengths), "branch with a rollout of 2,048 steps: the swings halve")
