"""Files of a probe (`unstuck.Probe`) in a run's folder, and what they say of the run beside its curves and settings."""

from pathlib import Path

CURVES, SETTINGS = "probe.csv", "probe.json"
ITERATION = "iteration"
PROGRAM = "probe.program"
"""Entry of the settings: the dialect whose names the run's owner gives to settings; the metrics have ours."""


def find_probe(path: Path) -> Path | None:
    """Return the curves of a probe, given by the file or by its folder; None where no probe wrote a log."""
    file = path / CURVES if path.is_dir() else path
    return file if file.name == CURVES and file.is_file() else None
