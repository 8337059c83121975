"""Define the search space: a kind of range for each searched setting, and the translation to optuna.

A space is nested like the configuration, with exactly one kind at each leaf: `ppo: {lr: {log: [1e-5, 1e-2]}}`.
Optuna samples *raw* parameters, named by dotted path; a kind turns raw parameters into values of the setting and back.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from unstuck.records.axis import BATCH, Axis
from unstuck.records.errors import SweepError
from unstuck.rl.budget import Budget
from unstuck.rl.config import PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.rl.wording import nearest
from unstuck.sweeps.config.kinds import explain_missing_kind
from unstuck.sweeps.config.schema import GROUPS, convert_value, nearest_setting, settings
from unstuck.sweeps.config.settings import SweepConfig

_OBJECTIVE = "it defines what trials are compared by"
_BUDGET = "it is the budget that trials are compared at"
_MACHINE = "it is about the machine, and no result must depend on that"

NEVER_SEARCHED: Mapping[str, str] = MappingProxyType(
    {
        "env.id": _OBJECTIVE,
        "env.flows_per_episode": _OBJECTIVE,
        "env.reward_benign": _OBJECTIVE,
        "env.reward_threat": _OBJECTIVE,
        "env.eval_episodes": _OBJECTIVE,
        "env.vectorization": _MACHINE,
        "ppo.num_iterations": _BUDGET,
        "ppo.eval_every": _OBJECTIVE,
        "ppo.device": _MACHINE,
        "ppo.compile": _MACHINE,
    }
)
"""Settings of the groups `ppo` and `env` that must be the same for all trials of a sweep, each with the reason."""

_FORMAT = 2
"""First format that refuses settings in `NEVER_SEARCHED` and spaces that cannot run; older sweeps go on as they are."""

DRAWS = 1000
"""Number of random draws, of which at least one must be able to run."""


class Kind(ABC):
    """Base class of the ranges that one searched setting can have, with conversions to Optuna's raw parameters."""

    name: ClassVar[str]
    """Name of the kind in YAML."""

    @abstractmethod
    def distribution(self) -> BaseDistribution:
        """Return the Optuna distribution from which raw parameters are sampled."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Return True if a value of the setting lies in the range."""

    def to_raw(self, value: Any) -> Any:
        """Convert a value of the setting to the raw parameter that Optuna stores: None, bool, int, float or str."""
        return value

    def from_raw(self, raw: Any) -> Any:
        """Convert Optuna's raw parameter to a value of the setting; inverse of `to_raw`."""
        return raw

    def to_unit(self, value: Any) -> float:
        """Map a value to [0, 1] on the scale that optuna samples on; a discrete value maps to the centre of its bin."""
        raw, over = self.to_raw(value), self.distribution()
        if isinstance(over, FloatDistribution):
            scale = math.log if over.log else float
            return (scale(raw) - scale(over.low)) / (scale(over.high) - scale(over.low))
        values = _values(over)
        return (values.index(raw) + 0.5) / len(values)

    def from_unit(self, unit: float) -> Any:
        """Map a position in [0, 1] to a value; inverse of `to_unit`."""
        over = self.distribution()
        if isinstance(over, FloatDistribution):
            scale, unscale = (math.log, math.exp) if over.log else (float, float)
            raw = unscale(scale(over.low) + unit * (scale(over.high) - scale(over.low)))
            return self.from_raw(min(max(raw, over.low), over.high))  # rounding must not leave the range
        values = _values(over)
        return self.from_raw(values[min(int(unit * len(values)), len(values) - 1)])


def _values(over: Any) -> Sequence[Any]:
    return over.choices if isinstance(over, CategoricalDistribution) else range(over.low, over.high + 1)


@dataclass(frozen=True)
class Float(Kind):
    """Range of floats from `low` to `high`, sampled uniformly.

    Example:
        >>> Float(1.0, 3.0).from_unit(0.25), Float(1.0, 3.0).to_unit(1.5)
        (1.5, 0.25)
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
        """Return True for a number within the bounds, both included."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Log(Float):
    """Range of positive floats, sampled log-uniformly: for a setting whose order of magnitude matters.

    Example:
        >>> round(Log(1e-4, 1e-2).from_unit(0.5), 6)
        0.001
    """

    name: ClassVar[str] = "log"
    lower_limit: ClassVar[float] = 0
    rule: ClassVar[str] = "0 < low < high (float and choice can hold 0)"

    def distribution(self) -> BaseDistribution:
        """Return Optuna's log-uniform distribution of floats from `low` to `high`."""
        return FloatDistribution(self.low, self.high, log=True)


