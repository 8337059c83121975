"""Find the kind of trainer that `trainer.name` names: ours, and those of other packages (docs/trainers.md)."""

from collections.abc import Iterable, Mapping

from unstuck.records import extensions
from unstuck.records.errors import SweepError
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.ours import PPO
from unstuck.sweeps.trainers.protocol import TrainerKind

TRAINERS: Mapping[str, TrainerKind] = {"ppo": PPO}


def find_trainer(name: str) -> TrainerKind:
    """Return the kind of trainer with the given name, as `trainer.name` has checked it.

    Raises:
        ExtensionError: An entry point of `unstuck.trainers` cannot be used.
    """
    if name in TRAINERS:
        return TRAINERS[name]
    found = extensions.load_extensions(
        extensions.TRAINERS, TRAINERS, lambda value: isinstance(value, TrainerKind), "a TrainerKind"
    )
    return next(one.value for one in found if one.name == name)


def require_settings(config: SweepConfig, searched: Iterable[str]) -> None:
    """Raise `SweepError` for a setting that the configuration's trainer does not have, set or searched.

    Args:
        config: Settings of the sweep.
        searched: Dotted paths of the settings that the sweep searches.
    """
    kind, varied = find_trainer(config.trainer.name), set(searched)
    for path, without in kind.lacks.items():
        group, _, name = path.partition(".")
        value = getattr(getattr(config, group), name)
        if path in varied:
            raise SweepError(
                f"{path} must not be searched with trainer={config.trainer.name}: {kind.title} has no such setting; "
                "take it out of space and points"
            )
        if value != without:
            raise SweepError(
                f"{path} must be {format_value(without)} with trainer={config.trainer.name}, got "
                f"{format_value(value)}: {kind.title} has no such setting; leave {path} out"
            )
