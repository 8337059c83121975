"""Read runs in files: a CSV, a TensorBoard event file, or a folder with both and settings files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.align import merge_tables, tabulate_iterations
from unstuck.analysis.history.events import Scalars, read_events
from unstuck.analysis.history.mapping import MAPPED, read_mapping
from unstuck.analysis.history.names import Dialect, Renamed, recognise_dialect, translate_metric
from unstuck.analysis.history.record import ENV_STEPS, History
from unstuck.analysis.history.settings import (
    is_sweep,
    parse_table,
    read_settings,
    translate_comments,
    translate_settings,
)

_EVENTS = "events.out.tfevents."
_ROW = "row"
_LARGEST_STEP = 2.0**53  # beyond it, numbers of a CSV are no longer exact
_LISTED = 8  # names that a message lists at most
_SETTINGS = (".yaml", ".yml", ".json")
_UNUSED = (
    *("time/", "train/loss", "train/n_updates", "train/clip_range", "rollout/ep_len_mean", "eval/mean_ep_length"),
    *("charts/SPS", "charts/episodic_length"),
)
"""Columns that no metric of ours corresponds to; not worth a remark."""


@dataclass
class _Found:
    """Contents of a run's files, before names are translated."""

    columns: dict[Path, list[str]] = field(default_factory=dict)
    frames: dict[Path, pd.DataFrame] = field(default_factory=dict)
    scalars: dict[Path, Scalars] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def names(self) -> set[str]:
        """Return the names of all columns."""
        return {name for names in self.columns.values() for name in names}


def read_files(path: Path, names: Path | None = None) -> History:
    """Read a run's metrics and settings from a CSV, an event file, or a folder with such files.

    Args:
        path: An existing file or folder.
        names: A mapping file for unknown names; see `analysis.history.mapping`.

    Raises:
        AnalysisError: No file there is a run's record.
    """
    files = [path] if path.is_file() else sorted(_files_of(path))
    found = _Found()
    for file in files:
        _read(file, found, alone=len(files) == 1)
    if not found.columns:
        kinds = f"a .csv or an {_EVENTS}* file"
        raise AnalysisError(f"{path} must be or hold {kinds} with a run's metrics, and there is none")
    mapped, added = read_mapping(names) if names else (None, {})
    dialect = mapped or recognise_dialect(found.names())
    table = _table(path, found, dialect)
    settings = translate_settings(found.settings, dialect) | added
    return History(
        name=path.name,
        source=", ".join(str(file.relative_to(path)) if path.is_dir() else str(file) for file in found.columns)
        + (f" in {path}" if path.is_dir() else ""),
        table=table,
        settings=settings,
        comments=translate_comments(found.comments, dialect),
        remarks=(
            *([f"read as {dialect.title}'s"] if dialect.remarks else []),
            *(text for name, text in dialect.remarks.items() if name in table),
            *found.remarks,
        ),
        dialect=dialect.name,
    )


