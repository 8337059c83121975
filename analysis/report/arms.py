"""Commands that try remedies: arms side by side, with an untouched control, on the same seeds."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from unstuck.analysis.diagnosis.arms import Arm
from unstuck.analysis.diagnosis.language import OURS
from unstuck.analysis.diagnosis.translation import convert_setting, find_setting_name
from unstuck.analysis.history import History
from unstuck.analysis.history.record import CLIP_RANGE
from unstuck.analysis.overrides import format_literal, format_point
from unstuck.analysis.programs import sweep_program
from unstuck.analysis.report.environments import explain_unusable
from unstuck.analysis.words import number
from unstuck.records.axis import BATCH
from unstuck.records.names import SEARCHED_TAG, SWEEP_TAG, TRIAL_TAG
from unstuck.rl import metrics

_NAME_LENGTH = 88

# A sweep's own configuration, read as it is: these keep Hydra from writing files of its own.
_QUIET = ("hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none")
_ALL_POINTS = ("sampler.name=points", "scheduler.name=none", "health.enabled=false", "sweep.num_trials=null")
_URLS = ("tracking.optuna_url", "tracking.mlflow_url")
_OURS = (
    *("num_iterations", "num_envs", "num_steps", "minibatch_size", "num_epochs", "lr", "lr_schedule", "gamma"),
    *("gae_lambda", "clip_range", "clip_range_vf", "entropy_coef", "value_coef", "max_grad_norm", "target_kl"),
    *(
        "normalize_advantage",
        "normalize_returns",
        "normalize_observations",
        "hidden_sizes",
        "shared_trunk",
        "eval_every",
    ),
)
"""Settings of `ppo` that a foreign run can share with ours."""

NOT_RECORDED = "not recorded"
"""In place of a setting that a run left nowhere."""

_LOGGED = {"lr": metrics.LR, "clip_range": CLIP_RANGE}
"""Settings that are logged in force: the largest value is the one set, as schedules only fall."""

_NEEDED = ("lr", "num_envs", "num_steps")
"""Settings without which a control is not the run: step and rollout."""


def make_arms_command(history: History, arms: Sequence[Arm], folder: Path) -> list[str]:
    """Return the command, as words, that tries changes of settings beside a control; empty if there are none.

    Arms that change the objective are left out: `make_own_sweep_command` has them.

    Args:
        history: The run.
        arms: Changes to try.
        folder: Folder of the sweeps, where the run's own configuration lies if the run is a trial.
    """
    words, name = _write_task_words(history, folder)
    beside = [arm for arm in arms if not arm.changes_objective]
    if not words or not beside:
        return []
    points = ", ".join(format_point(change) for change in ({}, *(arm.change for arm in beside)))
    return [
        *(*sweep_program(), *words, *_ALL_POINTS, f"sampler.points=[{points}]"),
        f"sweep.name={_find_name(f'{name}-arms')}",
    ]


def make_own_sweep_command(history: History, arm: Arm, folder: Path) -> list[str]:
    """Return the command, as words, that tries one change as a separate sweep; empty for an unknown task."""
    words, name = _write_task_words(history, folder, arm.change)
    if not words:
        return []
    return [
        *(*sweep_program(), *words, *_ALL_POINTS, f"sampler.points=[{format_point({})}]"),
        f"sweep.name={_find_name(f'{name}-apart')}",
    ]


def _write_task_words(
    history: History, folder: Path, change: Mapping[str, Any] = MappingProxyType({})
) -> tuple[list[str], str]:
    """Return the command's words that set up the run's own configuration with a change, and the run's name.

    What a trial had of a search stands in the configuration, so that the point `{}`, the control, is the trial.
    """
    sweep, trial = history.tags.get(SWEEP_TAG), history.tags.get(TRIAL_TAG)
    own: dict[str, Any] = {}
    if sweep and trial:
        words = recorded_words(history.settings, sweep, folder)
        searched = history.tags.get(SEARCHED_TAG, "").split(", ")
        own = {path: history.settings[path] for path in _with_length(searched) if path in history.settings}
        name = f"{sweep}-{trial}"
    else:
        words = _write_foreign_words(history)
        name = history.name.partition(".")[0]
    return words + [
        f"{path}={format_literal(value)}" for path, value in {**own, **change}.items()
    ] if words else [], name


def _with_length(searched: Sequence[str]) -> list[str]:
    """Return searched settings; add the number of iterations where a change alters the rollout's size."""
    has_own_rollouts = any(path in searched for path in BATCH)
    return [*searched, *(("ppo.num_iterations", "ppo.eval_every") if has_own_rollouts else ())]


