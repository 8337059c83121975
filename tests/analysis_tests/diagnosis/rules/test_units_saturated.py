"""Units that saturated during training, told from those that were so from the start."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support
from unstuck.analysis.diagnosis.rules import units_saturated
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, found, kind, unset
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = units_saturated.RULE
GROWING = np.linspace(0, 1, LENGTH)


def grown(start: float, end: float) -> Any:
    """The share at the first evaluation, and at all later ones."""
    return np.where(np.arange(1, LENGTH + 1) <= 10, start, end)


def test_units_that_have_saturated_are_a_fault_of_a_run_that_learns_nothing() -> None:
    """0.05 + 0.7 * 9 / 99 is 11.4 %, and 0.05 + 0.7 * (79 + 89 + 99) / 297 is 67.9 %."""
    finding = found(RULE, untaught(saturated_share=0.05 + 0.7 * GROWING))
    assert finding.kind is Kind.FAULT
    assert finding.headline == "Hidden units saturate: 11 % at iteration 10, 68 % in the end"
    assert facts(finding) == ["saturated hidden units: 11 % at iteration 10, 68 % over iterations 80 to 100"]
    assert finding.since == 80
    assert finding.why == "the run has nothing to show for it"
    weights = cause(finding, "weights initialised too large")
    assert (weights.support, weights.why) == (Support.RULED_OUT, "11 % at iteration 10")
    assert cause(finding, "targets that move").support is Support.RULED_OUT
    assert changes(finding) == [{"ppo.lr": 1e-4}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (healthy(saturated_share=grown(0.05, 0.29)), Kind.FINE),
        (healthy(saturated_share=grown(0.05, 0.31)), Kind.SUSPECT),
        (healthy(saturated_share=grown(0.05, 0.69)), Kind.SUSPECT),
        (healthy(saturated_share=grown(0.05, 0.71)), Kind.FAULT),  # nearly all, whatever the score
        (untaught(saturated_share=grown(0.05, 0.29)), Kind.FINE),
        (untaught(saturated_share=grown(0.05, 0.31)), Kind.FAULT),
        (healthy(saturated_share=0.05 + 0.15 * GROWING), Kind.FINE),
        (healthy(saturated_share=0.8), Kind.FAULT),
    ],
)
def test_its_borders(run: History, expected: Kind) -> None:
    assert kind(RULE, run) is expected


def test_saturation_from_the_start_is_left_to_the_rule_of_the_inputs() -> None:
    wide = {"input_rms_max": 4000.0}
    assert ask(RULE, untaught(saturated_share=grown(0.6, 0.74), **wide)) is None
    assert kind(RULE, untaught(saturated_share=grown(0.6, 0.76), **wide)) is Kind.FAULT  # and grown since
    scaled = found(RULE, untaught(saturated_share=grown(0.6, 0.6)))
    assert cause(scaled, "weights initialised too large").support is Support.SUPPORTED
    assert changes(scaled) == []  # no setting makes the first weights smaller
    fast = found(RULE, untaught(saturated_share=grown(0.6, 0.6), lr=0.05, settings={"ppo.lr": 0.05}))
    assert changes(fast)[0] == {"ppo.lr": [1e-3, 3e-4]}  # large steps may have done so by the first evaluation


@pytest.mark.parametrize(
    ("shared", "share", "expected"),
    [(False, 0.5, Kind.SUSPECT), (True, 0.5, Kind.FAULT), (False, 0.71, Kind.FAULT)],
)
def test_a_critic_that_is_lost_accounts_for_its_own_half(shared: bool, share: float, expected: Kind) -> None:
    settings = {"ppo.shared_trunk": shared}
    assert kind(RULE, untaught(saturated_share=share, explained_variance=-0.6, settings=settings)) is expected


@pytest.mark.parametrize(("end", "expected"), [(500.0, Kind.FAULT), (900.0, Kind.SUSPECT)])
def test_a_return_that_falls_again_is_harm_as_well(end: float, expected: Kind) -> None:
    """From 0 to 1,000 and down to 500: half of it is lost, which is less than nothing to show for it."""
    i = np.arange(1, LENGTH + 1)
    returns = np.where(i <= 20, 0.0, np.where(i <= 70, 1000.0, end))
    lost = healthy(f1=None, saturated_share=0.5, **{"eval/episode_return": returns, "train/episode_return": None})
    assert kind(RULE, lost) is expected


def test_its_causes_by_the_settings() -> None:
    saturated = grown(0.05, 0.5)
    high = found(RULE, untaught(saturated_share=saturated, approx_kl=0.02, settings={"ppo.lr": 2.1e-3}))
    rate = cause(high, "learning rate too high")
    assert (rate.support, rate.why) == (Support.SUPPORTED, "lr 0.0021, KL 0.02")
    assert changes(high) == [{"ppo.lr": 7e-4}]
    usual = found(RULE, untaught(saturated_share=saturated, settings={"ppo.lr": 2e-3, "ppo.normalize_returns": "none"}))
    assert cause(usual, "learning rate too high").support is Support.OPEN
    assert (cause(usual, "targets that move").support, cause(usual, "targets that move").why) == (Support.OPEN, "")
    unknown = found(RULE, unset(untaught(saturated_share=saturated, lr=None), "ppo.lr"))
    assert cause(unknown, "learning rate too high").why == ""
    assert changes(unknown) == []  # a default may not be in force


def test_without_the_share_the_rule_is_blind() -> None:
    assert blind(RULE, untaught(saturated_share=None)) == ((metrics.SATURATED_SHARE,),)
    assert ask(RULE, untaught(saturated_share=None)) is None
