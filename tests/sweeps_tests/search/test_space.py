import math
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from unstuck.records.errors import SweepError
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import SamplerConfig, SweepConfig
from unstuck.sweeps.search.space import (
    KINDS,
    Choice,
    Float,
    Int,
    Kind,
    Log,
    OneMinusLog,
    Pow2,
    parse_space,
    points_space,
    search_space,
)

CONFIG = SweepConfig()
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
SPEC = {
    "ppo": {
        "lr": {"log": [1e-5, 1e-2]},
        "gamma": {"one_minus_log": [0.5, 0.999]},
        "num_steps": {"pow2": [16, 256]},
        "num_epochs": {"int": [1, 4]},
        "gae_lambda": {"float": [0, 1]},
        "hidden_sizes": {"choice": [[64, 64], [32]]},
        "target_kl": {"choice": [None, 0.01]},
    }
}


def test_every_kind_is_tested() -> None:
    assert {kind.name for kind, _ in EVERY_KIND} == set(KINDS)


@pytest.mark.parametrize(("kind", "values"), EVERY_KIND)
def test_unit_and_raw_are_inverse_pairs(kind: Kind, values: list[Any]) -> None:
    for value in values:
        unit = kind.to_unit(value)
        assert 0 <= unit <= 1
        same = pytest.approx(value) if isinstance(value, float) else value
        assert kind.from_unit(unit) == same
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


def test_optuna_samples_on_the_scale_and_decode_gives_values() -> None:
    space = parse_space(SPEC, CONFIG)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    rows = []
    for _ in range(300):
        trial = study.ask(space.distributions())
        rows.append(space.decode(trial.params))
        assert space.contains(rows[-1])
        study.tell(trial, 0.0)
    lr = np.log10([row["ppo.lr"] for row in rows])
    assert np.mean(lr) == pytest.approx(-3.5, abs=0.2)  # of the uniform on -5..-2; uniform in lr itself: -2.4
    distance = np.log10([1 - row["ppo.gamma"] for row in rows])
    assert np.mean(distance) == pytest.approx((math.log10(0.5) - 3) / 2, abs=0.2)
    assert {row["ppo.num_steps"] for row in rows} == {16, 32, 64, 128, 256}
    assert {row["ppo.num_epochs"] for row in rows} == {1, 2, 3, 4}
    assert {row["ppo.hidden_sizes"] for row in rows} == {(64, 64), (32,)}


def test_a_point_given_is_the_point_that_optuna_gives_back() -> None:
    space = parse_space(SPEC, CONFIG)
    values = space.control_values(CONFIG)
    assert values["ppo.hidden_sizes"] == (64, 64)
    raw = space.encode(values)
    assert raw["ppo.num_steps"] == 7
    assert raw["ppo.gamma"] == pytest.approx(0.01)
    assert raw["ppo.hidden_sizes"] == "[64, 64]"
    study = optuna.create_study()
    study.enqueue_trial(raw)
    assert space.decode(study.ask(space.distributions()).params) == values


def test_a_point_outside_is_refused() -> None:
    space = parse_space({"ppo": {"lr": {"log": [1e-3, 1e-2]}}}, CONFIG)
    assert not space.contains(space.control_values(CONFIG))
    with pytest.raises(SweepError, match=r"^ppo\.lr must lie in Log\(low=0\.001.*got 0\.0003; widen space\.ppo\.lr$"):
        space.encode(space.control_values(CONFIG))


def test_contains_wants_every_setting_and_no_other() -> None:
    space = parse_space({"ppo": {"lr": {"log": [1e-5, 1e-2]}, "num_envs": {"pow2": [1, 16]}}}, CONFIG)
    assert space.contains({"ppo.lr": 1e-3, "ppo.num_envs": 8})
    assert not space.contains({"ppo.lr": 1e-3})
    assert not space.contains({"ppo.lr": 1e-3, "ppo.num_envs": 8, "ppo.gamma": 0.5})
    assert not space.contains({"ppo.lr": 1e-3, "ppo.num_envs": 12})
    assert not space.contains({"ppo.lr": 0.1, "ppo.num_envs": 8})


def test_apply_sets_all_values_at_once() -> None:
    space = parse_space(SPEC, CONFIG)
    # One after the other would be refused: a minibatch of 512 does not divide 8 * 32.
    changed = space.apply(CONFIG, {"ppo.minibatch_size": 512, "ppo.num_steps": 64, "env.eval_episodes": 3})
    assert (changed.ppo.minibatch_size, changed.ppo.num_steps, changed.env.eval_episodes) == (512, 64, 3)
    assert CONFIG.ppo.num_steps == 128
    assert space.apply(CONFIG, {}) == CONFIG


