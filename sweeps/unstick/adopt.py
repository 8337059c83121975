"""Take over the recorded configuration of an unstick that is resumed."""

from dataclasses import replace

from unstuck.records.errors import SweepError
from unstuck.records.files import config_file
from unstuck.sweeps.config.saved import from_yaml
from unstuck.sweeps.config.settings import SweepConfig


def adopt_recorded_unstick(config: SweepConfig) -> SweepConfig:
    """Return the recorded configuration of an unstick that is resumed, with what a resume may change from `config`.

    A configuration of another sweep is returned unchanged.

    Raises:
        SweepError: The command line names another run.
    """
    file = config_file(config.own_folder)
    recorded = from_yaml(file.read_text()) if file.is_file() else SweepConfig()
    if recorded.run is None and not config.run:
        return config
    if config.run and config.run != recorded.run:
        raise SweepError(
            f"run must be what {config.resume} was started with, {recorded.run}, got {config.run}; leave run out"
        )
    study = replace(recorded.sweep, folder=config.sweep.folder, max_hours=config.sweep.max_hours)
    data = replace(recorded.data, path=config.data.path or recorded.data.path)
    free = {name: getattr(config, name) for name in ("resources", "tracking", "resume", "retry")}
    return replace(recorded, sweep=study, data=data, **free)
