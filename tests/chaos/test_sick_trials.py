"""Trials that cannot go well: each ends with its outcome and its reason, and the others are none the worse."""

import json
from collections.abc import Callable
from itertools import count

import pytest
from unstuck.rl.config import PPOConfig
from unstuck.rl.learner import Member
from unstuck.rl.seeding import make_member_seeds

from tests.chaos.harness import ON_GYM, TINY, Sweep
from tests.conftest import Command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Maker = Callable[..., Sweep]


def hostile(name: str) -> tuple[str, ...]:
    return (*ON_GYM, f"env.id=tests.chaos.hostile:{name}-v0")


@pytest.mark.chaos
def test_losses_turn_not_finite(sweep: Maker) -> None:
    sick = sweep(*hostile("NotFinite"), num_trials=3)
    assert "is nan at iteration 4" in sick.start().complete_none()  # 100 steps of each lane, 32 an iteration
    assert sick.outcomes() == {"diverged": 3}
    sick.check()


def seed_with_odd_lanes_in_one_member() -> int:
    """A sweep's seed with which the lanes of member 0 have even seeds, and some of member 1 odd ones."""
    config = PPOConfig(num_envs=2)
    for seed in count():
        sound, sick = (Member(config, own).lane_seeds() for own in make_member_seeds(seed, 2))
        if not any(lane % 2 for lane in sound) and any(lane % 2 for lane in sick):
            return seed
    raise AssertionError


def test_losses_turn_not_finite_in_one_member_only(command: Command, without_ray: None) -> None:
    seed = f"sweep.seed={seed_with_odd_lanes_in_one_member()}"
    done = command(*hostile("OddNotFinite"), seed, "sweep.num_trials=3", "sweep.name=tiny")
    assert done.code == 1, done.err
    assert "of member 1 is nan at iteration 4" in done.out
    assert "3 trials: 3 diverged" in done.out
    audited = json.loads(command.sweeps("audit", "tiny", "--json").out)
    assert audited == {"schema": 1, "sweep": "tiny", "trials": 3, "open": [], "findings": []}


@pytest.mark.chaos
def test_trainable_raises(sweep: Maker) -> None:
    sick = sweep(*hostile("Raising"), "resources.max_failures=0", num_trials=3)
    assert "RuntimeError: the simulator lost its licence at step 100" in sick.start().complete_none()
    assert sick.outcomes() == {"crashed": 3}
    sick.check()


@pytest.mark.chaos
def test_impossible_configurations_are_refused_and_others_asked_for(sweep: Maker) -> None:
    """Of the minibatch sizes only 64 divides the rollout."""
    sick = sweep(*TINY, "+space.ppo.minibatch_size.int=[61,64]")
    assert "minibatch_size must divide" in sick.start().succeed()
    assert sick.outcomes()["infeasible"] > 0
    sick.check()
