"""Precision, recall and F1 by hand, at their edges too, and against another's implementation."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score
from unstuck.rl.envs.confusion import RANDOM_FLAG_SHARE, count_confusion, f1, f1_at_random, precision, recall

THREAT = np.array([True, True, True, False, False, False, False, False, False, False])


def test_counts_and_scores_by_hand() -> None:
    flagged = np.array([[1, 1, 0, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]], dtype=np.bool_)
    counts = count_confusion(flagged, THREAT)
    assert [count.tolist() for count in counts] == [[2, 3], [6, 7], [1, 0], [1, 0]]
    assert all(count.dtype == np.float64 for count in counts)
    assert precision(counts).tolist() == pytest.approx([2 / 3, 1])
    assert recall(counts).tolist() == pytest.approx([2 / 3, 1])
    assert f1(counts).tolist() == pytest.approx([2 / 3, 1])


def test_scores_are_zero_never_nan_where_there_is_nothing_to_divide_by() -> None:
    for flagged, threat in (
        (np.zeros((1, 10), np.bool_), THREAT),
        (np.ones((1, 10), np.bool_), np.zeros(10, np.bool_)),
        (np.zeros((1, 10), np.bool_), np.zeros(10, np.bool_)),
    ):
        counts = count_confusion(flagged, threat)
        assert (f1(counts).item(), recall(counts).item(), precision(counts).item()) == (0, 0, 0)


def test_scores_agree_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    threat, flagged = generator.random(500) < 0.109, generator.random((3, 500)) < 0.4
    counts = count_confusion(flagged, threat)
    for member in range(3):
        assert f1(counts)[member] == pytest.approx(f1_score(threat, flagged[member]))
        assert precision(counts)[member] == pytest.approx(precision_score(threat, flagged[member]))
        assert recall(counts)[member] == pytest.approx(recall_score(threat, flagged[member]))
    np.testing.assert_array_equal(sum(counts), [500] * 3)


def test_trivial_policies_at_the_share_of_threats_of_the_default_data() -> None:
    threat = np.arange(1000) < 109
    assert f1_at_random(threat, 1.0) == pytest.approx(218 / (218 + 891))
    assert f1_at_random(threat, 0.0) == 0
    assert f1_at_random(threat, RANDOM_FLAG_SHARE) == pytest.approx(163.5 / (163.5 + 668.25 + 27.25))


def test_the_expected_f1_is_what_random_decisions_get() -> None:
    generator = np.random.default_rng(1)
    threat = np.arange(4000) < 436
    flagged = generator.integers(4, size=(50, 4000)) != 0
    assert f1(count_confusion(flagged, threat)).mean() == pytest.approx(
        f1_at_random(threat, RANDOM_FLAG_SHARE), abs=0.003
    )
