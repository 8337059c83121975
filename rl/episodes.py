"""Tell the first observations of a run's episodes apart, and the lanes that show the same at the same time."""

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

MOST_STARTS = 256
"""Episodes of a run whose first observations are told apart."""

MOST_COLUMNS = 256
"""Columns of first observations whose sizes are summed."""

SHOWN = 16
"""Steps of a rollout at which lanes are compared with each other."""


def mark_starts(marks: list[int], starts: Iterable[npt.NDArray[np.float32]]) -> None:
    """Add the checksums of episodes' first observations to the marks of a run, up to `MOST_STARTS`."""
    for start in starts:
        if len(marks) >= MOST_STARTS:
            return
        marks.append(mark_start(start))


def mark_start(start: npt.NDArray[np.float32]) -> int:
    """Compute the checksum of an episode's first observation."""
    return zlib.crc32(start.tobytes())


def measure_start_repeats(marks: Sequence[int]) -> float:
    """Compute the share of episodes that started like another one, from at least one mark of each."""
    return 1 - len(set(marks)) / len(marks)


def choose_steps(steps: int) -> npt.NDArray[np.int64]:
    """Return the steps of a rollout at which lanes are compared, evenly spread."""
    return np.linspace(0, steps - 1, min(SHOWN, steps)).astype(np.int64)


def measure_lanes_alike(observations: npt.NDArray[np.float32]) -> float:
    """Compute how often a lane shows what another lane shows at the same step, beyond what lanes share at other steps.

    Args:
        observations: Of one member (seed) at some steps, `[S, N, F]`.

    Returns:
        0 if lanes have no more in common at one step than at two steps far apart, 1 if each lane always shows what
        another lane does.
    """
    steps, lanes, columns = observations.shape
    if lanes < 2 or steps < 2:
        return 0.0
    now = (observations @ np.random.default_rng(columns).standard_normal(columns)).astype(np.float32)
    others = ~np.eye(lanes, dtype=bool)
    together, apart = (
        ((now[:, :, None] == shown[:, None, :]) & others).any(2).mean(dtype=np.float64)
        for shown in (now, np.roll(now, steps // 2, axis=0))
    )
    return float(max(together - apart, 0.0) / (1 - apart)) if apart < 1 else 0.0


def sum_sizes(observations: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Compute for each column the sum of squares and the number of values other than 0, `[2, F]`, of `[n, F]`.

    Only values other than 0 count, so that a column for each square of a grid has the size 1 however seldom it is met.
    """
    known = np.nan_to_num(observations, nan=0.0, posinf=0.0, neginf=0.0)
    return np.stack([np.square(known, dtype=np.float64).sum(0), (known != 0).sum(0)])


def measure_scale(some: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> float:
    """Compute how many times as large some observations are as others: the median over columns of root mean squares.

    Args:
        some: What `sum_sizes` gives of some observations, `[2, F]`.
        others: The same of others. Columns that are 0 in all of either are left out; without any other, 1.
    """
    sizes = [np.sqrt(squares / np.maximum(counts, 1)) for squares, counts in (some, others)]
    told = (sizes[0] > 0) & (sizes[1] > 0) & np.isfinite(sizes[0]) & np.isfinite(sizes[1])
    return float(np.median(sizes[0][told] / sizes[1][told])) if told.any() else 1.0


def measure_most_usual(marks: Iterable[object]) -> float:
    """Compute the share of episodes that began as the most usual one did, from a mark of each; of none, 1."""
    counts = Counter(marks)
    return max(counts.values(), default=1) / max(counts.total(), 1)
