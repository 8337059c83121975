"""Cost of training more trials of a sweep, at the speed that the sweep's own trials had."""

import math

from unstuck.analysis.diagnosis.cost import Cost
from unstuck.analysis.sweep.trials import Sweep
from unstuck.records.axis import BATCH


def estimate_training(sweep: Sweep, trials: int, seeds: int | None = None, times: float = 1.0) -> Cost:
    """Estimate the cost (steps, time) of training configurations one after another, without early stopping.

    Args:
        sweep: The sweep.
        trials: Number of configurations.
        seeds: Seeds of each; None for as many as the sweep's trials have.
        times: Length of each, as a multiple of the sweep's own.
    """
    own = int(sweep.settings.get("sweep.seeds", 1))
    units = round(trials * sweep.length * times)
    batch = math.prod(int(sweep.settings.get(path, 0)) for path in BATCH)
    per_unit = 1 if sweep.axis.in_env_steps else batch
    iterations = units // max(1, batch) if sweep.axis.in_env_steps else units
    steps = units * per_unit * (seeds or own)
    done, seconds = sum(trial.iterations for trial in sweep.trials), sum(trial.seconds for trial in sweep.trials)
    spent = seconds / done * units * (seeds or own) / own if done and seconds else None
    return Cost(iterations, steps or None, spent)
