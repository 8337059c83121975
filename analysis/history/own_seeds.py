"""Add the curves of each seed to a trial of a sweep: MLflow holds means of most metrics, the checkpoint all."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
from unstuck.analysis.history.record import History
from unstuck.records.files import read_values
from unstuck.rl import metrics


def add_seeds(history: History, folder: Path, number: int) -> History:
    """Add each seed's curves, read from the checkpoint of a trial with several seeds, to the trial's history.

    Args:
        history: Trial, as MLflow holds the trial.
        folder: Folder of the sweep.
        number: Number of the trial.

    Returns:
        The history; unchanged where the checkpoint is gone, cannot be read, or is of before seeds were kept.
    """
    if not any(metrics.seed_metric(name, 1) in history.table for name in metrics.PER_SEED):
        return history  # of one seed
    own = pd.DataFrame.from_dict(read_values(folder, number), orient="index", dtype=float)
    new = [name for name in own if name not in history.table]
    return replace(history, table=history.table.join(own[new])) if new else history
