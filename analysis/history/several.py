"""Refuse what holds several runs, and list the command that reads each."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.programs import module_program

_LISTED = 20  # commands that a message lists at most


def refuse_several(place: Path | str, runs: Sequence[Path | str], *options: str, names: Sequence[str] = ()) -> NoReturn:
    """Raise `AnalysisError` since a place holds several runs; list one `diagnose` command for each run.

    Args:
        place: Folder or file that holds the runs.
        runs: Path or id of each run.
        options: Words behind each run in its command.
        names: Name of each run, where its path or id tells little; shown behind the command.

    Raises:
        AnalysisError: Always.
    """
    commands = [shlex.join([*module_program("analysis"), "diagnose", str(run), *options]) for run in runs]
    commands = [f"{command}  # {name}" for command, name in zip(commands, names, strict=True)] if names else commands
    more = [f"... and {len(commands) - _LISTED} more"] if len(commands) > _LISTED else []
    lines = "".join(f"\n  {line}" for line in [*commands[:_LISTED], *more])
    raise AnalysisError(f"{place} holds {len(runs)} runs, and one is read at a time; name one:{lines}")
