"""Against torch.distributions, in both layouts; draws against the probabilities that they should have."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Text
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, Normal
from unstuck.rl.distributions import Categorical, DiagonalGaussian, MultiCategorical, distribution_over
from unstuck.rl.errors import ConfigError

P, B = 2, 5


def _outputs(distribution, seed=0):
    """Outputs `[P, K, B]`; those that no observation moves are the same for all samples of a member."""
    outputs = torch.randn(P, distribution.num_outputs, B, generator=torch.Generator().manual_seed(seed))
    if distribution.num_constant:
        outputs[:, -distribution.num_constant :] = outputs[:, -distribution.num_constant :, :1]
    return outputs


def _draws(distribution, outputs, count):
    """Actions `[count, P, B, *action_shape]` for outputs `[P, K, B]`."""
    noise = distribution.noise(np.random.default_rng(0), (count, P, B))
    return distribution.sample(outputs.transpose(1, 2).expand(count, -1, -1, -1), noise)


def test_categorical_equals_torch():
    outputs, actions = _outputs(Categorical(4)), torch.tensor([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]])
    reference = TorchCategorical(logits=outputs.transpose(1, 2))
    log_probs, entropies = Categorical(4).log_probs(outputs, actions)
    torch.testing.assert_close(log_probs, reference.log_prob(actions))
    torch.testing.assert_close(entropies, reference.entropy())


def test_multi_categorical_sums_over_its_independent_choices():
    distribution = MultiCategorical([3, 2])
    outputs = _outputs(distribution)
    actions = torch.stack([torch.tensor([[0, 1, 2, 0, 1]] * P), torch.tensor([[1, 0, 1, 0, 0]] * P)], dim=-1)
    parts = [TorchCategorical(logits=logits) for logits in outputs.transpose(1, 2).split([3, 2], dim=-1)]
    log_probs, entropies = distribution.log_probs(outputs, actions)
    torch.testing.assert_close(log_probs, parts[0].log_prob(actions[..., 0]) + parts[1].log_prob(actions[..., 1]))
    torch.testing.assert_close(entropies, parts[0].entropy() + parts[1].entropy())
    assert distribution.choices == ("0.0", "0.1", "0.2", "1.0", "1.1")


def test_gaussian_equals_torch():
    distribution = DiagonalGaussian(3)
    outputs = _outputs(distribution)
    means, log_stds = outputs.transpose(1, 2).chunk(2, dim=-1)
    actions = means + torch.randn(P, B, 3, generator=torch.Generator().manual_seed(1))
    reference = Independent(Normal(means, log_stds.exp()), 1)
    log_probs, entropies = distribution.log_probs(outputs, actions)
    torch.testing.assert_close(log_probs, reference.log_prob(actions))
    torch.testing.assert_close(entropies, reference.entropy())


def test_categorical_draws_follow_the_softmax():
    outputs = _outputs(Categorical(3))
    draws = _draws(Categorical(3), outputs, 20_000)
    shares = torch.stack([(draws == action).double().mean(0) for action in range(3)], dim=1)
    torch.testing.assert_close(shares, outputs.softmax(1).double(), rtol=0, atol=0.015)


def test_choices_are_drawn_independently():
    distribution = MultiCategorical([2, 2])
    outputs = torch.zeros(P, 4, B)
    draws = _draws(distribution, outputs, 20_000)
    pairs = torch.bincount((2 * draws[..., 0] + draws[..., 1]).flatten(), minlength=4) / draws[..., 0].numel()
    torch.testing.assert_close(pairs, torch.full((4,), 0.25), rtol=0, atol=0.01)


def test_gaussian_draws_have_the_mean_and_the_spread():
    distribution = DiagonalGaussian(2)
    outputs = _outputs(distribution)
    draws = _draws(distribution, outputs, 40_000)
    means, log_stds = outputs.transpose(1, 2).chunk(2, dim=-1)
    torch.testing.assert_close(draws.mean(0), means, rtol=0, atol=0.08)
    torch.testing.assert_close(draws.std(0), log_stds.exp(), rtol=0.02, atol=0)


@pytest.mark.parametrize("distribution", [Categorical(4), MultiCategorical([3, 2]), DiagonalGaussian(2)])
def test_the_mode_is_the_most_probable_action(distribution):
    outputs = _outputs(distribution)
    best, _ = distribution.log_probs(outputs, distribution.mode(outputs.transpose(1, 2)))
    for draw in _draws(distribution, outputs, 50):
        assert (distribution.log_probs(outputs, draw)[0] <= best).all()


def test_shares_count_what_was_chosen():
    actions = torch.tensor([[[0, 1], [2, 1], [2, 0], [2, 1]]])
    assert MultiCategorical([3, 2]).shares(actions).tolist() == [[0.25, 0.0, 0.75, 0.25, 0.75]]
    assert Categorical(3).shares(actions[..., 0]).tolist() == [[0.25, 0.0, 0.75]]
    assert DiagonalGaussian(2).shares(actions.float()).shape == (1, 0)


def test_a_space_has_its_distribution():
    assert distribution_over(Discrete(3)).num_outputs == 3
    assert distribution_over(MultiDiscrete([3, 2])).action_shape == (2,)
    assert distribution_over(Box(-1, 1, (3,))).num_outputs == 6
    with pytest.raises(ConfigError, match=r"actions must be Discrete, MultiDiscrete or .*, got Text"):
        distribution_over(Text(3))