@dataclass(frozen=True)
class OneMinusLog(Float):
    """Range of numbers x below 1, sampled so that 1 - x is log-uniform, for a discount. Raw is 1 - x.

    The bounds are values of the setting.
    """

    name: ClassVar[str] = "one_minus_log"
    upper_limit: ClassVar[float] = 1
    rule: ClassVar[str] = "low < high < 1 (float and choice can hold 1)"

    def distribution(self) -> BaseDistribution:
        """Return Optuna's log-uniform distribution of the raw parameter, 1 minus the value."""
        return FloatDistribution(1 - self.high, 1 - self.low, log=True)

    def to_raw(self, value: float) -> float:
        """Return 1 - value, the raw parameter."""
        return 1 - value

    def from_raw(self, raw: float) -> float:
        """Return 1 - raw, clipped to the bounds against rounding."""
        return min(max(1 - raw, self.low), self.high)


@dataclass(frozen=True)
class Int(Float):
    """Range of integers from `low` to `high`, both included, sampled uniformly."""

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
    """Range of powers of two, each equally likely. Raw is the exponent, the value is the power.

    Example:
        >>> Pow2(16, 64).to_raw(32), Pow2(16, 64).from_raw(6)
        (5, 64)
        >>> [Pow2(16, 64).to_unit(value) for value in (16, 32, 64)] == [0.5 / 3, 1.5 / 3, 2.5 / 3]
        True
    """

    name: ClassVar[str] = "pow2"

    def __post_init__(self) -> None:
        super().__post_init__()
        for bound in (self.low, self.high):
            if not _is_power(bound):
                below = 2 ** (max(bound, 1).bit_length() - 1)
                raise SweepError(f"must have powers of two as bounds, got {bound}; try {below} or {2 * below}")

    def distribution(self) -> BaseDistribution:
        """Return Optuna's uniform distribution of the exponents."""
        return IntDistribution(self.to_raw(self.low), self.to_raw(self.high))

    def contains(self, value: Any) -> bool:
        """Return True for a power of two within the bounds, both included."""
        return super().contains(value) and _is_power(value)

    def to_raw(self, value: int) -> int:
        """Return the exponent of a power of two."""
        return value.bit_length() - 1

    def from_raw(self, raw: int) -> int:
        """Return 2 to the power of `raw`."""
        return 2**raw  # type: ignore[no-any-return]


def _is_power(number: int) -> bool:
    return number >= 1 and number & (number - 1) == 0


@dataclass(frozen=True)
class Choice(Kind):
    """Range of a few listed values without an order. Raw is the value, or JSON text of a value that is a list.

    Optuna has no lists.

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
        """Return Optuna's categorical distribution with one category for each option."""
        return CategoricalDistribution([self.to_raw(option) for option in self.options])

    def contains(self, value: Any) -> bool:
        """Return True if a value is one of the options."""
        return value in self.options

    def to_raw(self, value: Any) -> Any:
        """Return the value itself, or JSON text for a tuple."""
        return json.dumps(value) if isinstance(value, tuple) else value

    def from_raw(self, raw: Any) -> Any:
        """Return the option that optuna stored as `raw`."""
        return {self.to_raw(option): option for option in self.options}[raw]


KINDS: Mapping[str, type[Float] | type[Choice]] = MappingProxyType(
    {kind.name: kind for kind in (Float, Log, Int, Pow2, OneMinusLog, Choice)}
)


