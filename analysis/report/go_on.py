"""Command that goes on with an arm of an unstick: more iterations with its settings, from its last state."""

from collections.abc import Sequence
from pathlib import Path

from unstuck.analysis.programs import sweep_program

MORE_ITERATIONS = 200
"""Iterations that the command adds."""


def make_go_on_command(sweep: str, trial: int, folder: Path, more: Sequence[str] = ()) -> list[str]:
    """Return the words of the command that trains a trial further, unchanged, from the trial's checkpoint.

    Args:
        sweep: Name of the sweep.
        trial: Number of the trial.
        folder: Folder of all sweeps.
        more: Further words, such as where the databases are.
    """
    where = [] if folder.absolute() == Path("runs").absolute() else [f"sweep.folder={folder.absolute()}"]
    unchanged = ["arms=[]", "milestones=none", "unstick.repeats=0", f"unstick.iterations={MORE_ITERATIONS}"]
    return [*sweep_program(), "+experiment=unstick", f"run={sweep}/{trial}", *unchanged, *where, *more]
