"""Files of a probe (`unstuck.Probe`) in a run's folder, and what they say of the run beside its curves and settings."""

from pathlib import Path

CURVES, SETTINGS = "probe.csv", "probe.json"
ITERATION = "iteration"
PROGRAM = "probe.program"
"""Entry of the settings: the dialect whose names the run's owner gives to settings; the metrics have ours."""


def find_probe(path: Path) -> Path | None:
    """Find the log of a probe (logger in another program's loop), given by file or folder; None if there is none."""
    file = path / CURVES if path.is_dir() else path
    return file if file.name == CURVES and file.is_file() else None
