import numpy as np
import pytest
import torch
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.distributions import Categorical
from unstuck.rl.envs import make_vec
from unstuck.rl.networks import ActorCritic
from unstuck.rl.rollout import Rollout


@pytest.fixture(scope="module")
def data():
    return load_flows(DataConfig(num_flows=1000))


def _collected(data, flows_per_episode=10, steps=25, members=2, lanes=3, bias=None):
    env = make_vec(EnvConfig(flows_per_episode=flows_per_episode), [0] * members * lanes, data)
    networks = ActorCritic(data.num_features, Categorical(4), (16,), False, [np.random.default_rng(0)] * members)
    if bias is not None:
        networks._biases[-1][:, 0, :4] = bias
    config = PPOConfig(num_envs=lanes, num_steps=steps, minibatch_size=lanes * steps)
    rollout = Rollout(members, config, data.num_features, networks.distribution)
    first, _ = env.reset(seed=list(range(members * lanes)))
    rollout.raw_observations[:, -1] = torch.from_numpy(first).view(members, lanes, -1)
    generators = [np.random.default_rng(seed) for seed in range(members)]
    rollout.collect(env, networks, None, generators)
    return rollout, env, networks, generators


def test_actions_follow_the_softmax(data):
    bias = torch.tensor([0.0, 1.0, 2.0, -1.0])
    rollout, *_ = _collected(data, steps=2000, bias=bias)
    shares = torch.bincount(rollout.actions.flatten(), minlength=4) / rollout.actions.numel()
    torch.testing.assert_close(shares, torch.softmax(bias, 0), rtol=0, atol=0.02)


def test_episode_ends_are_truncations_with_their_own_final_observation(data):
    rollout, _, networks, _ = _collected(data)
    ends = torch.zeros(25, dtype=torch.bool)
    ends[[9, 19]] = True
    assert (rollout.truncated == ends[None, :, None]).all()
    assert not rollout.terminated.any()
    values = rollout.final_values(networks, None)
    assert (values[:, ~ends] == 0).all()
    for member, finals in enumerate(rollout._finals):
        assert len(finals) == 6  # two ends in each of three lanes
        for t, lane, final in finals:
            assert not np.array_equal(final, rollout.raw_observations[member, t + 1, lane].numpy())
            expected = networks(torch.from_numpy(final).expand(2, 1, -1))[1][member, 0]
            torch.testing.assert_close(values[member, t, lane], expected)


def test_more_final_observations_than_a_chunk_are_all_valued(data):
    rollout, _, networks, _ = _collected(data, flows_per_episode=1)
    assert (rollout.final_values(networks, None) != 0).all()


def test_returns_are_undiscounted_sums_across_rollouts(data):
    rollout, env, networks, generators = _collected(data)
    first = rollout.rewards.clone()
    rollout.collect(env, networks, None, generators)
    rewards = torch.cat([first, rollout.rewards], dim=1)
    assert [len(returns) for returns in rollout.episode_returns] == [9, 9]  # ends at 30, 40 and 50, in three lanes
    lane_major = torch.tensor(rollout.episode_returns).view(2, 3, 3)
    for index, end in enumerate((30, 40, 50)):
        torch.testing.assert_close(lane_major[:, index], rewards[:, end - 10 : end].sum(1))


def test_goes_on_where_the_last_rollout_ended(data):
    rollout, env, networks, generators = _collected(data)
    last = rollout.raw_observations[:, -1].clone()
    rollout.collect(env, networks, None, generators)
    assert torch.equal(rollout.raw_observations[:, 0], last)