def recorded_words(settings: Mapping[str, Any], sweep: str, folder: Path) -> list[str]:
    """Return the arguments that load a recorded sweep's configuration, with passwords shown as `***`.

    Args:
        settings: Settings of the sweep by dotted path.
        sweep: Name of the sweep.
        folder: Folder of the sweeps.
    """
    masked = [f"{path}={value}" for path in _URLS if "***" in (value := str(settings.get(path)))]
    return ["--config-path", str((folder / sweep).absolute()), *_QUIET, f"sweep.folder={folder.absolute()}", *masked]


def _find_name(name: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return plain.lstrip("._-")[:_NAME_LENGTH]


def quote_command(words: Sequence[str]) -> str:
    """Join the words of a command to one text, quoted for a shell."""
    return shlex.join(words)


def describe_change(change: Mapping[str, Any], dialect: str = OURS) -> str:
    """Describe a change of settings in a program's words: `lr 0.001`, or `ent_coef 0.01` for Stable-Baselines3."""
    return ", ".join(_one_change(path, value, dialect) for path, value in change.items())


def _one_change(path: str, value: Any, dialect: str) -> str:
    name = find_setting_name(path, dialect)
    if isinstance(value, bool | str) and name != path.rpartition(".")[2]:
        return name  # the word says the value: VecNormalize(norm_reward=True)
    return f"{name} {_format_setting(convert_setting(path, value, dialect) if isinstance(value, float) else value)}"


def _write_foreign_words(history: History) -> list[str]:
    """Return the command's words that train like another program's run; empty for an unknown task.

    A run that says who trained it, or whose log is Stable-Baselines3's, is trained alike, others by our learner.
    """
    trainer = _list_trainer_words(history)
    environment = str(history.setting("env.id") or "")
    actions = {name for name in history.family("train/action/")} | set(history.setting("env.actions") or ())
    if actions >= set(metrics.ACTIONS):
        words = ["data=csv", "data.path=FLOWS.csv", "data.label=LABEL", "data.benign=[BENIGN]"]
        share = history.setting("data.threat_share")
        if share and isinstance(share, int | float):
            words.append(f"data.threat_share={share:g}")
    elif environment and not find_obstacle(history):
        words = [*trainer, "env=cartpole", f"env.id={environment}", "sweep.metric=eval/episode_return"]
    else:
        return []
    if (seeds := _count_seeds(history)) > 1:
        words.append(f"sweep.seeds={seeds}")
    by_sb3 = "trainer=sb3" in words
    for name in _OURS:
        value = _read_setting(history, name)
        if name == "normalize_returns" and value is True:
            value = "running" if by_sb3 else "batch"
        if by_sb3 and name == "shared_trunk":  # which Stable-Baselines3 has not
            continue
        if value != NOT_RECORDED and isinstance(value, bool | int | float | str | list | tuple | None):
            words.append(f"ppo.{name}={format_literal(value)}")
    return words


def _list_trainer_words(history: History) -> list[str]:
    """Return the command's words that choose the run's trainer and its settings; empty for our learner."""
    own = {path: value for path, value in history.settings.items() if path.startswith("trainer.")}
    name = own.pop("trainer.name", None) or ("sb3" if history.program == "sb3" else "ppo")
    if name == "ppo":
        return []
    return [f"trainer={name}", *(f"{path}={format_literal(value)}" for path, value in own.items() if value is not None)]


def _count_seeds(history: History) -> int:
    """Return the number of seeds that a run recorded; 1 if only one curve of each metric was."""
    return max((len(history.seeds(name)) for name in metrics.PER_SEED), default=0) or 1


def find_obstacle(history: History) -> str:
    """Return why no command can create another program's environment, in words; empty if one can."""
    environment = str(history.setting("env.id") or "")
    if (history.tags.get(SWEEP_TAG) and history.tags.get(TRIAL_TAG)) or not environment:
        return ""
    return explain_unusable(environment)


def list_missing_settings(history: History) -> list[str]:
    """List settings that another program's run did not record, and that a control run needs."""
    if history.tags.get(SWEEP_TAG) and history.tags.get(TRIAL_TAG):
        return []
    missing = [name for name in _NEEDED if _read_setting(history, name) == NOT_RECORDED]
    rates = history.curve(metrics.LR)
    varies = len(rates) > 1 and float(rates.max() - rates.min()) > 1e-3 * float(rates.max())
    return missing + (["lr_schedule"] if varies and _read_setting(history, "lr_schedule") == NOT_RECORDED else [])


def _read_setting(history: History, name: str) -> Any:
    """Return the value of a PPO setting in a run, from recorded settings or logged metrics; else `NOT_RECORDED`."""
    value = history.setting(f"ppo.{name}", NOT_RECORDED)
    if value == NOT_RECORDED and name in _LOGGED:
        curve = history.curve(_LOGGED[name])
        finite = curve[(curve > 0) & (curve < float("inf"))]
        return NOT_RECORDED if finite.empty else float(f"{float(finite.max()):.6g}")
    return value


def _format_setting(value: Any) -> str:
    return number(value) if isinstance(value, float) else "off" if value is None else str(value)
