import dataclasses

import numpy as np
import pytest
import torch
from unstuck.rl import metrics, ppo
from unstuck.rl.adam import Adam
from unstuck.rl.config import PER_MEMBER, PPOConfig
from unstuck.rl.distributions import Categorical
from unstuck.rl.networks import ActorCritic
from unstuck.rl.ppo import Batch, Hyperparameters

CONFIG = PPOConfig(num_envs=2, num_steps=16, minibatch_size=16, num_epochs=3, hidden_sizes=(16,), lr=1e-3)


def _networks(members):
    return ActorCritic(3, Categorical(4), (16,), False, [np.random.default_rng(seed) for seed in range(members)])


def _batch(networks, samples=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    members = networks.num_members
    observations = torch.randn(members, samples, 3, generator=generator)
    actions = torch.randint(0, 4, (members, samples), generator=generator)
    logits, predictions = networks(observations)
    log_probs = torch.log_softmax(logits, 1).gather(1, actions.unsqueeze(1)).squeeze(1)
    return Batch(
        observations=observations,
        actions=actions,
        log_probs=log_probs,
        advantages=torch.randn(members, samples, generator=generator),
        targets=torch.randn(members, samples, generator=generator),
        predictions=predictions,
    )


def _update(configs, batch=None, networks=None):
    networks = networks or _networks(len(configs))
    batch = batch or _batch(networks)
    hyper = Hyperparameters.stack_settings(configs)
    adam = Adam(networks.parameters, hyper.adam_eps)
    generators = [np.random.default_rng(seed) for seed in range(len(configs))]
    measured = ppo.update(networks, adam, batch, hyper, configs[0], generators)
    return networks, measured, adam


def test_members_may_differ_in_the_settings_that_config_lists() -> None:
    assert tuple(field.name for field in dataclasses.fields(Hyperparameters)) == PER_MEMBER


def test_first_minibatch_starts_at_ratio_one():
    """Stale or foreign log-probabilities would show here as a KL, a clip fraction and a loss that are not 0."""
    one_step = dataclasses.replace(CONFIG, minibatch_size=32, num_epochs=1)
    networks = _networks(1)
    batch = _batch(networks)
    _, measured, _ = _update([one_step], batch, networks)
    assert measured[metrics.APPROX_KL].item() == pytest.approx(0, abs=1e-6)
    assert measured[metrics.CLIP_FRACTION].item() == 0
    assert measured[metrics.POLICY_LOSS].item() == pytest.approx(0, abs=1e-6)  # minus the mean normalised advantage


def test_stale_log_probabilities_would_show():
    one_step = dataclasses.replace(CONFIG, minibatch_size=32, num_epochs=1)
    networks = _networks(1)
    batch = _batch(networks)
    stale = dataclasses.replace(batch, log_probs=batch.log_probs - 0.5)
    _, measured, _ = _update([one_step], stale, networks)
    assert measured[metrics.APPROX_KL].item() > 0.1
    assert measured[metrics.CLIP_FRACTION].item() == 1


def _in_plain_torch(parameters, networks, batch):
    """Policy and values of the first member, from parameters that autograd follows."""
    weights, biases = ([tensor.view(2, *tensor.shape[1:]) for tensor in views] for views in networks._views(parameters))
    hidden = [batch.observations[0], batch.observations[0]]
    for weight, bias, last in zip(weights, biases, (False, True), strict=True):
        hidden = [h @ w + b if last else torch.tanh(h @ w + b) for h, w, b in zip(hidden, weight, bias, strict=True)]
    return torch.distributions.Categorical(logits=hidden[0][:, :4]), hidden[1][:, 4]


@pytest.mark.parametrize("max_grad_norm", [0.3, 100.0], ids=["clipped", "never clipped"])
def test_an_update_equals_plain_torch(max_grad_norm):
    """Two epochs of two minibatches, against equations 7 and 9 with torch.distributions and torch.optim."""
    config = dataclasses.replace(CONFIG, num_epochs=2, value_coef=0.7, entropy_coef=0.03, max_grad_norm=max_grad_norm)
    networks, reference, shuffle = _networks(1), _networks(1), np.random.default_rng(0)
    batch = _batch(networks)
    moved = 0.4 * torch.randn(1, 32, generator=torch.Generator().manual_seed(1))  # ratios on both sides of the clip
    batch = dataclasses.replace(batch, log_probs=batch.log_probs + moved)
    parameters = reference.parameters.requires_grad_()
    optimiser, norms, value_losses, surrogates = torch.optim.Adam([parameters], lr=1e-3, eps=1e-5), [], [], []
    for _ in range(2):
        for rows in torch.from_numpy(shuffle.permutation(32)).split(16):
            part = Batch(*(getattr(batch, field.name)[:, rows] for field in dataclasses.fields(batch)))
            policy, values = _in_plain_torch(parameters, reference, part)
            ratio = (policy.log_prob(part.actions[0]) - part.log_probs[0]).exp()
            advantages = (part.advantages[0] - part.advantages[0].mean()) / (part.advantages[0].std() + 1e-8)
            surrogates.append(torch.min(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages).mean())
            value_losses.append(torch.nn.functional.mse_loss(values, part.targets[0]))
            optimiser.zero_grad()
            (-surrogates[-1] + 0.7 * value_losses[-1] - 0.03 * policy.entropy().mean()).backward()
            norms.append(torch.nn.utils.clip_grad_norm_([parameters], max_grad_norm))
            optimiser.step()
    ours, measured, _ = _update([config], batch, networks)
    torch.testing.assert_close(ours.parameters, parameters.detach(), rtol=0, atol=1e-5)
    assert all(norm > max_grad_norm for norm in norms) == (max_grad_norm < 1)
    assert measured[metrics.GRAD_NORM].item() == pytest.approx(sum(norms).item() / 4, rel=1e-4)
    assert measured[metrics.VALUE_LOSS].item() == pytest.approx(sum(value_losses).item() / 4, rel=1e-4)
    assert measured[metrics.POLICY_LOSS].item() == pytest.approx(-sum(surrogates).item() / 4, abs=1e-5)


def test_a_member_is_updated_as_if_it_were_alone():
    """To the last bit: a mean over members would divide its gradient, and clip and epsilon would see it."""
    together = _networks(5)
    batch = _batch(together)
    alone = Batch(*(getattr(batch, field.name)[:1].clone() for field in dataclasses.fields(batch)))
    _update([CONFIG] * 5, batch, together)
    single, _, _ = _update([CONFIG], alone, _networks(1))
    assert torch.equal(together.parameters[0], single.parameters[0])


def test_gradient_clip_is_per_member():
    """A member with huge targets must not shrink its neighbour's step."""
    networks = _networks(2)
    batch = _batch(networks)
    loud = dataclasses.replace(batch, targets=batch.targets * torch.tensor([[1.0], [1e4]]))
    calm, _, _ = _update([CONFIG, CONFIG], batch, _networks(2))
    beside, measured, _ = _update([CONFIG, CONFIG], loud, _networks(2))
    assert torch.equal(calm.parameters[0], beside.parameters[0])
    assert measured[metrics.GRAD_NORM][1] > 100 * measured[metrics.GRAD_NORM][0]


def test_target_kl_stops_one_member_only():
    bold = dataclasses.replace(CONFIG, lr=0.05, num_epochs=10)
    cautious = dataclasses.replace(bold, target_kl=0.01)
    _, measured, adam = _update([bold, cautious])
    assert adam.steps[0].item() == 20
    assert 0 < adam.steps[1].item() < 20
    assert measured[metrics.APPROX_KL][1] <= 1.5 * 0.01


def test_a_stopped_member_stays_so_for_the_rest_of_the_update():
    """Only the second of four minibatches is far from the policy that acted; the third would be allowed again.

    So far that its ratios overflow, and of what is not finite nothing may remain where it is taken out by a factor 0.
    """
    config = dataclasses.replace(CONFIG, minibatch_size=8, num_epochs=1, lr=1e-6, target_kl=0.01)
    networks = _networks(1)
    batch = _batch(networks)
    second = torch.from_numpy(np.random.default_rng(0).permutation(32))[8:16]
    log_probs = batch.log_probs.clone()
    log_probs[0, second] -= 100.0
    _, measured, adam = _update([config], dataclasses.replace(batch, log_probs=log_probs), networks)
    assert adam.steps.item() == 1
    assert all(value.isfinite() for value in measured.values())


@pytest.mark.parametrize("clip_range_vf", [0.1, None])
def test_value_clipping_takes_the_larger_error(clip_range_vf):
    config = dataclasses.replace(CONFIG, minibatch_size=32, num_epochs=1, clip_range_vf=clip_range_vf)
    networks = _networks(1)
    batch = _batch(networks)
    moved = dataclasses.replace(batch, predictions=batch.predictions - 1.0)
    _, measured, _ = _update([config], moved, networks)
    values = batch.predictions
    plain = (values - batch.targets).square()
    clipped = (moved.predictions + 0.1 - batch.targets).square()
    expected = plain if clip_range_vf is None else torch.maximum(plain, clipped)
    assert measured[metrics.VALUE_LOSS].item() == pytest.approx(expected.mean().item(), rel=1e-5)


def test_value_clipping_of_one_member_leaves_the_other_alone():
    clipped = dataclasses.replace(CONFIG, clip_range_vf=1e-3)
    together, _, _ = _update([CONFIG, clipped])
    plain, _, _ = _update([CONFIG, CONFIG])
    assert torch.equal(together.parameters[0], plain.parameters[0])
    assert not torch.equal(together.parameters[1], plain.parameters[1])


def test_nan_stays_with_its_member():
    networks = _networks(2)
    batch = _batch(networks)
    advantages = batch.advantages.clone()
    advantages[1, 0] = float("nan")
    after, measured, _ = _update([CONFIG, CONFIG], dataclasses.replace(batch, advantages=advantages), networks)
    assert after.parameters[0].isfinite().all()
    assert measured[metrics.POLICY_LOSS][0].isfinite()
    assert measured[metrics.POLICY_LOSS][1].isnan()


def test_advantage_normalization_makes_the_update_independent_of_reward_scale():
    networks = _networks(1)
    batch = _batch(networks)
    scaled = dataclasses.replace(batch, advantages=batch.advantages * 1000)
    plain, _, _ = _update([CONFIG], batch, _networks(1))
    same, _, _ = _update([CONFIG], scaled, _networks(1))
    torch.testing.assert_close(plain.parameters, same.parameters, rtol=0, atol=1e-5)
    off = dataclasses.replace(CONFIG, normalize_advantage=False)
    different, _, _ = _update([off], scaled, _networks(1))
    assert not torch.allclose(plain.parameters, different.parameters, atol=1e-3)
