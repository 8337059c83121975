"""The value loss starves the policy: the two gradients' ratio, in a shared trunk and in a shared clip."""

from dataclasses import replace
from typing import Any

import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind, Support
from unstuck.analysis.diagnosis.rules import policy_starved
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, found, kind, unset
from tests.analysis_tests.runs import healthy, untaught

RULE = policy_starved.RULE
SEPARATE = {"ppo.shared_trunk": False}


def learning(ratio: float, kl: float = 5e-3, **settings: Any) -> History:
    return healthy(grad_norm_policy=1.0, grad_norm_value=ratio, approx_kl=kl, settings=settings)


def stuck(ratio: float, **settings: Any) -> History:
    return untaught(grad_norm_policy=1.0, grad_norm_value=ratio, approx_kl=5e-3, settings=settings)


def test_a_trunk_that_the_value_loss_has_taken_is_a_fault_whatever_the_run_shows() -> None:
    finding = found(RULE, healthy(grad_norm_policy=0.3, grad_norm_value=90.0, approx_kl=1e-3))
    assert finding.kind is Kind.FAULT
    assert finding.headline == (
        "The value loss starves the policy in the shared trunk: its gradient is 300 times the policy's"
    )
    assert facts(finding) == [
        "median gradient norms over iterations 10 to 100: policy 0.3, value 90 (weighted by value_coef), 300 to 1",
        "the whole gradient is clipped to 0.5 in 100 % of the steps",
    ]
    assert finding.why == "updates are small for it (KL 0.001); the run gets better all the same"
    assert finding.since == 10
    assert changes(finding) == [{"ppo.value_coef": 0.005}, {"ppo.shared_trunk": False}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (learning(29.9), Kind.FINE),
        (learning(30.0), None),  # much, and no harm
        (learning(60.0), None),
        (learning(61.0), Kind.FAULT),
        (learning(30.0, kl=1.9e-3), Kind.FAULT),  # small updates are harm
        (learning(30.0, kl=2.1e-3), None),
        (learning(61.0, **{"ppo.shared_trunk": None}), None),  # whether it is shared was not recorded
        (stuck(29.9), Kind.FINE),
        (stuck(30.0), Kind.FAULT),
        (stuck(999.0, **SEPARATE), Kind.FINE),
        (stuck(1000.0, **SEPARATE), Kind.FAULT),
        (learning(1000.0, **SEPARATE), None),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(("kl", "expected"), [(0.9e-3, Kind.FAULT), (1.1e-3, None)])
def test_in_another_program_separate_networks_whose_updates_move_are_not_starved(
    kl: float, expected: Kind | None
) -> None:
    run = untaught(grad_norm_policy=1.0, grad_norm_value=1200.0, approx_kl=kl, settings=SEPARATE)
    assert kind(RULE, replace(run, dialect="sb3")) is expected
    assert kind(RULE, run) is Kind.FAULT


@pytest.mark.parametrize(("ratio", "ground"), [(5.1e4, Ground.MEASURED), (4.9e4, Ground.STATE)])
def test_a_clip_that_leaves_less_than_epsilon_is_a_fault_whatever_is_learned(ratio: float, ground: Ground) -> None:
    run = learning(ratio, kl=1e-9, **SEPARATE, **{"ppo.max_grad_norm": 0.5, "ppo.adam_eps": 1e-5})
    assert found(RULE, run).ground is ground


def test_updates_are_called_small_only_where_they_are() -> None:
    assert found(RULE, learning(61.0)).why == "the run gets better all the same"
    assert found(RULE, learning(61.0, kl=1.9e-3)).why.startswith("updates are small for it (KL 0.0019); ")


def test_what_is_in_order_says_its_ratio() -> None:
    assert found(RULE, learning(6.0)).headline == "value gradient 6 times the policy's: neither is drowned"


def test_networks_of_their_own_share_the_clip_and_not_the_trunk() -> None:
    finding = found(RULE, stuck(1500.0, **SEPARATE))
    assert "in the shared gradient clip: its gradient is 1,500 times" in finding.headline
    trunk = cause(finding, "one trunk for two tasks")
    assert (trunk.support, trunk.why) == (Support.RULED_OUT, "networks are separate")
    assert changes(finding) == [{"ppo.value_coef": 0.005}, {"ppo.adam_eps": 1e-8}]  # by 100 at most


def test_raw_targets_and_a_heavy_weight_are_mended_at_once() -> None:
    raw = {"ppo.normalize_returns": "none"}
    heavy, usual = (found(RULE, stuck(900.0, **raw, **{"ppo.value_coef": weight})) for weight in (2.1, 2.0))
    assert changes(heavy)[:2] == [
        {"ppo.normalize_returns": "batch", "ppo.value_coef": 0.5},
        {"ppo.normalize_returns": "batch"},
    ]
    assert changes(usual)[0] == {"ppo.normalize_returns": "batch"}


def test_value_coef_is_lowered_to_a_ratio_of_three() -> None:
    assert changes(found(RULE, stuck(45.0)))[0] == {"ppo.value_coef": 0.03}  # 0.5 / 15


@pytest.mark.parametrize(
    ("returns", "spread", "support"),
    [("none", 5.1, Support.SUPPORTED), ("none", 4.9, Support.OPEN), ("batch", 50.0, Support.RULED_OUT)],
)
def test_raw_targets_are_to_blame_where_they_are_wide(returns: str, spread: float, support: Support) -> None:
    run = untaught(grad_norm_value=900.0, target_std=spread, settings={"ppo.normalize_returns": returns})
    finding = found(RULE, run)
    targets = cause(finding, "targets far from spread 1")
    why = "targets are normalised" if returns == "batch" else f"targets have a spread of {spread:g}"
    assert (targets.support, targets.why) == (support, why)
    assert ({"ppo.normalize_returns": "batch"} in changes(finding)) == (returns == "none")


@pytest.mark.parametrize(
    ("weight", "shared", "support"),
    [(2.1, True, Support.SUPPORTED), (2.0, True, Support.OPEN), (2.1, False, Support.OPEN)],
)
def test_value_coef_is_to_blame_where_it_is_large_and_the_trunk_is_shared(
    weight: float, shared: bool, support: Support
) -> None:
    finding = found(RULE, stuck(3000.0, **{"ppo.value_coef": weight, "ppo.shared_trunk": shared}))
    assert cause(finding, "value_coef too high").support is support
    assert cause(finding, "value_coef too high").why == f"value_coef {weight:g}"


def test_settings_that_were_not_recorded_are_left_open() -> None:
    finding = found(
        RULE, unset(stuck(90.0), "ppo.value_coef", "ppo.shared_trunk", "ppo.normalize_returns", "ppo.max_grad_norm")
    )
    assert {one.support for one in finding.causes} == {Support.OPEN}
    assert changes(finding) == [{"ppo.shared_trunk": False}]
    assert facts(finding)[1] == "the whole gradient is clipped in 100 % of the steps"


def test_a_policy_without_a_gradient_has_no_ratio() -> None:
    assert ask(RULE, untaught(grad_norm_policy=0.0, grad_norm_value=900.0)) is None


def test_without_either_gradient_the_rule_is_blind_and_without_kl_it_says_so() -> None:
    none = {"grad_norm_policy": None, "grad_norm": None}
    assert blind(RULE, untaught(**none)) == ((metrics.GRAD_NORM_POLICY, metrics.GRAD_NORM),)
    silent = untaught(grad_norm_value=None, approx_kl=None)
    assert blind(RULE, silent) == ((metrics.GRAD_NORM_VALUE, metrics.APPROX_KL),)
    finding = found(RULE, untaught(grad_norm_value=900.0, approx_kl=None, grad_clipped_share=None))
    assert finding.missing == (metrics.APPROX_KL,)
    assert len(finding.evidence) == 1


def test_a_whole_gradient_far_beyond_its_clip_is_a_doubt_where_the_policy_hardly_moves() -> None:
    whole = {"grad_norm_policy": None, "grad_norm_value": None, "approx_kl": 2e-5}
    finding = found(RULE, untaught(grad_norm=13.0, **whole))
    assert finding.kind is Kind.SUSPECT
    assert finding.headline.startswith("The value loss may take the shared gradient clip: the gradient is 13 before")
    assert ask(RULE, untaught(grad_norm=4.9, **whole)) is None  # 9.8 times max_grad_norm 0.5
    assert ask(RULE, untaught(grad_norm=13.0, **{**whole, "approx_kl": 1.1e-4})) is None
