import numpy as np
import pytest
import torch
from unstuck.rl.normalize import ObservationNormalizer, ReturnNormalizer, RunningMoments


def test_moments_in_parts_equal_moments_of_all():
    samples = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 90, 3)) * 5 + 7)
    moments = RunningMoments(2, 3)
    for part in samples.split([10, 50, 30], dim=1):
        moments.update(part)
    torch.testing.assert_close(moments.mean, samples.mean(1, keepdim=True))
    torch.testing.assert_close(moments.std, samples.std(1, keepdim=True, correction=0))


def test_constant_column_is_centred_only():
    normalizer = ObservationNormalizer(1, 2)
    normalizer.moments.update(torch.tensor([[[3.0, 0.0], [3.0, 2.0]]]))
    assert normalizer(torch.tensor([[[3.0, 2.0]]])).flatten().tolist() == [0.0, 1.0]


def test_batch_targets_have_mean_zero_and_spread_one_in_every_rollout():
    normalizer = ReturnNormalizer("batch", 2)
    for scale in (1.0, 1000.0):
        returns = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 500))).float() * scale - 40
        normalizer.update(returns)
        targets = normalizer.to_targets(returns)
        torch.testing.assert_close(targets.mean(1), torch.zeros(2), rtol=0, atol=1e-5)
        torch.testing.assert_close(targets.std(1, correction=0), torch.ones(2))


def test_running_targets_remember_earlier_rollouts():
    normalizer = ReturnNormalizer("running", 1)
    normalizer.update(torch.tensor([[0.0, 2.0]]))
    normalizer.update(torch.tensor([[4.0, 6.0]]))
    assert normalizer.mean.item() == pytest.approx(3.0)
    assert normalizer.std.item() == pytest.approx(5**0.5)


def test_predictions_come_back_in_units_of_return():
    normalizer = ReturnNormalizer("batch", 1)
    returns = torch.tensor([[-30.0, 10.0, 50.0]])
    normalizer.update(returns)
    torch.testing.assert_close(normalizer.to_returns(normalizer.to_targets(returns)), returns)


def test_none_leaves_returns_alone():
    normalizer = ReturnNormalizer("none", 1)
    normalizer.update(torch.tensor([[-30.0, 50.0]]))
    assert normalizer.to_targets(torch.tensor([[5.0]])).item() == 5.0
