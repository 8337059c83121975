"""Compute metrics that a log holds in another form: the policy std from log_std, the entropy from an entropy bonus."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from unstuck.analysis.history.dialects.plain import ENTROPY_LOSS, LOG_STD
from unstuck.analysis.history.record import ENTROPY_BONUS, ENTROPY_COEF, POLICY_STD
from unstuck.rl import metrics


def derive_metrics(table: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table with our metrics computed from other forms, such as a spread from its logarithm.

    Args:
        table: Columns by our names, `ENTROPY_LOSS` and `LOG_STD`.
        settings: Settings by our names: a coefficient of the entropy turns a bonus into an entropy.
    """
    table = table.copy(deep=False)
    if LOG_STD in table:
        spread = np.exp(table.pop(LOG_STD))
        _keep(table, POLICY_STD, spread)
    if ENTROPY_LOSS in table:  # a fresh policy's entropy is positive, so a first value below 0 is minus the entropy
        loss = table.pop(ENTROPY_LOSS)
        known = loss.dropna()
        _keep(table, metrics.ENTROPY, -loss if len(known) and known.iloc[0] < 0 else loss)
    if ENTROPY_BONUS in table and metrics.ENTROPY not in table:
        coefficient = table[ENTROPY_COEF] if ENTROPY_COEF in table else settings.get("ppo.entropy_coef")
        if coefficient is not None and (isinstance(coefficient, pd.Series) or _is_positive(coefficient)):
            table[metrics.ENTROPY] = table.pop(ENTROPY_BONUS) / coefficient
    return table


def _keep(table: pd.DataFrame, name: str, values: "pd.Series[float]") -> None:
    if name not in table:
        table[name] = values


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
