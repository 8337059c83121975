"""Budgets in environment steps, by numbers worked out by hand: 10 iterations of 128 steps, evaluated every 2."""

from dataclasses import replace

import pytest
from unstuck.rl import metrics
from unstuck.rl.budget import Budget
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

BASE = PPOConfig(
    num_envs=2,
    num_steps=64,
    num_iterations=10,
    eval_every=2,
    minibatch_size=32,
    num_epochs=1,
    hidden_sizes=(4,),
    lr=0.1,
    lr_schedule="linear",
)
BUDGET = Budget(1280, 256)


def learner_of(config: PPOConfig, budget: Budget | None = None) -> Learner:
    env = EnvConfig(id="CartPole-v1", eval_episodes=1)
    return make_learner(config, env, make_member_seeds(0, 1), make_evaluation_seed(0), budget=budget)


def test_a_configuration_has_a_budget_by_itself() -> None:
    assert Budget.from_config(BASE) == BUDGET


@pytest.mark.parametrize(
    ("batch", "updates", "evaluated"),
    [
        (128, 10, [256, 512, 768, 1024, 1280]),
        (64, 20, [256, 512, 768, 1024, 1280]),
        (100, 13, [300, 600, 800, 1100, 1300]),  # the first update past 256, 512, 768, 1024, 1280
        (512, 3, [512, 1024, 1536]),
        (1280, 1, [1280]),
        (2000, 1, [2000]),
    ],
)
def test_the_last_update_overshoots_by_less_than_one_rollout(batch: int, updates: int, evaluated: list[int]) -> None:
    assert BUDGET.iterations(batch) == updates
    assert 0 <= updates * batch - 1280 < batch
    assert [i * batch for i in range(1, updates + 1) if BUDGET.evaluates_after(i, batch)] == evaluated


def test_the_end_is_evaluated_where_no_multiple_lies() -> None:
    budget = Budget(1280, 500)
    assert [i * 128 for i in range(1, 11) if budget.evaluates_after(i, 128)] == [512, 1024, 1280]
    assert [i * 512 for i in range(1, 4) if budget.evaluates_after(i, 512)] == [512, 1024, 1536]


@pytest.mark.parametrize("iterations", [7, 30, 200])
def test_iterations_say_what_their_steps_say_bit_for_bit(iterations: int) -> None:
    config = replace(BASE, num_iterations=iterations, eval_every=3)
    budget, batch = Budget.from_config(config), config.batch_size
    for done in range(iterations + 1):
        assert budget.share_left(done, batch) == 1 - done / iterations
        assert budget.evaluates_after(done + 1, batch) == ((done + 1) % 3 == 0 or done + 1 == iterations)


@pytest.mark.parametrize(
    ("num_steps", "rates", "evaluated"),
    [
        (32, [0.1 * (1 - k / 20) for k in range(20)], [256, 512, 768, 1024, 1280]),
        (256, [0.1, 0.06, 0.02], [512, 1024, 1536]),
    ],
)
def test_a_learner_anneals_and_is_evaluated_by_steps(num_steps: int, rates: list[float], evaluated: list[int]) -> None:
    learner = learner_of(replace(BASE, num_steps=num_steps), BUDGET)
    assert learner.last_iteration == len(rates)
    found, steps = [], []
    for _ in range(learner.last_iteration):
        measured = learner.iterate()
        found.append(float(measured[metrics.LR][0]))
        if metrics.EVAL_RETURN in measured:
            steps.append(learner.iteration * learner.config.batch_size)
    assert found == pytest.approx(rates, rel=1e-6)
    assert steps == evaluated


def test_nothing_trains_beyond_its_budget() -> None:
    learner = learner_of(replace(BASE, num_iterations=2))
    for _ in range(2):
        learner.iterate()
    weights = learner.networks.parameters.clone()
    assert learner.read_effective()["lr"] == [0.0]
    with pytest.raises(ConfigError, match=r"must not train beyond its budget of 2 iterations, .*raise ppo\.num_iter"):
        learner.iterate()
    assert (learner.networks.parameters == weights).all()


def test_a_branch_goes_on_with_the_schedule_of_its_run() -> None:
    """Of a run of 1000 steps that is branched at 600: 400 are left of what was planned, or as many as follow."""
    longer, shorter = Budget(600, 256, done=600, planned=1000), Budget(200, 256, done=600, planned=1000)
    assert [longer.share_left(i, 100) for i in (0, 1, 6)] == [0.5, 1 - 700 / 1200, 0.0]
    assert [shorter.share_left(i, 100) for i in (0, 1, 2)] == [0.4, 1 - 0.7, 1 - 0.8]
    assert longer.iterations(100) == Budget(600, 256).iterations(100) == 6  # counted from the branch
    assert [longer.evaluates_after(i, 128) for i in (1, 2)] == [
        Budget(600, 256).evaluates_after(i, 128) for i in (1, 2)
    ]
