"""Measures of an update, by hand, and a state that was saved by an earlier version."""

import math

import pytest
import torch
from unstuck.rl import metrics
from unstuck.sweeps.trainers.object_state import pack, unpack

from unstuck.probe.update import UpdateMeasures

HALF = math.log(1.5)
"""Logarithm of a ratio of 1.5."""


def measure(measures: UpdateMeasures) -> dict[str, float]:
    """What three minibatches show, the last of them shorter: ratios 1, then 1.5 and 1, then 1.5."""
    for logs in ([0.0, 0.0], [HALF, 0.0], [HALF]):
        measures.add_ratio(torch.tensor(logs))
        measures.add_critic(torch.tensor(logs), torch.zeros(len(logs)))
        measures.add(metrics.GRAD_NORM, 2.0 * len(logs))
        measures.count()
    return measures.finish()


EXPECTED = {
    metrics.APPROX_KL: ((0.5 - HALF) / 2 + (0.5 - HALF)) / 3,
    metrics.CLIP_FRACTION: (0 + 1 / 2 + 1) / 3,
    metrics.VALUE_LOSS: (HALF**2 / 2 + HALF**2) / 3,
    metrics.GRAD_NORM: (4 + 4 + 2) / 3,
    metrics.GRAD_CLIPPED_SHARE: 2 / 3,
    metrics.RATIO_DEVIATION: 0.0,
}


def test_each_minibatch_counts_alike_however_long() -> None:
    found = measure(UpdateMeasures(0.2, 3.0))
    assert found.keys() == EXPECTED.keys()
    assert all(math.isclose(found[name], value, abs_tol=1e-7) for name, value in EXPECTED.items())


def test_the_first_minibatch_alone_tells_the_deviation() -> None:
    measures = UpdateMeasures(None, None)
    measures.add_ratio(torch.tensor([0.0, HALF]))
    measures.count()
    assert math.isclose(measures.finish()[metrics.RATIO_DEVIATION], 0.5, abs_tol=1e-6)
    assert measures.finish() == {}


def test_what_the_loop_does_with_its_own_tensor_afterwards_does_not_matter() -> None:
    measures, logs = UpdateMeasures(0.2, None), torch.zeros(4)
    measures.add_ratio(logs)
    logs += 1.0
    measures.count()
    assert measures.finish() == {metrics.APPROX_KL: 0.0, metrics.CLIP_FRACTION: 0.0, metrics.RATIO_DEVIATION: 0.0}


def test_a_number_that_the_loop_changes_in_place_afterwards_does_not_matter() -> None:
    measures, loss = UpdateMeasures(None, None), torch.tensor(1.0)
    measures.add(metrics.POLICY_LOSS, loss)
    loss += 1.0
    measures.count()
    assert measures.finish() == {metrics.POLICY_LOSS: 1.0}


def test_losses_that_diverge_both_ways_have_no_mean_and_stop_no_training() -> None:
    measures = UpdateMeasures(None, None)
    for loss in (math.inf, -math.inf):
        measures.add(metrics.POLICY_LOSS, torch.tensor(loss))
        measures.count()
    assert math.isnan(measures.finish()[metrics.POLICY_LOSS])


def test_what_is_no_number_is_refused_at_once() -> None:
    with pytest.raises(TypeError):
        UpdateMeasures(None, None).add(metrics.ENTROPY, [1.0, 2.0])  # type: ignore[arg-type]


def test_a_state_that_was_saved_with_a_tensor_goes_on() -> None:
    """Checkpoints of sweeps hold the attributes as they were, by name."""
    former = type("UpdateMeasures", (), {})()
    vars(former).update(_clip_range=torch.tensor([[0.2]]), _max_grad_norm=3.0, expected=0, _counted=0, _values={})
    measures = UpdateMeasures(0.2, 3.0)
    unpack(pack(former), measures)
    assert measure(measures).keys() == EXPECTED.keys()
