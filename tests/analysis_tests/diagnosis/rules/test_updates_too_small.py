"""Updates that are too small: of the parameters, of the policy, or because target_kl ends them."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import updates_too_small
from unstuck.analysis.history import History
from unstuck.analysis.history.record import FINISHED
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, is_blind, kind, unset
from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = updates_too_small.RULE
TOP = math.log(4)
TURN = np.arange(1, LENGTH + 1)


def small(kl: float = 1e-6, change: float | None = 1e-3, **changed: Any) -> History:
    return untaught(approx_kl=kl, update_norm=change, **changed)


def limited(kl: Any, limit: float, **changed: Any) -> History:
    return untaught(approx_kl=kl, settings={"ppo.target_kl": limit}, **changed)


def test_small_steps_of_a_policy_that_has_not_settled_are_a_sure_fault() -> None:
    finding = found(RULE, small())
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 8)
    assert facts(finding) == ["KL 1e-06", "the parameters changed by 0.001 of their norm"]
    assert finding.headline == (
        "Updates are too small: KL 1e-06 and the parameters changed by 0.001 of their norm in the median over "
        "iterations 76 to 100"
    )
    assert finding.why == (
        "the policy has not settled (entropy 1.11 of 1.39), so there is something left to learn; the run has nothing "
        "to show for it"
    )
    assert changes(finding) == [{"ppo.lr": [9e-4, 3e-3]}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (small(1.4e-5, 0.015), Sureness.LIKELY),
        (small(1.5e-5, 0.015), None),
        (small(4.9e-5, 1.9e-3), Sureness.LIKELY),
        (small(5.0e-5, 1.9e-3), None),
        (small(4.9e-5, 2.0e-3), None),
        (small(1.4e-5, None), Sureness.LIKELY),
        (small(-0.01, 0.015), None),  # impossible, and not small
        (small(entropy=0.51 * TOP), Sureness.SURE),
        (small(entropy=0.49 * TOP), None),  # it has made up its mind
        (first(small(), 8), Sureness.SURE),
        (first(small(), 7), None),
        (small(0.0), None),  # another rule's: it stands still
        (healthy(approx_kl=5e-5), None),
        (healthy(approx_kl=1e-6, update_norm=1e-3), None),
    ],
)
def test_its_borders(run: History, expected: Sureness | None) -> None:
    finding = ask(RULE, run)
    assert (finding.sureness if finding else None) is expected


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (limited(2.6e-4, 1e-3), True),
        (limited(2.5e-4, 1e-3), False),  # far below the limit: that is not what ends them
        (limited(1.9e-3, 1e-3), True),
        (limited(2.0e-3, 1e-3), False),
        (limited(2.6e-4, 1.01e-3), False),  # a limit as people set it
        (limited(1e-4, 3e-4, entropy=0.4 * TOP), True),
        (limited(1e-4, 3.1e-4, entropy=0.4 * TOP), False),
        (limited(np.where(TURN >= 88, 1e-4, 5e-3), 1e-4), True),  # 13 of the last 25
        (limited(np.where(TURN >= 89, 1e-4, 5e-3), 1e-4), False),
        (healthy(approx_kl=5e-6, settings={"ppo.target_kl": 1e-4}), False),
        (healthy(approx_kl=5e-5, settings={"ppo.target_kl": 1e-4}), True),
        (healthy(approx_kl=1.8e-5, settings={"ppo.target_kl": 1e-4}), False),
        (healthy(approx_kl=1.8e-5, settings={"ppo.target_kl": 1e-4, "sweep.seeds": 3}), True),  # 5.4e-5, 0 and 0
    ],
)
def test_a_target_kl_that_ends_most_updates(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


def test_where_the_policy_has_settled_the_limit_is_the_reason_given() -> None:
    finding = found(RULE, limited(1e-4, 3e-4, entropy=0.4 * TOP))
    assert finding.why == "most updates end at target_kl; the run has nothing to show for it"
    assert changes(finding)[0] == {"ppo.target_kl": None}


@pytest.mark.parametrize(
    ("path", "value", "usual"),
    [
        ("ppo.clip_range", 1e-3, 0.2),
        ("ppo.max_grad_norm", 1e-6, 0.5),
        ("ppo.target_kl", 2e-5, None),
        ("ppo.lr", 1e-6, [3e-4, 1e-3]),
        ("ppo.num_epochs", 1, 4),
        ("ppo.adam_eps", 1.0, 1e-5),
    ],
)
def test_a_setting_that_strangles_updates_goes_back_to_its_usual_value_first(
    path: str, value: float, usual: Any
) -> None:
    run = untaught(approx_kl=1e-6, update_norm=1e-4, settings={path: value})
    assert changes(found(RULE, run))[0] == {path: usual}


def strangers(**changed: Any) -> History:
    """A run of CleanRL's names, whose plan and schedule are not on record."""
    run = untaught(**{"update_norm": None, **changed})
    return replace(run, settings={"env.id": "CartPole-v1"}, dialect="cleanrl")


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (strangers(approx_kl=1e-6), True),
        (strangers(approx_kl=np.where(TURN <= 50, 1e-3, 1e-6)), False),  # it may have followed a schedule
        (strangers(approx_kl=np.where(TURN <= 50, 4e-5, 1e-6)), True),
        (strangers(approx_kl=1e-6, lr=2.5e-4 * (1 - TURN / LENGTH)), False),  # annealed, as the record shows
        (strangers(approx_kl=1e-6, lr=2.5e-4), True),
        (strangers(approx_kl=1e-6, lr=1e-8), True),  # a rate in force that was small all along
    ],
)
def test_of_others_updates_count_that_have_been_small_all_along_and_not_by_schedule(run: History, fires: bool) -> None:
    run = replace(run, table=run.table.assign(**{metrics.ENTROPY: 1.3}))
    assert (ask(RULE, run) is not None) == fires


