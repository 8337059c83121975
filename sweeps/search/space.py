"""Define the search space: a range for each searched setting, and points of the space as Optuna stores them.

Optuna samples *raw* parameters, named by dotted path; a kind of range turns raw parameters into values of the setting.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import BaseDistribution
from unstuck.records.axis import BATCH, Axis
from unstuck.records.errors import SweepError
from unstuck.rl.budget import Budget
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.kinds import Choice, Kind


@dataclass(frozen=True)
class Space:
    """Search space of a sweep: a range for each searched setting, and conversion of values to what Optuna stores.

    Attributes:
        kinds: Range of each setting, by dotted path.

    Example:
        >>> from unstuck.sweeps.search.kinds import Log, Pow2
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
        """Return Optuna's distribution of each searched setting, by dotted path."""
        return {path: kind.distribution() for path, kind in self.kinds.items()}

    def name_parameters(self) -> dict[str, str]:
        """Return Optuna's parameter names of settings whose values Optuna stores in another form, by path."""
        names = {path: kind.name_parameter(path) for path, kind in self.kinds.items()}
        return {path: name for path, name in names.items() if name != path}

    def decode(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Convert raw values, as Optuna stores values, to values of the searched settings, by dotted path."""
        return {path: kind.from_raw(raw[path]) for path, kind in self.kinds.items()}

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Convert values of all searched settings to what Optuna stores (raw); raise `SweepError` for one out of range.

        Raises:
            SweepError: A range does not hold its value.
        """
        for path, kind in self.kinds.items():
            if not kind.contains(values[path]):
                raise SweepError(f"{path} must lie in {kind} of the space, got {values[path]!r}; widen space.{path}")
        return {path: kind.to_raw(values[path]) for path, kind in self.kinds.items()}

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Return True if values lie in the search space: one value for each searched setting, within the range."""
        return values.keys() == self.kinds.keys() and all(
            kind.contains(values[path]) for path, kind in self.kinds.items()
        )

    def control_values(self, config: SweepConfig) -> dict[str, Any]:
        """Return the values that the unchanged configuration (the control) has of the searched settings."""
        return {path: read_setting(config, path) for path in self.kinds}

    def is_control(self, config: SweepConfig, number: int, values: Mapping[str, Any]) -> bool:
        """Return True if a starting trial is the control, the unchanged configuration to compare with.

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
        """Return the unit, iterations or environment steps, in which the sweep counts the length of trials."""
        return Axis.choose(self.paths, config.ppo.num_iterations, config.ppo.batch_size, config.format)

    def budget(self, config: SweepConfig) -> Budget | None:
        """Return the length of each trial's training in environment steps; None if the sweep counts iterations.

        The budget is the unchanged configuration's, so trials with rollouts of different size train equally long.

        None if the sweep counts iterations: a trial's own settings then say how long the trial trains.
        """
        return Budget.from_config(config.ppo) if self.axis(config).in_env_steps else None

    def describe_long_rollouts(self, config: SweepConfig) -> str:
        """Return a warning if a rollout can be longer than the interval between evaluations; else an empty text.

        Trials with long rollouts are evaluated less often than the others, so their values average another stretch.
        """
        budget = self.budget(config)
        if budget is None:
            return ""
        largest = math.prod(self._find_largest(config, path) for path in BATCH)
        if largest <= budget.eval_every:
            return ""
        often = -(-largest // config.ppo.batch_size)
        fits = often <= config.ppo.num_iterations
        remedy = f"ppo.eval_every={often} treats all alike" if fits else "search smaller ones"
        return (
            f"rollouts of up to {largest:,} steps are longer than the {budget.eval_every:,} between evaluations, so "
            f"trials with them are evaluated less often than others; {remedy}"
        )

    def _find_largest(self, config: SweepConfig, path: str) -> int:
        kind = self.kinds.get(path)
        if kind is None:
            return int(read_setting(config, path))
        return max(kind.options) if isinstance(kind, Choice) else int(kind.from_unit(1.0))

    def apply(self, config: SweepConfig, values: Mapping[str, Any]) -> SweepConfig:
        """Set values in a configuration, by dotted path; raise `ConfigError` if the result cannot run.

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
            num_envs, num_steps = (values.get(path, read_setting(config, path)) for path in BATCH)
            batch = max(1, num_envs * num_steps)  # a smaller product is refused below
            iterations = budget.iterations(batch)
            often = min(max(1, round(budget.eval_every / batch)), iterations)
            groups["ppo"] |= {"num_iterations": iterations, "eval_every": often}
        changed = {group: _change_group(getattr(config, group), body) for group, body in groups.items()}
        return replace(config, **changed)


def read_setting(config: SweepConfig, path: str) -> Any:
    """Return the value that a configuration has of the setting at a dotted path such as `ppo.lr`."""
    group, _, name = path.partition(".")
    settings = getattr(config, group)
    return settings[name] if isinstance(settings, dict) else getattr(settings, name)


def _change_group(settings: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of a group of settings with changed values; the group `script` is a dict."""
    return {**settings, **changes} if isinstance(settings, dict) else replace(settings, **changes)
