"""Write the command that trains one member: words in braces become values, and flags are added for settings.

The flags of CleanRL's scripts are a table; `trainer.flags=none` adds none, so that the words in braces say all.
"""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from unstuck.rl.config import PPOConfig, require
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.settings import SweepConfig

_IN_BRACES = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.]*)\}")

FLAGS: Mapping[str, Mapping[str, str]] = {
    "cleanrl": {
        "env.id": "--env-id",
        "seed": "--seed",
        "total_steps": "--total-timesteps",
        "ppo.lr": "--learning-rate",
        "ppo.num_envs": "--num-envs",
        "ppo.num_steps": "--num-steps",
        "ppo.gamma": "--gamma",
        "ppo.gae_lambda": "--gae-lambda",
        "num_minibatches": "--num-minibatches",
        "ppo.num_epochs": "--update-epochs",
        "ppo.clip_range": "--clip-coef",
        "ppo.entropy_coef": "--ent-coef",
        "doubled_value_coef": "--vf-coef",
        "ppo.max_grad_norm": "--max-grad-norm",
    },
    "none": {},
}
"""Flags by the word in braces whose value follows, for each value of `trainer.flags`."""

_SWITCHES: Mapping[str, Mapping[str, tuple[str, Any]]] = {
    "cleanrl": {
        "ppo.lr_schedule": ("anneal-lr", "linear"),
        "ppo.normalize_advantage": ("norm-adv", True),
    },
    "none": {},
}
"""Flags that are `--NAME` where a setting has the value, else `--no-NAME`."""

_ALWAYS: Mapping[str, tuple[str, ...]] = {"cleanrl": ("--no-clip-vloss",), "none": ()}
"""Flags whose defaults differ from ours, and that stand for no setting."""

_OPTIONAL: Mapping[str, Mapping[str, str]] = {"cleanrl": {"ppo.target_kl": "--target-kl"}, "none": {}}
"""Flags that are left out where the setting is null."""

_STANDS_FOR: Mapping[str, tuple[str, ...]] = {
    "total_steps": ("ppo.num_iterations", "ppo.num_envs", "ppo.num_steps"),
    "num_minibatches": ("ppo.minibatch_size",),
    "doubled_value_coef": ("ppo.value_coef",),
}
"""Settings that a computed word in braces hands on."""

_OURS = frozenset({"ppo.eval_every"})
"""Settings that say how the sweep reads the log, which no command needs."""


def write_command(config: SweepConfig, seed: int, steps: int, folder: Path) -> list[str]:
    """Return the command that trains one member (seed), as a list of words.

    Args:
        config: Complete configuration of the trial.
        seed: Random seed of the member.
        steps: Environment steps that the member trains for.
        folder: Folder that the command runs in.
    """
    values = _read_values(config) | {"seed": seed, "total_steps": steps, "folder": str(folder)}
    words = [_IN_BRACES.sub(lambda found: _write(values[found[1]]), word) for word in shlex.split(_command_of(config))]
    words[0] = sys.executable if words[0] in ("python", "python3") else words[0]  # as the sweep itself runs
    named, style = _list_named(_command_of(config)), config.trainer.flags
    for name, flag in FLAGS[style].items():
        words += [] if name in named else [flag, _write(values[name])]
    for name, (flag, value) in _SWITCHES[style].items():
        words += [] if name in named else [f"--{flag}" if values[name] == value else f"--no-{flag}"]
    for name, flag in _OPTIONAL[style].items():
        words += [] if name in named or values[name] is None else [flag, _write(values[name])]
    for name, value in config.script.items():
        words += [] if style == "none" or f"script.{name}" in named else _make_flag(name, value)
    return [*words, *_ALWAYS[style]]


def list_handed_on(config: SweepConfig) -> frozenset[str]:
    """List the dotted paths of the settings that are passed to the training command."""
    style = config.trainer.flags
    names = {*_list_named(_command_of(config)), *FLAGS[style], *_SWITCHES[style], *_OPTIONAL[style]}
    names |= set() if style == "none" else {f"script.{name}" for name in config.script}
    return frozenset(path for name in names for path in (name, *_STANDS_FOR.get(name, ())))


def read_program(config: SweepConfig) -> str:
    """Return the first word of the command; empty for an empty command."""
    return next(iter(shlex.split(_command_of(config))), "")


def require_command(config: SweepConfig) -> None:
    """Raise `ConfigError` for an unknown word in braces, or for a setting that the training command never gets."""
    known = sorted({*_read_values(config), "seed", "total_steps", "folder"})
    for name in sorted(_list_named(_command_of(config))):
        require(
            name in known,
            f"trainer.command must have known words in braces, got {{{name}}}; known are {', '.join(known)}",
        )
    reached, plain = list_handed_on(config), PPOConfig()
    own = {f"ppo.{item.name}": getattr(config.ppo, item.name) for item in fields(PPOConfig)}
    set_here = {path: value for path, value in own.items() if value != getattr(plain, path.removeprefix("ppo."))}
    set_here |= {f"script.{name}": value for name, value in config.script.items()}
    missed = {path: value for path, value in set_here.items() if path not in reached and path not in _OURS}
    require(
        not missed,
        f"{' and '.join(missed)} must reach the command, got {' and '.join(map(format_value, missed.values()))}, and "
        f"{_explain_ways(list(missed))}, or leave the setting{'s' if len(missed) > 1 else ''} out",
    )


def _make_flag(name: str, value: Any) -> list[str]:
    """Make the words of a script setting's flag: `--NAME VALUE`, or `--NAME` or `--no-NAME`; no words for null.

    Example:
        >>> _make_flag("hidden_size", 64), _make_flag("use_sde", False)
        (['--hidden-size', '64'], ['--no-use-sde'])
    """
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [] if value is None else [f"--{flag}", _write(value)]


def _explain_ways(paths: Sequence[str]) -> str:
    """Return an error text that says why settings are not passed to the training command, and how they could be."""
    if len(paths) == 1:
        return explain_way(paths[0])
    words = " and ".join(f"{{{path}}}" for path in paths)
    return f"no flag hands them on; write {words} where trainer.command takes them"


def explain_way(path: str) -> str:
    """Return an error text that says why a setting is not passed to the training command, and how it could be.

    Example:
        >>> explain_way("ppo.gamma")
        'no flag hands it on; write {ppo.gamma} where trainer.command takes it'
    """
    return f"no flag hands it on; write {{{path}}} where trainer.command takes it"


def _command_of(config: SweepConfig) -> str:
    return config.trainer.command or ""


def _list_named(command: str) -> frozenset[str]:
    """List the words in braces, such as `ppo.lr` for `{ppo.lr}`, of a command."""
    return frozenset(_IN_BRACES.findall(command))


def _read_values(config: SweepConfig) -> dict[str, Any]:
    """Return the values that replace words in braces such as `{ppo.lr}`, except words that differ from seed to seed."""
    ppo = config.ppo
    values = {f"ppo.{item.name}": getattr(ppo, item.name) for item in fields(PPOConfig)}
    own = {f"script.{name}": value for name, value in config.script.items()}
    return (
        values
        | own
        | {
            "env.id": config.env.id,
            "num_minibatches": ppo.batch_size // ppo.minibatch_size,
            "doubled_value_coef": 2 * ppo.value_coef,
        }
    )


def _write(value: Any) -> str:
    """Format a value as text for a command line: lists with commas, true and false as `True` and `False`.

    Example:
        >>> _write((64, 64)), _write(3e-4), _write(True)
        ('64,64', '0.0003', 'True')
    """
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
