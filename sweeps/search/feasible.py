"""Refuse a search space, or a point, of which no configuration can run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from unstuck.records.errors import SweepError
from unstuck.rl.config import PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.kinds import Choice, Float
from unstuck.sweeps.search.space import Space

DRAWS = 1000
"""Number of random draws, of which at least one must be able to run."""


def require_feasible(space: Space, config: SweepConfig) -> None:
    """Raise `SweepError` if none of `DRAWS` random configurations drawn from a search space can run."""
    if reason := _find_refusal(space, config, {}):
        raise SweepError(f"space must hold configurations that can run, but {DRAWS:,} draws held none: {reason}")


def require_feasible_points(points: Sequence[Mapping[str, Any]], space: Space, config: SweepConfig) -> None:
    """Raise `ConfigError` for the first configuration in `sampler.points` that cannot run; the message says which."""
    for index, point in enumerate(points):
        try:
            space.apply(config, point)
        except ConfigError as error:
            raise ConfigError(f"sampler.points[{index}] cannot run: {error}") from error


def require_feasible_ranges(space: Space, config: SweepConfig) -> None:
    """Raise `SweepError` for a range with a bound that the setting forbids, or with an option that can never run."""
    for path, kind in space.kinds.items():
        group, _, name = path.partition(".")
        try:
            if isinstance(kind, Choice):
                for option in kind.options:
                    _require_feasible_option(space, config, path, option)
            elif isinstance(kind, Float) and group == "ppo":
                for bound in (kind.low, kind.high):
                    PPOConfig.check_alone(name, bound)
        except ConfigError as error:
            raise SweepError(f"space.{path}.{kind.name} must hold what can run: {error}") from error


def _require_feasible_option(space: Space, config: SweepConfig, path: str, option: Any) -> None:
    """Raise `ConfigError` for an option that cannot run with any tried values of the other settings."""
    try:
        space.apply(config, {path: option})
    except ConfigError:
        if _find_refusal(space, config, {path: option}):
            raise


def _find_refusal(space: Space, config: SweepConfig, fixed: Mapping[str, Any]) -> ConfigError | None:
    """Return the error if no configuration drawn from a space, with the values `fixed`, can run; None if one can."""
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
