"""The coefficient of the entropy bonus: as set, as logged, or recovered from the loss that Stable-Baselines3 logs.

Its `train/loss` is the last minibatch's sum of the policy's loss, the value loss times `vf_coef`, and the entropy times
-`ent_coef`. The other columns are means over the update, so that a regression over the run's updates gives both
coefficients; how well, the regression's own errors tell.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history.record import ENTROPY_COEF, TOTAL_LOSS
from unstuck.analysis.words import number
from unstuck.rl import metrics

POINTS = 12
"""Updates on record from which on a regression is made."""

OF_POLICY, OF_VALUE = 0.03, 0.1
"""Spread of the last minibatch's loss about the update's mean: the policy's, whose advantages have spread 1, and the
value loss's as a share of itself."""

USUAL, USUAL_SPREAD = 0.5, 0.25
"""Coefficient of the value loss before the log is read, 0.5 by default, and the spread of those in use: told so where
value loss and entropy hardly vary, and of no weight where they do."""

CLEAR, SLIGHT = 0.1, 0.02
"""Standard error, as a share of the coefficient or by itself, up to which a recovered coefficient counts."""

_COLUMNS = (TOTAL_LOSS, metrics.POLICY_LOSS, metrics.VALUE_LOSS, metrics.ENTROPY)


@dataclass(frozen=True)
class Bonus:
    """Coefficient of the entropy bonus, and whether it was recorded or recovered from the loss.

    Attributes:
        weight: The coefficient; at least 0.
        recovered: True if the coefficient was recovered from the loss.
    """

    weight: float
    recovered: bool = False

    def __str__(self) -> str:
        if self.recovered:
            return f"entropy_coef about {number(self.weight, 2)}, by the loss on record less its other parts"
        return f"entropy_coef {self.weight:g}"


@lru_cache(maxsize=16)
def find_bonus(run: Signals) -> Bonus | None:
    """Find the coefficient of a run's entropy bonus in settings, log or loss; return None if none has it."""
    weight = run.read_number("ppo.entropy_coef")
    if weight is not None:
        return Bonus(weight)
    logged = run.select_all(ENTROPY_COEF)
    return Bonus(logged.median) if logged else _recover(run)


def _recover(run: Signals) -> Bonus | None:
    """Compute the entropy bonus's coefficient from the logged losses; None if these do not allow it."""
    if run.history.dialect != "sb3" or not run.has(*_COLUMNS):
        return None
    table = run.history.table[list(_COLUMNS)].to_numpy(dtype=np.float64)
    table = table[np.isfinite(table).all(axis=1)]
    if len(table) < POINTS:
        return None
    loss, policy, value, entropy = table.T
    trust = 1 / (OF_POLICY + OF_VALUE * np.abs(value))
    inputs, targets = np.stack([value, -entropy], axis=1) * trust[:, None], (loss - policy) * trust
    inputs = np.concatenate([inputs, [[1 / USUAL_SPREAD, 0.0]]])
    targets = np.append(targets, USUAL / USUAL_SPREAD)
    products = inputs.T @ inputs
    if np.linalg.matrix_rank(products) < 2:
        return None
    weights = np.linalg.solve(products, inputs.T @ targets)
    left = targets - inputs @ weights
    error = float(np.sqrt(np.linalg.inv(products)[1, 1] * max(1.0, (left @ left) / (len(table) - 2))))
    weight = float(weights[1])
    return Bonus(max(weight, 0.0), recovered=True) if error <= max(CLEAR * weight, SLIGHT) else None
