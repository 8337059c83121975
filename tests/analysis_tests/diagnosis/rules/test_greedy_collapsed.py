"""The greedy policy does the same whatever it sees: by its counts, or by its shares."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import greedy_collapsed
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, facts, first, found, kind
from tests.analysis_tests.runs import LENGTH, healthy, untaught

NAMES = ("allow", "block", "quarantine", "alert")
RULE = greedy_collapsed.RULE
TURN = np.arange(1, LENGTH + 1)
TOP = math.log(4)
TRIVIAL = "F1 0; policies that have learned nothing: flag all 0.197, flag none 0 and random 0.19"


def shared(allow: Any, **changed: Any) -> History:
    """A run without counts, whose greedy policy allows so many and blocks the rest."""
    return untaught(tp=None, greedy_allow=allow, greedy_block=1 - np.asarray(allow), **changed)


def test_a_policy_that_allows_everything_is_a_sure_fault() -> None:
    finding = found(RULE, untaught())
    counts = "TP 0, FP 0, TN 1426, FN 174 in all 10 evaluations"
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 30)
    assert finding.headline == f"The greedy policy allows everything, whatever it sees: {counts}"
    assert facts(finding) == [counts, TRIVIAL]
    assert finding.evidence[0].iterations == (10, 100)
    assert finding.why == "the run has nothing to show for it"
    assert finding.missing == ()


def test_one_that_flags_everything_is_the_same_fault() -> None:
    flagging = {"tp": 174.0, "fp": 1426.0, "tn": 0.0, "fn": 0.0, "greedy_allow": 0.0, "greedy_block": 1.0, "f1": 0.197}
    finding = found(RULE, untaught(**flagging))
    assert finding.kind is Kind.FAULT
    assert finding.headline == (
        "The greedy policy flags everything, whatever it sees: TP 174, FP 1426, TN 0, FN 0 in all 10 evaluations"
    )


def test_three_evaluations_up_to_the_last_are_enough_and_two_are_not() -> None:
    three = untaught(tp=np.where(TURN <= 70, 1.0, 0.0), greedy_allow=0.9, greedy_block=0.1)
    finding = found(RULE, three)
    assert facts(finding)[0] == "TP 0, FP 0, TN 1426, FN 174 in the last 3 evaluations"
    assert (finding.since, finding.evidence[0].iterations) == (100, (80, 100))
    two = untaught(tp=np.where(TURN <= 80, 1.0, 0.0), greedy_allow=0.9, greedy_block=0.1)
    assert kind(RULE, two) is Kind.FINE
    assert kind(RULE, untaught(tp=np.where(TURN == 100, 1.0, 0.0), greedy_allow=0.9, greedy_block=0.1)) is Kind.FINE
    assert kind(RULE, first(untaught(greedy_allow=0.9, greedy_block=0.1), 20)) is Kind.FINE


def test_without_counts_its_shares_tell() -> None:
    finding = found(RULE, shared(0.995))
    assert finding.headline == (
        "The greedy policy chooses allow, whatever it sees: 99.5 % or more of the greedy actions are allow"
    )
    assert (finding.since, finding.evidence[0].iterations) == (30, (10, 100))
    assert facts(finding)[1] == TRIVIAL
    late = found(RULE, shared(np.where(TURN <= 50, 0.9, 1.0)))
    assert (late.since, late.evidence[0].iterations) == (80, (60, 100))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (shared(0.995), Kind.FAULT),
        (shared(0.994), Kind.FINE),
        (shared(np.where(TURN == 80, 0.99, 1.0)), Kind.FINE),
        (shared(np.where(TURN == 70, 0.99, 1.0)), Kind.FAULT),
        (shared(np.where(TURN == 90, 0.0, 1.0)), Kind.FINE),  # one action each time, and not the same one
        (first(shared(1.0), 30), Kind.FAULT),
        (first(shared(1.0), 29), Kind.FINE),
        (healthy(), Kind.FINE),
        (healthy(tp=0.0, fp=0.0), None),  # it allows all, and earns well by it
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_what_is_in_order_says_its_most_frequent_action() -> None:
    assert found(RULE, shared(0.3)).headline == "the greedy policy uses its actions: the most frequent one has 70 %"
    bare = {f"greedy_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    counted = healthy(tp=100.0, fp=60.0, tn=1366.0, fn=74.0, **bare)
    assert found(RULE, counted).headline.endswith("the most frequent one has 90 %")  # 1,440 of 1,600 allowed


@pytest.mark.parametrize(
    ("beginning", "changed", "support", "why"),
    [
        (
            "a policy that is still all but uniform",
            {"action_allow": 0.49, "action_block": 0.31, "action_quarantine": 0.1, "action_alert": 0.1},
            Support.SUPPORTED,
            "the most frequent sampled action has 49.0 %",
        ),
        (
            "a policy that is still all but uniform",
            {"action_allow": 0.5, "action_block": 0.3, "action_quarantine": 0.1, "action_alert": 0.1},
            Support.RULED_OUT,
            "the most frequent sampled action has 50.0 %",
        ),
        ("a policy that has settled", {"entropy": 0.19 * TOP}, Support.SUPPORTED, "entropy 19 % of its maximum"),
        ("a policy that has settled", {"entropy": 0.21 * TOP}, Support.RULED_OUT, "entropy 21 % of its maximum"),
        (
            "a policy that has settled",
            {"action_allow": 0.96, "entropy": 0.5 * TOP},
            Support.SUPPORTED,
            "entropy 50 % of its maximum",
        ),
        ("a policy that has settled", {"entropy": None}, Support.RULED_OUT, "sampled actions are spread"),
        (
            "rewards under which",
            {},
            Support.RULED_OUT,
            "always allow earns -0.642 a flow, a perfect policy 1.32",
        ),
        (
            "rewards under which",
            {"settings": {"env.reward_threat": (1.0, 0.0, 0.0, 0.0)}},
            Support.SUPPORTED,
            "always allow earns 0.554 a flow, a perfect policy 0.554",  # 0.89125 * 0.5 + 0.10875
        ),
        ("rewards under which", {"settings": {"env.reward_threat": None}}, Support.OPEN, ""),
        ("reward or label of another step", {}, Support.OPEN, ""),
    ],
)
def test_its_causes(beginning: str, changed: dict[str, Any], support: Support, why: str) -> None:
    suspect = cause(found(RULE, untaught(**changed)), beginning)
    assert (suspect.support, suspect.why) == (support, why)


def test_without_greedy_actions_the_rule_is_blind_and_without_sampled_ones_it_says_so() -> None:
    greedy = {f"greedy_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    sampled = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    assert blind(RULE, untaught(tp=None, **greedy)) == (("eval/action/<action>", metrics.TRUE_POSITIVES),)
    assert ask(RULE, untaught(tp=None, **greedy)) is None
    finding = found(RULE, untaught(entropy=None, **sampled))
    assert finding.missing == (metrics.ENTROPY, "train/action/<action>")
    assert [one.support for one in finding.causes[:2]] == [Support.OPEN, Support.OPEN]
    assert [one.why for one in finding.causes[:2]] == ["", ""]


def test_without_f1_it_says_nothing_of_trivial_policies() -> None:
    returns = {"eval/episode_return": 0.0, "train/episode_return": 0.0}
    assert facts(found(RULE, untaught(f1=None, **returns)))[1:] == []


def test_an_action_of_several_choices_collapses_only_as_a_whole() -> None:
    run = untaught(**{f"greedy_{name}": None for name in NAMES}, tp=None, fp=None, tn=None, fn=None)
    for second, expected in ((1.0, Kind.FAULT), (0.6, None)):
        options = {"0.0": 0.0, "0.1": 1.0, "1.0": second, "1.1": 1 - second}
        greedy = {metrics.GREEDY_PREFIX + name: share for name, share in options.items()}
        sampled = {metrics.ACTION_PREFIX + name: 0.5 for name in options}
        table = run.table.drop(columns=[metrics.ACTION_PREFIX + name for name in NAMES]).assign(**greedy, **sampled)
        multi = replace(run, table=table, settings={**run.settings, "env.id": "Own-v0"})
        assert kind(RULE, multi) is (expected or Kind.FINE)
        if expected:
            assert found(RULE, multi).headline.startswith("The greedy policy chooses 0.1 and 1.0, whatever it sees")
