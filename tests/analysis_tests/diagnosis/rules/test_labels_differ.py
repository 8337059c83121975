"""Shares of threats by what episodes returned: of a blind policy, of one that allows everything, of a healthy one."""

import math
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.arms import list_arms
from unstuck.analysis.diagnosis.finding import Finding, Kind, Sureness
from unstuck.analysis.diagnosis.rules import entropy_collapsed, labels_differ
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import ask, blind, found, kind, unset
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = labels_differ.RULE
TURN = np.arange(1, LENGTH + 1)
TOP = math.log(4)
LANES = {"ppo.num_envs": 8, "ppo.num_steps": 64}
BENIGN, THREAT = (0.5, -5.0, -3.0, -1.0), (-10.0, 8.0, 5.0, 2.0)


def uniform(share: float) -> float:
    """What 1,000 flows pay on average if actions are drawn evenly and so many flows are threats, by the table."""
    return 1000 * sum((1 - share) * b + share * t for b, t in zip(BENIGN, THREAT, strict=True)) / 4


def always(action: int, share: float) -> float:
    """What 1,000 flows pay if one action is always taken."""
    return 1000 * ((1 - share) * BENIGN[action] + share * THREAT[action])


def trained_on(share: float, **changed: Any) -> History:
    """A run that never learns, judged on 10.9 % threats: uniform for eight iterations, then it allows everything."""
    early = TURN <= 8
    shares = {"action_allow": np.where(early, 0.25, 1.0)}
    shares |= {f"action_{name}": np.where(early, 0.25, 0.0) for name in ("block", "quarantine", "alert")}
    noise = 40 * np.sin(7 * TURN)
    returns = np.where(early, uniform(share), always(0, share)) + noise
    own = {"train/episode_return": returns, "entropy": np.where(early, TOP, 0.01), **shares, "settings": LANES}
    return untaught(**{**own, **changed})


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.109, Kind.FINE), (0.09, Kind.FINE), (0.01, Kind.FAULT), (0.42, Kind.FAULT)],
)
def test_returns_tell_how_many_of_the_flows_trained_on_are_threats(share: float, expected: Kind) -> None:
    assert kind(RULE, trained_on(share)) is expected


def test_the_share_is_bounded_by_hand_computed_returns() -> None:
    """Always allow pays 0.5 on a benign flow and -10 on a threat: 0.395 a flow means 1 % threats."""
    assert always(0, 0.01) == pytest.approx(395)
    finding = found(RULE, trained_on(0.01))
    low, high = (
        float(part.rstrip(" %")) for part in finding.headline.split("returns ")[1].split(" of the")[0].split(" to ")
    )
    assert low <= 1.0 <= high < 4
    assert finding.headline.endswith("10.9 % of those judged")
    assert finding.sureness is Sureness.SURE
    assert finding.remedies == ()  # no setting cures it
    assert finding.causes[0].what.startswith("threats that are labelled benign")
    assert found(RULE, trained_on(0.42)).causes[0].what == "benign flows labelled as threats"


def test_a_policy_that_learns_earns_more_than_a_blind_one_and_is_not_accused() -> None:
    """From iteration 9 on it allows benign flows and blocks threats, so it earns the most that 10.9 % allow."""
    perfect = 1000 * (0.891 * 0.5 + 0.109 * 8)
    returns = np.where(TURN <= 8, uniform(0.109), perfect) + 20 * np.sin(7 * TURN)
    shares = {"action_allow": np.where(TURN <= 8, 0.25, 0.891), "action_block": np.where(TURN <= 8, 0.25, 0.109)}
    shares |= {f"action_{name}": np.where(TURN <= 8, 0.25, 0.0) for name in ("quarantine", "alert")}
    run = healthy(entropy=np.where(TURN <= 8, TOP, 0.2), **shares, **{"train/episode_return": returns}, settings=LANES)
    assert kind(RULE, run) in (None, Kind.FINE)


def test_a_run_that_learns_all_the_same_is_doubted_and_one_without_a_table_not_judged() -> None:
    learned = {"f1": np.linspace(0.2, 0.9, LENGTH), "eval/episode_return": np.linspace(-600.0, 500.0, LENGTH)}
    counts = {"tp": 150.0, "fn": 24.0, "fp": 20.0, "tn": 1406.0}
    assert kind(RULE, trained_on(0.01, **learned, **counts)) is Kind.SUSPECT
    assert ask(RULE, unset(trained_on(0.01), "env.reward_benign")) is None
    assert ask(RULE, unset(trained_on(0.01), "env.flows_per_episode")) is None
    assert blind(RULE, untaught(tp=None, fp=None, tn=None, fn=None)) != ()


def test_the_data_stand_above_what_follows_from_them() -> None:
    ranked = diagnose(trained_on(0.01)).select_findings(Kind.FAULT)
    assert [one.rule.name for one in ranked[:2]] == ["threats_rare", RULE.name]
    assert any("labels_differ" in one.follows_from for one in ranked[1:])


def test_no_setting_is_offered_for_what_follows_from_the_data() -> None:
    diagnosis = diagnose(trained_on(0.01))
    following = [one for one in diagnosis.findings if "labels_differ" in one.follows_from]
    assert following
    assert all(not one.finding.remedies for one in following)
    assert not {arm.rule for arm in list_arms(diagnosis)} & {one.rule.name for one in following}
    alone = entropy_collapsed.RULE.examine(Signals(trained_on(0.01)))
    assert isinstance(alone, Finding)
    assert alone.remedies  # by itself it would have been given a bonus and a rate


def test_where_flows_are_shuffled_a_smaller_difference_tells() -> None:
    """0.2 is 1.8 times the 10.9 % that are judged: a stream may drift so far, a random split does not."""
    assert kind(RULE, trained_on(0.2, settings={**LANES, "data.order": "stream"})) is not Kind.FAULT
    assert kind(RULE, trained_on(0.2, settings={**LANES, "data.order": "shuffled"})) is Kind.FAULT


def test_rewards_that_never_differ_tell_nothing_of_the_flows() -> None:
    assert kind(RULE, trained_on(0.01, **{"train/episode_return": 0.0})) is None
