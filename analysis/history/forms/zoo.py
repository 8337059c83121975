"""Read the files of RL-Zoo and Stable-Baselines3's callbacks: monitor.csv and evaluations.npz.

Sources: stable_baselines3/common/monitor.py (r, l and t are an episode's return, its length, and the seconds since
t_start, which the first line holds) and common/callbacks.py (`EvalCallback`: a row of episodes for each evaluation).
"""

import codecs
import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.dialects.dialect import make_canonical
from unstuck.analysis.history.dialects.plain import find_plain_name
from unstuck.analysis.history.missed import Episodes, measure_missed
from unstuck.analysis.history.raw import Points, Raw, select_points
from unstuck.analysis.history.record import (
    ENV_STEPS,
    EPISODE_LENGTH,
    EVAL_LENGTH,
    EVAL_MISSED,
    EVAL_STEP_PAY,
    EVAL_SUCCESS_RATE,
    RETURN_VALUES,
    REWARD_AFTER,
    STEP_PAY,
    SUCCESS_RATE,
)
from unstuck.analysis.history.step_pay import measure_step_pay
from unstuck.rl import metrics

EVALUATIONS = "evaluations.npz"
"""Name of `EvalCallback`'s file."""

_JUDGED = re.compile(r"(^|[_/])(evals?|evaluations?|validations?)([_/\d]|$)")
"""Word of a folder or file, in canonical form, that holds evaluations."""

MONITOR, HEADER = b"#{", b"r,l,t"
"""Beginnings of a monitor file, and of one whose first line was lost, as where people joined several."""

_COUNTED = ("r", "l", "t")
_BEGUN = re.compile(r"^(?=#\{)", re.MULTILINE)
"""Place in a text where a monitor file begins."""

_SUCCESS = "success"

LAST = 100
"""Episodes whose returns are compared."""

PAID, VARIED = 16, 0.1
"""Episodes that reach a goal, and spread of their lengths relative to their mean, from which on the goal ends them."""

UNNAMED = "None"
"""Name of an environment that was not made by an id."""

_EVALUATED = {"results": metrics.EVAL_RETURN, "ep_lengths": EVAL_LENGTH, "successes": EVAL_SUCCESS_RATE}


def is_monitor(file: Path) -> bool:
    """True if a file begins as a Stable-Baselines3 monitor file does, with or without the line about its start."""
    try:
        with file.open("rb") as opened:
            top = opened.read(len(codecs.BOM_UTF8) + max(len(MONITOR), len(HEADER)))
            return top.removeprefix(codecs.BOM_UTF8).startswith((MONITOR, HEADER))
    except OSError:
        return False


def has_start(file: Path) -> bool:
    """True if a monitor file says when it was begun, as those that Stable-Baselines3 writes do."""
    with file.open("rb") as opened:
        return opened.read(len(MONITOR)) == MONITOR


def is_of_evaluation(file: Path, folder: Path) -> bool:
    """True if a file in a run's folder is of evaluations by its name, or by that of a folder between."""
    below = file.relative_to(folder) if file.is_relative_to(folder) else Path(file.name)
    return any(_JUDGED.search(make_canonical(part)) for part in below.parts)


