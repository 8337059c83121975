"""Define what is on record of an unstick beside its trials: decided milestones of a trial, and stages of the sweep."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unstuck.rl import metrics

_SIGNS = {"above": ">", "below": "<"}

_FEW_DIGITS, _WRITTEN_DIGITS, _ALL_DIGITS = 3, 6, 17
"""Digits of a number in words: those that tell something, as many as somebody writes, and all."""

_WORDS = {
    metrics.F1: "F1",
    metrics.TRAIN_RETURN: "episode return in training",
    metrics.EVAL_RETURN: "episode return in evaluation",
}
"""Words for metrics whose name alone, without the group, is no word or belongs to two metrics."""


def name_metric(metric: str) -> str:
    """Return a metric's name in words, such as `value loss`, for a sentence.

    Example:
        >>> name_metric("train/value_loss"), name_metric("eval/f1")
        ('value loss', 'F1')
    """
    return _WORDS.get(metric) or metric.partition("/")[2].replace("_", " ").replace("/", " ")


def describe_demand(metric: str, bound: str, limit: float) -> str:
    """Describe a bound on a metric in words, such as `value loss < 0.5`.

    Example:
        >>> describe_demand("train/value_loss", "below", 0.5)
        'value loss < 0.5'
    """
    return f"{name_metric(metric)} {_SIGNS[bound]} {_format_limit(limit)}"


@dataclass(frozen=True, kw_only=True)
class MilestoneRecord:
    """Result of one milestone (a bound on a metric) of a trial: bound, window of iterations, value, passed or missed.

    Attributes:
        number: Place of the milestone among the sweep's milestones, from 1.
        metric: Name of the metric, as in `rl.metrics`.
        bound: `above` or `below`.
        limit: Number that the metric had to lie above or below.
        first: First iteration of the window, counted from the branch.
        last: Last iteration of the window.
        iteration: Iteration of the window's last evaluation; of a trial that ended before, the last iteration.
        value: Mean of the metric over members at `iteration`; None if the trial ended before, or did not measure it.
        passed: True if the bound held.

    Example:
        >>> decided = MilestoneRecord(
        ...     number=1, metric="train/value_loss", bound="below", limit=0.5, first=10, last=30, iteration=30,
        ...     value=0.42, passed=True,
        ... )
        >>> decided.describe()
        'passed: value loss 0.42 < 0.5 at iteration 30'
        >>> MilestoneRecord.from_json(decided.to_json()) == decided
        True
    """

    number: int
    metric: str
    bound: str
    limit: float
    first: int
    last: int
    iteration: int
    value: float | None
    passed: bool

    @property
    def demand(self) -> str:
        """Text of what the milestone (a bound on a metric) asks for, such as `value loss < 0.5`."""
        return describe_demand(self.metric, self.bound, self.limit)

    def describe(self) -> str:
        """Describe in words if a milestone (bound on a metric) was passed or missed, and with which value."""
        if self.value is not None:
            value, limit = _format_apart(self.value, self.limit)
            sign = _SIGNS[self.bound] if self.passed else f"is not {_SIGNS[self.bound]}"
            return f"{self.outcome}: {name_metric(self.metric)} {value} {sign} {limit} at iteration {self.iteration}"
        window = f"iterations {self.first} to {self.last}"
        if self.iteration < self.last:
            return f"missed: ended at iteration {self.iteration}, before {window} had decided {self.demand}"
        return f"missed: {name_metric(self.metric)} was not measured at the last evaluation of {window}"

    @property
    def outcome(self) -> str:
        """Result of the milestone (bound on a metric): `passed` or `missed`."""
        return "passed" if self.passed else "missed"

    def to_json(self) -> dict[str, Any]:
        """Convert a milestone's result (bound, value, passed or not) to a dict to store in the Optuna study."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "MilestoneRecord":
        """Make a milestone's result (bound, value, passed or not) from a dict that `to_json` returned."""
        return cls(**kept)


def make_milestone_tags(decided: Iterable[MilestoneRecord]) -> dict[str, str]:
    """Make MLflow tags `milestone_1` and so on: which bound on a metric was passed or missed, in words."""
    return {f"milestone_{one.number}": one.describe() for one in decided}


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """Record of one round of changes tried on a stuck run, or of the decision that no further round starts.

    Attributes:
        stage: Number of the stage, from 1.
        parent: Number of the trial from whose last state the arms go on; None for the run's checkpoint.
        why: Reasons, in sentences: why the stage starts, and from where; or why no stage starts.
        arms: Numbers of the stage's trials, which are indices in the study's attribute `ARMS`; empty for a stage that
            was not started.
        env_steps: Environment steps of all members of all arms, if none ends early.
    """

    stage: int
    parent: int | None
    why: str
    arms: tuple[int, ...]
    env_steps: int

    @property
    def is_started(self) -> bool:
        """True for a round that tries changes on a stuck run; False for the decision that no more rounds start."""
        return bool(self.arms)

    def to_json(self) -> dict[str, Any]:
        """Convert the record of one round of changes tried on a stuck run to a dict to store in the Optuna study."""
        return {**asdict(self), "arms": list(self.arms)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "StageRecord":
        """Make the record of one round of changes tried on a stuck run from a dict that `to_json` returned."""
        return cls(**{**kept, "arms": tuple(kept["arms"])})


def _format_apart(value: float, limit: float) -> tuple[str, str]:
    """Format a value and a limit as texts with just enough digits to show which is larger."""
    texts = "", ""
    for digits in (_FEW_DIGITS, _WRITTEN_DIGITS, _ALL_DIGITS):
        shown, bound = texts = _format(value, digits), _format_limit(limit, digits)
        if (_read(shown) > _read(bound), _read(shown) < _read(bound)) == (value > limit, value < limit):
            break
    return texts


def _format_limit(limit: float, digits: int = _FEW_DIGITS) -> str:
    """Format a limit as text: all digits if a user wrote the number, few if it was computed."""
    written = _format(limit, _WRITTEN_DIGITS)
    return written if _read(written) == limit else _format(limit, digits)


def _read(text: str) -> float:
    return float(text.replace(",", ""))


def _format(value: float, digits: int) -> str:
    is_large = digits == _FEW_DIGITS and 1000 <= abs(value) < 10**15
    return f"{value:,.0f}" if is_large else f"{value:,.{digits}g}"
