"""Settings as a command line takes them: what Hydra reads back must be what was meant."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from unstuck.analysis.overrides import format_literal, format_point


@pytest.mark.parametrize(
    "value", [3, 0.1, 1e-8, 1 / 3, 3e-4, True, False, None, "batch", [1, 2], [[1.5, "a"], None], []], ids=str
)
def test_hydra_reads_back_what_was_meant(value: Any) -> None:
    (read,) = OverridesParser.create().parse_overrides([f"a.b={format_literal(value)}"])
    found = read.value()
    assert found == value
    assert type(found) is type(value)


def test_tuples_are_lists() -> None:
    assert format_literal((64, (1.5, None))) == "[64,[1.5,null]]"


def test_a_point_is_nested_by_its_first_part() -> None:
    values = {"ppo.lr": 1e-3, "env.reward_threat": (1, 2), "ppo.target_kl": None}
    text = format_point(values)
    assert text == "{ppo: {lr: 0.001, target_kl: null}, env: {reward_threat: [1,2]}}"
    (read,) = OverridesParser.create().parse_overrides([f"sampler.points=[{text}, {format_point({})}]"])
    assert read.value() == [{"ppo": {"lr": 1e-3, "target_kl": None}, "env": {"reward_threat": [1, 2]}}, {}]
