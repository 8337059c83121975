import numpy as np
import pytest
import torch
from unstuck.rl.gae import Discounts, generalized_advantages

GAMMA, LAMBDA = 0.9, 0.8


def _gae(rewards, values, next_values, terminated, truncated, gamma=GAMMA, lam=LAMBDA):
    def lane(x, dtype):
        return torch.tensor(x, dtype=dtype).view(1, -1, 1)

    discounts = Discounts(torch.tensor([[gamma]], dtype=torch.float64), torch.tensor([[lam]], dtype=torch.float64))
    result = generalized_advantages(
        lane(rewards, torch.float64),
        lane(values, torch.float64),
        lane(next_values, torch.float64),
        lane(terminated, torch.bool),
        lane(truncated, torch.bool),
        discounts,
    )
    return result.flatten().numpy()


def _brute_force(rewards, values, next_values, terminated, truncated, gamma=GAMMA, lam=LAMBDA):
    """Equation 16: a sum over later temporal differences, broken off where the episode ends."""
    steps, result = len(rewards), []
    for t in range(steps):
        total, weight = 0.0, 1.0
        for k in range(t, steps):
            future = 0.0 if terminated[k] else next_values[k]
            total += weight * (rewards[k] + gamma * future - values[k])
            weight *= gamma * lam
            if terminated[k] or truncated[k]:
                break
        result.append(total)
    return np.array(result)


def test_by_hand_three_steps_without_an_end():
    # deltas: 1 + .9 * 2 - 1 = 1.8; 0 + .9 * 3 - 2 = .7; 2 + .9 * 4 - 3 = 2.6
    advantages = _gae([1, 0, 2], [1, 2, 3], [2, 3, 4], [False] * 3, [False] * 3)
    np.testing.assert_allclose(advantages, [1.8 + 0.72 * (0.7 + 0.72 * 2.6), 0.7 + 0.72 * 2.6, 2.6])


def test_termination_has_no_future_and_truncation_has():
    terminated = _gae([1], [0.5], [10], [True], [False])
    truncated = _gae([1], [0.5], [10], [False], [True])
    np.testing.assert_allclose(terminated, [0.5])
    np.testing.assert_allclose(truncated, [1 + 0.9 * 10 - 0.5])


@pytest.mark.parametrize("seed", range(5))
def test_equals_brute_force_with_ends_of_both_kinds(seed):
    generator = np.random.default_rng(seed)
    steps = 40
    ends = generator.choice(3, steps, p=[0.8, 0.1, 0.1])
    arguments = (
        generator.standard_normal(steps),
        generator.standard_normal(steps),
        generator.standard_normal(steps),
        ends == 1,
        ends == 2,
    )
    np.testing.assert_allclose(_gae(*arguments), _brute_force(*arguments), atol=1e-12)


def test_bootstrapping_from_the_next_episode_would_differ():
    """The mistake that auto-resetting environments invite: V(first observation of the next episode)."""
    arguments = dict(rewards=[1.0, 1.0], values=[0.0, 0.0], terminated=[False, False], truncated=[True, False])
    right = _gae(next_values=[5.0, 0.0], **arguments)
    wrong = _gae(next_values=[-7.0, 0.0], **arguments)
    assert right[0] == pytest.approx(5.5)
    assert wrong[0] != pytest.approx(right[0])


def test_nan_value_behind_a_termination_is_ignored():
    assert np.isfinite(_gae([1], [0], [float("nan")], [True], [False])).all()


def test_each_member_uses_its_own_discounts():
    rewards = torch.ones(2, 3, 1)
    zeros, never = torch.zeros(2, 3, 1), torch.zeros(2, 3, 1, dtype=torch.bool)
    discounts = Discounts(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [1.0]]))
    advantages = generalized_advantages(rewards, zeros, zeros, never, never, discounts)
    assert advantages[0].flatten().tolist() == [1, 1, 1]
    assert advantages[1].flatten().tolist() == [3, 2, 1]
