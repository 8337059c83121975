"""Measure how steadily the spread of continuous actions is pushed, in runs of our own learner.

Adam divides a gradient by its own size, so that a parameter moves by the learning rate in each step whose gradient
agrees with those before, and by less the more they disagree. An entropy bonus, or a penalty, gives the logarithm of the
spread the same gradient in each step. Advantages do not: their noise is of the size of what they ask for.
"""

import numpy as np
from unstuck.analysis.diagnosis.signals import ActionKind, Signals
from unstuck.analysis.history.record import EPOCHS_DONE, POLICY_STD
from unstuck.rl import metrics

STEADY = 0.75
"""Share of the way that all steps together could go, from which on they went one way: 0.84 to 1 under a bonus, or a
penalty, 30 times too strong; healthy runs in four tasks go 0.47 of the way, and 0.67 within any twenty iterations."""

FEWEST = 20
"""Iterations from which on the way is told."""


def measure_push(run: Signals) -> float | None:
    """Compute which share of the way that its steps could go the spread's logarithm went: above 0 if the spread grew.

    None in runs of others, whose steps are not known, of discrete actions, or of few iterations.
    """
    spread, done = run.select_finite(POLICY_STD), run.select_finite(EPOCHS_DONE)
    rates = run.select_finite(metrics.LR)
    parts = [run.read_number(f"ppo.{name}") for name in ("num_envs", "num_steps", "minibatch_size")]
    if not run.is_ours or run.action_kind is not ActionKind.CONTINUOUS or not all(parts) or len(spread) < FEWEST:
        return None
    lanes, length, size = (part for part in parts if part)
    both = spread.index.intersection(done.index).intersection(rates.index)
    if len(both) < FEWEST or float(spread.loc[both].min()) <= 0:
        return None
    steps = np.diff(done.loc[both].to_numpy()) * lanes * length / size
    reach = float((steps * rates.loc[both].to_numpy()[1:]).sum())
    logarithm = np.log(spread.loc[both].to_numpy())
    return float(logarithm[-1] - logarithm[0]) / reach if reach > 0 else None
