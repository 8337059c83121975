"""Read runs together where they are plainly seeds of one configuration, as one trial of several seeds.

What is plain: the runs' names differ in a seed alone (`ppo_seed1`, `ppo_seed2`, `cmd_s0`, CleanRL's
`task__ppo__1__1700000000`), or the settings on record do. Nothing on record may contradict: the same program, the same
metrics, and the same settings and rates in force.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

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


def tell_seeds(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[int] | None:
    """Find the seeds of several runs in their names, or else in their settings; None if neither tells.

    Args:
        names: Name of each run.
        settings: Recorded settings of each run.

    Returns:
        Seed of each run; None where neither tells them apart.
    """
    if not 2 <= len(names) <= MOST:
        return None
    return name_seeds(names) or _read_numbers(settings)


def join_seeds(name: str, place: object | None, named: Mapping[str, History], seeds: Sequence[int]) -> History | None:
    """Join runs to one trial of several seeds; None if they differ in more than the seed.

    Args:
        name: Name of the trial.
        place: Folder or file that holds the runs; None for runs that lie anywhere.
        named: Runs, by the names that a message calls them by.
        seeds: Seed of each run.
    """
    first, *others = named.values()
    if not all(are_of_one_configuration(first, run) for run in others):
        return None
    names = ", ".join(named)
    source = f"{names} in {place}" if place else names
    trial = combine_seeds(name, source, dict(sorted(zip(seeds, named.values(), strict=True))))
    words = f"{len(named)} runs that differ in their seeds alone are read together ({names})"
    return replace(trial, remarks=(f"{words}; name one to read one", *trial.remarks))


def name_seeds(names: Sequence[str]) -> list[int] | None:
    """Return the seeds in runs' names, in order; None unless the names differ by seed and time only.

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


def _read_numbers(settings: Sequence[Mapping[str, Any]]) -> list[int] | None:
    """Return the seeds in runs' settings, in order; None if one is missing, or two are equal."""
    seeds = [_find_seed(each) for each in settings]
    numbers = [seed for seed in seeds if seed is not None]
    return numbers if len(set(numbers)) == len(settings) else None


def _find_seed(settings: Mapping[str, Any]) -> int | None:
    found = {value for name, value in settings.items() if name.rpartition(".")[2] == "seed"}
    seed = found.pop() if len(found) == 1 else None
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 else None


def are_of_one_configuration(one: History, other: History) -> bool:
    """True if two runs have equal programs, metrics, settings and learning rates, except for the seed."""
    if one.program != other.program or _list_metrics(one) != _list_metrics(other):
        return False
    rates = [rate for rate in (metrics.LR, CLIP_RANGE, ENTROPY_COEF) if one.has(rate)]
    return _select_settings(one) == _select_settings(other) and all(
        math.isclose(one.curve(rate).iloc[0], other.curve(rate).iloc[0], rel_tol=ALIKE) for rate in rates
    )


def _list_metrics(run: History) -> set[str]:
    return {name for name in map(str, run.table.columns) if run.has(name)}


def _select_settings(run: History) -> dict[str, Any]:
    """Return the settings of a run that all seeds of one configuration share."""
    return {path: value for path, value in run.settings.items() if not _OF_ONE_RUN.search(path.rpartition(".")[2])}
