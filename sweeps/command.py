"""What may stand on the command line, checked before Hydra composes anything from it."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from sweeps.config import SweepConfig
from sweeps.errors import SweepError
from sweeps.schema import EXPERIMENT, is_free_form

_GROUPS = {item.name for item in fields(SweepConfig) if is_dataclass(item.default_factory)} | {EXPERIMENT}


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse what Hydra would answer with a page of its own, or would do though nobody can mean it.

    Raises:
        SweepError: Naming the argument, and what to write instead.
        OverrideParseException: An argument that cannot be read.
    """
    parser = get_args_parser()
    parser.error = _refuse_option  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    if options.experimental_rerun is not None:
        raise SweepError(
            "--experimental-rerun reads a pickle, which may run anything; resume=NAME goes on with a sweep"
        )
    if not options.shell_completion:
        for override in OverridesParser.create().parse_overrides(options.overrides):
            _check_override(override)


def _refuse_option(message: str) -> NoReturn:
    raise SweepError(f"{message}; settings are written key=value, and --help lists what there is")


def _check_override(override: Override) -> None:
    key = override.key_or_group
    if not key:
        raise SweepError(f"cannot read {override.input_line!r}; write key=value")
    if key == "format":
        raise SweepError(
            f"format must be left out, since the records of a sweep hold their own; got {override.input_line}"
        )
    if override.is_delete():
        if not is_free_form(key):
            raise SweepError(f"~{key} takes away what every sweep has; only ~space... can go: write {key}=VALUE")
    elif key in _GROUPS and not override.is_sweep_override() and not isinstance(override.value(), str | list):
        ways = [f"{key}=NAME"] * (key != "sweep") + [f"{key}.SETTING=VALUE"] * (key != EXPERIMENT)
        raise SweepError(
            f"{key} is a group of settings, written {' or '.join(ways)}, got {override.input_line}; --help lists them"
        )
