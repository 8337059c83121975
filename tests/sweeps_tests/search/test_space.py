import math
from dataclasses import replace

import numpy as np
import optuna
import pytest
from unstuck.records.errors import SweepError
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import SamplerConfig, SweepConfig
from unstuck.sweeps.search.parse import build_space, parse_space

CONFIG = SweepConfig()
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


def test_the_control_is_trial_0_or_the_point_that_changes_nothing() -> None:
    base = SweepConfig(space={"ppo": {"lr": {"choice": [1e-3, 3e-4]}, "gamma": {"one_minus_log": [0.3, 0.999]}}})
    base = replace(base, ppo=replace(base.ppo, gamma=0.35))  # which 1 - (1 - x) need not give back
    space, _ = build_space(base)
    unchanged = space.decode(space.encode(space.control_values(base)))
    assert space.is_control(base, 0, unchanged)
    assert not space.is_control(base, 7, unchanged)  # drawn by chance
    assert not space.is_control(base, 0, unchanged | {"ppo.lr": 1e-3})  # drawn, where nothing is enqueued
    assert not space.is_control(replace(base, sweep=replace(base.sweep, control=False)), 0, unchanged)
    outside = replace(base, ppo=replace(base.ppo, lr=5e-4))
    assert not space.is_control(outside, 0, unchanged)
    points = SamplerConfig(name="points", points=({"ppo": {"lr": 1e-3}}, {}))
    listed = replace(base, sampler=points)
    space, full = build_space(listed)
    assert [space.is_control(listed, number, point) for number, point in enumerate(full)] == [False, True]