def read_monitors(files: Sequence[Path], evaluations: Sequence[Path] = ()) -> Raw:
    """Read the episodes in the monitor files of one run's environments, in the order in which the episodes ended.

    Environment steps are counted over all environments together.

    Args:
        files: Monitor files of training.
        evaluations: Files of the same run's evaluations, to compare single episodes with; more than one are none.

    Raises:
        AnalysisError: A file is no monitor file.
    """
    episodes, settings, remarks = _read_episodes(files)
    steps = episodes["l"].cumsum().to_numpy(dtype=np.float64)
    returns, lengths = (episodes[name].to_numpy(dtype=np.float64) for name in ("r", "l"))
    columns = {
        metrics.TRAIN_RETURN: select_points(returns),
        EPISODE_LENGTH: select_points(lengths),
        ENV_STEPS: select_points(steps),
    }
    if _SUCCESS in episodes:
        columns[SUCCESS_RATE] = select_points(episodes[_SUCCESS].to_numpy(dtype=np.float64))
    if len(returns) >= LAST:
        values = len(np.unique(returns[-LAST:]))
        columns[RETURN_VALUES] = Points(np.array([len(returns) - 1.0]), np.array([float(values)]))
        if (after := _measure_goal(returns, lengths)) is not None:
            columns[REWARD_AFTER] = Points(np.array([len(returns) - 1.0]), np.array([after]))
    if (step_pay := measure_step_pay(returns, lengths)) is not None:
        columns[STEP_PAY] = Points(np.array([len(returns) - 1.0]), np.array([step_pay]))
    judged = _read_judged(evaluations[0]) if len(evaluations) == 1 else None
    if judged is not None and (missed := measure_missed(Episodes(returns, lengths, steps), judged)) is not None:
        columns[EVAL_MISSED] = Points(np.array([len(returns) - 1.0]), np.array([missed]))
    form = "monitor file" if len(files) == 1 else f"{len(files)} monitor files"
    return Raw(files[0], columns, form=form, settings=settings, remarks=remarks)


def _measure_goal(returns: npt.NDArray[np.float64], lengths: npt.NDArray[np.float64]) -> float | None:
    """Compute after how many steps episodes reach the one goal that pays; None if they are paid in another way.

    Where whole runs know two returns alone, and the episodes that return more end at many lengths, the goal ends them.
    """
    paid = lengths[returns == returns.max()]
    if len(np.unique(returns)) != 2 or len(paid) < PAID or float(paid.std()) < VARIED * float(paid.mean()):
        return None
    return float(paid.mean())


def read_evaluation_monitors(files: Sequence[Path], trained: Sequence[Path]) -> Raw:
    """Read monitor files of evaluations: the mean of the episodes that ended between two episodes of training.

    The clock tells at which step of training an evaluation stood: that of the last training episode before.

    Args:
        files: Monitor files of evaluations.
        trained: Monitor files of the same run's training.

    Raises:
        AnalysisError: A file is no monitor file.
    """
    (judged, _, remarks), (episodes, _, _) = _read_episodes(files), _read_episodes(trained)
    steps = np.concatenate([[0.0], episodes["l"].cumsum().to_numpy(dtype=np.float64)])
    done = np.searchsorted(episodes["ended"].to_numpy(), judged["ended"].to_numpy(), side="right")
    means = judged.assign(at=steps[done])[done > 0].groupby("at")[["r", "l"]].mean()
    at = means.index.to_numpy(dtype=np.float64)
    columns = {
        metrics.EVAL_RETURN: select_points(means["r"].to_numpy(dtype=np.float64), at),
        EVAL_LENGTH: select_points(means["l"].to_numpy(dtype=np.float64), at),
        ENV_STEPS: Points(at, at),
    }
    return Raw(files[0], columns, stepped=True, evaluated=True, form="monitor file of evaluations", remarks=remarks)


def _read_episodes(files: Sequence[Path]) -> tuple[pd.DataFrame, dict[str, Any], tuple[str, ...]]:
    """Read the episodes in monitor files by the time at which each ended, what the files say, and remarks on damage.

    Raises:
        AnalysisError: A file is no monitor file.
    """
    tables = []
    settings: dict[str, Any] = {}
    remarks = []
    for file, text in ((each, part) for each in files for part in _split_joined(each)):
        try:
            first, _, rest = text.partition("\n") if text.startswith("#") else ("{}", "", text)
            table = _read_rows(rest)
            header = json.loads(first.lstrip("#"))
            table["ended"] = table["t"] + float(header.get("t_start", 0.0))
            env_id = header.get("env_id")
            settings |= {"env_id": env_id} if isinstance(env_id, str) and env_id != UNNAMED else {}
        except (ValueError, KeyError, OSError) as error:
            raise AnalysisError(f"{file} must be a monitor file of Stable-Baselines3's: {error}") from None
        if lost := sum(map(bool, map(str.strip, rest.splitlines()))) - 1 - len(table):
            remarks.append(f"{lost} lines of {file.name} are no episodes, as of two writers at once: left out")
        told = next((name for name in table.columns if name not in _COUNTED and _is_success(name)), None)
        if told is not None:
            table[_SUCCESS] = pd.to_numeric(table[told], errors="coerce")
        tables.append(table[["r", "l", "ended", *([_SUCCESS] if told is not None else [])]])
    episodes = pd.concat(tables, join="inner").sort_values("ended", kind="stable")
    return episodes, settings, tuple(remarks)


