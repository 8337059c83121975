"""Command that goes on with an arm of an unstick: more iterations with its settings, from its last state."""

from pathlib import Path

from unstuck.analysis.programs import sweep_program

LONGER = 4
"""Iterations that the command adds, as a multiple of those that an arm had."""


def describe_go_on(starts_anew: bool, winner: str = "the winner") -> str:
    """Describe in words the command that trains a stuck run's winning branch further, or once more."""
    if starts_anew:
        return f"Train {winner} for longer, from fresh weights"
    return f"Go on with {winner}, from where its arm ended"


def make_go_on_command(sweep: str, trial: int, folder: Path, iterations: int) -> list[str]:
    """Return the command, as words, that trains a stuck run's branch further from its last state.

    Args:
        sweep: Name of the unstick.
        trial: Number of the arm's trial.
        folder: Folder of all sweeps.
        iterations: Iterations that the arm has had.
    """
    more = [f"unstick.iterations={LONGER * iterations}", "unstick.repeats=0"]
    where = [] if folder.absolute() == Path("runs").absolute() else [f"sweep.folder={folder.absolute()}"]
    return [
        *sweep_program(),
        "+experiment=unstick",
        f"run={sweep}/{trial}",
        "arms=[]",
        "milestones=none",
        *more,
        *where,
    ]