def test_apply_refuses_what_cannot_run() -> None:
    space = parse_space(SPEC, CONFIG)
    with pytest.raises(ConfigError, match=r"minibatch_size must divide num_envs \* num_steps = 128, got 256"):
        space.apply(CONFIG, {"ppo.num_steps": 16})


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


def test_a_space_that_can_run_now_and_then_is_accepted() -> None:
    space = parse_space({"ppo": {"minibatch_size": {"int": [2, 1024]}}}, CONFIG)  # 10 of 1,023 divide 1024
    assert space.paths == ("ppo.minibatch_size",)


def test_points_span_their_space() -> None:
    points: list[dict[str, Any]] = [{}, {"ppo": {"value_coef": 5}}, {"ppo": {"lr": 1e-3, "hidden_sizes": [32]}}]
    space, full = points_space(points, CONFIG)
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
    space, full = points_space([{}], CONFIG)
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
        points_space(points, CONFIG)


def test_a_point_that_cannot_run_is_refused_by_its_number() -> None:
    with pytest.raises(ConfigError, match=r"^sampler\.points\[1\] cannot run: minibatch_size must divide"):
        points_space([{}, {"ppo": {"minibatch_size": 48}}], CONFIG)


def test_search_space_follows_the_sampler() -> None:
    spec = {"ppo": {"lr": {"log": [1e-5, 1e-2]}}}
    space, given = search_space(replace(CONFIG, space=spec))
    assert (space.paths, given) == (("ppo.lr",), [])
    points = replace(CONFIG, sampler=SamplerConfig(name="points", points=({}, {"ppo": {"lr": 1e-3}})))
    space, given = search_space(points)
    assert given == [{"ppo.lr": 3e-4}, {"ppo.lr": 1e-3}]
    assert search_space(replace(points, space={"ppo": {"gamma": {"float": [0, 1]}}})) == (space, given)
    endless = replace(CONFIG, space=spec, sweep=replace(CONFIG.sweep, num_trials=None))
    with pytest.raises(SweepError, match=r"^sweep\.num_trials must be a number for sampler=tpe, got null; try 48$"):
        search_space(endless)


def test_a_sampler_tries_its_points_first_completed_by_the_configuration() -> None:
    config = replace(
        CONFIG,
        space={"ppo": {"lr": {"log": [1e-5, 1e-2]}, "gamma": {"float": [0, 1]}}},
        sampler=SamplerConfig(name="tpe", points=({"ppo": {"gamma": 0}},)),
    )
    space, points = search_space(config)
    assert points == [{"ppo.lr": CONFIG.ppo.lr, "ppo.gamma": 0.0}]
    assert space.contains(points[0])
    foreign = replace(config, sampler=SamplerConfig(name="tpe", points=({"ppo": {"clip_range": 0.1}},)))
    with pytest.raises(
        SweepError, match=r"^sampler\.points\[0\] may set what is searched \(ppo\.lr, ppo\.gamma\), got"
    ):
        search_space(foreign)


def test_the_control_is_trial_0_or_the_point_that_changes_nothing() -> None:
    base = SweepConfig(space={"ppo": {"lr": {"choice": [1e-3, 3e-4]}, "gamma": {"one_minus_log": [0.3, 0.999]}}})
    base = replace(base, ppo=replace(base.ppo, gamma=0.35))  # which 1 - (1 - x) need not give back
    space, _ = search_space(base)
    unchanged = space.decode(space.encode(space.control_values(base)))
    assert space.is_control(base, 0, unchanged)
    assert not space.is_control(base, 7, unchanged)  # drawn by chance
    assert not space.is_control(base, 0, unchanged | {"ppo.lr": 1e-3})  # drawn, where nothing is enqueued
    assert not space.is_control(replace(base, sweep=replace(base.sweep, control=False)), 0, unchanged)
    outside = replace(base, ppo=replace(base.ppo, lr=5e-4))
    assert not space.is_control(outside, 0, unchanged)
    points = SamplerConfig(name="points", points=({"ppo": {"lr": 1e-3}}, {}))
    listed = replace(base, sampler=points)
    space, full = search_space(listed)
    assert [space.is_control(listed, number, point) for number, point in enumerate(full)] == [False, True]
