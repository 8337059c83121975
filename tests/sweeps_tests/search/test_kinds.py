from typing import Any

import numpy as np
import pytest
from unstuck.sweeps.search.kinds import KINDS, Choice, Float, Int, Kind, Log, OneMinusLog, Pow2

EVERY_KIND: list[tuple[Kind, list[Any]]] = [
    (Float(-1.0, 3.0), [-1.0, 0.0, 2.9, 3.0]),
    (Log(1e-5, 1e-2), [1e-5, 3e-4, 1e-2]),
    (OneMinusLog(0.5, 0.999), [0.5, 0.9, 0.99, 0.999]),
    (Int(1, 4), [1, 2, 3, 4]),
    (Pow2(16, 128), [16, 32, 64, 128]),
    (Choice((None, 0.1, 0.2)), [None, 0.1, 0.2]),
    (Choice(((64, 64), (32,))), [(64, 64), (32,)]),
    (Choice((False, True)), [False, True]),
]


def test_every_kind_is_tested() -> None:
    assert {kind.name for kind, _ in EVERY_KIND} == set(KINDS)


@pytest.mark.parametrize(("kind", "values"), EVERY_KIND)
def test_raw_parameters_are_read_back_as_the_same_values(kind: Kind, values: list[Any]) -> None:
    for value in values:
        same = pytest.approx(value) if isinstance(value, float) else value
        assert kind.from_raw(kind.to_raw(value)) == same
        assert kind.contains(value)


@pytest.mark.parametrize(("kind", "values"), EVERY_KIND)
def test_every_position_gives_a_value_of_the_kind(kind: Kind, values: list[Any]) -> None:
    found = [kind.from_unit(unit) for unit in np.linspace(0, 1, 101)]
    assert all(kind.contains(value) for value in found)
    assert {values[0], values[-1]} <= set(found)


def test_the_scales_by_hand() -> None:
    assert Float(1.0, 3.0).from_unit(0.25) == 1.5
    assert Log(1e-4, 1e-2).from_unit(0.5) == pytest.approx(1e-3)
    assert OneMinusLog(0.9, 0.999).from_unit(0.5) == pytest.approx(0.99)  # 1 - x: 0.1, 0.01, 0.001
    assert [Int(1, 4).from_unit(unit) for unit in (0.0, 0.24, 0.26, 0.99, 1.0)] == [1, 1, 2, 4, 4]
    assert [Pow2(16, 64).from_unit(unit) for unit in (0.3, 0.4, 0.7)] == [16, 32, 64]
