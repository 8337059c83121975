"""Find the saved model that belongs to a run's log, and add the settings and measurements that the model holds.

A folder may hold models of other runs: one counts only if nothing of its record contradicts the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.dialects.plain import PLAIN
from unstuck.analysis.history.dialects.sb3 import SB3
from unstuck.analysis.history.forms.saved_model import BrokenModelError, SavedModel, read_model
from unstuck.analysis.history.record import CLIP_RANGE, ENV_STEPS, EPISODE_LENGTH, EPOCHS_DONE, History
from unstuck.rl import metrics

_MODELS = ".zip"
_MOST = 40
"""Models that are read at most, the last written first: a run that saved more has long shown its settings."""

_NAMED = 3
"""Models that a remark names at most."""

_CLOSE = 0.02
"""Share by which numbers that a log rounds may differ and be the same."""


def find_models(folder: Path) -> list[Path]:
    """List the saved models of a run's folder, the last written first.

    These lie in the folder, up to two levels below, or elsewhere in the project under the folder's own name, as
    `models/PPO_1.zip` for `logs/PPO_1`.
    """
    files = [file for depth in ("*", "*/*", "*/*/*") for file in folder.glob(f"{depth}{_MODELS}")]
    own = f"{folder.absolute().name}{_MODELS}"
    files += [folder.absolute().parent / own, *folder.absolute().parent.parent.glob(f"*/{escape(own)}")]
    return sorted(
        dict.fromkeys(file for file in files if file.is_file()), key=lambda file: (-file.stat().st_mtime, str(file))
    )[:_MOST]


def add_model(history: History, files: Sequence[Path], told: Mapping[str, Any]) -> History:
    """Add the settings and measurements of the last saved model that belongs to a run; unchanged if none does.

    Args:
        history: The run as its log was read.
        files: Saved models that may belong to the run.
        told: Settings that the user gave, which count before those of a model.
    """
    if history.program not in (SB3.name, PLAIN.name) or not files:
        return history
    models, reasons = [], []
    for file in files:
        try:
            model = read_model(file)
        except BrokenModelError as error:
            reasons.append(f"{file.name} ({str(error).removeprefix(f'{file} ')})")
            continue
        except AnalysisError:
            continue  # another program's archive, or another algorithm's model
        reason = _find_contradiction(model, history)
        if reason:
            reasons.append(f"{file.name} ({reason})")
        else:
            models.append(model)
    if not models:
        more = f" and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        remark = f"no settings were taken from {', '.join(reasons[:_NAMED])}{more}"
        return replace(history, remarks=(*history.remarks, remark)) if reasons else history
    last = max(models, key=lambda model: model.steps)
    if other := next((model for model in models if _trains_differently(model, last)), None):
        remark = f"no settings were taken from {last.file.name} and {other.file.name}, which differ in theirs"
        return replace(history, remarks=(*history.remarks, remark))
    return _join(history, last, told)


def _join(history: History, model: SavedModel, told: Mapping[str, Any]) -> History:
    """Return a run with a model's settings, and its measurements at the first and last iteration of the run."""
    against = [
        f"{path.rpartition('.')[2]} {model.settings[path]} ({value} in a file of settings)"
        for path, value in history.settings.items()
        if path.startswith("ppo.") and path in model.settings and path not in told and model.settings[path] != value
    ]
    remarks = [f"settings are those that {model.file.name} was trained with, saved after {model.steps:,} steps"]
    remarks += [f"{model.file.name} was trained with {', '.join(against)}"] if against else []
    remarks += [f"{model.file.name}: {model.remark}"] if model.remark else []
    table = history.table.copy()
    ends = ((table.index[0], model.started), (table.index[-1], model.ended))
    for iteration, measured in ends:
        for name, value in measured.items():
            if name not in history.table:
                table.loc[iteration, name] = value
    return replace(
        history,
        table=table,
        settings={**history.settings, **model.settings, **told},
        remarks=(*history.remarks, *remarks),
    )


def _find_contradiction(model: SavedModel, history: History) -> str:
    """Return why a model cannot be one of the run that was logged; empty if nothing tells against it."""
    steps = history.curve(ENV_STEPS)
    if steps.empty:
        return "the log counts no environment steps"
    done, rollout = float(steps.max()), _count_rollout(model)
    lanes = int(model.settings.get("ppo.num_envs") or 1)
    lengths = history.curve(EPISODE_LENGTH)
    unfinished = lanes * float(lengths.max()) if len(lengths) and not history.has(metrics.VALUE_LOSS) else 0.0
    if not 0 < model.steps <= done + 2 * rollout + unfinished:
        return f"saved after {model.steps:,} steps, and the log ends at {done:,.0f}"
    if not history.has(metrics.VALUE_LOSS):
        return ""
    stride = _measure_stride(steps)
    if stride and (stride < rollout or abs(stride / rollout - round(stride / rollout)) > 0.01):
        return f"its rollouts have {rollout:,} steps, and those of the log {stride:,.0f}"
    return _compare_updates(model, history, stride / rollout if stride else None) or _compare_rates(model, history)


def _compare_updates(model: SavedModel, history: History, rollouts: float | None) -> str:
    """Return how a model contradicts the log on epochs an update; empty if it does not."""
    done, asked = history.curve(EPOCHS_DONE), model.settings.get("ppo.num_epochs")
    if len(done) < 2 or not rollouts or not asked or model.settings.get("ppo.target_kl") is not None:
        return ""
    epochs = _measure_stride(done) / rollouts
    return "" if abs(epochs - asked) < 0.5 else f"it makes {asked} epochs of a rollout, and the log {epochs:.3g}"


def _compare_rates(model: SavedModel, history: History) -> str:
    """Return how a model contradicts the log on the rates in force; empty if it does not."""
    rates = {"learning rate": (metrics.LR, model.settings.get("ppo.lr", model.rate))}
    rates["clip range"] = (CLIP_RANGE, model.settings.get("ppo.clip_range"))
    for words, (name, value) in rates.items():
        logged = history.curve(name)
        if logged.empty or not isinstance(value, int | float) or value <= 0:
            continue
        if not float(logged.min()) * (1 - _CLOSE) <= value <= float(logged.max()) * (1 + _CLOSE):
            return f"its {words} is {value:.3g}, and the log's {float(logged.median()):.3g}"
    return ""


def _measure_stride(curve: "pd.Series[float]") -> float:
    """Compute the median increase of a count from iteration to iteration; 0 for fewer than two values."""
    if len(curve) < 2:
        return 0.0
    return float(np.median(np.diff(curve.to_numpy()) / np.diff(curve.index.to_numpy())))


def _count_rollout(model: SavedModel) -> int:
    steps, lanes = (int(model.settings.get(f"ppo.{name}") or 1) for name in ("num_steps", "num_envs"))
    return steps * lanes


def _trains_differently(one: SavedModel, other: SavedModel) -> bool:
    """True if two models were trained with different settings, seed and plan aside."""
    mine, theirs = (
        {path: value for path, value in model.settings.items() if path.startswith("ppo.")} for model in (one, other)
    )
    return mine != theirs
