"""Find the kind of trainer that `trainer.name` names: ours, and those of other packages (docs/trainers.md)."""

from collections.abc import Mapping
from typing import Any

from unstuck.records import extensions
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.command import COMMAND
from unstuck.sweeps.trainers.ours import PPO
from unstuck.sweeps.trainers.protocol import TrainerKind
from unstuck.sweeps.trainers.sb3 import SB3

TRAINERS: Mapping[str, TrainerKind] = {"ppo": PPO, "sb3": SB3, "command": COMMAND}


def find_trainer(name: str) -> TrainerKind:
    """Return the kind of trainer (PPO implementation) that has the given name.

    Raises:
        ExtensionError: An entry point of `unstuck.trainers` cannot be used.
    """
    if name in TRAINERS:
        return TRAINERS[name]
    found = extensions.load_extensions(
        extensions.TRAINERS, TRAINERS, lambda value: isinstance(value, TrainerKind), "a TrainerKind"
    )
    return next(one.value for one in found if one.name == name)


def explain_unreached(config: SweepConfig, path: str) -> str:
    """Explain why a setting has no effect, because the trainer never gets the setting; empty if the trainer does.

    Args:
        config: Settings of the sweep.
        path: Dotted path of a setting that is searched, or that an arm changes.
    """
    kind = find_trainer(config.trainer.name)
    is_about_training = path.startswith(("ppo.", "env.", "script."))
    if kind.list_reached is None or not is_about_training or path in kind.list_reached(config):
        return ""
    return f"{path} must reach {kind.title}, and {kind.explain_way(path)}, or leave the setting out"


def explain_limit(name: str, path: str, value: Any) -> str:
    """Explain why a trainer does not support a value of a setting; empty if the trainer does.

    Args:
        name: Name of the trainer, as in `trainer.name`.
        path: Dotted path of the setting.
        value: Value of the setting.

    Example:
        >>> explain_limit("sb3", "ppo.compile", True)
        'ppo.compile must be false with trainer=sb3, got true: Stable-Baselines3 has nothing else'
        >>> explain_limit("sb3", "ppo.lr", 0.1)
        ''
    """
    kind = find_trainer(name)
    allowed = kind.limits.get(path)
    if allowed is None or value in allowed:
        return ""
    fitting = " or ".join(map(format_value, allowed))
    return f"{path} must be {fitting} with trainer={name}, got {format_value(value)}: {kind.title} has nothing else"
