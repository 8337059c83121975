"""Define the schema that Hydra composes by: our settings, and Hydra's own without those that run code or write files.

The schema is derived from the frozen dataclasses, so fields, types and defaults are declared in one place. Not by
pydantic, whose errors say neither the rule nor the remedy.
"""

from dataclasses import MISSING, Field, dataclass, field, fields, make_dataclass
from enum import Enum, StrEnum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from hydra.conf import HydraConf, JobConf
from hydra.core.config_store import ConfigStore
from unstuck.sweeps.config.keys import is_group
from unstuck.sweeps.config.settings import SweepConfig

SCHEMA = "schema"
"""Name under which `conf/config.yaml` lists the schema, first of its defaults."""


@cache
def make_mutable(frozen: Any) -> type:
    """Make a mutable copy of a frozen dataclass, with field types that Hydra knows, for Hydra to fill in.

    Args:
        frozen: Dataclass whose fields hold scalars, `tuple[T, ...]`, `dict[str, Any]` or other dataclasses of that
            sort.

    Returns:
        Dataclass of the same name, fields and defaults, with `list[T]` for tuples and mutable copies of dataclasses.
    """
    hints = get_type_hints(frozen)
    return make_dataclass(
        frozen.__name__,
        [(one.name, _mutable_type(hints[one.name]), _mutable_default(one)) for one in fields(frozen)],
    )


def _mutable_type(hint: Any) -> Any:
    if is_group(hint):
        return make_mutable(hint)
    if get_origin(hint) is tuple:
        return list[_mutable_type(get_args(hint)[0])]  # type: ignore[misc]
    return hint


def _mutable_default(item: Field[Any]) -> Any:
    default: Any = item.default
    factory: Any = item.default_factory
    if isinstance(default, tuple):
        return field(default_factory=lambda: list(default))
    if default is not MISSING:
        return field(default=default)
    return field(default_factory=make_mutable(factory) if is_group(factory) else factory)


class _Nothing(Enum):
    """Type without values, so that a Hydra setting of the type can only be null."""


@dataclass
class _NoLogging:
    """Logging configuration for Hydra that allows no handlers, since a handler could name any function to call."""

    version: int = 1
    root: _Nothing | None = None
    disable_existing_loggers: bool = False


_Here = StrEnum("_Here", {".": "."})
"""Type with the calling folder as its only value, for `hydra.run.dir`."""


@dataclass
class _Run:
    dir: _Here = _Here["."]


@dataclass
class _Job(JobConf):
    """Hydra's settings of a job, without those that could change the working folder or environment variables."""

    chdir: _Nothing | None = None  # type: ignore[assignment]
    env_set: dict[str, _Nothing] = field(default_factory=dict)  # type: ignore[assignment]


@dataclass
class _ComposeOnly(HydraConf):
    """Hydra's own settings (`hydra.*`), without those that could make a configuration run code or write files."""

    run: _Run = field(default_factory=_Run)  # type: ignore[assignment]
    job: _Job = field(default_factory=_Job)

    hydra_logging: _NoLogging = field(default_factory=_NoLogging)  # type: ignore[assignment]
    job_logging: _NoLogging = field(default_factory=_NoLogging)  # type: ignore[assignment]
    callbacks: _Nothing | None = None  # type: ignore[assignment]
    output_subdir: _Nothing | None = None  # type: ignore[assignment]
    sweeper: _Nothing | None = None
    launcher: _Nothing | None = None


def register_schema() -> None:
    """Register the types of all settings with Hydra, which then checks each configuration."""
    store = ConfigStore.instance()
    store.store(name=SCHEMA, node=make_mutable(SweepConfig))
    store.store(group="hydra", name="config", node=_ComposeOnly, provider="unstuck")
