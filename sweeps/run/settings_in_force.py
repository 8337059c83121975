"""Check that the learner trains with the settings that the sampler recorded (docs/design.md, D7).

Ray loses a changed learning rate when a checkpoint is restored (ray#62173), Stable-Baselines3 one that is set anew
(stable-baselines3#735), and nobody notices. Here a worker reads the settings back from optimiser and loss whenever a
trial starts or continues (`effective/` metrics of the first iteration), and the driver compares the settings read back
with the configuration that was asked for.
"""

import math
from collections.abc import Sequence

import numpy as np
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.rl import metrics
from unstuck.rl.budget import Budget
from unstuck.rl.config import PPOConfig
from unstuck.rl.errors import CheckpointError
from unstuck.sweeps.stopping.live_trial import LiveTrial
from unstuck.sweeps.trainers.kinds import find_trainer
from unstuck.sweeps.trainers.ours import PPO
from unstuck.sweeps.worker.branching import find_budget

_TOLERANCE = 1e-6
"""Relative tolerance, since a schedule multiplies in float32."""


class SettingsInForce:
    """Judge that ends a trial as crashed if the learner uses another value of a setting than the one recorded.

    Args:
        budget: Budget that all trials share in a sweep that counts environment steps.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget

    def judge(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Return a crash, with the reason, if the learner used another value of a setting than recorded; else None."""
        told = [record for record in period if tells_settings(record)]
        if not told:
            return None
        try:
            budget = find_budget(trial.config, trial.config.own_folder, self._budget)
        except CheckpointError as error:  # the schedule depends on what was trained before
            return Verdict(Outcome.CRASHED, str(error))
        proved = find_trainer(trial.config.trainer.name).proves
        mismatches = (describe_mismatch(record, trial.config.ppo, budget, proved) for record in told)
        difference = next(filter(None, mismatches), "")
        return Verdict(Outcome.CRASHED, difference) if difference else None


def tells_settings(record: Record) -> bool:
    """Return True if an iteration's metrics hold settings read back from the learner, as after a start or a resume."""
    return any(name.startswith(metrics.EFFECTIVE_PREFIX) for name in record.metrics)


def describe_mismatch(
    record: Record, config: PPOConfig, budget: Budget | None = None, proved: Sequence[str] = PPO.proves
) -> str:
    """Describe the first setting whose value in the trainer differs from the configuration; return "" if none does.

    Args:
        record: An iteration of the trial.
        config: Configuration that the trial is to be trained with.
        budget: Length of the trial in environment steps, and what was trained before; None for the length in `config`.
        proved: Settings of PPO that the trainer reads back.

    Example:
        >>> describe_mismatch(Record(1, 0, {"train/value_loss": 0.9}), PPOConfig())
        ''
        >>> describe_mismatch(Record(1, 0, {"effective/lr": 0.1}), PPOConfig(lr=0.001)).partition(",")[0]
        'ppo.lr in force must be 0.001'
    """
    if not tells_settings(record):
        return ""
    left = (budget or Budget.from_config(config)).share_left(record.iteration - 1, config.batch_size)
    for name in proved:
        meant = _compute_setting(name, config, left)
        found = record.metrics.get(metrics.effective_metric(name), math.inf)
        if not math.isclose(found, meant, rel_tol=_TOLERANCE):
            return (
                f"ppo.{name} in force must be {meant:.7g}, as recorded, got {found:.7g} at iteration "
                f"{record.iteration}: what was trained is another configuration"
            )
    return ""


def _compute_setting(name: str, config: PPOConfig, left: float) -> float:
    """Compute a setting (float32) when the share `left` of the training is left; infinity for a limit that is off."""
    value = getattr(config, name)
    if value is None:
        return math.inf
    schedules = {"lr": config.lr_schedule, "clip_range": config.clip_range_schedule}
    return float(np.float32(value) * np.float32(left if schedules.get(name) == "linear" else 1.0))