def test_a_signed_estimate_of_kl_tells_no_size() -> None:
    signed = strangers(approx_kl=np.where(TURN % 2 == 0, 1e-3, -1e-3))
    assert is_blind(RULE, signed)


@pytest.mark.parametrize(
    ("rate", "schedule", "fires"), [(0.29, "linear", False), (0.31, "linear", True), (0.29, "constant", True)]
)
def test_a_rate_that_was_set_to_fall_makes_small_steps_as_asked(rate: float, schedule: str, fires: bool) -> None:
    run = small(lr=np.where(TURN == LENGTH, rate * 3e-4, 3e-4), settings={"ppo.lr_schedule": schedule})
    assert (ask(RULE, run) is not None) == fires


@pytest.mark.parametrize(
    ("beginning", "run", "support", "why"),
    [
        ("learning rate", small(lr=0.9e-4), Support.SUPPORTED, "lr 9e-05 in force"),
        ("learning rate", small(lr=1e-4), Support.OPEN, "lr 0.0001 in force"),
        ("learning rate", small(lr=None, settings={"ppo.lr": 0.9e-4}), Support.SUPPORTED, "lr 9e-05 was set"),
        ("learning rate", unset(small(lr=None), "ppo.lr"), Support.OPEN, ""),
        (
            "the gradient's clip",
            small(grad_norm=25.1, grad_clipped_share=0.9),
            Support.SUPPORTED,
            "the gradient is clipped in 90 % of the steps, from 25.1 to 0.5",
        ),
        (
            "the gradient's clip",
            small(grad_norm=25.0, grad_clipped_share=0.9),
            Support.OPEN,
            "the gradient is clipped in 90 % of the steps, from 25 to 0.5",
        ),
        (
            "the gradient's clip",
            small(grad_norm=25.1, grad_clipped_share=0.49),
            Support.RULED_OUT,
            "the gradient is clipped in 49 % of the steps, from 25.1 to 0.5",
        ),
        ("the gradient's clip", small(grad_clipped_share=None), Support.OPEN, ""),
        ("too few gradient steps", limited(1e-6, 2.9e-3), Support.SUPPORTED, "target_kl 0.0029"),
        ("too few gradient steps", limited(1e-6, 3e-3), Support.OPEN, "target_kl 0.003"),
        ("too few gradient steps", small(), Support.OPEN, ""),
        ("steps that serve", small(), Support.RULED_OUT, "the parameters hardly move either"),
        (
            "steps that serve",
            small(1e-6, 0.015),
            Support.SUPPORTED,
            "the parameters move, and the policy does not",
        ),
        ("steps that serve", small(4.9e-5, 1e-3), Support.RULED_OUT, "the parameters hardly move either"),
        ("steps that serve", small(1e-6, None), Support.OPEN, ""),  # whether they move was not recorded
        ("steps that serve", limited(3e-4, 1e-3, update_norm=1e-3), Support.RULED_OUT, "the parameters hardly move"),
    ],
)
def test_its_causes(beginning: str, run: History, support: Support, why: str) -> None:
    suspect = cause(found(RULE, run), beginning)
    assert suspect.support is support
    assert suspect.why.startswith(why)
    assert bool(suspect.why) == bool(why)


