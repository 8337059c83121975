from dataclasses import replace

import numpy as np
import pytest
import torch
from unstuck.rl import metrics
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.gae import Discounts, generalized_advantages
from unstuck.rl.learner import Learner, Member
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.rl.value_probe import ValueFloor, measure_unforeseen_shares

LAMBDA = 0.95


def _normal(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def _returns(rewards, values, gamma, gae_lambda):
    """Lambda-returns of an endless rollout; `values` `[P, T + 1, N]` holds those of the state that follows as well."""
    never = torch.zeros(rewards.shape, dtype=torch.bool)
    discounts = Discounts(torch.tensor([[gamma]]), torch.tensor([[gae_lambda]]))
    return values[:, :-1] + generalized_advantages(rewards, values[:, :-1], values[:, 1:], never, never, discounts)


def _spread(columns):
    return columns.flatten(1).std(-1, correction=0, keepdim=True)


def _measure(observations, values, returns, rewards, unit=None, monte_carlo=None):
    monte_carlo = returns if monte_carlo is None else monte_carlo
    unit = torch.ones(len(returns), 1) if unit is None else unit
    floor = ValueFloor(len(returns))
    floor.update(1, observations, torch.stack([returns, monte_carlo, rewards], dim=-1))
    return floor.floor_metrics(values, returns, unit)


def _floor(*arguments, **named):
    return _measure(*arguments, **named)[metrics.VALUE_FLOOR]


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9, 0.99])
def test_on_independent_flows_the_floor_is_that_of_the_formula(gamma, share):
    """An exact critic; `share` of the reward's variance follows from the observation, the rest from nothing."""
    observations = _normal(1, 3, 1025, 32, 4)
    predictable = observations[..., 0] * share**0.5
    rewards = predictable[:, :-1] + _normal(2, 3, 1024, 32) * (1 - share) ** 0.5
    returns = _returns(rewards, predictable, gamma, LAMBDA)
    blind = torch.zeros_like(rewards)  # so that the probe alone has to find it
    floor = _floor(observations[:, :-1], blind, returns, rewards, unit=_spread(returns))
    unforeseen = (1 - share + gamma**2 * share) / (1 - (gamma * LAMBDA) ** 2)
    expected = 1 - share / (share + unforeseen)
    np.testing.assert_allclose(floor, expected, rtol=0.02, atol=1e-4)
    seen = _floor(observations[:, :-1], predictable[:, :-1], returns, rewards, unit=_spread(returns))
    np.testing.assert_allclose(seen, expected, rtol=0.02, atol=1e-4)


def test_a_nonlinear_return_that_can_be_learned_has_a_floor_far_below_a_linear_fit():
    observations = _normal(1, 2, 128, 8, 4)
    returns = observations[..., 0].abs() + observations[..., 1] * observations[..., 2]
    floor = _floor(observations, torch.zeros_like(returns), returns, torch.zeros_like(returns))
    for member in range(2):
        design = np.column_stack([np.ones(1024), observations[member].reshape(1024, 4)])
        target = returns[member].reshape(1024).numpy()
        linear = np.square(target - design @ np.linalg.lstsq(design, target)[0]).mean()
        assert floor[member] < 0.25 * linear


def test_what_cannot_be_foreseen_is_not_though_a_fit_would_remember_it():
    """80 features, 2 x 64 samples of noise: measured on what it was fitted to, a regression explains most of it."""
    observations, noise = _normal(1, 4, 32, 4, 80), _normal(2, 4, 32, 4)
    floor = _floor(observations, torch.zeros_like(noise), noise, noise, unit=_spread(noise))
    assert floor.min() > 0.85
    for member in range(4):
        design, target = observations[member].reshape(128, 80).numpy(), noise[member].reshape(128).numpy()
        residual = target - design @ np.linalg.lstsq(design, target)[0]
        assert np.square(residual).mean() / target.var() < 0.6


def test_a_fit_to_the_reward_finds_what_long_returns_hide():
    """One rollout of the usual size: 1,024 samples, an untrained critic, gamma 0.99, rewards that follow exactly."""
    observations = _normal(1, 8, 128, 8, 20)
    rewards = observations[..., 0]
    returns = _returns(rewards, torch.zeros(8, 129, 8), 0.99, LAMBDA)
    blind, unit = torch.zeros_like(rewards), _spread(returns)
    floor = _floor(observations, blind, returns, rewards, unit=unit).mean()
    without = _floor(observations, blind, returns, blind, unit=unit).mean()
    exact = float(((returns - rewards).flatten(1).var(-1, correction=0) / unit[:, 0] ** 2).mean())
    assert float(floor) == pytest.approx(exact, rel=0.01)
    assert float(without) > exact + 0.02


def test_the_critic_itself_is_a_candidate_whatever_its_mean():
    observations, returns = torch.zeros(2, 8, 2, 3), _normal(1, 2, 8, 2)
    nothing = torch.zeros_like(returns)
    np.testing.assert_allclose(_floor(observations, returns + 5, returns, nothing), 0, atol=1e-10)
    variance = returns.flatten(1).double().var(-1, correction=0)
    np.testing.assert_allclose(_floor(observations, -returns, returns, nothing), variance)  # a constant is better


