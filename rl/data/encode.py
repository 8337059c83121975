"""Convert columns to features (one-hot names, log1p for long tails, standard scaling), fitted on the training part."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from unstuck.rl.data.raw import Categorical, RawFlows
from unstuck.rl.errors import LittleLeftError

CLIP = 10.0  # scaled values beyond this are set to it
MAX_CATEGORIES = 64  # most frequent names of a column that get a feature of their own ...
MIN_ROWS = 10  # ... if they have this many training rows; the others share one
LONG_TAIL_SKEWNESS = 1.0
LONG_TAIL_MAXIMUM = 10.0  # log1p is nearly the identity on rates and flags: left alone


Column = npt.NDArray[np.float64]


class Feature(Protocol):
    """Protocol of a feature: a function that computes one network input for each network flow, from one column."""

    @property
    def name(self) -> str:
        """Name of the feature, unique in a data set."""

    @property
    def column(self) -> str:
        """Name of the column that the feature is computed from."""

    def __call__(self, flows: RawFlows) -> npt.NDArray[np.floating] | npt.NDArray[np.bool_]:
        """Compute the feature's value for each network flow: one float or bool each."""


@dataclass(frozen=True)
class Scaled:
    """Feature of a column of numbers: missing ones become the median, log1p if `log`, scaled to mean 0 and spread 1."""

    column: str
    median: float
    log: bool
    mean: float
    std: float

    @property
    def name(self) -> str:
        """Name of the feature: the column's name, or `log1p(column)` if `log` is True."""
        return f"log1p({self.column})" if self.log else self.column

    def __call__(self, flows: RawFlows) -> Column:
        """Compute the scaled number of each network flow, float64, clipped to ±10."""
        values = _shape(flows.numbers[self.column], self.median, self.log)
        return np.clip((values - self.mean) / self.std, -CLIP, CLIP)


@dataclass(frozen=True)
class Missing:
    """Feature that is 1 for each network flow whose number in the column is missing, else 0."""

    column: str

    @property
    def name(self) -> str:
        """Name of the feature, e.g. `duration=missing`."""
        return f"{self.column}=missing"

    def __call__(self, flows: RawFlows) -> npt.NDArray[np.bool_]:
        """Return for each network flow if the column's number is missing, as booleans."""
        return np.isnan(flows.numbers[self.column])


@dataclass(frozen=True)
class OneOf:
    """Feature that is 1 for each network flow whose name in the column is (`negated`: is not) in `values`."""

    column: str
    values: tuple[str, ...]
    negated: bool = False

    @property
    def name(self) -> str:
        """Name of the feature, e.g. `service=http`, or `service=(rare)` if `negated`."""
        return f"{self.column}={'(rare)' if self.negated else self.values[0]}"

    def __call__(self, flows: RawFlows) -> npt.NDArray[np.bool_]:
        """Return for each network flow if the name in the column fits the feature, as booleans."""
        column = flows.categories[self.column]
        member = np.array([(value in self.values) != self.negated for value in column.values])
        return member[column.codes]


def fit_features(train: RawFlows) -> tuple[Feature, ...]:
    """Choose features from the columns of the training part; leave out those that are constant there.

    Raises:
        LittleLeftError: No column varies.
    """
    candidates: list[Feature] = []
    for name, values in train.numbers.items():
        candidates += _fit_number(name, values)
    for name, column in train.categories.items():
        candidates += _fit_categories(name, column)
    features = tuple(feature for feature in candidates if np.ptp(feature(train).astype(np.float32)) > 0)
    if not features:
        columns = ", ".join([*train.numbers, *train.categories][:8])
        raise LittleLeftError(
            f"at least one column must vary in the training part, got constants in {columns}; add columns"
        )
    return features


def encode(features: tuple[Feature, ...], flows: RawFlows) -> npt.NDArray[np.float32]:
    """Compute all features of network flows: a float32 matrix, rows are flows, columns features, within ±10.

    A name unseen in training counts as rare.
    """
    return np.stack([feature(flows).astype(np.float32) for feature in features], axis=1)


def _fit_number(name: str, values: Column) -> list[Feature]:
    known = values[~np.isnan(values)]
    features: list[Feature] = []
    if len(known) and np.ptp(known) > 0:
        median = float(np.median(known))
        log = _has_long_tail(known)
        shaped = _shape(values, median, log)
        mean, std = float(shaped.mean()), float(shaped.std())
        if std > 0:
            features.append(Scaled(name, median, log, mean, std))
    if len(known) < len(values):
        features.append(Missing(name))
    return features


def _fit_categories(name: str, column: Categorical) -> list[Feature]:
    counts = np.bincount(column.codes, minlength=len(column.values))
    frequent = [code for code in np.argsort(-counts, kind="stable") if counts[code] >= MIN_ROWS][:MAX_CATEGORIES]
    kept = tuple(column.values[code] for code in frequent)
    return [*(OneOf(name, (value,)) for value in kept), OneOf(name, kept, negated=True)]


def _has_long_tail(known: Column) -> bool:
    """True if numbers look like counts or sizes: never negative, some large, skewed to the right."""
    if known.min() < 0 or known.max() < LONG_TAIL_MAXIMUM:
        return False
    deviations = (known - known.mean()) / known.max()
    return bool(np.mean(deviations**3) > LONG_TAIL_SKEWNESS * np.mean(deviations**2) ** 1.5)


def _shape(values: Column, median: float, log: bool) -> Column:
    filled = np.where(np.isnan(values), median, values)
    return np.log1p(np.maximum(filled, 0.0)) if log else filled
