from dataclasses import replace
from typing import Any

import pytest
from unstuck.records.errors import SweepError
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.parse import build_space, parse_space, span_points

CONFIG = SweepConfig()


def test_a_space_that_can_run_now_and_then_is_accepted() -> None:
    space = parse_space({"ppo": {"minibatch_size": {"int": [2, 1024]}}}, CONFIG)  # 10 of 1,023 divide 1024
    assert space.paths == ("ppo.minibatch_size",)


def test_a_point_that_cannot_run_is_refused_by_its_number() -> None:
    with pytest.raises(ConfigError, match=r"^sampler\.points\[1\] cannot run: minibatch_size must divide"):
        span_points([{}, {"ppo": {"minibatch_size": 48}}], CONFIG)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"gamma": {"float": [0.5, 1.2]}}, r"^space\.ppo\.gamma\.float must hold what can run: ppo\.gamma must lie in"),
        ({"minibatch_size": {"choice": [64, 48]}}, r"^space\.ppo\.minibatch_size\.choice must hold what can run"),
    ],
)
def test_a_bound_or_an_option_that_never_runs_is_refused(setting: dict[str, Any], message: str) -> None:
    config = replace(CONFIG, space={"ppo": setting})
    with pytest.raises(SweepError, match=message):
        build_space(config)
    assert build_space(replace(config, format=1))[0].paths == (f"ppo.{next(iter(setting))}",)  # an older sweep goes on


def test_an_option_that_runs_with_a_draw_of_the_rest_is_accepted() -> None:
    setting = {"minibatch_size": {"choice": [64, 1536]}, "num_steps": {"choice": [128, 192]}}  # 8 * 192 = 1536
    assert build_space(replace(CONFIG, space={"ppo": setting}))[0].paths == ("ppo.minibatch_size", "ppo.num_steps")
