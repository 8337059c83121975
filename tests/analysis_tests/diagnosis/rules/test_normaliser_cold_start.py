"""The normaliser's cold start: a spike that settles, and what it did to the policy."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import normaliser_cold_start
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, kind
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = normaliser_cold_start.RULE
RUNNING = {"ppo.normalize_returns": "running"}
TOP = math.log(4)
TURN = np.arange(LENGTH)


def spike(height: float, level: float = 1.0) -> Any:
    return np.where(TURN < 4, height, level)


def test_a_spike_before_the_statistics_have_settled_is_a_fault_of_a_run_that_learns_nothing() -> None:
    finding = found(RULE, untaught(value_loss=spike(80.0), settings=RUNNING))
    text = "value loss up to 80 until iteration 10, 1 in the median after it"
    assert finding.headline == f"Normaliser's cold start: {text}"
    assert facts(finding) == [text]
    assert (finding.kind, finding.sureness) == (Kind.FAULT, Sureness.POSSIBLE)
    assert finding.evidence[0].iterations == (1, 40)
    assert finding.since == 40
    assert finding.why == "the run has nothing to show for it"
    assert changes(finding) == [{"ppo.normalize_returns": "batch"}]
    assert finding.missing == ()


@pytest.mark.parametrize(
    ("height", "level", "expected"),
    [
        (4.9, 1.0, Kind.FINE),
        (5.0, 1.0, Kind.FAULT),
        (9.9, 2.0, Kind.FINE),
        (10.0, 2.0, Kind.FAULT),
        (4.9, 0.05, Kind.FINE),  # measured from 1, where a normalised loss starts by nature
    ],
)
def test_how_high_a_spike_must_be(height: float, level: float, expected: Kind) -> None:
    assert kind(RULE, untaught(value_loss=spike(height, level), settings=RUNNING)) is expected


def test_a_loss_that_falls_from_one_as_the_critic_learns_is_no_spike() -> None:
    finding = found(RULE, healthy(value_loss=np.where(TURN < 10, 1.0, 0.05)))
    assert finding.kind is Kind.FINE
    assert finding.headline == "no cold start: value loss 1 at most up to iteration 10, 0.05 after"


@pytest.mark.parametrize(("left", "expected"), [(0.69, Kind.FAULT), (0.71, Kind.SUSPECT)])
def test_in_a_run_that_learns_the_entropy_lost_meanwhile_tells_the_harm(left: float, expected: Kind) -> None:
    entropy = TOP * np.where(TURN < 9, 1.0, left)  # at iteration 10, where the beginning ends
    finding = found(RULE, healthy(value_loss=spike(80.0), entropy=entropy, settings=RUNNING))
    assert finding.kind is expected
    assert finding.sureness is (Sureness.LIKELY if expected is Kind.FAULT else Sureness.POSSIBLE)
    assert finding.why.startswith(f"the policy lost {100 * (1 - left):.0f} % of its entropy meanwhile; ")


@pytest.mark.parametrize(("left", "told"), [(0.94, True), (0.96, False)])
def test_a_little_less_entropy_is_not_worth_a_word(left: float, told: bool) -> None:
    entropy = TOP * np.where(TURN < 9, 1.0, left)
    finding = found(RULE, healthy(value_loss=spike(80.0), entropy=entropy, settings=RUNNING))
    assert finding.why.startswith("the policy lost 6 % of its entropy") == told


@pytest.mark.parametrize(
    ("returns", "observations", "support"),
    [
        ("running", False, Support.SUPPORTED),
        ("batch", False, Support.RULED_OUT),
        ("none", True, None),  # a loss in the task's own unit falls by nature
        ("none", False, None),  # nothing is normalised
        (None, None, None),
    ],
)
def test_it_is_asked_where_something_is_normalised(
    returns: str | None, observations: bool | None, support: Support | None
) -> None:
    settings = {"ppo.normalize_returns": returns, "ppo.normalize_observations": observations}
    finding = ask(RULE, untaught(value_loss=spike(80.0), settings=settings))
    if support is None:
        assert finding is None
    else:
        assert finding is not None
        statistics = cause(finding, "running statistics")
        assert (statistics.support, statistics.why) == (support, f"normalize_returns={returns}")


def test_the_beginning_must_be_on_record_and_something_after_it() -> None:
    run = untaught(value_loss=spike(80.0), settings=RUNNING)
    assert ask(RULE, replace(run, table=run.table.loc[3:])) is None
    assert ask(RULE, replace(run, table=run.table.loc[2:])) is not None
    assert ask(RULE, first(run, 9)) is None
    short = found(RULE, first(run, 10))
    assert short.headline.endswith("value loss up to 80 until iteration 3, 1 in the median after it")


def test_without_a_value_loss_the_rule_is_blind_and_without_an_entropy_it_says_so() -> None:
    assert blind(RULE, untaught(value_loss=None)) == ((metrics.VALUE_LOSS,),)
    finding = found(RULE, untaught(value_loss=spike(80.0), entropy=None, target_std=None, settings=RUNNING))
    assert finding.missing == (metrics.TARGET_STD, metrics.ENTROPY)
