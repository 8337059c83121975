"""Refuse what holds several runs, and list the command that reads each."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.programs import module_program

_LISTED = 20  # commands that a message lists at most


class SeveralRunsError(AnalysisError):
    """A place holds several runs, which are not read together.

    Args:
        message: What is wrong, with a command for each run.
        runs: Path or id of each run.
    """

    def __init__(self, message: str, runs: Sequence[str]) -> None:
        super().__init__(message)
        self.runs = runs

    def list_runs(self, folder: Path) -> str:
        """List the runs by their paths in a folder, in a few words."""
        named = [run.removeprefix(f"{folder}/") for run in self.runs]
        more = [f"and {len(named) - _LISTED} more"] if len(named) > _LISTED else []
        return ", ".join([*named[:_LISTED], *more])


def refuse_several(
    place: Path | str,
    runs: Sequence[Path | str],
    *options: str,
    names: Sequence[str] = (),
    others: Sequence[Path] = (),
) -> NoReturn:
    """Raise `SeveralRunsError` because a place holds several runs; the message lists a `diagnose` command for each.

    Args:
        place: Folder or file that holds the runs.
        runs: Path or id of each run.
        options: Words behind each run in its command.
        names: Name of each run, where its path or id tells little; shown behind the command.
        others: Files of other forms in the place, each of which can be read alone.

    Raises:
        SeveralRunsError: Always.
    """
    commands = [shlex.join([*module_program("analysis"), "diagnose", str(run), *options]) for run in runs]
    commands = [f"{command}  # {name}" for command, name in zip(commands, names, strict=True)] if names else commands
    more = [f"... and {len(commands) - _LISTED} more"] if len(commands) > _LISTED else []
    lines = "".join(f"\n  {line}" for line in [*commands[:_LISTED], *more])
    if others:
        alone = [shlex.join([*module_program("analysis"), "diagnose", str(file)]) for file in others[:_LISTED]]
        lines += "".join(["\nor read what else is there:", *(f"\n  {line}" for line in alone)])
    raise SeveralRunsError(
        f"{place} holds {len(runs)} runs, which are read together only if their names (run_seed1) or settings tell "
        f"that they are seeds of one configuration; name one:{lines}",
        [str(run) for run in runs],
    )
