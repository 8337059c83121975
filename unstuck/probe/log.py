"""The log that a probe writes: `probe.csv`, a row an iteration, and `probe.json` with the run's settings beside it."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unstuck.analysis.history.probed import CURVES, ITERATION, PROGRAM, SETTINGS
from unstuck.analysis.history.record import ENV_STEPS, EPISODE_LENGTH, EVAL_LENGTH, POLICY_STD, PROBED
from unstuck.rl import metrics
from unstuck.rl.whole_files import replace_file

NAMES = (
    *(ENV_STEPS, *metrics.TRAIN, POLICY_STD, EPISODE_LENGTH, *metrics.CRITIC, *metrics.NETWORKS),
    *(metrics.EVAL_RETURN, EVAL_LENGTH, *PROBED),
)
"""Columns of the log beside the actions' shares: metrics that a probe can measure."""


class ProbeLog:
    """Log of a run's metrics in a folder, a row for each iteration, written to disk at once.

    Args:
        folder: Folder of the run; made where there is none.
        done: Iterations that the run had done before, whose rows are kept; None for a new run.

    Raises:
        ValueError: The folder holds the log of another run.
    """

    def __init__(self, folder: Path, done: int | None) -> None:
        self._file, self._settings = folder / CURVES, folder / SETTINGS
        folder.mkdir(parents=True, exist_ok=True)
        self._columns: list[str] = []
        if self._file.exists():
            self._go_on(done)

    def _go_on(self, done: int | None) -> None:
        """Keep the first `done` rows of an existing log; drop later or incomplete ones, which the run writes again."""
        header, *rows = self._file.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
        whole = [row for row in rows if row.endswith("\n") and row.partition(",")[0].isdigit()]
        last = max((int(row.partition(",")[0]) for row in whole), default=0)
        if done is None and last:
            raise ValueError(
                f"the folder of a new run must hold no log, got {self._file} with {last} iterations; give another "
                f"folder, or iterations_done={last} to go on from there"
            )
        self._columns = next(csv.reader([header.rstrip("\r\n")]), []) if whole else []
        kept = [row for row in whole if int(row.partition(",")[0]) <= (done or 0)]
        with replace_file(self._file) as temporary:
            temporary.write_text("".join([header, *kept] if self._columns else []), encoding="utf-8")

    def describe(self, program: str, settings: Mapping[str, Any]) -> None:
        """Write the run's settings, by dotted path, and the name of the program whose terms the settings have."""
        with replace_file(self._settings) as temporary:
            temporary.write_text(
                json.dumps({PROGRAM: program, **settings}, indent=1, default=str) + "\n", encoding="utf-8"
            )

    def write(self, iteration: int, row: Mapping[str, float], names: Iterable[str]) -> None:
        """Append one iteration's metrics to the log, on disk when the call returns.

        Args:
            iteration: Number of the iteration, from 1.
            row: Metrics by name.
            names: Metrics that later rows may hold; they get columns with the first row.

        Raises:
            ValueError: A metric has no column.
        """
        text = io.StringIO()
        if not self._columns:
            self._columns = list(dict.fromkeys([ITERATION, *names, *row]))
            csv.writer(text, lineterminator="\n").writerow(self._columns)
        more = row.keys() - set(self._columns)
        if later := [name for name in NAMES if name in more]:
            self._widen(later)
        if more := more - set(later):
            raise ValueError(
                f"{self._file} has no column for {', '.join(sorted(more))}; hand it over from the first iteration on, "
                "or give another folder"
            )
        cells = {ITERATION: str(iteration), **{name: repr(float(value)) for name, value in row.items()}}
        text.write(",".join(cells.get(name, "") for name in self._columns) + "\n")
        with self._file.open("ab") as opened:
            opened.write(text.getvalue().encode())

    def _widen(self, names: Sequence[str]) -> None:
        """Add empty columns to a log that an older version of the probe began, which did not know these metrics."""
        header, *rows = self._file.read_text(encoding="utf-8").splitlines()
        self._columns += names
        wider = [",".join([header, *names]), *(row + "," * len(names) for row in rows)]
        with replace_file(self._file) as temporary:
            temporary.write_text("\n".join(wider) + "\n", encoding="utf-8")
