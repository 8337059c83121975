"""Ratios of two independent draws, told from KL, clip fraction and entropy alone."""

import math
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import logprobs_stale
from unstuck.analysis.history import History
from unstuck.analysis.history.record import POLICY_STD
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import found, kind, unset, without
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = logprobs_stale.RULE
SWAY = np.sin(7.0 * TURN)
BELOW = 0.01 * np.exp(0.5 * SWAY)


def test_the_identities_hold_for_independent_draws() -> None:
    generator = np.random.default_rng(0)
    logits = 0.2 * generator.standard_normal((4_000, 4))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    draw = lambda: (shares.cumsum(1) > generator.random((len(shares), 1))).argmax(1)  # noqa: E731
    rows = np.arange(len(shares))
    logs = np.log(shares[rows, draw()]) - np.log(shares[rows, draw()])
    kl = (np.exp(logs) - 1 - logs).mean()
    entropy = -(shares * np.log(shares)).sum(1).mean()
    assert kl == pytest.approx(2 * (math.log(4) - entropy), rel=0.1)
    normal = generator.standard_normal((2, 20_000, 2))
    ratio = np.exp((normal[1] ** 2 - normal[0] ** 2).sum(1) / 2)
    assert (abs(ratio - 1) > 0.2).mean() == pytest.approx(0.82, abs=0.02)


def drawn(kl: Any, clip: Any, **more: Any) -> History:
    run = elsewhere(22 + SWAY, more=more, approx_kl=kl, clip_fraction=clip)
    return without(run, metrics.RATIO_DEVIATION)


def test_continuous_actions() -> None:
    twice = unset(drawn(2.5 + 0.5 * SWAY, 0.83 + 0.02 * SWAY, **{POLICY_STD: 1.2}), "env.actions")
    assert found(RULE, twice).kind is Kind.FAULT
    fading = drawn(2.5 + 0.5 * SWAY, np.linspace(0.98, 0.25, len(TURN)), **{POLICY_STD: 1.2})
    assert kind(RULE, unset(fading, "env.actions")) is None  # a learning rate that is far too large


@pytest.mark.parametrize(("numbers", "share"), [(1, 0.65), (2, 0.81), (4, 0.9), (6, 0.92)])
def test_the_least_divergence_of_as_many_normal_numbers(numbers: int, share: float) -> None:
    generator = np.random.default_rng(0)
    squares = generator.standard_normal((2, 500, 64, numbers)) ** 2
    logs = (squares[0] - squares[1]).sum(-1) / 2
    assert (abs(np.expm1(logs)) > 0.2).mean() == pytest.approx(share, abs=0.01)
    lowest = float(np.quantile((np.expm1(logs) - logs).mean(1), 0.05))
    assert dict(logprobs_stale.LARGE_KL)[share] == pytest.approx(lowest, rel=0.2)


@pytest.mark.parametrize(("early", "expected"), [(1.0, Kind.FAULT), (25.0, Kind.FAULT), (35.0, None), (2e4, None)])
def test_divergence_that_shrinks_with_the_updates_is_not_that_of_independent_draws(
    early: float, expected: Kind | None
) -> None:
    """In public: a spread that is gone, KL of 290,000 at first and of 10 at the end, most ratios clipped."""
    kl = 10 * np.where(TURN <= 34, early, 1.0)
    run = drawn(kl + 0.1 * SWAY, 0.93 + 0.02 * SWAY, **{POLICY_STD: 1.2})
    assert kind(RULE, unset(run, "env.actions")) is expected


@pytest.mark.parametrize(("kl", "expected"), [(0.47, None), (2.1, Kind.FAULT)])
def test_epochs_beyond_number_clip_as_many_ratios_at_far_less_divergence(kl: float, expected: Kind | None) -> None:
    """Eighty epochs on four numbers, in public: 91 % of the ratios clipped in every update, and a KL of 0.47."""
    run = drawn(kl + 0.1 * SWAY, 0.895 + 0.02 * SWAY, **{POLICY_STD: 1.2})
    assert kind(RULE, unset(run, "env.actions")) is expected


def test_nearly_uniform_choices() -> None:
    entropy = math.log(2) - BELOW
    assert found(RULE, drawn(2.2 * BELOW, 0.3, **{metrics.ENTROPY: entropy})).kind is Kind.FAULT
    assert kind(RULE, drawn(0.02, 0.3, **{metrics.ENTROPY: entropy})) is None  # KL goes its own way
    falling = math.log(2) - np.linspace(0.001, 0.4, len(TURN))
    assert kind(RULE, drawn(0.01, 0.1, **{metrics.ENTROPY: falling})) is None  # a policy that settles


@pytest.mark.parametrize(
    ("kl", "entropy", "expected"),
    [(130.0, 4.257, Kind.FAULT), (140.0, 4.257, None), (140.0, 17.03, Kind.FAULT), (900.0, 0.3, Kind.FAULT)],
)
def test_divergence_beyond_that_of_so_many_numbers_is_that_of_steps_too_large(
    kl: float, entropy: float, expected: Kind | None
) -> None:
    """In public, frames of 0 to 255: 96 % clipped, a KL of 100 to 345,000, and three numbers of spread 1: 3 * 1.419.

    Twelve numbers diverge as far by themselves; an entropy of 0.3 beside a spread of 1 is another unit's, and tells
    nothing.
    """
    run = drawn(kl + 0.1 * SWAY, 0.95 + 0.02 * SWAY, **{POLICY_STD: 1.0, metrics.ENTROPY: entropy})
    assert kind(RULE, unset(run, "env.actions")) is expected


@pytest.mark.parametrize(("numbers", "most"), logprobs_stale.MOST_KL[:5])
def test_the_largest_divergence_of_as_many_normal_numbers(numbers: int, most: float) -> None:
    generator = np.random.default_rng(0)
    squares = generator.standard_normal((2, 200, 1024, numbers)) ** 2
    logs = (squares[0] - squares[1]).sum(-1) / 2
    highest = float(np.quantile((np.expm1(logs) - logs).mean(1), 0.95))
    assert most / 5 < highest < most * logprobs_stale.BESIDE


@pytest.mark.parametrize(
    ("kl", "entropy", "fires"),
    [
        (0.86 + 0.3 * SWAY, 2.882 + 0.002 * SWAY, True),  # a mask of actions at the draw alone
        (0.86 + 0.3 * SWAY, 2.882 + 0.01 * SWAY, False),  # a policy that moves
        (0.86 + 0.3 * SWAY, 2.882, False),  # of a spread that is set
        (0.86 + 0.3 * SWAY, 2.882 + 1e-6 * SWAY, False),  # the same in float32
        (0.1 + 0.05 * SWAY, 2.882 + 0.002 * SWAY, False),  # updates that are not so far, many of them
        (np.geomspace(0.2, 2000.0, len(TURN)), 2.882 + 0.002 * SWAY, False),  # steps that grow
    ],
)
def test_updates_that_are_far_by_their_kl_and_move_no_entropy(kl: Any, entropy: Any, fires: bool) -> None:
    run = unset(without(elsewhere(22 + SWAY, approx_kl=kl, entropy=entropy), metrics.RATIO_DEVIATION), "env.actions")
    assert (kind(RULE, run) is Kind.FAULT) == fires
