"""Tables in Markdown for the study's page, and the format of numbers in cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from unstuck.analysis.statistics import Interval, compute_paired_difference

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A table of the study: caption, names of columns, rows of formatted cells; `str()` gives Markdown."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join([f"{self.caption}\n", *(f"| {' | '.join(line)} |" for line in lines)])


def spread(values: npt.ArrayLike, digits: int = 3) -> str:
    """Format the mean and standard deviation (n - 1) of values over seeds, e.g. `0.512 ± 0.020`."""
    seeds = np.asarray(values, dtype=np.float64)
    return f"{seeds.mean():.{digits}f} ± {seeds.std(ddof=1):.{digits}f}"


def difference(ours: Values, theirs: Values, digits: int = 3) -> str:
    """Format the mean difference of two sides by seed, with a 95 % interval: `+0.100 (+0.050 to +0.150)`."""
    found = compute_paired_difference(ours.tolist(), theirs.tolist())
    ends = found.interval
    told = f"{ends.low:+.{digits}f} to {ends.high:+.{digits}f}" if isinstance(ends, Interval) else ends
    return f"{found.mean:+.{digits}f} ({told})"


def rank_correlation(ours: Values, theirs: Values) -> float:
    """Compute Spearman's rank correlation of two arrays without ties."""
    ranks = [values.ravel().argsort().argsort() for values in (ours, theirs)]
    return float(np.corrcoef(ranks)[0, 1])
