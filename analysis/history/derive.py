"""Compute metrics that a log holds in another form: the policy std from log_std, the entropy from an entropy bonus."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from unstuck.analysis.history.dialects.plain import ENTROPY_LOSS, LOG_STD
from unstuck.analysis.history.misnamed import WEIGHTED
from unstuck.analysis.history.record import ENTROPY_BONUS, ENTROPY_COEF, POLICY_STD, History
from unstuck.rl import metrics

UNIT_ENTROPY = math.log(2 * math.pi * math.e) / 2
"""Entropy of a normal number of spread 1, in nats: 1.419."""

MEANS, AT_UNIT = "mlagents", 0.01
"""Program that logs the mean entropy of an action's numbers, and units within which that must lie at the start."""

NEAR_UNIT = 0.1
"""Units by which the entropy of a first update may differ from that of whole numbers of spread 1, as it starts."""


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
        positive = -loss if len(known) and known.iloc[0] < 0 else loss
        _keep(table, ENTROPY_BONUS if float(known.abs().max()) < WEIGHTED else metrics.ENTROPY, positive)
    if ENTROPY_BONUS in table and metrics.ENTROPY not in table and table[ENTROPY_BONUS].any():
        coefficient = table[ENTROPY_COEF] if ENTROPY_COEF in table else settings.get("ppo.entropy_coef")
        if coefficient is not None and (isinstance(coefficient, pd.Series) or _is_positive(coefficient)):
            table[metrics.ENTROPY] = table.pop(ENTROPY_BONUS) / coefficient
    return table


def derive_spread(history: History) -> History:
    """Return a run with the spread of its continuous actions, where its program logs that as an entropy alone.

    Our own learner: each of an action's d numbers has a spread of its own, 1 at the start, whatever is observed
    (`rl.distributions`). So the first entropy tells d, and each later one the geometric mean of the d spreads.
    ML-Agents logs the mean entropy of the numbers, of spread 1 at the start as well. A run of discrete actions, of
    another program or from a checkpoint, is returned as it is.
    """
    entropy = history.curve(metrics.ENTROPY)
    is_discrete = bool(history.family(metrics.ACTION_PREFIX)) or history.setting("env.actions") is not None
    starts = len(entropy) > 0 and int(entropy.index[0]) == 1 and history.setting("branch.start") is None
    starts = starts and math.isfinite(entropy.iloc[0])
    if history.program not in ("unstuck", MEANS) or history.has(POLICY_STD) or is_discrete or not starts:
        return history
    numbers, near = round(float(entropy.iloc[0]) / UNIT_ENTROPY), NEAR_UNIT
    if history.program == MEANS:  # discrete choices may have any entropy: four have 1.386 at most
        numbers, near = 1, AT_UNIT
    if numbers < 1 or abs(float(entropy.iloc[0]) / UNIT_ENTROPY - numbers) > near:
        return history
    spread = np.exp(history.table[metrics.ENTROPY] / numbers - UNIT_ENTROPY)
    return replace(history, table=history.table.assign(**{POLICY_STD: spread}))


def _keep(table: pd.DataFrame, name: str, values: "pd.Series[float]") -> None:
    if name not in table:
        table[name] = values


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
