"""Curves that are draws of one distribution, and the nearest that are not."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from unstuck.analysis.diagnosis.chance import scatters_by_chance

Curve = npt.NDArray[np.float64]


def share(make: Callable[[np.random.Generator], Curve]) -> float:
    """Share of a hundred curves that count as draws of one distribution."""
    generator = np.random.default_rng(0)
    return float(np.mean([scatters_by_chance(make(generator)) for _ in range(100)]))


@pytest.mark.parametrize(
    "make",
    [
        lambda g: g.normal(size=300),
        lambda g: -354 + 76 * g.normal(size=300),
        lambda g: g.exponential(size=300),
        lambda g: 1.0 * (g.random(size=300) < 0.3),  # a goal met by chance
    ],
)
def test_independent_draws_are_mostly_told(make: Callable[[np.random.Generator], Curve]) -> None:
    """Each of four bounds lies two standard errors off, so each is missed by a few in a hundred."""
    assert share(make) >= 0.75


@pytest.mark.parametrize(
    "make",
    [
        lambda g: g.normal(size=300) + 0.2 * np.cumsum(g.normal(size=300)),  # a policy moved by noise
        lambda g: np.convolve(g.normal(size=319), np.ones(20) / 20, "valid"),  # means that overlap
        lambda g: g.normal(size=300) + np.linspace(0, 1, 300),  # it learns a little
        lambda g: g.normal(size=300) * np.repeat([1.0, 2.0], 150),  # it settles, or scatters more
        lambda g: g.normal(size=300) + 2 * (np.arange(300) >= 270),  # it learns in the end
    ],
)
def test_a_policy_that_is_moved_is_seldom_taken_for_one_that_is_not(
    make: Callable[[np.random.Generator], Curve],
) -> None:
    assert share(make) <= 0.1


def test_few_values_and_values_that_are_all_the_same_tell_nothing() -> None:
    assert not scatters_by_chance(np.zeros(300))
    assert not scatters_by_chance(np.tile([1.0, -1.0, 0.0], 13))  # 39