def _files_of(folder: Path) -> Iterator[Path]:
    """List a folder's files, and event files and settings one or two levels below, of one run only."""
    yield from (file for file in folder.iterdir() if file.is_file())
    below = sorted(file for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{_EVENTS}*"))
    runs = sorted({file.parent for file in below})
    if len(runs) > 1:
        names = ", ".join(str(run.relative_to(folder)) for run in runs[:5]) + (", ..." if len(runs) > 5 else "")
        raise AnalysisError(f"{folder} holds {len(runs)} runs, and one is read at a time; name one of {names}")
    yield from below
    for suffix in _SETTINGS:
        yield from folder.glob(f"*/*{suffix}")


def _read(file: Path, found: _Found, alone: bool) -> None:
    """Add the contents of one file; skip a file that is no run's record, unless the user named the file."""
    if file.name.startswith(_EVENTS):
        scalars, texts = read_events(file)
        found.columns[file], found.scalars[file] = list(scalars), scalars
        for text in texts.values():
            found.settings |= parse_table(text)
    elif file.suffix in _SETTINGS:
        try:
            settings, comments = read_settings(file)
        except (AnalysisError, OSError) as error:
            found.remarks.append(f"settings not read: {error}")
            return
        if is_sweep(settings):
            raise AnalysisError(
                f"{file.parent} is a sweep, not a run; name one of its trials, such as {file.parent.name}/0"
            )
        found.settings |= settings
        found.comments |= comments
    elif file.suffix == ".csv" or alone:
        frame = _read_csv(file)
        found.columns[file], found.frames[file] = list(frame.columns), frame


def _read_csv(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(file, encoding="utf-8", header=None, dtype=str, nrows=1)
        header = [str(name) for name in frame.iloc[0]]
        frame = pd.read_csv(file, encoding="utf-8")
    except UnicodeDecodeError:
        raise AnalysisError(f"{file} must be a CSV in UTF-8, and holds other bytes") from None
    except (ValueError, OSError) as error:
        raise AnalysisError(f"{file} must be a CSV with a header: {str(error).partition(chr(10))[0]}") from None
    if any("\0" in name for name in header):
        raise AnalysisError(f"{file} must be a CSV in UTF-8, and holds zero bytes")
    if all(_is_number(name) for name in header):
        raise AnalysisError(f"the first row of {file} must name its columns, got {', '.join(header[:_LISTED])}")
    twice = sorted({name for name in header if header.count(name) > 1 and name != "nan"})
    if twice:
        raise AnalysisError(f"columns of {file} must have names of their own, got {', '.join(twice[:_LISTED])} twice")
    return frame


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _table(path: Path, found: _Found, dialect: Dialect) -> pd.DataFrame:
    tables: list[pd.DataFrame] = []
    used: set[str] = set()
    for file, names in found.columns.items():
        renamed = {
            name: ours for name in names if (ours := translate_metric(name, dialect, "eval" in file.stem.lower()))
        }
        used |= renamed.keys()
        if renamed and file in found.frames:
            tables.append(_from_frame(file, found, dialect, renamed))
        elif renamed:
            tables.append(_from_scalars(found.scalars[file], dialect, renamed))
    if not tables:
        seen = ", ".join(sorted(found.names())[:_LISTED])
        raise AnalysisError(
            f"{path} must hold metrics under known names, got {seen}; say what they are in a mapping file: --names FILE"
        )
    counting = (*dialect.iteration, *dialect.env_steps)
    missing = sorted({*(dialect.metrics if dialect.name == MAPPED else ())} - found.names())
    if missing:
        found.remarks.append(f"columns named by --names and not found: {', '.join(missing)}")
    left = sorted(name for name in found.names() - used if name not in counting and not name.startswith(_UNUSED))
    if left:
        found.remarks.append(f"columns not known and left out: {', '.join(left)}")
    return merge_tables(tables)


def _from_scalars(scalars: Scalars, dialect: Dialect, renamed: Mapping[str, Renamed]) -> pd.DataFrame:
    points = {ours: [(step, x * times) for step, x in scalars[name]] for name, (ours, times) in renamed.items()}
    return tabulate_iterations(
        points, dialect.steps_are_iterations, [step for step, _ in scalars.get(dialect.pace, ())]
    )


def _from_frame(file: Path, found: _Found, dialect: Dialect, renamed: Mapping[str, Renamed]) -> pd.DataFrame:
    frame = found.frames[file].apply(pd.to_numeric, errors="coerce")
    iteration = next((name for name in dialect.iteration if name in frame), None)
    env_steps = next((name for name in dialect.env_steps if name in frame), None)
    if iteration is None and env_steps is None:
        found.remarks.append(f"{file.name} counts neither iterations nor steps: each row was taken for an iteration")
        frame[_ROW] = range(1, len(frame) + 1)
    counter = iteration or env_steps or _ROW
    _check_counter(file, counter, frame[counter])
    columns = {name: frame[[counter, name]].dropna() for name in (*renamed, dialect.pace) if name in frame}
    scalars = {name: list(zip(rows[counter].astype(int), rows[name], strict=True)) for name, rows in columns.items()}
    if iteration is None and env_steps is not None:
        return _from_scalars(scalars, dialect, renamed)
    points = {ours: [(step, x * times) for step, x in scalars[name]] for name, (ours, times) in renamed.items()}
    if env_steps is not None:
        points[ENV_STEPS] = list(zip(frame[counter].astype(int), frame[env_steps], strict=True))
    return tabulate_iterations(points, counted=True)


def _check_counter(file: Path, name: str, steps: "pd.Series[float]") -> None:
    """Raise `AnalysisError` unless what is known of a counter are whole numbers that never go back."""
    known = steps.dropna()
    odd = known[(known < 0) | (known % 1 != 0) | (known > _LARGEST_STEP)]
    if len(odd):
        raise AnalysisError(f"{name} in {file} must hold whole numbers from 0 on, got {odd.iloc[0]:g}")
    back = known[known.diff() < 0]
    if len(back):
        before = known[known.index < back.index[0]].iloc[-1]
        raise AnalysisError(
            f"{name} in {file} must not go back, got {back.iloc[0]:g} after {before:g} in row {back.index[0] + 2}; "
            "sort its rows, or keep one run a file"
        )
