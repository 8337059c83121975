import dataclasses

import numpy as np
import pytest
import torch
from unstuck.rl import metrics
from unstuck.rl.adam import Adam
from unstuck.rl.config import PPOConfig
from unstuck.rl.gae import Discounts, generalized_advantages

from benchmarks.value_coef import tables
from benchmarks.value_coef.__main__ import main
from benchmarks.value_coef.critic import independent
from benchmarks.value_coef.independent import IndependentRewards, highest_explained_variance
from benchmarks.value_coef.optimisers import Apart, Sgd, networks_apart
from benchmarks.value_coef.training import (
    NEVER,
    NO_CLIP,
    Arm,
    by_arm,
    float64,
    gradient_sizes,
    gradients,
    side_by_side,
    train,
)

SEEDS = 2
SMALL = PPOConfig(
    num_iterations=NEVER,
    eval_every=NEVER,
    num_envs=2,
    num_steps=32,
    minibatch_size=32,
    hidden_sizes=(8,),
    max_grad_norm=NO_CLIP,
)


def _arms(coefficients, **settings):
    return [Arm(dataclasses.replace(SMALL, value_coef=value_coef, **settings)) for value_coef in coefficients]


def _learner(arms, **named):
    return side_by_side(arms, SEEDS, independent(0.5), **named)


def _moves(arms, iterations, **named):
    """By how much training moves parameters, `[arms, seeds, n]`."""
    learner = _learner(arms, **named)
    start = learner.networks.parameters.clone()
    train(learner, iterations, "")
    return by_arm(learner.networks.parameters - start, arms)


def _relative(moves, reference):
    return ((moves - reference).norm(dim=-1) / reference.norm(dim=-1)).amax().item()


def test_p1_without_clip_and_epsilon_value_coef_changes_no_bit():
    """A power of two scales without rounding, so that Adam's ratio of moments is the same to the last bit."""
    with float64():
        moves = _moves(_arms((1.0, 0.125, 1024.0), adam_eps=1e-300), 20)
    assert moves.dtype == torch.float64
    assert moves[0].abs().max() > 1e-3
    assert torch.equal(moves[1], moves[0])
    assert torch.equal(moves[2], moves[0])


def test_p1_any_other_factor_changes_no_more_than_rounding_and_epsilon_do():
    with float64():
        moves = _moves(_arms((1.0, 0.1, 10.0), adam_eps=1e-12), 20)
    assert _relative(moves[1:], moves[:1]) < 1e-6


@pytest.mark.parametrize("lets_it", [{"max_grad_norm": 0.05}, {"shared_trunk": True}, {"adam_eps": 1e-3}])
def test_a_joint_clip_a_shared_trunk_or_epsilon_lets_it_through(lets_it):
    with float64():
        moves = _moves(_arms((1.0, 10.0), **{"adam_eps": 1e-12, **lets_it}), 20)
    assert _relative(moves[1], moves[0]) > 1e-4


def test_p2_epsilon_shortens_the_critics_first_step_as_adams_formula_says():
    """One gradient step: lr g / (|g| + eps), so that with a factor c before g it is lr g / (|g| + eps / c)."""
    coefficients = (1.0, 1e-1, 1e-2, 1e-3)
    arms = _arms(coefficients, num_epochs=1, minibatch_size=64, adam_eps=1e-3, lr=1e-2)
    learner = _learner(arms)
    start = learner.networks.parameters.clone()
    train(learner, 1, "")
    policies, critics = networks_apart(by_arm(learner.networks.parameters - start, arms)).unbind(2)
    _, size = networks_apart(by_arm(gradient_sizes(learner), arms)).unbind(2)
    for arm, value_coef in enumerate(coefficients):
        expected = 1e-2 * size[0] / (size[0] + 1e-3 / value_coef)
        np.testing.assert_allclose(critics[arm].abs(), expected, rtol=1e-3, atol=1e-6)
        assert torch.equal(policies[arm], policies[0])
    assert critics[-1].norm() < 0.3 * critics[0].norm()


