"""Overfitting: the gap between F1 on flows trained on and on others, and how often each flow was seen."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import overfitting
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, kind, unset
from tests.analysis_tests.runs import LENGTH, healthy

RULE = overfitting.RULE
TURN = np.arange(1, LENGTH + 1)
ROLLOUT = {"ppo.num_envs": 8, "ppo.num_steps": 64, "data.num_flows": 200}
OF_200 = 1 - 184.54 / 512
"""Of 512 draws of 200 flows 184.54 are different ones: the share that repeats others."""


def gap(theirs: Any, ours: Any, **changed: Any) -> History:
    return healthy(f1=theirs, f1_train=ours, **changed)


def uncounted(theirs: Any, ours: Any, **changed: Any) -> History:
    """A run whose evaluation does not say of how many flows: no chance can be told."""
    return gap(theirs, ours, tp=None, **changed)


def test_flows_known_by_heart_are_a_sure_fault() -> None:
    finding = found(RULE, gap(0.8, 1.0))
    text = "F1 1 on flows trained on, 0.8 on others over iterations 80 to 100"
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 10)
    assert finding.headline == f"Overfitting to the flows trained on: {text}"
    assert facts(finding) == [text]
    assert finding.why == "both are measured on as many flows, by the same greedy policy; F1 on others has not fallen"
    assert changes(finding) == [{"ppo.hidden_sizes": (16, 16)}, {"ppo.entropy_coef": 0.03}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (uncounted(0.8, 0.84), Kind.FINE),
        (uncounted(0.8, 0.86), Kind.SUSPECT),
        (uncounted(0.8, 0.94), Kind.SUSPECT),
        (uncounted(0.8, 0.96), Kind.FAULT),  # so wide that it hurts by itself
        (uncounted(0.93, 0.986), Kind.FAULT),  # by heart
        (uncounted(0.93, 0.984), Kind.SUSPECT),
        # 174 threats each: a spread of sqrt(2 * 0.6 * 0.4 / 174) = 0.0525 by chance, and three of these count
        (gap(0.6, 0.75), Kind.FINE),
        (gap(0.6, 0.76), Kind.FAULT),
        # where flows are known by heart two of them do: sqrt(2 * 0.9 * 0.1 / 174) = 0.0322
        (gap(0.9, 0.99), Kind.FAULT),
        (gap(0.93, 0.986), Kind.FAULT),
        (gap(0.9, 0.96), Kind.FINE),
        (healthy(f1_train=lambda table: table["eval/f1"] + 0.07), Kind.FINE),
        (healthy(), Kind.FINE),
        (gap(60.0, 61.0), Kind.FAULT),  # in percent: another rule's, and this one must not stumble
    ],
)
def test_its_borders(run: History, expected: Kind) -> None:
    assert kind(RULE, run) is expected


def test_a_narrow_gap_hurts_where_f1_on_others_has_fallen() -> None:
    falling = np.where(TURN <= 20, 0.3, np.where(TURN <= 70, 0.9, 0.6))
    finding = found(RULE, uncounted(falling, 0.66, **{"train/episode_return": None}))
    assert (finding.kind, finding.sureness) == (Kind.FAULT, Sureness.LIKELY)
    assert finding.why.endswith("F1 on others has fallen since")
    assert facts(finding)[1:] == ["best F1 on others 0.9, at iteration 30"]
    assert kind(RULE, uncounted(0.6, 0.66, **{"train/episode_return": None})) is Kind.SUSPECT


def test_the_best_is_shown_where_half_a_gap_was_lost() -> None:
    lost = lambda best: uncounted(np.where(TURN == 30, best, 0.6), 0.8)  # noqa: E731
    assert facts(found(RULE, lost(0.626)))[1:] == ["best F1 on others 0.626, at iteration 30"]
    assert facts(found(RULE, lost(0.624)))[1:] == []


def test_it_is_dated_by_the_first_evaluation_with_a_gap() -> None:
    assert found(RULE, gap(0.8, np.where(TURN < 40, 0.84, 1.0))).since == 40


def test_how_often_flows_were_seen_is_told_by_how_many_repeat() -> None:
    """512 draws of 200 flows hold 184.54 different ones; 51,200 draws show each 256 times."""
    finding = found(RULE, gap(0.8, 1.0, observation_repeats=OF_200, settings=ROLLOUT))
    assert facts(finding)[1] == "64 % of a rollout's observations repeat others: each flow was seen 256 times"
    few = cause(finding, "too few different flows")
    assert (few.support, few.why) == (Support.SUPPORTED, "each flow was seen some 256 times")


def test_of_a_larger_rollout_parts_of_512_at_most_are_counted() -> None:
    """Of 1,024 two parts of 512 are: the same share then tells 200 flows, each seen 512 times."""
    settings = {**ROLLOUT, "ppo.num_envs": 16}
    finding = found(RULE, gap(0.8, 1.0, observation_repeats=OF_200, settings=settings))
    assert facts(finding)[1].endswith("each flow was seen 512 times")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (first(gap(0.9, 0.93, observation_repeats=OF_200, settings=ROLLOUT), 58), Kind.FINE),  # 148 times
        (first(gap(0.9, 0.93, observation_repeats=OF_200, settings=ROLLOUT), 59), Kind.FAULT),  # 151 times
        (gap(0.9, 0.916, observation_repeats=OF_200, settings=ROLLOUT), Kind.FAULT),
        (gap(0.9, 0.914, observation_repeats=OF_200, settings=ROLLOUT), Kind.FINE),
        (gap(0.9, 0.93, observation_repeats=0.19, settings=ROLLOUT), Kind.FINE),  # too few repeat to tell
        (gap(0.9, 0.93, observation_repeats=OF_200), Kind.FINE),  # of how large a rollout is not known
        (gap(0.9, 0.93, observation_repeats=1.0, settings=ROLLOUT), Kind.FINE),  # no share of different flows is left
        (
            gap(0.9, 0.93, observation_repeats=300.0, settings=ROLLOUT),
            Kind.FINE,
        ),  # the search for their number never ended
        (healthy(f1_train=lambda table: table["eval/f1"], observation_repeats=0.64, settings=ROLLOUT), Kind.FINE),
    ],
)
def test_flows_seen_often_make_a_fault_of_a_slight_gap(run: History, expected: Kind) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(
    ("settings", "support", "why"),
    [
        (
            {**ROLLOUT, "data.num_flows": 20_000},
            Support.OPEN,
            "each flow was seen some 2.6 times",
        ),  # 51,200 draws of 20,000 flows
        ({**ROLLOUT, "data.num_flows": 1000}, Support.SUPPORTED, "each flow was seen some 51 times"),
        ({**ROLLOUT, "data.num_flows": 1025}, Support.OPEN, "each flow was seen some 50 times"),
        ({**ROLLOUT, "data.source": "csv"}, Support.OPEN, ""),  # how many a file holds was not recorded
        ({}, Support.OPEN, ""),
    ],
)
def test_of_synthetic_flows_their_number_is_on_record(settings: dict[str, Any], support: Support, why: str) -> None:
    few = cause(found(RULE, gap(0.8, 1.0, observation_repeats=None, settings=settings)), "too few different flows")
    assert (few.support, few.why) == (support, why)


def test_a_split_by_time_is_ruled_out_where_flows_are_shuffled() -> None:
    split = cause(found(RULE, gap(0.8, 1.0)), "validation flows of another kind")
    assert (split.support, split.why) == (Support.RULED_OUT, "the split is random")
    stream = cause(found(RULE, gap(0.8, 1.0, settings={"data.order": "stream"})), "validation flows of another kind")
    assert (stream.support, stream.why) == (Support.OPEN, "")
    assert cause(found(RULE, gap(0.8, 1.0)), "a network wider").why == "hidden_sizes (64, 64)"
    unknown = found(RULE, unset(gap(0.8, 1.0), "ppo.hidden_sizes", "ppo.entropy_coef"))
    assert cause(unknown, "a network wider").why == ""
    assert changes(unknown)[1] == {"ppo.entropy_coef": 0.03}


def test_without_either_f1_the_rule_is_blind() -> None:
    assert blind(RULE, healthy(f1_train=None)) == ((metrics.F1_TRAIN,),)
    assert blind(RULE, healthy(f1=None)) == ((metrics.F1,),)
    assert ask(RULE, healthy(f1_train=None)) is None


@pytest.mark.parametrize(
    ("flows", "repeats", "expected"),
    [
        (2_100, OF_200, Kind.FAULT),  # 200 flows are shown
        (1_900, OF_200, Kind.FINE),
        (20_000, 0.19, Kind.FINE),  # too few repeat to tell
    ],
)
def test_flows_that_training_never_shows_are_as_good_as_not_there(flows: int, repeats: float, expected: Kind) -> None:
    run = gap(0.9, 0.9, observation_repeats=repeats, settings={**ROLLOUT, "data.num_flows": flows})
    finding = found(RULE, run)
    assert finding.kind is expected
    assert (
        kind(RULE, gap(0.9, 0.9, observation_repeats=repeats, settings={**ROLLOUT, "data.source": "csv"})) is Kind.FINE
    )
    if expected is Kind.FAULT:
        assert facts(finding)[0].endswith("some 200 different flows are shown, of 2,100")
        assert changes(finding) == []
