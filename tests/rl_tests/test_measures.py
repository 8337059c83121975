import dataclasses

import numpy as np
import pytest
import torch
from unstuck.rl import estimates, metrics
from unstuck.rl import measures as diagnostics
from unstuck.rl.config import PPOConfig
from unstuck.rl.distributions import Categorical
from unstuck.rl.episodes import mark_starts, sum_sizes
from unstuck.rl.networks import ActorCritic
from unstuck.rl.ppo import Batch, Hyperparameters
from unstuck.rl.progress import Progress

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
    hyper = Hyperparameters.stack_settings([PPOConfig(**settings)] * MEMBERS)
    return diagnostics.measure_before_update(networks, batch, hyper)


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
    returns = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    measured = estimates.describe_rollout(-returns, returns)
    assert measured[metrics.TARGET_MEAN].tolist() == [2.0, 2.0]
    assert measured[metrics.TARGET_STD].tolist() == [1.0, 0.0]
    assert measured[metrics.ADVANTAGE_MEAN].tolist() == [-2.0, -2.0]


def _followed(towards):
    """After a step that raises the log-probability of actions in proportion to `towards`."""
    networks = _networks()
    batch = _batch(networks)
    *heads, inputs = networks.forward(batch.observations)
    outputs, values = (head.detach().requires_grad_() for head in heads)
    log_probs, _ = networks.distribution.log_probs(outputs, batch.actions)
    gradients = torch.autograd.grad(-(log_probs * towards(batch)).mean(), (outputs,))
    networks.parameters -= 0.1 * networks.backward(inputs, gradients[0], torch.zeros_like(values))
    return diagnostics.measure_after_update(networks, batch, batch.advantages)[metrics.ADVANTAGE_FOLLOWED]


def test_an_update_that_follows_advantages_is_told_from_one_against_them_and_from_one_past_them():
    assert (_followed(lambda batch: batch.advantages) > 0.2).all()
    assert (_followed(lambda batch: -batch.advantages) < -0.2).all()
    assert (_followed(lambda batch: batch.advantages.flip(-1)).abs() < 0.2).all()


def test_what_is_followed_is_the_correlation_by_hand():
    networks = _networks()
    batch = _batch(networks)
    networks.parameters *= 1.5
    outputs, _ = networks(batch.observations)
    changes = networks.distribution.log_probs(outputs, batch.actions)[0] - batch.log_probs
    measured = diagnostics.measure_after_update(networks, batch, batch.advantages)[metrics.ADVANTAGE_FOLLOWED]
    for member in range(MEMBERS):
        expected = np.corrcoef(changes[member].numpy(), batch.advantages[member].numpy())[0, 1]
        assert measured[member].item() == pytest.approx(expected, abs=1e-5)


def test_advantages_that_are_all_alike_are_not_followed():
    networks = _networks()
    batch = _batch(networks)
    measured = diagnostics.measure_after_update(networks, batch, torch.ones(MEMBERS, SAMPLES))
    assert measured[metrics.ADVANTAGE_FOLLOWED].tolist() == [0.0] * MEMBERS


def _shift(shown, trained_on):
    """What is shown later does not count: it depends on the policy, and on others' episodes."""
    compared = diagnostics.ObservationComparer(lambda observations: observations[..., 0], trained_on)
    for part in (shown, shown + 1e9):
        assert compared(part).shape == part.shape[:2]
    return compared.shift()


def test_the_shift_is_that_of_mean_and_spread_of_the_usual_column():
    generator = np.random.default_rng(0)
    trained_on = generator.normal(size=(2, 200, 3)).astype(np.float32) * [1, 10, 100] + [0, 5, 0]
    assert _shift(trained_on, trained_on) == pytest.approx([0, 0], abs=1e-6)
    mean, spread = trained_on.mean(axis=1, keepdims=True), trained_on.std(axis=1, keepdims=True)
    assert _shift(mean + 0.2 * (trained_on - mean), trained_on) == pytest.approx([0.8, 0.8], abs=1e-6)
    assert _shift(trained_on + 3 * spread, trained_on) == pytest.approx([3, 3], abs=1e-6)
    other = trained_on.copy()
    other[:, :, 2] += 1e6  # one column of three
    assert _shift(other, trained_on) == pytest.approx([0, 0], abs=1e-6)


def test_columns_that_do_not_vary_have_no_shift():
    constant = np.ones((1, 10, 2), dtype=np.float32)
    assert _shift(constant + 5, constant).tolist() == [0.0]


def test_repeats_are_counted_for_each_member():
    rollout = np.arange(24, dtype=np.float32).reshape(2, 6, 2)
    rollout[1, 3:] = rollout[1, 0]
    assert estimates.measure_repeats(rollout).tolist() == [0.0, 0.5]


def test_of_few_flows_many_repeat():
    rows = np.random.default_rng(0).integers(200, size=(1, 5000, 1)).astype(np.float32)
    assert estimates.measure_repeats(rows)[0] == pytest.approx(1 - 200 * (1 - np.exp(-500 / 200)) / 500, abs=0.03)


def _compare_starts(shown, begun):
    """What is measured of evaluations that begin so, `[B, F]`, after episodes of training that began so, `[n, F]`."""
    progress = Progress.start(1)
    mark_starts(progress.starts[0], begun)
    progress.sizes[0] = sum_sizes(begun).tolist() if len(begun) else []
    compared = diagnostics.ObservationComparer(lambda observations: observations[..., 0], begun[None])
    compared(shown[None])
    return {name: value.tolist() for name, value in compared.compare_starts(progress).items()}


def test_episodes_that_all_begin_alike_are_told_where_training_s_do_not():
    begun = np.arange(1, 41, dtype=np.float32).reshape(20, 2)
    assert _compare_starts(begun[:5], begun)[metrics.STARTS_ALIKE] == [0.2]
    assert _compare_starts(np.repeat(begun[:1], 5, axis=0), begun)[metrics.STARTS_ALIKE] == [1.0]
    twice = _compare_starts(2 * begun, begun)
    assert (twice[metrics.START_SCALE], twice[metrics.STARTS_ALIKE]) == ([2.0], [0.05])
    assert twice[metrics.STARTS_UNSEEN] == [1.0]
    assert _compare_starts(np.concatenate([begun[:3], -begun[:1]]), begun)[metrics.STARTS_UNSEEN] == [0.25]


def test_starts_that_may_be_alike_by_chance_are_not_told():
    begun = np.repeat(np.arange(1, 3, dtype=np.float32)[:, None], 10, axis=0)  # two of them: five are alike in 6 %
    assert metrics.STARTS_ALIKE not in _compare_starts(begun[:5], begun)
    assert _compare_starts(begun[:5], begun[:3]) == {}, "too few have begun"