def test_p3_a_joint_clip_carries_value_coef_to_the_policy_and_a_clip_for_each_network_does_not():
    joint = _arms((1.0, 64.0), max_grad_norm=1e-3)
    own = [Arm(arm.config, network_clip=1e-3) for arm in _arms((1.0, 64.0))]
    (policies, _), (apart, _) = (networks_apart(_moves(arms, 1)).unbind(2) for arms in (joint, own))
    assert policies[1].norm() < 0.5 * policies[0].norm()  # 1e-3 of the norm over 64 is below adam_eps
    assert torch.equal(apart[1], apart[0])


def test_p6_under_gradient_descent_value_coef_is_the_critics_learning_rate():
    plain, tripled = (Arm(dataclasses.replace(SMALL, value_coef=c, lr=1e-2)) for c in (0.5, 1.5))
    arms = [plain, tripled, dataclasses.replace(plain, critic_lr=3.0)]
    with float64():
        descent, adam = (networks_apart(_moves(arms, 3, optimiser=optimiser))[:, :, 1] for optimiser in (Sgd, Adam))
    assert _relative(descent[1], descent[2]) < 1e-12
    assert _relative(descent[1], descent[0]) > 0.5
    assert _relative(adam[1], adam[0]) < 0.1
    assert _relative(adam[1], adam[2]) > 0.5


@pytest.mark.parametrize("shared_trunk", [False, True])
def test_gradients_are_those_of_the_next_update_and_change_nothing(shared_trunk):
    arms = _arms((0.0, 0.7), shared_trunk=shared_trunk, num_epochs=1, minibatch_size=64)
    learner, undisturbed = (_learner(arms, optimiser=Sgd) for _ in range(2))
    for both in (learner, undisturbed):
        train(both, 2, "")
    policy, value = gradients(learner)
    start = learner.networks.parameters.clone()
    for both in (learner, undisturbed):
        train(both, 1, "")
    assert torch.equal(learner.networks.parameters, undisturbed.networks.parameters)
    step = start - learner.networks.parameters
    value_coef = torch.tensor([[0.0], [0.0], [0.7], [0.7]])
    np.testing.assert_allclose(step, SMALL.lr * (policy + value_coef * value), rtol=1e-3, atol=1e-7)
    shared = (policy != 0) & (value != 0)
    assert bool(shared.any()) == shared_trunk


def test_apart_with_nothing_set_is_adam_to_the_last_bit():
    start = torch.linspace(-1, 1, 12).repeat(2, 1)
    eps, lr, off = torch.full((2, 1), 1e-5), torch.full((2, 1), 1e-2), torch.full((2, 1), torch.inf)
    plain, apart = Adam(start.clone(), eps), Apart(Adam(start.clone(), eps), off, torch.ones(2, 1))
    for seed in range(3):
        gradient = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, 12), dtype=np.float32))
        for optimiser in (plain, apart):
            optimiser.step(gradient, lr)
    assert torch.equal(apart.parameters, plain.parameters)
    assert not torch.equal(plain.parameters, start)


def test_apart_treats_each_network_and_member_by_itself():
    """Policy gradient (3, 4), value gradient (0, 30): clipped to 1, then lr 0.1, times 3 for the second critic."""
    gradient = torch.tensor([[3.0, 4.0, 0.0, 30.0]] * 2)
    inner = Sgd(torch.zeros(2, 4), torch.ones(2, 1))
    apart = Apart(inner, torch.tensor([[torch.inf], [1.0]]), torch.tensor([[1.0], [3.0]]))
    apart.step(gradient, torch.full((2, 1), 0.1))
    expected = torch.tensor([[-0.3, -0.4, 0.0, -3.0], [-0.06, -0.08, 0.0, -0.3]])
    np.testing.assert_allclose(apart.parameters, expected, rtol=1e-6)


def test_gradient_descent_leaves_an_inactive_member_where_it_is():
    sgd = Sgd(torch.zeros(2, 3), torch.ones(2, 1))
    gradient = torch.full((2, 3), torch.nan)
    gradient[0] = 1.0
    sgd.step(gradient, torch.full((2, 1), 0.5), torch.tensor([[True], [False]]))
    assert sgd.parameters.tolist() == [[-0.5] * 3, [0.0] * 3]


