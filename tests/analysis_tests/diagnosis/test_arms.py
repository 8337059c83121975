"""Which changes a diagnosis proposes, and in which order."""

from typing import Any

from unstuck.analysis.diagnosis.arms import MOST_ARMS, Arm, list_arms
from unstuck.analysis.diagnosis.finding import (
    Cause,
    Diagnosis,
    Finding,
    Kind,
    Ranked,
    Remedy,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.signals import Signals

from tests.analysis_tests.runs import healthy


def finding(kind: Kind, *changes: dict[str, Any], unsupported: tuple[Cause, ...] = ()) -> Ranked:
    rule = Rule(f"rule_{kind}", "Rule", Stage.STEP, (), "nowhere", lambda run: None)
    remedies = tuple(Remedy(change, f"why {kind}", f"watch {kind}") for change in changes)
    return Ranked(rule, Finding("headline", kind, Sureness.SURE, remedies=remedies, unsupported=unsupported))


def blamed(change: dict[str, Any], support: Support = Support.OPEN) -> Cause:
    return Cause("lr too low", "branch", support, "", change)


def arms(*findings: Ranked, **settings: Any) -> list[Arm]:
    return list_arms(Diagnosis(Signals(healthy(settings=settings)), findings, ()))


def changes(*findings: Ranked, **settings: Any) -> list[dict[str, Any]]:
    return [dict(arm.change) for arm in arms(*findings, **settings)]


def test_faults_come_before_suspects_and_these_before_limits() -> None:
    found = arms(
        finding(Kind.LIMIT, {"ppo.gamma": 0.5}), finding(Kind.SUSPECT, {"ppo.lr": 1e-3}), finding(Kind.FAULT, {"a": 1})
    )
    assert [dict(one.change) for one in found] == [{"a": 1}, {"ppo.lr": 1e-3}, {"ppo.gamma": 0.5}]
    assert (found[0].why, found[0].watch, found[0].rule) == ("why fault", "watch fault", "rule_fault")
    assert changes(finding(Kind.FINE, {"ppo.lr": 1e-3})) == []


def test_several_values_are_arms_of_their_own_in_all_combinations() -> None:
    assert changes(finding(Kind.FAULT, {"ppo.lr": [1e-3, 1e-2], "ppo.gamma": [0.5, 0.0]})) == [
        {"ppo.lr": 1e-3, "ppo.gamma": 0.5},
        {"ppo.lr": 1e-3, "ppo.gamma": 0.0},
        {"ppo.lr": 1e-2, "ppo.gamma": 0.5},
        {"ppo.lr": 1e-2, "ppo.gamma": 0.0},
    ]
    assert changes(finding(Kind.FAULT, {"ppo.hidden_sizes": (16, 16)})) == [{"ppo.hidden_sizes": (16, 16)}]


def test_what_the_run_has_already_and_what_was_proposed_before_is_left_out() -> None:
    proposed = finding(Kind.FAULT, {"ppo.lr": [3e-4, 1e-3]}, {"ppo.lr": 1e-3}, {"ppo.shared_trunk": 1})
    assert changes(proposed) == [{"ppo.lr": 1e-3}, {"ppo.shared_trunk": 1}]  # lr is 3e-4; 1 is not True
    assert changes(finding(Kind.FAULT, {"ppo.target_kl": None})) == []
    assert changes(finding(Kind.FAULT, {"ppo.target_kl": None}), **{"ppo.target_kl": 0.01}) == [{"ppo.target_kl": None}]
    assert changes(finding(Kind.FAULT, {"ppo.lr": 3e-4, "ppo.gamma": 0.5})) == [{"ppo.lr": 3e-4, "ppo.gamma": 0.5}]


def test_so_many_arms_and_no_more() -> None:
    assert len(changes(finding(Kind.FAULT, {"ppo.lr": [i / 100 for i in range(1, 20)]}))) == MOST_ARMS


def test_what_is_blamed_without_support_is_tried_where_no_fault_has_a_remedy() -> None:
    limit = finding(Kind.LIMIT, {"ppo.gamma": 0.5}, unsupported=(blamed({"ppo.lr": [1e-3]}),))
    found = arms(limit)
    assert [dict(one.change) for one in found] == [{"ppo.gamma": 0.5}, {"ppo.lr": 1e-3}]
    assert (found[1].why, found[1].watch) == (
        "lr too low: not supported so far",
        "the control beaten at equal iterations",
    )
    assert changes(limit, finding(Kind.FAULT, {"ppo.clip_range": 0.1})) == [
        {"ppo.clip_range": 0.1},
        {"ppo.gamma": 0.5},
    ]
    assert {"ppo.lr": 1e-3} in changes(limit, finding(Kind.FAULT))  # a fault that no setting mends
    assert changes(finding(Kind.LIMIT, unsupported=(blamed({"ppo.lr": 1e-3}, Support.RULED_OUT),))) == []
    assert changes(finding(Kind.LIMIT, unsupported=(blamed({}),))) == []


def test_a_change_that_contradicts_a_more_basic_one_is_left_out() -> None:
    smaller, larger = {"ppo.lr": 1e-4}, {"ppo.lr": 1e-3}
    assert changes(finding(Kind.FAULT, smaller), finding(Kind.SUSPECT, larger)) == [smaller]
    assert changes(finding(Kind.SUSPECT, smaller), finding(Kind.FAULT, larger)) == [larger]
    assert changes(finding(Kind.FAULT, smaller), finding(Kind.SUSPECT, {"ppo.lr": 1e-5})) == [
        smaller,
        {"ppo.lr": 1e-5},
    ]
    assert changes(finding(Kind.FAULT, smaller, larger)) == [smaller]  # of one rule too
    both = {"ppo.gamma": 0.9, **larger}
    assert changes(finding(Kind.FAULT, smaller), finding(Kind.SUSPECT, both, {"ppo.gamma": 0.995})) == [
        smaller,
        {"ppo.gamma": 0.995},  # what was left out decides no direction
    ]
    assert changes(finding(Kind.FAULT, {"ppo.target_kl": 0.02}), finding(Kind.SUSPECT, {"ppo.shared_trunk": 0})) == [
        {"ppo.target_kl": 0.02},
        {"ppo.shared_trunk": 0},
    ]
