"""Take over the recorded configuration of an unstick that is resumed."""

from dataclasses import fields, replace

from unstuck.records.errors import SweepError
from unstuck.records.files import config_file
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.find import load_sweep
from unstuck.sweeps.config.settings import SweepConfig


def adopt_recorded_unstick(config: SweepConfig) -> SweepConfig:
    """Return the recorded configuration of a resumed sweep on a stuck run; take over allowed changes only.

    A configuration of another sweep is returned unchanged.

    Raises:
        SweepError: The command line names another run, or changes a setting that an unstick on record cannot change.
    """
    file = config_file(config.own_folder)
    if not file.is_file() and config.run is None:
        return config  # there is no sweep of the name, which the caller says
    recorded = load_sweep(config.own_folder)
    if recorded.run is None and not config.run:
        return config
    if config.run and config.run != recorded.run:
        raise SweepError(
            f"run must be what {config.resume} was started with, {recorded.run}, got {config.run}; leave run out"
        )
    _refuse_changes(config, recorded)
    study = replace(recorded.sweep, folder=config.sweep.folder, max_hours=config.sweep.max_hours)
    data = replace(recorded.data, path=config.data.path or recorded.data.path)
    free = {name: getattr(config, name) for name in ("resources", "tracking", "resume", "retry")}
    return replace(recorded, sweep=study, data=data, **free)


def _refuse_changes(config: SweepConfig, recorded: SweepConfig) -> None:
    """Raise `SweepError` for a setting that differs from both the recorded value and the default."""
    default = SweepConfig()
    for group in ("unstick", "ppo", "env"):
        given, before, usual = (getattr(one, group) for one in (config, recorded, default))
        for item in fields(given):
            value = getattr(given, item.name)
            if value not in (getattr(before, item.name), getattr(usual, item.name)):
                raise _make_refusal(f"{group}.{item.name}", getattr(before, item.name), value)
    if config.arms not in (recorded.arms, default.arms):
        raise _make_refusal("arms", recorded.arms, config.arms)


def _make_refusal(setting: str, before: object, now: object) -> SweepError:
    return SweepError(
        f"{setting} must be what the unstick was started with, {format_value(before)}, got {format_value(now)}; leave "
        "it out, or start a new unstick"
    )
