"""Rollouts are too short: an update learns from so few steps that its advantages are mostly noise."""

import math

import numpy as np
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
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import ENV_STEPS, EPISODE_LENGTH
from unstuck.analysis.words import number
from unstuck.rl import metrics

FEW = 64
"""Steps of all lanes in a rollout: Stable-Baselines3 takes 2,048, CleanRL 512; 128 have been seen to train CartPole."""

ONE_EPISODE = 128
"""Steps of a rollout below which one that holds less than `SEVERAL` episodes is short for a run that learns nothing:
CartPole has been seen to train with 80 and 100, which hold four episodes at first."""

SEVERAL = 4.0
"""Episodes of which the least in a rollout tell more than the luck of one or two."""

FEWEST = 32
"""Steps below which no score excuses a rollout: an eighth of the 256 that are the least in tuned configurations."""

USUAL = 2048
"""Steps of a rollout to go back to."""

COUNTING = ("sb3",)
"""Programs whose log counts environment steps once a rollout."""

POINTS = 4


def examine(run: Signals) -> Finding | None:
    """Return a finding if a rollout holds few steps: a fault if the run has achieved nothing; None otherwise."""
    size, names = _count_steps(run)
    standing, lengths = judge_standing(run), run.select_all(EPISODE_LENGTH)
    episodes = math.inf if size is None or lengths is None else size / max(lengths.median, 1.0)
    unlucky = size is not None and FEW <= size < ONE_EPISODE and episodes < SEVERAL and standing.is_poor
    if size is None or not (size < FEW or unlucky):
        return None
    text = f"{number(size)} steps in a rollout"
    cut = lengths is not None and lengths.median > size
    if (cut or unlucky) and lengths:
        text += f", and episodes last {number(lengths.median, 3)}"
    lanes = int(run.read_number("ppo.num_envs") or 1)
    return Finding(
        headline=f"Rollouts are too short: {text}",
        kind=Kind.FAULT if standing.is_poor or size < FEWEST else Kind.SUSPECT,
        sureness=Sureness.POSSIBLE if unlucky else Sureness.LIKELY,
        why=f"an update that sees {number(size)} steps follows their noise; {standing.brief}",
        evidence=(Evidence(text, names),),
        causes=(
            Cause(
                "too few steps a rollout (n_steps, lanes)",
                "branch with a rollout of 2,048 steps: return and explained variance rise above the control's",
                Support.SUPPORTED,
                text,
            ),
        ),
        remedies=(
            Remedy(
                {"ppo.num_steps": max(16, USUAL // lanes), "ppo.minibatch_size": 64},
                "gives an update enough steps to tell good actions from bad ones",
                "explained variance above 0 within 20 updates",
            ),
        ),
        since=min(POINTS, run.history.last_iteration),
        ground=Ground.MEASURED if size < FEWEST else Ground.PACE if unlucky else Ground.STATE,
    )


def _count_steps(run: Signals) -> tuple[float | None, tuple[str, ...]]:
    """Return how many steps of all environments a rollout has, and where that was read; None if unknown."""
    lanes, steps = run.read_number("ppo.num_envs"), run.read_number("ppo.num_steps")
    if lanes and steps:
        return lanes * steps, ("ppo.num_envs", "ppo.num_steps")
    counted = run.select_finite(ENV_STEPS)
    if run.history.dialect not in COUNTING or len(counted) < POINTS or not run.has(metrics.VALUE_LOSS):
        return None, ()
    rows = np.diff(counted.index.to_numpy())
    return float(np.median(np.diff(counted.to_numpy()) / rows)), (ENV_STEPS,)


RULE = Rule(
    name="rollout_short",
    title="Rollouts too short",
    stage=Stage.SCALE,
    needs=((metrics.APPROX_KL, metrics.VALUE_LOSS),),
    helps=(ENV_STEPS, EPISODE_LENGTH),
    explains=(
        *("critic_underfits", "updates_too_large", "updates_too_small", "value_explosion", "oscillating"),
        *("learned_and_lost", "signal_lost", "entropy_collapsed", "return_frozen", "seeds_bimodal"),
        "learns_backwards",
    ),
    says="a rollout holds so few steps that its advantages are mostly noise",
    threshold=(
        "fewer than 64 steps of all lanes together; a fault if nothing is learned, and below 32 in any run; or fewer "
        "than 128 that hold less than 4 episodes, in a run that has ended with nothing learned"
    ),
    source="Andrychowicz et al. 2021 (samples an iteration); Stable-Baselines3's and CleanRL's defaults; RL Zoo",
    examine=examine,
)