@dataclass(frozen=True)
class Space:
    """Search space of a sweep: a range for each searched setting, with conversions to and from Optuna's raw form.

    Attributes:
        kinds: Range of each setting, by dotted path.

    Example:
        >>> space = Space({"ppo.lr": Log(1e-5, 1e-2), "ppo.minibatch_size": Pow2(16, 64)})
        >>> space.encode({"ppo.lr": 0.001, "ppo.minibatch_size": 32})
        {'ppo.lr': 0.001, 'ppo.minibatch_size': 5}
        >>> space.decode({"ppo.lr": 0.001, "ppo.minibatch_size": 5})
        {'ppo.lr': 0.001, 'ppo.minibatch_size': 32}
    """

    kinds: Mapping[str, Kind]

    @property
    def paths(self) -> tuple[str, ...]:
        """Dotted paths of the searched settings, e.g. `("ppo.lr", "ppo.value_coef")`."""
        return tuple(self.kinds)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return a dict from the dotted path of each searched setting to Optuna's distribution."""
        return {path: kind.distribution() for path, kind in self.kinds.items()}

    def decode(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Convert Optuna's raw parameters to values of the settings, both by dotted path."""
        return {path: kind.from_raw(raw[path]) for path, kind in self.kinds.items()}

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Convert values of all searched settings to Optuna's raw parameters; raise `SweepError` for one out of range.

        Raises:
            SweepError: A range does not hold its value.
        """
        for path, kind in self.kinds.items():
            if not kind.contains(values[path]):
                raise SweepError(f"{path} must lie in {kind} of the space, got {values[path]!r}; widen space.{path}")
        return {path: kind.to_raw(values[path]) for path, kind in self.kinds.items()}

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Return True if values are a point of the space: one for each setting, within the setting's range."""
        return values.keys() == self.kinds.keys() and all(
            kind.contains(values[path]) for path, kind in self.kinds.items()
        )

    def control_values(self, config: SweepConfig) -> dict[str, Any]:
        """Return the unchanged configuration's values of the searched settings, which the control trial runs with."""
        return {path: _value(config, path) for path in self.kinds}

    def is_control(self, config: SweepConfig, number: int, values: Mapping[str, Any]) -> bool:
        """Return True if a starting trial is the control: the unchanged configuration that others are compared with.

        With `sampler=points` the control is the point that changes nothing; else trial 0, with `sweep.control`.

        Args:
            config: Configuration of the sweep.
            number: Number of the trial.
            values: Settings of the trial by dotted path, as `decode` returns them.
        """
        if config.sampler.name != "points" and not (config.sweep.control and number == 0):
            return False
        base = self.control_values(config)
        return self.contains(base) and self.encode(values) == self.encode(base)

    def axis(self, config: SweepConfig) -> Axis:
        """Return the axis (iterations or environment steps) by which a sweep measures the length of trials."""
        return Axis.choose(self.paths, config.ppo.num_iterations, config.ppo.batch_size, config.format)

    def budget(self, config: SweepConfig) -> Budget | None:
        """Return the budget in environment steps that all trials share; None if the sweep counts iterations.

        The budget is the unchanged configuration's, so trials with rollouts of different size train equally long.

        None if the sweep counts iterations: a trial's own settings then say how long the trial trains.
        """
        return Budget.from_config(config.ppo) if self.axis(config).in_env_steps else None

    def describe_long_rollouts(self, config: SweepConfig) -> str:
        """Return a warning if rollouts can be longer than the steps between evaluations, an empty string if not.

        Trials with long rollouts are evaluated less often than the others, so their values average another stretch.
        """
        budget = self.budget(config)
        if budget is None:
            return ""
        largest = math.prod(self._largest(config, path) for path in BATCH)
        if largest <= budget.eval_every:
            return ""
        often = -(-largest // config.ppo.batch_size)
        fits = often <= config.ppo.num_iterations
        remedy = f"ppo.eval_every={often} treats all alike" if fits else "search smaller ones"
        return (
            f"rollouts of up to {largest:,} steps are longer than the {budget.eval_every:,} between evaluations, so "
            f"trials with them are evaluated less often than others; {remedy}"
        )

    def _largest(self, config: SweepConfig, path: str) -> int:
        kind = self.kinds.get(path)
        if kind is None:
            return int(_value(config, path))
        return max(kind.options) if isinstance(kind, Choice) else int(kind.from_unit(1.0))

    def apply(self, config: SweepConfig, values: Mapping[str, Any]) -> SweepConfig:
        """Return the configuration with values set by dotted path; raise `ConfigError` if the result cannot run.

        In a sweep that counts environment steps, `num_iterations` becomes the number that uses up the budget, and
        `eval_every` the nearest to the budget's; only the budget says how long a trial trains.

        Raises:
            ConfigError: The combination cannot run.
        """
        groups: dict[str, dict[str, Any]] = {}
        for path, value in values.items():
            group, _, name = path.partition(".")
            groups.setdefault(group, {})[name] = value
        if (budget := self.budget(config)) and "ppo" in groups:
            num_envs, num_steps = (values.get(path, _value(config, path)) for path in BATCH)
            batch = max(1, num_envs * num_steps)  # a smaller product is refused below
            iterations = budget.iterations(batch)
            often = min(max(1, round(budget.eval_every / batch)), iterations)
            groups["ppo"] |= {"num_iterations": iterations, "eval_every": often}
        return replace(config, **{group: replace(getattr(config, group), **body) for group, body in groups.items()})


def search_space(config: SweepConfig) -> tuple[Space, list[dict[str, Any]]]:
    """Return a sweep's search space, and the points to try first, each a dict with a value for every searched setting.

    `sampler=points` tries nothing else: the points span their own space, and `space` is not read.

    Raises:
        SweepError: The space, or the points, cannot be searched.
    """
    if config.sampler.name == "points":
        return points_space(config.sampler.points, config)
    if config.sweep.num_trials is None:
        raise SweepError(f"sweep.num_trials must be a number for sampler={config.sampler.name}, got null; try 48")
    space = parse_space(config.space, config)
    changes = _changes(config.sampler.points, config)
    if config.format >= _FORMAT:  # an older sweep goes on, and its bad points are refused trial by trial
        _require_runnable(space, config)
        _require_points(changes, space, config)
    for index, point in enumerate(changes):
        if foreign := sorted(point.keys() - space.kinds.keys()):
            raise SweepError(
                f"sampler.points[{index}] may set what is searched ({', '.join(space.paths)}), got {foreign[0]}; "
                f"add it to space, or take sampler=points"
            )
    return space, [space.control_values(config) | point for point in changes]


def given_points(config: SweepConfig) -> list[dict[str, Any]]:
    """Return a dict of changed settings by dotted path for each point in `sampler.points`."""
    return _changes(config.sampler.points, config)


def parse_space(spec: Mapping[str, Any], config: SweepConfig) -> Space:
    """Convert the nested `space` of the settings to a `Space`; raise `SweepError` if no drawn configuration can run.

    Raises:
        SweepError: A path or kind is unknown, bounds or values do not fit, or nothing in the space can run.
    """
    space = Space({path: _kind(path, leaf) for path, leaf in _by_path(spec, "space", config)})
    if not space.kinds:
        raise SweepError("space must hold at least one setting, got none; add space=coefficients")
    _require_feasible(space, config)
    return space


def points_space(points: Sequence[Mapping[str, Any]], config: SweepConfig) -> tuple[Space, list[dict[str, Any]]]:
    """Return a space of the values that a list of points holds, and the points with all searched settings filled in.

    For each setting the space holds the values that occur, the configuration's own value first. A point holds changes
    to the configuration, nested in the same way; `{}` is the control. Settings that a point leaves unchanged are filled
    in.

    Raises:
        SweepError: A setting is unknown, a value does not fit, or a point is listed twice.
        ConfigError: A point cannot run.
    """
    changes = _changes(points, config)
    base = {path: _value(config, path) for point in changes for path in point}
    full = [base | point for point in changes]
    space = Space({path: Choice(tuple(dict.fromkeys([base[path], *(p[path] for p in full)]))) for path in base})
    for index, point in enumerate(full):
        if (first := full.index(point)) < index:
            raise SweepError(f"sampler.points must differ, got the same at {first} and {index}; leave one out")
    _require_points(full, space, config)
    return space, full


def _require_points(points: Sequence[Mapping[str, Any]], space: Space, config: SweepConfig) -> None:
    """Refuse a point that cannot run."""
    for index, point in enumerate(points):
        try:
            space.apply(config, point)
        except ConfigError as error:
            raise ConfigError(f"sampler.points[{index}] cannot run: {error}") from error


def _changes(points: Sequence[Mapping[str, Any]], config: SweepConfig) -> list[dict[str, Any]]:
    """Return points by dotted path, with values as the settings hold them."""
    return [
        {path: convert_value(path, value, where) for path, value in _by_path(point, where, config)}
        for where, point in ((f"sampler.points[{index}]", point) for index, point in enumerate(points))
    ]


def _by_path(tree: Any, where: str, config: SweepConfig) -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the leaf of each setting in a tree nested as group and setting."""
    for group, body in _mapping(tree, where).items():
        if group not in GROUPS:
            meant = nearest_setting(str(group))
            remedy = "the rest is the same for all trials"
            if meant.partition(".")[0] in GROUPS:
                remedy = f"did you mean {'{' + meant.replace('.', ': {') + ': ...}}' if '.' in meant else meant}?"
            raise SweepError(f"{where} may hold settings of {' and '.join(GROUPS)} only, got {group}; {remedy}")
        for name, leaf in _mapping(body, f"{where}.{group}").items():
            path = f"{group}.{name}"
            if path not in settings():
                raise SweepError(f"unknown setting {path} in {where}; did you mean {nearest_setting(path)}?")
            if path in NEVER_SEARCHED and config.format >= _FORMAT:
                raise SweepError(
                    f"{path} must be the same for all trials, since {NEVER_SEARCHED[path]}, got {leaf} in {where}; "
                    f"take it out there, and set {path}=VALUE for the whole sweep (now {_value(config, path)})"
                )
            yield path, leaf


def _mapping(node: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        raise SweepError(f"{where} must be nested as group and setting, e.g. {{ppo: {{lr: ...}}}}, got {node!r}")
    return node


def _kind(path: str, leaf: Any) -> Kind:
    where = f"space.{path}"
    if not isinstance(leaf, Mapping | None):
        raise SweepError(explain_missing_kind(where, leaf))
    leaf = leaf or {}
    for name in leaf:
        if name not in KINDS:
            close = _ALIKE.get(str(name)) or nearest(str(name), KINDS)
            listed = ", ".join(KINDS)
            raise SweepError(f"{where} has the unknown kind {name}; did you mean {close}? There are: {listed}")
    if len(leaf) != 1:
        got = " and ".join(map(str, leaf)) or "none"
        raise SweepError(f"{where} must have exactly one kind, got {got}; ~{where}.KIND takes one out")
    name, body = next(iter(leaf.items()))
    where = f"{where}.{name}"
    if not isinstance(body, list | tuple):
        raise SweepError(f"{where} must be a list, got {body!r}; write [low, high], or the values of a choice")
    values = tuple(convert_value(path, value, where) for value in body)
    kind = KINDS[name]
    try:
        return kind(values) if kind is Choice else _bounded(kind, values)
    except SweepError as error:
        raise SweepError(f"{where} {error}") from None


_ALIKE = {
    **dict.fromkeys(("uniform", "low", "high", "min", "max"), "float"),
    **dict.fromkeys(("loguniform", "log_uniform"), "log"),
    **dict.fromkeys(("categorical", "values"), "choice"),
}
"""Kinds by the names that other programs use."""


def _bounded(kind: Any, values: tuple[Any, ...]) -> Kind:
    if len(values) != 2:
        raise SweepError(f"must be two bounds, [low, high], got {list(values)}; use choice for a list of values")
    if any(type(value) is not kind.number_type for value in values):
        other = "float or log" if kind.number_type is int else "int or pow2"
        raise SweepError(
            f"must have bounds of type {kind.number_type.__name__}, got {list(values)}; use {other}, or choice"
        )
    return kind(*values)  # type: ignore[no-any-return]


def _require_feasible(space: Space, config: SweepConfig) -> None:
    if reason := _refusal(space, config, {}):
        raise SweepError(f"space must hold configurations that can run, but {DRAWS:,} draws held none: {reason}")


def _refusal(space: Space, config: SweepConfig, fixed: Mapping[str, Any]) -> ConfigError | None:
    """Explain why no draw of a space can run beside fixed values; None if a draw can."""
    generator = np.random.default_rng(np.random.SeedSequence(0))
    reason = None
    for _ in range(DRAWS):
        drawn = {path: kind.from_unit(generator.random()) for path, kind in space.kinds.items()}
        try:
            space.apply(config, {**drawn, **fixed})
            return None
        except ConfigError as error:
            reason = error
    return reason


def _require_runnable(space: Space, config: SweepConfig) -> None:
    """Refuse a bound that breaks the setting's own rule, and a choice that can run with no value of the others."""
    for path, kind in space.kinds.items():
        group, _, name = path.partition(".")
        try:
            if isinstance(kind, Choice):
                for option in kind.options:
                    _require_option(space, config, path, option)
            elif isinstance(kind, Float) and group == "ppo":
                for bound in (kind.low, kind.high):
                    PPOConfig.check_alone(name, bound)
        except ConfigError as error:
            raise SweepError(f"space.{path}.{kind.name} must hold what can run: {error}") from error


def _require_option(space: Space, config: SweepConfig, path: str, option: Any) -> None:
    """Raise `ConfigError` if an option can run neither in the unchanged configuration nor with any draw of the rest."""
    try:
        space.apply(config, {path: option})
    except ConfigError:
        if _refusal(space, config, {path: option}):
            raise


def _value(config: SweepConfig, path: str) -> Any:
    group, _, name = path.partition(".")
    return getattr(getattr(config, group), name)