@pytest.mark.parametrize(
    ("gamma", "gae_lambda", "share", "expected"),
    [
        (0.99, 0.95, 1.0, 0.1054),
        (0.98, 0.8, 1.0, 0.286),
        (0.9, 0.95, 1.0, 0.249),
        (0.99, 0.0, 1.0, 0.505),
        (0.0, 0.95, 0.3, 0.3),
        (0.99, 0.95, 0.3, 0.0337),
    ],
)
def test_the_limit_of_long_rollouts_is_that_of_the_closed_form(gamma, gae_lambda, share, expected):
    unforeseen = ((1 - share) + gamma**2 * share) / (1 - (gamma * gae_lambda) ** 2)
    closed = share / (share + unforeseen)
    assert closed == pytest.approx(expected, abs=5e-4)
    assert highest_explained_variance(share, gamma, gae_lambda, 20_000) == pytest.approx(closed, rel=2e-3)


@pytest.mark.parametrize(("gamma", "gae_lambda", "share"), [(0.99, 0.95, 1.0), (0.99, 1.0, 1.0), (0.9, 0.5, 0.3)])
def test_an_exact_critic_explains_what_the_formula_says(gamma, gae_lambda, share):
    """The value of an observation is its expected reward: what follows it has mean 0."""
    lanes, steps = 2000, 32
    env = IndependentRewards(lanes, share)
    seen, _ = env.reset(seed=0)
    rewards, values = torch.zeros(1, steps, lanes), torch.zeros(1, steps + 1, lanes)
    for step in range(steps):
        values[0, step] = torch.from_numpy(seen[:, 0]) * share**0.5
        seen, reward, _, _, _ = env.step(np.zeros(lanes, dtype=np.int64))
        rewards[0, step] = torch.from_numpy(reward)
    values[0, steps] = torch.from_numpy(seen[:, 0]) * share**0.5
    never = torch.zeros(rewards.shape, dtype=torch.bool)
    discounts = Discounts(torch.tensor([[gamma]]), torch.tensor([[gae_lambda]]))
    advantages = generalized_advantages(rewards, values[:, :-1], values[:, 1:], never, never, discounts)
    foreseen = 1 - advantages.var() / (advantages + values[:, :-1]).var()
    assert rewards.var().item() == pytest.approx(1, rel=0.03)
    assert foreseen.item() == pytest.approx(highest_explained_variance(share, gamma, gae_lambda, steps), rel=0.03)


def test_independent_rewards_do_not_depend_on_actions_or_neighbours():
    several, alone = IndependentRewards(3, 0.5), IndependentRewards(1, 0.5)
    first, _ = several.reset(seed=[5, 6, 7])
    alone_first, _ = alone.reset(seed=[6])
    np.testing.assert_array_equal(first[1:2], alone_first)
    for _ in range(3):
        observed, rewards, *_ = several.step(np.array([0, 1, 0]))
        alone_observed, alone_rewards, *_ = alone.step(np.array([0]))
        np.testing.assert_array_equal(observed[1:2], alone_observed)
        np.testing.assert_array_equal(rewards[1:2], alone_rewards)


def test_tables_are_markdown():
    table = tables.Table("Two seeds:", ("a", "b"), [("1", tables.spread([1.0, 3.0], 1))])
    assert str(table) == "Two seeds:\n\n| a | b |\n| --- | --- |\n| 1 | 2.0 ± 1.4 |"


def test_rank_correlation_sees_order_alone():
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert tables.rank_correlation(values, values**5) == pytest.approx(1)
    assert tables.rank_correlation(values, -np.exp(values)) == pytest.approx(-1)
    assert tables.rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(0.5)


def test_arms_share_their_seeds_and_histories_are_by_arm():
    history = train(_learner(_arms((1.0, 1.0, 5.0))), 2, "")
    losses = history[metrics.VALUE_LOSS]
    assert losses.shape == (2, 3, SEEDS)
    np.testing.assert_array_equal(losses[:, 0], losses[:, 1])
    assert losses[0, 0, 0] != losses[0, 0, 1]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_quick_study_prints_a_table_for_each_prediction(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["value_coef", "--quick"])
    main()
    printed = capsys.readouterr().out
    parts = printed.split("\n## ")
    assert [part[:2] for part in parts[1:]] == [f"P{number}" for number in range(1, 8)]
    assert all("| --- |" in part for part in parts[1:])
    assert "nan" not in printed
