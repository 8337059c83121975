"""What trials are compared by and at is the same for all of them: refused where it is not, as a user meets it."""

from dataclasses import replace
from typing import Any

import pytest
from unstuck.records.axis import ENV_STEP, ITERATION, Axis
from unstuck.records.errors import SweepError
from unstuck.records.measurement import Record
from unstuck.rl.budget import Budget
from unstuck.rl.config import PPOConfig
from unstuck.sweeps.config.settings import SamplerConfig, SchedulerConfig, SweepConfig
from unstuck.sweeps.search.parse import NEVER_SEARCHED, build_space
from unstuck.sweeps.stopping.asha import Asha
from unstuck.sweeps.stopping.health import HealthRules
from unstuck.sweeps.stopping.live_trial import LiveTrial

VALUES = {
    "env.id": "CartPole-v1",
    "env.flows_per_episode": 10_000,
    "env.reward_benign": [1.0, 0.0, 0.0, 0.0],
    "env.reward_threat": [0.0, 1.0, 1.0, 1.0],
    "env.eval_episodes": 50,
    "env.vectorization": "async",
    "ppo.num_iterations": 40,
    "ppo.eval_every": 2,
    "ppo.device": "cuda",
    "ppo.compile": True,
}

SMALL = PPOConfig(num_envs=2, num_steps=64, num_iterations=30, eval_every=3, minibatch_size=16)
STEPS = SweepConfig(
    ppo=SMALL,
    space={"ppo": {"num_steps": {"pow2": [32, 256]}}},
    scheduler=SchedulerConfig(grace_iterations=6, reduction_factor=3),
)


def test_the_table_is_tried_whole() -> None:
    assert VALUES.keys() == NEVER_SEARCHED.keys()


@pytest.mark.parametrize("path", VALUES)
def test_what_defines_objective_budget_or_machine_is_searched_neither_by_space_nor_by_points(path: str) -> None:
    group, name = path.split(".")
    rule = rf"^{path} must be the same for all trials, since {NEVER_SEARCHED[path]}, got .* in "
    remedy = rf"; take it out there, and set {path}=VALUE for the whole sweep \(now "
    points = ({}, {group: {name: VALUES[path]}})
    with pytest.raises(SweepError, match=rule + "space" + remedy):
        build_space(replace(STEPS, space={group: {name: {"choice": [VALUES[path]]}}}))
    for sampler in (SamplerConfig(name="tpe", points=points), SamplerConfig(name="points", points=points)):
        with pytest.raises(SweepError, match=rule + r"sampler\.points\[1\]" + remedy):
            build_space(replace(STEPS, sampler=sampler))


def test_a_sweep_on_record_goes_on_with_what_it_searched() -> None:
    spec: dict[str, Any] = {"ppo": {"num_steps": {"pow2": [32, 256]}, "eval_every": {"int": [1, 3]}}}
    old = replace(STEPS, space=spec, format=1)
    space, _ = build_space(old)
    assert space.axis(old) == Axis(ITERATION, 1, 30)
    assert space.budget(old) is None
    assert space.apply(old, {"ppo.num_steps": 256, "ppo.eval_every": 2}).ppo.num_iterations == 30


@pytest.mark.parametrize(
    "config",
    [
        STEPS,
        replace(STEPS, space={"ppo": {"num_envs": {"int": [1, 8]}}}),
        replace(STEPS, space={}, sampler=SamplerConfig(name="points", points=({}, {"ppo": {"num_steps": 256}}))),
    ],
)
def test_a_sweep_over_the_size_of_rollouts_counts_environment_steps(config: SweepConfig) -> None:
    space, _ = build_space(config)
    assert space.axis(config) == Axis(ENV_STEP, 128, 3840)
    assert space.budget(config) == Budget(3840, 384)


def test_any_other_sweep_counts_iterations() -> None:
    config = replace(STEPS, space={"ppo": {"minibatch_size": {"pow2": [16, 64]}, "num_epochs": {"int": [1, 9]}}})
    space, _ = build_space(config)
    assert (space.axis(config), space.budget(config)) == (Axis(ITERATION, 1, 30), None)
    assert space.apply(config, {"ppo.num_epochs": 2}).ppo == replace(SMALL, num_epochs=2)


@pytest.mark.parametrize(
    ("num_steps", "iterations", "often"),
    [(32, 60, 6), (64, 30, 3), (128, 15, 2), (256, 8, 1)],  # 3840 steps, evaluated every 384; 256: 7.5 and 0.75
)
def test_a_trial_is_recorded_with_its_own_number_of_updates(num_steps: int, iterations: int, often: int) -> None:
    space, _ = build_space(STEPS)
    own = space.apply(STEPS, {"ppo.num_steps": num_steps}).ppo
    assert (own.num_iterations, own.eval_every) == (iterations, often)


def test_rungs_lie_at_steps_and_are_judged_at_the_first_evaluation_at_or_past_them() -> None:
    space, _ = build_space(STEPS)
    asha = Asha(STEPS, space.axis(STEPS))
    assert asha.rungs == (6 * 128, 18 * 128)
    for trial, step in enumerate((640, 768, 896)):  # 640 lies before the first
        entries, _ = asha.judge_rungs(trial, step, 0.5, 0.0)
        assert [(entry.rung, entry.iteration) for entry in entries] == ([] if step < 768 else [(1, step)])
    entries, verdict = asha.judge_rungs(3, 4096, 0.0, 0.0)  # past the budget: recorded, never stopped
    assert ([entry.rung for entry in entries], verdict) == ([1, 2], None)


def test_health_waits_for_steps_and_compares_with_the_first_three_iterations() -> None:
    space, _ = build_space(STEPS)
    rules = HealthRules(replace(STEPS.health, stuck_grace_iterations=6), axis=space.axis(STEPS))
    stuck = {"train/value_loss": 1.0, "eval/f1": 0.0, "eval/f1_flag_all": 0.2}
    for batch, waits in ((160, True), (192, False)):  # four updates: 5 and 6 times the unchanged 128 steps
        trial = LiveTrial(0, STEPS)
        trial.add([Record(iteration, 0, stuck, iteration * batch) for iteration in range(1, 5)])
        verdict = rules.judge(trial, trial.records)
        assert (verdict is None) == waits
    assert "at iteration 4" in str(verdict)


def test_rollouts_longer_than_the_steps_between_evaluations_are_named() -> None:
    space, _ = build_space(STEPS)
    assert space.describe_long_rollouts(STEPS) == (
        "rollouts of up to 512 steps are longer than the 384 between evaluations, so trials with them are evaluated "
        "less often than others; ppo.eval_every=4 treats all alike"
    )
    assert space.describe_long_rollouts(replace(STEPS, ppo=replace(SMALL, eval_every=4))) == ""