def test_the_floor_is_in_the_critics_unit():
    observations, returns, unit = _normal(1, 2, 16, 4, 3), _normal(2, 2, 16, 4), torch.tensor([[2.0], [10.0]])
    nothing = torch.zeros_like(returns)
    plain, scaled = (_floor(observations, nothing, returns, nothing, unit=u) for u in (None, unit))
    np.testing.assert_allclose(scaled, plain / torch.tensor([4, 100]))
    in_tens = _floor(observations, nothing, 10 * returns, nothing, unit=10 * torch.ones(2, 1))
    np.testing.assert_allclose(in_tens, plain, rtol=1e-5)


def test_rewards_are_foreseen_from_their_own_observations_and_not_from_those_of_other_lanes():
    observations = _normal(1, 2, 64, 8, 3)
    rewards = (observations[..., 0] > 1).float() * 3 + _normal(2, 2, 64, 8)
    values, returns = torch.zeros_like(rewards), rewards + 5 * _normal(3, 2, 64, 8)
    own, others, constant = (
        _measure(seen, values, returns, paid)[metrics.REWARD_FORESEEN]
        for seen, paid in (
            (observations, rewards),
            (observations.roll(1, dims=2), rewards),
            (observations, torch.ones_like(rewards)),
        )
    )
    assert (own > 0.3).all()
    assert (others < 0.02).all()
    assert constant.tolist() == [0.0, 0.0]


def test_constant_columns_tell_nothing_and_break_nothing():
    returns = _normal(1, 2, 16, 4)
    constant = torch.full((2, 16, 4, 3), 1e6)
    np.testing.assert_array_equal(measure_unforeseen_shares(constant, returns.unsqueeze(-1)), 1)
    measured = _measure(constant, returns * 0, returns * 0 + 3, returns * 0)
    assert all(value.tolist() == [0, 0] for value in measured.values())


def test_one_lane_is_halved_in_time():
    observations, targets = _normal(1, 2, 30, 1, 3), _normal(2, 2, 30, 1, 2)
    targets[..., 0] += observations[..., 0]
    halves = [columns.view(2, 2, 15, -1).transpose(1, 2) for columns in (observations, targets)]
    assert torch.equal(measure_unforeseen_shares(observations, targets), measure_unforeseen_shares(*halves))


@pytest.mark.parametrize(
    ("steps", "lanes", "features"), [(7, 1, 1), (11, 3, 3), (11, 4, 21), (128, 8, 20), (33, 1, 41), (50, 3, 118)]
)
def test_a_member_alone_measures_the_same_to_the_last_bit(steps, lanes, features):
    observations, values = _normal(1, 7, steps, lanes, features), _normal(2, 7, steps, lanes)
    rewards, unit = _normal(3, 7, steps, lanes), torch.rand(7, 1, generator=torch.Generator().manual_seed(0)) + 0.5
    returns, monte_carlo = rewards + observations[..., 0], rewards * 3
    everything = (observations, values, returns, rewards, unit, monte_carlo)
    whole = _measure(*everything)
    for start, end in [(0, 1), (1, 2), (3, 4), (6, 7), (2, 5), (3, 7)]:
        part = _measure(*(argument[start:end].clone() for argument in everything))
        for name, value in part.items():
            assert torch.equal(value, whole[name][start:end])


def test_a_member_that_is_not_finite_spoils_no_other():
    observations, returns = _normal(1, 3, 16, 4, 5), _normal(2, 3, 16, 4)
    nothing = torch.zeros_like(returns)
    sound = _floor(observations, nothing, returns, nothing)
    returns[1, 3, 2] = torch.nan
    seen = observations.clone()
    seen[2, 5, 1, 0] = torch.inf
    spoilt = _floor(seen, nothing, returns, nothing)
    assert spoilt[0] == sound[0]
    assert spoilt[1:].isnan().all()


def test_a_critic_that_only_agrees_with_itself_is_told_by_monte_carlo_returns():
    """Lanes whose observation never changes, rewards of pure noise: at lambda 0 the targets are the critic's own."""
    observations = _normal(1, 2, 1, 64, 3).expand(2, 129, 64, 3)
    values, rewards = 10 * observations[..., 0], _normal(2, 2, 128, 64)
    returns, monte_carlo = (_returns(rewards, values, 0.9, gae_lambda) for gae_lambda in (0.0, 1.0))
    early = (
        columns[:, :64] for columns in (observations, values, returns, rewards)
    )  # the end holds the critic's value
    measured = _measure(*early, unit=_spread(returns), monte_carlo=monte_carlo[:, :64])
    assert measured[metrics.VALUE_FLOOR].max() < 0.05
    assert measured[metrics.PROBE_EXPLAINED_VARIANCE_MC].max() < 0.05


