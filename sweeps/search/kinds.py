"""Define the kinds of range that one searched setting can have, with conversions to Optuna's raw parameters."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from unstuck.records.errors import SweepError


class Kind(ABC):
    """Base class of the ranges of a searched setting, with conversion to the raw values that Optuna stores."""

    name: ClassVar[str]
    """Name of the kind in YAML."""

    @abstractmethod
    def distribution(self) -> BaseDistribution:
        """Return the Optuna distribution that draws raw values (as Optuna stores them) of the setting."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Return True if a value of the setting lies in the range."""

    def name_parameter(self, path: str) -> str:
        """Return the name under which Optuna stores raw values of the setting at `path`.

        Samplers draw in the order of names: a name begins with the path, and goes on with a space if at all, so that
        the order is that of the paths.
        """
        return path

    def to_raw(self, value: Any) -> Any:
        """Convert a value of the setting to the raw value that Optuna stores: None, bool, int, float or str."""
        return value

    def from_raw(self, raw: Any) -> Any:
        """Convert a raw value, as Optuna stores values, to a value of the setting; inverse of `to_raw`."""
        return raw

    def from_unit(self, unit: float) -> Any:
        """Convert a position in [0, 1] to a value in the range, on the range's scale (such as logarithmic)."""
        over = self.distribution()
        if isinstance(over, FloatDistribution):
            scale, unscale = (math.log, math.exp) if over.log else (float, float)
            raw = unscale(scale(over.low) + unit * (scale(over.high) - scale(over.low)))
            return self.from_raw(min(max(raw, over.low), over.high))  # rounding must not leave the range
        values = _list_raw_values(over)
        return self.from_raw(values[min(int(unit * len(values)), len(values) - 1)])


def _list_raw_values(over: Any) -> Sequence[Any]:
    return over.choices if isinstance(over, CategoricalDistribution) else range(over.low, over.high + 1)


