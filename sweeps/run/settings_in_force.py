"""Check that the learner trains with the settings that the sampler recorded (docs/design.md, D7).

Ray and Stable-Baselines3 both lose a changed learning rate when they restore a checkpoint, and nobody notices. Here a
worker reads its settings back from optimiser and loss whenever it starts or continues a trial (`effective/` metrics of
its first iteration), and the driver compares them with the configuration that it had asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.rl import metrics
from unstuck.rl.budget import Budget
from unstuck.rl.config import PPOConfig
from unstuck.rl.ppo import Hyperparameters
from unstuck.sweeps.stopping.live_trial import LiveTrial

_TOLERANCE = 1e-6
"""Relative: a schedule multiplies in float32."""


class SettingsInForce:
    """Judge that ends a trial whose learner trains with other settings than were recorded (see `Judge`).

    Args:
        budget: Budget that all trials share in a sweep that counts environment steps.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget

    def judge(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Crash the trial at the first difference; see `Judge.judge`."""
        differences = (describe_mismatch(record, trial.config.ppo, self._budget) for record in period)
        difference = next(filter(None, differences), "")
        return Verdict(Outcome.CRASHED, difference) if difference else None


def describe_mismatch(record: Record, config: PPOConfig, budget: Budget | None = None) -> str:
    """What differs between the settings in force and the configuration; empty if nothing does, or none were read back.

    Args:
        record: An iteration of the trial.
        config: What it is to be trained with.
        budget: For how long; None: as `config` says.
    """
    if not any(name.startswith(metrics.EFFECTIVE_PREFIX) for name in record.metrics):
        return ""
    left = (budget or Budget.from_config(config)).left(record.iteration - 1, config.batch_size)
    for field in fields(Hyperparameters):
        meant = _compute_setting(field.name, config, left)
        found = record.metrics.get(metrics.effective_metric(field.name), math.inf)
        if not math.isclose(found, meant, rel_tol=_TOLERANCE):
            return (
                f"ppo.{field.name} in force must be {meant:.7g}, as recorded, got {found:.7g} at iteration "
                f"{record.iteration}: what was trained is another configuration"
            )
    return ""


def _compute_setting(name: str, config: PPOConfig, left: float) -> float:
    """A setting where this share of the budget is left, in float32; infinite where it is off."""
    value = getattr(config, name)
    if value is None:
        return math.inf
    schedules = {"lr": config.lr_schedule, "clip_range": config.clip_range_schedule}
    return float(np.float32(value) * np.float32(left if schedules.get(name) == "linear" else 1.0))
