"""Tell columns of other programs whose values cannot be what their names say: weighted entropies, shares in percent."""

import numpy as np
import pandas as pd
from unstuck.analysis.history.record import ENTROPY_BONUS
from unstuck.rl import metrics

WEIGHTED = 0.1
"""Nats below which a loss's entropy, or one that is 0 or negative all along, holds the coefficient as well."""

ROUNDING = 0.01
"""Sum of printed shares above 1 that rounding makes."""

_OF_UPDATES = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.GRAD_NORM)
_SHARES = (metrics.ACTION_PREFIX, metrics.GREEDY_PREFIX)


def reread_table(table: pd.DataFrame, borrowed: bool) -> pd.DataFrame:
    """Correct the columns of another program's table that hold something else than their names say.

    Args:
        table: Columns by our names.
        borrowed: True if scripts of many hands use these names, so that an entropy may be a weighted one; False if they
            are one library's own, whose entropy is one: there 0 all along is a policy that has collapsed.

    Returns:
        A new table.
    """
    table = table.copy(deep=False)
    if metrics.ENTROPY in table:
        _blank_before_updates(table)
        if borrowed and _is_bonus(table[metrics.ENTROPY]):
            bonus = table.pop(metrics.ENTROPY).abs()
            if ENTROPY_BONUS not in table:
                table[ENTROPY_BONUS] = bonus
    for prefix in _SHARES:
        _scale_shares(table, [name for name in map(str, table) if name.startswith(prefix)])
    return table


def _is_bonus(entropy: "pd.Series[float]") -> bool:
    """True if a column named entropy holds minus the entropy times its coefficient: 0, or hardly less, all along.

    A script that logs its loss's part so (TorchRL's `loss_entropy`) has 0 everywhere at a coefficient of 0. A policy
    that acts by chance has an entropy above 0, and one of continuous actions stays that near to 0 by accident alone.
    """
    known = entropy.dropna().to_numpy()
    return len(known) > 0 and bool(((known > -WEIGHTED) & (known <= 0)).all())


def _blank_before_updates(table: pd.DataFrame) -> None:
    """Blank the entropy, losses and shares of the first rows in which value loss and entropy are both exactly 0.

    These are rows of a loop that had not made an update yet: no critic starts without an error.
    """
    if metrics.VALUE_LOSS not in table:
        return
    made = ((table[metrics.ENTROPY] != 0) | (table[metrics.VALUE_LOSS] != 0)).to_numpy()
    first = int(made.argmax())
    if not first or not made.any():
        return
    for name in (*_OF_UPDATES, metrics.ENTROPY):
        if name in table and not table[name].iloc[:first].any():
            table[name] = table[name].where(np.arange(len(table)) >= first)


def _scale_shares(table: pd.DataFrame, names: list[str]) -> None:
    """Divide percentages or counts of actions by their sum; leave columns out that hold negative numbers, no shares."""
    values = table[names].to_numpy(dtype=np.float64)
    if (values < 0).any():
        for name in names:
            del table[name]
    elif len(names) > 1 and (values > 1 + ROUNDING).any():
        table[names] = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-12)
