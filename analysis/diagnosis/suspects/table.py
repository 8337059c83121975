"""List the usual suspects: by how often each was the cause in public logs, with what looks for each in a run."""

from collections.abc import Callable
from typing import NamedTuple

from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects.episodes import suspect_early_ends, suspect_short_sight, suspect_small_rollouts
from unstuck.analysis.diagnosis.suspects.policy import suspect_bonus, suspect_collapse, suspect_raw_inputs
from unstuck.analysis.diagnosis.suspects.rewards import suspect_idling, suspect_rare_reward, suspect_raw_returns
from unstuck.analysis.diagnosis.suspects.steps import suspect_large_steps, suspect_no_updates, suspect_small_steps
from unstuck.analysis.diagnosis.suspects.suspicion import Suspicion


class Suspect(NamedTuple):
    """A usual suspect: how many of `KNOWN` logs had it, headline, cause, and what looks for it in a run's numbers."""

    often: int
    headline: str
    cause: str
    judge: Callable[[Signals], Suspicion | None]


SUSPECTS = {
    "updates_too_large": Suspect(
        23, "Steps may be too large", "a learning rate too high, or too many passes over a rollout", suspect_large_steps
    ),
    "reward_scale": Suspect(
        19,
        "Returns may be too large for the critic",
        "rewards in large units that are not normalised",
        suspect_raw_returns,
    ),
    "doing_nothing_pays": Suspect(
        8, "Doing nothing may be what pays best", "attempts that cost more than they ever brought", suspect_idling
    ),
    "reward_sparse": Suspect(
        8, "The reward may be met too seldom", "a goal far away, and nothing on the way to it", suspect_rare_reward
    ),
    "updates_too_small": Suspect(
        6, "Steps may be too small", "a learning rate too low, or a gradient that is clipped away", suspect_small_steps
    ),
    "policy_frozen": Suspect(
        4,
        "The policy may not be updated at all",
        "a loss that does not reach the policy's parameters, or none that is stepped",
        suspect_no_updates,
    ),
    "inputs_unscaled": Suspect(5, "Inputs may not be scaled", "observations in raw units", suspect_raw_inputs),
    "entropy_pinned": Suspect(
        4, "The entropy bonus may outweigh what is learned", "entropy_coef too high", suspect_bonus
    ),
    "entropy_collapsed": Suspect(
        4,
        "The policy may always do the same",
        "exploration that ended before anything was learned",
        suspect_collapse,
    ),
    "horizon_short": Suspect(
        3, "Gamma may look less far ahead than rewards come", "gamma too low for this task", suspect_short_sight
    ),
    "episodes_short": Suspect(
        3, "Episodes may end too soon", "a condition that ends episodes at once", suspect_early_ends
    ),
    "rollout_short": Suspect(
        2, "Rollouts may be too short", "advantages that are mostly noise, from so few steps", suspect_small_rollouts
    ),
}
"""By the rule that names the cause. Counted over the labels of five looks at strangers' logs (`benchmarks/RESULTS.md`),
16 of which were rewards that are hardly met, or pay for nothing that was meant."""

KNOWN = 90
"""Public logs with a known cause that were counted."""

MOVE = ("updates_too_large", "reward_scale", "doing_nothing_pays")
"""Suspects that move a policy, for worse: its returns would wander, or have changed."""
