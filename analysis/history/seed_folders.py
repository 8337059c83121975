"""Read the runs of a folder together where they are plainly seeds of one configuration, as one trial of several seeds.

What is plain: the runs' names differ in a seed alone (`ppo_seed1`, `ppo_seed2`, `cmd_s0`, CleanRL's
`task__ppo__1__1700000000`), or the settings on record do. Nothing on record may contradict: the same program, the same
metrics, and the same settings and rates in force.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.assemble import Reading
from unstuck.analysis.history.files import is_record, read_files
from unstuck.analysis.history.record import CLIP_RANGE, ENTROPY_COEF, History, combine_seeds
from unstuck.rl import metrics

MOST = 20
"""Runs that are read together at most: of more, reading all would take long, and they are listed instead."""

ALIKE = 0.01
"""Share by which rates in force at the start may differ and be the same: of other steps of the same schedule."""

_SEED = re.compile(r"(?<![a-z])(?:seeds?|rng|s)[ _=.-]?(\d{1,9})(?!\d)|(?<=__)(\d{1,9})(?=__\d{10}$)", re.IGNORECASE)
"""Seed in a run's name. The second form is CleanRL's: task, program, seed and time."""

_TIME = re.compile(r"\d{10}(?!\d)|\d{4}-?\d\d-?\d\d(?:[T_ -]\d\d[-:.]?\d\d[-:.]?\d\d)?")
_OF_ONE_RUN = re.compile(r"(^|_)(seed|name|dir|path|folder|date|timestamp|id|uuid|host|hostname|pid|cmd|command)$")
"""Settings, by the last part of their names, that differ between seeds of one configuration."""


def read_seeds(path: Path, reading: Reading) -> History | None:
    """Read the runs in a folder together as one trial; None unless the runs are plainly seeds of one configuration.

    Args:
        path: An existing file or folder.
        reading: Choices of the user on how to read.
    """
    runs = _list_runs(path) if path.is_dir() else []
    if not 2 <= len(runs) <= MOST:
        return None
    named = name_seeds([run.name for run in runs])
    try:
        read = [read_files(run, reading) for run in runs]
    except AnalysisError:
        return None  # what is wrong is said of the folder as a whole
    seeds = named or _read_numbers(read)
    if seeds is None or not all(are_of_one_configuration(read[0], run) for run in read[1:]):
        return None
    names = ", ".join(run.name for run in runs)
    trial = combine_seeds(path.name, f"{names} in {path}", dict(sorted(zip(seeds, read, strict=True))))
    words = f"{len(runs)} runs that differ in their seeds alone are read together ({names})"
    return replace(trial, remarks=(f"{words}; name one to read one", *trial.remarks))


def _list_runs(folder: Path) -> list[Path]:
    """List what may be one run each: the record files of a folder, else the subfolders that hold records."""
    here = sorted(folder.iterdir())
    files = [file for file in here if is_record(file)]
    if files:
        return files
    below = [one for one in here if one.is_dir() and _holds_record(one)]
    return _list_runs(below[0]) if len(below) == 1 else below


def _holds_record(folder: Path) -> bool:
    return any(is_record(file) for depth in ("*", "*/*") for file in folder.glob(depth))


def name_seeds(names: Sequence[str]) -> list[int] | None:
    """Return the seed in each of several runs' names; None unless the names differ in their seeds and times alone.

    Example:
        >>> name_seeds(["ppo_seed1", "ppo_seed2"]), name_seeds(["lr1_seed1", "lr2_seed2"])
        ([1, 2], None)
    """
    found = [list(_SEED.finditer(name)) for name in names]
    if any(len(each) != 1 for each in found):
        return None
    seeds = [int(each[0][1] or each[0][2]) for each in found]
    rests = {_TIME.sub("", _SEED.sub("", name)) for name in names}
    return seeds if len(rests) == 1 and len(set(seeds)) == len(seeds) else None


def _read_numbers(runs: Sequence[History]) -> list[int] | None:
    """Return the seeds on record among runs' settings; None where one is not on record, or two are the same."""
    seeds = [_find_seed(run.settings) for run in runs]
    numbers = [seed for seed in seeds if seed is not None]
    return numbers if len(set(numbers)) == len(runs) else None


def _find_seed(settings: Mapping[str, Any]) -> int | None:
    found = {value for name, value in settings.items() if name.rpartition(".")[2] == "seed"}
    seed = found.pop() if len(found) == 1 else None
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 else None


def are_of_one_configuration(one: History, other: History) -> bool:
    """True if nothing on record of two runs differs beside the seed: program, metrics, settings, rates in force."""
    if one.program != other.program or _list_metrics(one) != _list_metrics(other):
        return False
    rates = [rate for rate in (metrics.LR, CLIP_RANGE, ENTROPY_COEF) if one.has(rate)]
    return _select_settings(one) == _select_settings(other) and all(
        math.isclose(one.curve(rate).iloc[0], other.curve(rate).iloc[0], rel_tol=ALIKE) for rate in rates
    )


def _list_metrics(run: History) -> set[str]:
    return {name for name in map(str, run.table.columns) if run.has(name)}


def _select_settings(run: History) -> dict[str, Any]:
    """Return the settings of a run that seeds of one configuration have in common."""
    return {path: value for path, value in run.settings.items() if not _OF_ONE_RUN.search(path.rpartition(".")[2])}
