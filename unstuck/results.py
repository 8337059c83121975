"""Read what a sweep has found from a program: tables, figures and the verdict of a sweep on record."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.analysis.history import History, Stores, load
from unstuck.records.entry import Entry
from unstuck.records.names import DIAGNOSIS
from unstuck.rl import metrics
from unstuck.sweeps.catalog.details import find_recorded
from unstuck.sweeps.catalog.overview import State, summarize_sweep
from unstuck.sweeps.config.settings import SweepConfig

if TYPE_CHECKING:  # imported where first needed: only some look at figures
    import pandas as pd

    from unstuck.analysis.document.blocks import Document, Figure

_TOP = 10
"""Number of trials that a notebook shows."""


@dataclass(frozen=True)
class SweepResult:
    """Result of a sweep as recorded when read: trials, figures and main sentence, which a notebook shows.

    Attributes:
        name: Name of the sweep.
        folder: Folder of the sweep, absolute.
        state: State of the sweep: `ended`, `interrupted` or `running`.
        ended: How the sweep ended, in words; for a sweep that was only read, its state.
        best: Number of the best completed trial; None if no trial completed.
        config: Settings of the sweep.
        entries: Trials as the ledger has them.
    """

    name: str
    folder: Path
    state: State
    ended: str
    best: int | None
    config: SweepConfig = field(repr=False)
    entries: Sequence[Entry] = field(repr=False)

    @cached_property
    def trials(self) -> "pd.DataFrame":
        """Table of the trials by number: outcome, reason, value, spread over seeds, diagnosis, settings."""
        import pandas as pd

        rows = [
            {
                "outcome": None if entry.outcome is None else str(entry.outcome),
                "reason": entry.reason,
                "value": entry.value,
                "spread": entry.summary.get(metrics.FINAL_SPREAD),
                "diagnosis": entry.notes.get(DIAGNOSIS, ""),
                "control": entry.is_control,
                "iterations": entry.iterations,
                "seconds": entry.seconds,
                **entry.values,
            }
            for entry in self.entries
        ]
        return pd.DataFrame(rows, index=pd.Index([entry.number for entry in self.entries], name="trial"))

    @cached_property
    def curves(self) -> "pd.DataFrame":
        """Table of the objective: a row for each evaluation (by iteration or step), a column for each trial."""
        import pandas as pd

        columns = {entry.number: pd.Series(dict(entry.curve), dtype=float) for entry in self.entries}
        return pd.DataFrame(columns).sort_index().rename_axis(index="step", columns="trial")

    @property
    def verdict(self) -> str:
        """Main result in sentences: the best trial, how certain it beats the control, which settings matter."""
        return self._document.lead

    @cached_property
    def figures(self) -> "Mapping[str, Figure]":
        """Figures of the report by name; a notebook shows each, and `figure.whole_svg` is the SVG source."""
        from unstuck.analysis.document.blocks import Figure

        return {block.name: block for block in self._document.blocks if isinstance(block, Figure)}

    @property
    def report(self) -> Path | None:
        """Path of the report's HTML page; None if no report was written."""
        file = self.folder / "report" / "report.html"
        return file if file.is_file() else None

    def load_run(self, number: int) -> History:
        """Load one trial with all metrics of all iterations, to diagnose or compare.

        Args:
            number: Number of the trial.

        Raises:
            AnalysisError: There is no such trial, or it has no iterations on record.
        """
        return load(f"{self.name}/{number}", self._stores)

    @property
    def _stores(self) -> Stores:
        url = self.config.reference.mlflow_url if self.config.reference.is_tracked else None
        return Stores(self.folder.parent, url)

    @cached_property
    def _document(self) -> "Document":
        from unstuck.analysis.report.write_sweep import gather_findings, make_sweep_document

        return make_sweep_document(gather_findings(self.name, self._stores, self.config.reference.ledger_url))

    def __str__(self) -> str:
        """Return the sweep's name, how it ended, and the main result, as text."""
        return f"{self.name}: {self.ended}\n{self.verdict}"

    def _repr_html_(self) -> str:
        ranked = self.trials.assign(is_open=self.trials["outcome"] != "completed")
        ranked = ranked.sort_values(["is_open", "value"], ascending=[True, self.config.sweep.mode == "min"])
        shown = ranked.drop(columns="is_open").head(_TOP)
        parts = [
            f"<h3>{escape(self.name)}</h3>",
            f"<p><b>{escape(self.verdict)}</b></p>",
            f"<p>{escape(self.ended)}</p>",
        ]
        parts.append(shown.to_html(float_format=lambda value: f"{value:.4g}"))
        parts += [figure.whole_svg for figure in list(self.figures.values())[:1]]
        parts += [f"<p>The report: {escape(str(self.report))}</p>"] if self.report else []
        return "\n".join(parts)


def load_sweep(
    name: str | os.PathLike[str],
    folder: str | os.PathLike[str] = "runs",
    *,
    optuna_url: str | None = None,
    mlflow_url: str | None = None,
) -> SweepResult:
    """Read trials, figures and main result of a recorded sweep, which may still be running.

    Args:
        name: Name of the sweep, or its folder.
        folder: Folder of all sweeps, for a name.
        optuna_url: URL of the ledger, if it holds a password.
        mlflow_url: URL of MLflow, if it holds a password.

    Raises:
        SweepError: There is no such sweep, or its ledger cannot be read.
    """
    found = find_recorded(os.fspath(name), Path(folder), optuna_url, mlflow_url)
    overview = summarize_sweep(found.config, found.folder, found.entries)
    return SweepResult(
        name=overview.name,
        folder=found.folder,
        state=overview.state,
        ended=str(overview.state),
        best=overview.best,
        config=found.config,
        entries=tuple(found.entries),
    )
