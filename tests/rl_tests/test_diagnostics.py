import dataclasses

import numpy as np
import pytest
import torch

from rl import diagnostics, metrics
from rl.config import PPOConfig
from rl.distributions import Categorical
from rl.networks import ActorCritic
from rl.ppo import Batch, Hyperparameters

MEMBERS, SAMPLES = 2, 64


def _networks(shared=False):
    return ActorCritic(3, Categorical(4), (20, 12), shared, [np.random.default_rng(seed) for seed in range(MEMBERS)])


def _batch(networks, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    observations = scale * torch.randn(MEMBERS, SAMPLES, 3, generator=generator)
    actions = torch.randint(0, 4, (MEMBERS, SAMPLES), generator=generator)
    outputs, predictions = networks(observations)
    log_probs, _ = networks.distribution.log_probs(outputs, actions)
    advantages, targets = torch.randn(2, MEMBERS, SAMPLES, generator=generator)
    return Batch(observations, actions, log_probs, advantages, targets, predictions)


def _measured(networks, batch, **settings):
    hyper = Hyperparameters.of([PPOConfig(**settings)] * MEMBERS)
    return diagnostics.before_update(networks, batch, hyper)


@pytest.mark.parametrize("shared", [True, False])
def test_both_gradients_add_up_to_the_whole(shared):
    """The whole one by autograd through plain torch, member by member; the parts' norms from their own losses."""
    networks = _networks(shared)
    batch = _batch(networks)
    measured = _measured(networks, batch, value_coef=0.7, entropy_coef=0.03)
    for member in range(MEMBERS):
        advantages = batch.advantages[member]
        advantages = (advantages - advantages.mean()) / advantages.std()
        for name, of_policy in ((metrics.GRAD_NORM_POLICY, True), (metrics.GRAD_NORM_VALUE, False)):
            outputs, values, inputs = networks.forward(batch.observations)
            outputs.requires_grad_(), values.requires_grad_()
            policy = torch.distributions.Categorical(logits=outputs[member].T)
            loss = -(policy.log_prob(batch.actions[member]) * advantages).mean() - 0.03 * policy.entropy().mean()
            if not of_policy:
                loss = 0.7 * torch.nn.functional.mse_loss(values[member], batch.targets[member])
            gradients = torch.autograd.grad(loss, (outputs, values), materialize_grads=True, allow_unused=True)
            norm = networks.backward(inputs, *gradients)[member].norm().item()
            assert measured[name][member].item() == pytest.approx(norm, rel=1e-4)


def test_value_coef_scales_the_critics_gradient_alone():
    networks = _networks(shared=True)
    batch = _batch(networks)
    one, ten = (_measured(networks, batch, value_coef=coefficient) for coefficient in (1.0, 10.0))
    torch.testing.assert_close(ten[metrics.GRAD_NORM_VALUE], 10 * one[metrics.GRAD_NORM_VALUE])
    torch.testing.assert_close(ten[metrics.GRAD_NORM_POLICY], one[metrics.GRAD_NORM_POLICY])


def test_stale_log_probabilities_show_as_a_ratio_that_is_not_one():
    networks = _networks()
    batch = _batch(networks)
    log_probs = batch.log_probs.clone()
    log_probs[1, 3] -= np.log(1.5)
    deviation = _measured(networks, dataclasses.replace(batch, log_probs=log_probs))[metrics.RATIO_DEVIATION]
    assert deviation[0].item() == pytest.approx(0, abs=1e-6)
    assert deviation[1].item() == pytest.approx(0.5, abs=1e-5)


def test_unscaled_inputs_saturate_the_units():
    networks = _networks()
    calm, wild = (_measured(networks, _batch(networks, scale)) for scale in (0.01, 1000.0))
    assert (calm[metrics.SATURATED_SHARE] == 0).all()
    assert (wild[metrics.SATURATED_SHARE] > 0.6).all()
    assert (wild[metrics.INPUT_RMS_MAX] > 500).all()


def test_padding_does_not_count_as_units_at_rest():
    networks = _networks()  # layers of 20 and 12 units are padded to 32 and 16
    *_, inputs = networks.forward(torch.zeros(MEMBERS, 4, 3))
    for units, size in zip(inputs[1:], (20, 12), strict=True):
        units[..., :size] = 1.0
    assert networks.share_of_units_beyond(0.97, inputs).tolist() == [1.0, 1.0]
    inputs[1][..., :20] = 0.0
    assert networks.share_of_units_beyond(0.97, inputs).tolist() == [pytest.approx(12 / 32)] * 2


def test_scales_of_a_rollout():
    batch = _batch(_networks())
    returns = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    measured = diagnostics.of_rollout(dataclasses.replace(batch, advantages=-returns), returns)
    assert measured[metrics.TARGET_MEAN].tolist() == [2.0, 2.0]
    assert measured[metrics.TARGET_STD].tolist() == [1.0, 0.0]
    assert measured[metrics.ADVANTAGE_MEAN].tolist() == [-2.0, -2.0]