@pytest.mark.parametrize(("features", "rest"), [(4, 12), (77, 12), (78, 13), (118, 19)])
def test_the_probe_is_asked_at_once_and_then_only_when_its_answer_is_old(features, rest):
    floor, answers = ValueFloor(2), []
    for iteration in range(5, 6 + 2 * rest):
        observations, targets = _normal(iteration, 2, 16, 4, features), _normal(100 + iteration, 2, 16, 4, 3)
        targets += observations[..., :1]
        floor.update(iteration, observations, targets)
        answers.append((floor.unforeseen[0, 0].item(), measure_unforeseen_shares(observations, targets)[0, 0].item()))
    in_force, fresh = zip(*answers, strict=True)
    assert in_force == (fresh[0],) * rest + (fresh[rest],) * rest + (fresh[2 * rest],)
    assert len(set(in_force)) == 3


def test_between_two_questions_the_floor_follows_the_returns_and_the_critic():
    observations, returns = _normal(1, 2, 64, 8, 4), _normal(2, 2, 64, 8)
    returns += observations[..., 0]
    floor, unit, blind = ValueFloor(2), torch.ones(2, 1), torch.zeros(2, 64, 8)
    floor.update(1, observations, torch.stack([returns, returns, returns], dim=-1))
    first = floor.floor_metrics(blind, returns, unit)[metrics.VALUE_FLOOR]
    floor.update(2, -observations, torch.zeros(2, 64, 8, 3))
    np.testing.assert_allclose(
        floor.floor_metrics(blind, 10 * returns + 3, unit)[metrics.VALUE_FLOOR], 100 * first, rtol=1e-5
    )
    np.testing.assert_allclose(floor.floor_metrics(returns, returns, unit)[metrics.VALUE_FLOOR], 0, atol=1e-10)


def test_the_rhythm_is_part_of_the_state():
    observations, targets = _normal(1, 2, 16, 4, 3), _normal(2, 2, 16, 4, 3) + _normal(1, 2, 16, 4, 3)
    asked, resumed = ValueFloor(2), ValueFloor(2)
    asked.update(7, observations, targets)
    for name, tensor in resumed.state().items():
        tensor.copy_(asked.state()[name])
    resumed.update(18, -observations, targets.flip(1))
    assert torch.equal(resumed.unforeseen, asked.unforeseen)
    resumed.update(19, -observations, targets.flip(1))
    assert not torch.equal(resumed.unforeseen, asked.unforeseen)


def test_every_evaluation_has_a_floor_and_few_of_them_ask_the_probe():
    config = PPOConfig(num_iterations=14, num_envs=4, num_steps=16, minibatch_size=32, num_epochs=1, eval_every=1)
    learner = make_learner(
        config, EnvConfig(id="CartPole-v1", eval_episodes=1), make_member_seeds(0, 2), make_evaluation_seed(0)
    )
    history = [learner.iterate() for _ in range(14)]
    assert all(set(metrics.CRITIC) <= set(measured) for measured in history)
    answers = [tuple(measured[metrics.PROBE_EXPLAINED_VARIANCE_MC]) for measured in history]
    assert answers == [answers[0]] * 12 + [answers[12]] * 2
    assert answers[0] != answers[12]
    assert len({tuple(measured[metrics.VALUE_FLOOR]) for measured in history}) == 14


@pytest.fixture(scope="module")
def last():
    """Metrics after 20 iterations on flows that are easily told apart, so that their rewards follow from them.

    Of two members whose critic learns, and of two with the same seeds whose critic does not.
    """
    config = PPOConfig(
        num_iterations=20,
        num_envs=64,
        num_steps=16,
        lr=2e-3,
        gamma=0.5,
        value_coef=0.5,
        normalize_returns="batch",
        eval_every=20,
    )
    data = load_flows(DataConfig(num_flows=3000, difficulty=0.0))
    seeds = make_member_seeds(0, 2) * 2
    alike = make_learner(config, EnvConfig(), seeds, make_evaluation_seed(0), data)
    members = [Member(replace(config, value_coef=c), s) for c, s in zip((0.5, 0.5, 0.0, 0.0), seeds, strict=True)]
    learner = Learner(members, alike.env, alike.evaluator, alike.actions)
    return [learner.iterate() for _ in range(20)][-1]


def test_a_learner_whose_critic_learned_stands_on_the_floor_of_the_formula(last):
    last = {name: values[:2] for name, values in last.items()}
    np.testing.assert_allclose(last[metrics.VALUE_FLOOR], 1 - 1 / (1 + 0.25 / (1 - 0.475**2)), atol=0.07)
    np.testing.assert_allclose(last[metrics.VALUE_LOSS_EXCESS], 0, atol=0.05)
    np.testing.assert_array_equal(last[metrics.VALUE_LOSS_EXCESS], last[metrics.VALUE_LOSS] - last[metrics.VALUE_FLOOR])


def test_a_learner_whose_critic_does_not_learn_stands_far_above_its_floor(last):
    last = {name: values[2:] for name, values in last.items()}
    assert last[metrics.VALUE_LOSS_EXCESS].min() > 0.3
    assert (last[metrics.PROBE_EXPLAINED_VARIANCE_MC] > last[metrics.EXPLAINED_VARIANCE_MC] + 0.3).all()
