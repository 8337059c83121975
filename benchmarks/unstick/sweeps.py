"""Sweeps of the benchmark, run by the real command line: healthy runs, broken ones, and their unsticks.

Each is kept in the benchmark's folder and not run again: a sweep that was interrupted goes on.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unstuck.analysis.overrides import format_literal
from unstuck.analysis.sweep.importance import read_sweep
from unstuck.analysis.sweep.trials import Sweep
from unstuck.records.files import config_file

ROOT = Path(__file__).parents[2]
SEEDS = 4
"""Members of every trial."""

_RUN: Mapping[str, Any] = {
    "sampler": "points",
    "sampler.points": "[{}]",
    "space": "none",
    "scheduler": "none",
    "health": "none",
    "sweep.num_trials": None,
    "sweep.seeds": SEEDS,
}
"""A sweep of one trial: the configuration itself."""

UNSTICK: Mapping[str, Any] = {
    "arms": ["prescribed"],
    "milestones": "none",
    "unstick.max_arms": 8,
    "unstick.iterations": 50,
}
"""Arms by the prescriptions of the diagnosis alone; no milestones, so no second stage."""


class FailedError(Exception):
    """Error: the command line refused a sweep, or the sweep failed; the message is what the sweep printed last."""


def train(name: str, settings: Mapping[str, Any], folder: Path) -> Sweep:
    """Train one configuration as a sweep of one trial, unless that has been done; return the sweep's record."""
    return _run(name, [], {**settings, **_RUN}, folder)


def unstick(run: str, name: str, folder: Path) -> Sweep:
    """Unstick trial 0 of the sweep `run` as a sweep `name`, unless that has been done; return the sweep's record."""
    return _run(name, ["+experiment=unstick", f"run={run}/0"], UNSTICK, folder)


def is_done(name: str, folder: Path) -> bool:
    """True if a sweep has run to its end: every report is written, and the file that says so lies beside its folder."""
    return _done(name, folder).exists()


def _done(name: str, folder: Path) -> Path:
    return folder / f"{name}.done"


def _run(name: str, first: Sequence[str], settings: Mapping[str, Any], folder: Path) -> Sweep:
    if not is_done(name, folder):
        folder.mkdir(parents=True, exist_ok=True)
        again = [f"resume={name}"] if config_file(folder / name).exists() else [f"sweep.name={name}"]
        places = {"sweep.folder": str(folder), "resources.cpus": 1, "tracking": "none"}
        words = [f"{path}={_word(value)}" for path, value in {**settings, **places}.items()]
        _call([*first, *words, *again], folder / f"{name}.log")
        _done(name, folder).touch()
    return read_sweep(name, folder)


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith("[") else format_literal(value)


def _call(words: Sequence[str], log: Path) -> None:
    """Run `sweep.py` with the given words, politely and with one thread; what it prints goes to the file `log`."""
    one_thread = {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    with log.open("a", encoding="utf-8") as output:
        ended = subprocess.run(
            ["nice", "-n", "10", sys.executable, "-m", "benchmarks.unstick.one_sweep", *words],
            cwd=ROOT,
            env={**os.environ, **one_thread},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode:
        raise FailedError(log.read_text(encoding="utf-8").strip().splitlines()[-1])
