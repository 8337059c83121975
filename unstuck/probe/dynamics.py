"""Measure how actions, observations and rewards of a loop's rollout belong together, as our learner does."""

from unstuck.probe.arrays import Rollout
from unstuck.rl.dynamics import SAMPLES, WIDEST, Bounds, Transitions, encode_actions, measure_steps


def measure_dynamics(rollout: Rollout, bounds: Bounds | None) -> dict[str, float]:
    """Measure how actions change observations and rewards, and what the previous step adds; return metrics.

    Args:
        rollout: The rollout.
        bounds: Kind and bounds of the actions; None if they are not known.

    Returns:
        Metrics by name; each is absent where arrays are missing or too few steps tell.
    """
    steps = _read_steps(rollout, bounds)
    return {} if steps is None or bounds is None else measure_steps(steps, bounds)


def _read_steps(rollout: Rollout, bounds: Bounds | None) -> Transitions | None:
    """Convert a rollout to the arrays to measure; None if one is missing, or observations have too many columns."""
    if bounds is None or rollout.ends is None or rollout.actions is None or not 0 < rollout.num_columns <= WIDEST:
        return None
    lanes = max(1, min(rollout.lanes, SAMPLES // max(rollout.steps, 1)))
    flat = rollout.flat_observations()
    if flat is None:
        return None
    shape = rollout.steps, rollout.lanes, -1
    actions = rollout.actions.reshape(*shape).double().cpu().numpy()[:SAMPLES, :lanes]
    rewards = rollout.rewards
    return Transitions(
        flat.view(*shape).double().cpu().numpy()[:SAMPLES, :lanes],
        encode_actions(actions, bounds),
        None if rewards is None else rewards.double().cpu().numpy()[:SAMPLES, :lanes],
        rollout.ends.cpu().numpy()[:SAMPLES, :lanes],
    )
