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


def test_nearly_uniform_choices() -> None:
    entropy = math.log(2) - BELOW
    assert found(RULE, drawn(2.2 * BELOW, 0.3, **{metrics.ENTROPY: entropy})).kind is Kind.FAULT
    assert kind(RULE, drawn(0.02, 0.3, **{metrics.ENTROPY: entropy})) is None  # KL goes its own way
    falling = math.log(2) - np.linspace(0.001, 0.4, len(TURN))
    assert kind(RULE, drawn(0.01, 0.1, **{metrics.ENTROPY: falling})) is None  # a policy that settles
