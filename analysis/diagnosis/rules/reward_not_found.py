"""No reward has been found: all episodes return the same, so nothing tells one action from the next."""

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
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.words import number, pluralize
from unstuck.rl import metrics

VALUES = 12
"""Returns on record before anything is said: one is carried over where no episode ends."""

GRACE = 0.1
"""Share of the run that exploration may take to find a reward."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if all training episodes so far have the same return; None otherwise."""
    returns = run.select_all(metrics.TRAIN_RETURN)
    if returns is None or len(returns.values) < VALUES or run.compute_progress(returns.iterations[-1]) < GRACE:
        return None
    last = returns.values[-1]
    if _varies(returns):  # what evaluations return is no reward: nobody learns from it
        return None
    text = f"every episode returns {number(last)} {returns.where}"
    normalised = run.setting("ppo.normalize_observations")
    watch = "a single episode that returns something else, within 20 iterations"
    remedies = [Remedy({"ppo.normalize_observations": True}, "scaled inputs make untrained policies differ", watch)]
    weight = run.read_number("ppo.entropy_coef") or 0.0
    remedies.append(Remedy({"ppo.entropy_coef": max(0.01, weight * 3)}, "more exploration", watch))
    return Finding(
        headline=f"No reward has been found: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why=f"{pluralize(len(returns.values), 'iteration')} without a difference",
        evidence=(Evidence(text, (metrics.TRAIN_RETURN,), returns.reach),),
        causes=(
            Cause(
                "a reward that chance does not reach (a goal far away, and nothing on the way to it)",
                "let a uniform policy play a thousand episodes: does any of them return something else?",
            ),
            Cause(
                "inputs that make the untrained policy do the same all the time",
                "look at the shares of its actions, and at the inputs' scale",
                Support.RULED_OUT if normalised else Support.OPEN,
                "observations are normalised" if normalised else "",
            ),
            Cause("a reward that is constant by mistake", "step the environment by hand, and print its rewards"),
        ),
        remedies=tuple(remedies[1:] if normalised else remedies),
        since=returns.iterations[VALUES - 1],
        ground=Ground.PACE,
    )


def _varies(window: Window) -> bool:
    return max(window.values) - min(window.values) > 1e-6 * max(1.0, abs(window.values[-1]))


RULE = Rule(
    name="reward_not_found",
    title="No reward found",
    stage=Stage.CEILING,
    needs=((metrics.TRAIN_RETURN,),),
    explains=(
        *("policy_starved", "updates_too_small", "entropy_pinned", "oscillating", "critic_underfits"),
        *("greedy_vs_sampled", "advantage_scale", "signal_lost"),
    ),
    says="every episode of training returns the same",
    threshold="returns equal over a tenth of the run",
    source="CleanRL's benchmark (MountainCar-v0 stays at -200 by its defaults); Jones 2021 (look at single episodes)",
    examine=examine,
)
