import math
from dataclasses import replace
from typing import Any

import pytest
from unstuck.records.errors import SweepError
from unstuck.sweeps.config.settings import SamplerConfig, SweepConfig
from unstuck.sweeps.search.kinds import Choice
from unstuck.sweeps.search.parse import build_space, parse_space, span_points

CONFIG = SweepConfig()


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        ({"log": [0, 1]}, r"^space\.ppo\.lr\.log must be \[low, high\] with 0 < low < high .*, got \[0\.0, 1\.0\]$"),
        ({"log": [1e-2, 1e-3]}, r"^space\.ppo\.lr\.log must be \[low, high\] with .*low < high"),
        ({"float": [1, 1]}, r"^space\.ppo\.lr\.float must be \[low, high\] with low < high, got \[1\.0, 1\.0\]$"),
        ({"one_minus_log": [0.5, 1.0]}, r"one_minus_log must be \[low, high\] with low < high < 1"),
        ({"log": [1e-4]}, r"must be two bounds, \[low, high\], got \[0\.0001\]; use choice"),
        ({"log": 3}, r"must be a list, got 3"),
        ({"log": ["a", 1]}, r"must hold a number for ppo\.lr, got 'a'$"),
        ({"float": [0, math.inf]}, r"must hold a number for ppo\.lr, got inf$"),
        ({"int": [1, 2]}, r"must have bounds of type int, got \[1\.0, 2\.0\]; use float or log"),
        ({"choice": [1, 1.0]}, r"must list at least one value, and none twice"),
        ({"choice": []}, r"must list at least one value, and none twice"),
        ({"lg": [1, 2]}, r"^space\.ppo\.lr has the unknown kind lg; did you mean log\? There are: float, log"),
        ({"log": [1, 2], "float": [1, 2]}, r"exactly one kind, got log and float; ~space\.ppo\.lr\.KIND takes one out"),
        ({}, r"exactly one kind, got none"),
        (None, r"exactly one kind, got none"),
    ],
)
def test_a_range_that_is_none_is_refused(leaf: Any, message: str) -> None:
    with pytest.raises(SweepError, match=message):
        parse_space({"ppo": {"lr": leaf}}, CONFIG)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ppo": {"num_steps": {"pow2": [100, 256]}}}, r"powers of two as bounds, got 100; try 64 or 128$"),
        ({"ppo": {"num_steps": {"log": [1, 2]}}}, r"must have bounds of type float, got \[1, 2\]; use int or pow2"),
        ({"ppo": {"lrr": {"log": [1, 2]}}}, r"^unknown setting ppo\.lrr in space; did you mean ppo\.lr\?$"),
        ({"data": {"seed": {"int": [1, 2]}}}, r"^space may hold settings of ppo and env only, got data; the rest is"),
        ({"pppo": {"lr": {"log": [1, 2]}}}, r"got pppo; did you mean ppo\?$"),
        ({"ppo": [1]}, r"^space\.ppo must be nested as group and setting"),
        ({}, r"^space must hold at least one setting, got none; add space=coefficients$"),
        ({"ppo": {}}, r"^space must hold at least one setting"),
        (
            {"ppo": {"gamma": {"float": [2, 3]}}},
            r"^space must hold configurations that can run, but 1,000 draws held none: ppo\.gamma must lie in 0\.\.1",
        ),
    ],
)
def test_a_space_that_is_none_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        parse_space(spec, CONFIG)


def test_points_span_their_space() -> None:
    points: list[dict[str, Any]] = [{}, {"ppo": {"value_coef": 5}}, {"ppo": {"lr": 1e-3, "hidden_sizes": [32]}}]
    space, full = span_points(points, CONFIG)
    base = {"ppo.value_coef": 0.5, "ppo.lr": 3e-4, "ppo.hidden_sizes": (64, 64)}
    assert full == [base, base | {"ppo.value_coef": 5.0}, base | {"ppo.lr": 1e-3, "ppo.hidden_sizes": (32,)}]
    assert space.kinds == {
        "ppo.value_coef": Choice((0.5, 5.0)),
        "ppo.lr": Choice((3e-4, 1e-3)),
        "ppo.hidden_sizes": Choice(((64, 64), (32,))),
    }
    assert all(space.decode(space.encode(point)) == point for point in full)
    assert space.apply(CONFIG, full[0]) == CONFIG


def test_the_control_alone_has_nothing_to_search() -> None:
    space, full = span_points([{}], CONFIG)
    assert space.paths == ()
    assert full == [{}]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([{}, {"ppo": {"lr": 3e-4}}], r"^sampler\.points must differ, got the same at 0 and 1; leave one out$"),
        ([{"ppo": {"lrr": 1}}], r"^unknown setting ppo\.lrr in sampler\.points\[0\]; did you mean ppo\.lr\?$"),
        ([{}, {"sweep": {"seed": 1}}], r"^sampler\.points\[1\] may hold settings of ppo and env only, got sweep"),
        ([{"ppo": {"lr": "a"}}], r"^sampler\.points\[0\] must hold a number for ppo\.lr, got 'a'$"),
        ([{"ppo": 3}], r"^sampler\.points\[0\]\.ppo must be nested"),
    ],
)
def test_points_that_are_wrong_are_refused(points: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        span_points(points, CONFIG)


def test_the_space_follows_the_sampler() -> None:
    spec = {"ppo": {"lr": {"log": [1e-5, 1e-2]}}}
    space, given = build_space(replace(CONFIG, space=spec))
    assert (space.paths, given) == (("ppo.lr",), [])
    points = replace(CONFIG, sampler=SamplerConfig(name="points", points=({}, {"ppo": {"lr": 1e-3}})))
    space, given = build_space(points)
    assert given == [{"ppo.lr": 3e-4}, {"ppo.lr": 1e-3}]
    assert build_space(replace(points, space={"ppo": {"gamma": {"float": [0, 1]}}})) == (space, given)
    endless = replace(CONFIG, space=spec, sweep=replace(CONFIG.sweep, num_trials=None))
    with pytest.raises(SweepError, match=r"^sweep\.num_trials must be a number for sampler=tpe, got null; try 48$"):
        build_space(endless)


def test_a_sampler_tries_its_points_first_completed_by_the_configuration() -> None:
    config = replace(
        CONFIG,
        space={"ppo": {"lr": {"log": [1e-5, 1e-2]}, "gamma": {"float": [0, 1]}}},
        sampler=SamplerConfig(name="tpe", points=({"ppo": {"gamma": 0}},)),
    )
    space, points = build_space(config)
    assert points == [{"ppo.lr": CONFIG.ppo.lr, "ppo.gamma": 0.0}]
    assert space.contains(points[0])
    foreign = replace(config, sampler=SamplerConfig(name="tpe", points=({"ppo": {"clip_range": 0.1}},)))
    with pytest.raises(
        SweepError, match=r"^sampler\.points\[0\] may set what is searched \(ppo\.lr, ppo\.gamma\), got"
    ):
        build_space(foreign)