def _split_joined(file: Path) -> list[str]:
    """Split the text of monitor files that were joined to one, each part with its own first line.

    Raises:
        AnalysisError: The file is no text.
    """
    try:
        return [part for part in _BEGUN.split(file.read_text(encoding="utf-8-sig").rstrip("\0")) if part]
    except (ValueError, OSError) as error:
        raise AnalysisError(f"{file} must be a monitor file of Stable-Baselines3's: {error}") from None


def _read_rows(text: str) -> pd.DataFrame:
    """Read a monitor file's rows without those that are damaged: too long, or with a word for a number.

    Raises:
        ValueError: No row is whole.
        KeyError: A column of every monitor file is missing.
    """
    table = pd.read_csv(io.StringIO(text), on_bad_lines="skip", index_col=False, low_memory=False)
    for name in _COUNTED:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    whole = table.dropna(subset=list(_COUNTED)).copy()
    if len(table) and whole.empty:
        raise ValueError("no row of it holds an episode")
    return whole


def _is_success(name: str) -> bool:
    found = find_plain_name(name)
    return found is not None and found[0][0] == SUCCESS_RATE


def read_evaluations(file: Path) -> Raw:
    """Read an `evaluations.npz`: the mean return of each evaluation, with the environment steps done before.

    Raises:
        AnalysisError: The file does not hold evaluations.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            steps = stored["timesteps"].astype(np.float64)
            columns = {
                ours: select_points(np.array([np.mean(row) for row in stored[name]], dtype=np.float64), steps)
                for name, ours in _EVALUATED.items()
                if name in stored
            }
            if step_pay := _measure_judged_pay(stored):
                columns[EVAL_STEP_PAY] = Points(steps[-1:], np.array(step_pay))
    except (OSError, EOFError, TypeError, ValueError, IndexError, KeyError, zipfile.BadZipFile) as error:
        raise AnalysisError(f"{file} must be an evaluations.npz of Stable-Baselines3's: {error}") from None
    if metrics.EVAL_RETURN not in columns or not len(columns[metrics.EVAL_RETURN]):
        raise AnalysisError(f"{file} must be an evaluations.npz of Stable-Baselines3's, and holds no results")
    columns[ENV_STEPS] = Points(steps, steps)
    return Raw(file, columns, stepped=True, evaluated=True, form="evaluations.npz")


def _measure_judged_pay(stored: np.lib.npyio.NpzFile) -> list[float]:
    """Measure what a step more brings the episodes of all evaluations; empty where their lengths are not stored."""
    judged = _list_judged(stored)
    pay = measure_step_pay(judged.returns, judged.lengths) if judged is not None else None
    return [] if pay is None else [pay]


def _read_judged(file: Path) -> Episodes | None:
    """Read the single episodes of all evaluations in an `evaluations.npz`; None if the file does not hold any."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return _list_judged(stored)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # whoever reads the file's returns says why


def _list_judged(stored: np.lib.npyio.NpzFile) -> Episodes | None:
    """List the single episodes of all evaluations; None where their lengths are not stored, or do not fit."""
    if "ep_lengths" not in stored or stored["results"].shape != stored["ep_lengths"].shape:
        return None
    returns, lengths = (stored[name].astype(np.float64) for name in ("results", "ep_lengths"))
    if returns.ndim != 2 or len(returns) != len(stored["timesteps"]):
        return None
    steps = np.repeat(stored["timesteps"].astype(np.float64), returns.shape[1])
    return Episodes(returns.ravel(), lengths.ravel(), steps)