@dataclass(frozen=True)
class Float(Kind):
    """Range of floats from `low` to `high`, all equally likely.

    Example:
        >>> Float(1.0, 3.0).from_unit(0.25)
        1.5
    """

    name: ClassVar[str] = "float"
    number_type: ClassVar[type] = float
    lower_limit: ClassVar[float] = -math.inf
    upper_limit: ClassVar[float] = math.inf
    rule: ClassVar[str] = "low < high"
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.lower_limit < self.low < self.high < self.upper_limit:
            raise SweepError(f"must be [low, high] with {self.rule}, got {[self.low, self.high]}")

    def distribution(self) -> BaseDistribution:
        """Return Optuna's uniform distribution of floats from `low` to `high`."""
        return FloatDistribution(self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Return True for a number from `low` to `high`, both included."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Log(Float):
    """Range of positive floats, uniform on a logarithmic scale: for settings whose order of magnitude matters.

    Example:
        >>> round(Log(1e-4, 1e-2).from_unit(0.5), 6)
        0.001
    """

    name: ClassVar[str] = "log"
    lower_limit: ClassVar[float] = 0
    rule: ClassVar[str] = "0 < low < high (float and choice can hold 0)"

    def distribution(self) -> BaseDistribution:
        """Return Optuna's distribution of floats from `low` to `high`, uniform on a logarithmic scale."""
        return FloatDistribution(self.low, self.high, log=True)


@dataclass(frozen=True)
class OneMinusLog(Float):
    """Range of numbers below 1, e.g. discounts, for which 1 - x is uniform on a log scale; Optuna stores 1 - x.

    The bounds are values of the setting.
    """

    name: ClassVar[str] = "one_minus_log"
    upper_limit: ClassVar[float] = 1
    rule: ClassVar[str] = "low < high < 1 (float and choice can hold 1)"

    def distribution(self) -> BaseDistribution:
        """Return Optuna's distribution of 1 minus the value, uniform on a logarithmic scale."""
        return FloatDistribution(1 - self.high, 1 - self.low, log=True)

    def name_parameter(self, path: str) -> str:
        """Return Optuna's name for the parameter: the path followed by ` (1 - NAME)`, since Optuna stores 1 - value.

        Example:
            >>> OneMinusLog(0.9, 0.999).name_parameter("ppo.gamma")
            'ppo.gamma (1 - gamma)'
        """
        return f"{path} (1 - {path.rpartition('.')[2]})"

    def to_raw(self, value: float) -> float:
        """Convert a value to what Optuna stores, 1 - value."""
        return 1 - value

    def from_raw(self, raw: float) -> float:
        """Convert what Optuna stores, 1 - value, to the value, clipped to the bounds against rounding."""
        return min(max(1 - raw, self.low), self.high)


@dataclass(frozen=True)
class Int(Float):
    """Range of integers from `low` to `high`, both included, all equally likely."""

    name: ClassVar[str] = "int"
    number_type: ClassVar[type] = int
    low: int
    high: int

    def distribution(self) -> BaseDistribution:
        """Return Optuna's uniform distribution of integers from `low` to `high`."""
        return IntDistribution(self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Return True for an integer from `low` to `high`, both included."""
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True)
class Pow2(Int):
    """Range of powers of two, all equally likely; Optuna stores the exponent.

    Example:
        >>> Pow2(16, 64).to_raw(32), Pow2(16, 64).from_raw(6)
        (5, 64)
        >>> [Pow2(16, 64).from_unit(unit) for unit in (0.3, 0.4, 0.7)]
        [16, 32, 64]
    """

    name: ClassVar[str] = "pow2"

    def __post_init__(self) -> None:
        super().__post_init__()
        for bound in (self.low, self.high):
            if not _is_power(bound):
                below = 2 ** (max(bound, 1).bit_length() - 1)
                raise SweepError(f"must have powers of two as bounds, got {bound}; try {below} or {2 * below}")

    def distribution(self) -> BaseDistribution:
        """Return Optuna's uniform distribution of the exponents of the powers of two."""
        return IntDistribution(self.to_raw(self.low), self.to_raw(self.high))

    def contains(self, value: Any) -> bool:
        """Return True for a power of two from `low` to `high`, both included."""
        return super().contains(value) and _is_power(value)

    def name_parameter(self, path: str) -> str:
        """Return Optuna's name for the parameter: the path followed by ` (log2)`, since Optuna stores the exponent.

        Example:
            >>> Pow2(16, 64).name_parameter("ppo.minibatch_size")
            'ppo.minibatch_size (log2)'
        """
        return f"{path} (log2)"

    def to_raw(self, value: int) -> int:
        """Convert a power of two to what Optuna stores, the exponent."""
        return value.bit_length() - 1

    def from_raw(self, raw: int) -> int:
        """Convert what Optuna stores, the exponent, to the power of two."""
        return 2**raw  # type: ignore[no-any-return]


def _is_power(number: int) -> bool:
    return number >= 1 and number & (number - 1) == 0


@dataclass(frozen=True)
class Choice(Kind):
    """Range of a few listed options without an order; Optuna stores the option, or JSON text if the option is a list.

    Optuna has no lists (optuna#905).

    Example:
        >>> Choice(((64, 64), (128,))).to_raw((64, 64))
        '[64, 64]'
    """

    name: ClassVar[str] = "choice"
    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) < len(self.options):
            raise SweepError(f"must list at least one value, and none twice, got {list(self.options)}")

    def distribution(self) -> BaseDistribution:
        """Return Optuna's categorical distribution, with one category for each option."""
        return CategoricalDistribution([self.to_raw(option) for option in self.options])

    def contains(self, value: Any) -> bool:
        """Return True if a value is one of the listed options."""
        return value in self.options

    def to_raw(self, value: Any) -> Any:
        """Convert an option to what Optuna stores: JSON text for a tuple, else the option unchanged."""
        return json.dumps(value) if isinstance(value, tuple) else value

    def from_raw(self, raw: Any) -> Any:
        """Convert an option as Optuna stores the option (JSON text for a list) to the option."""
        return {self.to_raw(option): option for option in self.options}[raw]


KINDS: Mapping[str, type[Float] | type[Choice]] = MappingProxyType(
    {kind.name: kind for kind in (Float, Log, Int, Pow2, OneMinusLog, Choice)}
)