def test_its_remedies_follow_from_what_is_supported() -> None:
    clipped = found(RULE, small(grad_norm=25.1, settings={"ppo.lr": 4e-3}))
    assert changes(clipped) == [{"ppo.adam_eps": 1e-8}, {"ppo.lr": [0.01, 3e-2]}]  # no larger than anybody's
    large = found(RULE, small(grad_norm=25.1, settings={"ppo.lr": 6e-3}))
    assert changes(large) == [{"ppo.adam_eps": 1e-8}]  # the rate is above what is usual as it is
    assert changes(found(RULE, limited(1e-6, 3e-3))) == [{"ppo.lr": [9e-4, 3e-3]}]


def test_it_could_be_said_from_the_eighth_update_on_record() -> None:
    """Of every second iteration KL was logged: the eighth is that of iteration 16."""
    run = untaught(approx_kl=np.where(TURN % 2 == 0, 1e-6, math.nan))
    assert found(RULE, run).since == 16


def test_without_kl_the_rule_is_blind_and_without_sizes_it_says_so() -> None:
    assert blind(RULE, untaught(approx_kl=None)) == ((metrics.APPROX_KL,),)
    finding = found(RULE, small(1e-6, None, entropy=None, grad_norm=None))
    assert finding.missing == (metrics.UPDATE_NORM, metrics.GRAD_NORM, metrics.ENTROPY)
    assert finding.why.startswith("the policy has not settled, so there is something left to learn; ")
    assert facts(finding) == ["KL 1e-06"]


def test_a_kl_taken_before_the_only_step_makes_the_rule_blind() -> None:
    falling = np.linspace(1.38, 0.9, 100)  # not settled, and moving all the same
    assert is_blind(RULE, healthy(approx_kl=0.0, entropy=falling, update_norm=None))


def test_a_heavy_bonus_that_holds_the_policy_is_another_rules() -> None:
    """At the widest policy the bonus has no gradient: what is small is not the step."""
    pinned = {"approx_kl": 1e-5, "entropy": 0.99 * math.log(4)}
    for changed, fires in (
        ({"ppo.entropy_coef": 10.0}, False),
        ({"ppo.entropy_coef": 0.1}, True),
        ({"ppo.entropy_coef": 10.0, "ppo.lr": 1e-6}, True),  # the step is small as well
        ({"ppo.entropy_coef": 10.0, "ppo.max_grad_norm": 1e-6}, True),
    ):
        assert (kind(RULE, untaught(**pinned, settings=changed)) is Kind.FAULT) == fires
    wide = untaught(approx_kl=1e-5, entropy=0.96 * math.log(4), settings={"ppo.entropy_coef": 10.0})
    assert kind(RULE, wide) is Kind.FAULT


def test_without_kl_and_settings_that_tell_it_cannot_judge() -> None:
    usual = {"ppo.lr": 3e-4, "ppo.adam_eps": 1e-5, "ppo.optimizer": "Adam"}
    run = elsewhere(22 + np.sin(7.0 * TURN), approx_kl=None, lr=None, settings=usual)
    assert is_blind(RULE, replace(run, dialect="sb3"))


@pytest.mark.parametrize(
    ("changed", "fires"),
    [
        ({}, True),
        ({"approx_kl": 1.1e-3}, False),
        ({"clip_fraction": 0.01}, False),
        ({"entropy": 0.6}, False),  # of ln 2 = 0.69
        ({"settings": {FINISHED: False}}, False),
        ({"approx_kl": None, "settings": {"ppo.lr": 1e-5}}, True),
        ({"approx_kl": None, "settings": {"ppo.lr": 3e-5}}, False),
    ],
)
def test_a_run_that_ended_with_a_nearly_uniform_policy_after_small_steps(changed: dict[str, Any], fires: bool) -> None:
    """It learned something, by updates that were of a usual size at the very start alone."""
    usual = {"approx_kl": np.where(TURN < 4, 9e-4, 6e-5), "clip_fraction": 0.0, "entropy": 0.63}
    settings = {"env.id": "Own-v0", FINISHED: True, **changed.get("settings", {})}
    run = elsewhere(1.0 * TURN, **{**usual, **changed, "settings": settings})
    assert (kind(RULE, replace(run, dialect="sb3")) is Kind.SUSPECT) == fires
