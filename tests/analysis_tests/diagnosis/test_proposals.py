"""Arms of an unstick that a diagnosis proposes: where each starts, what it resets, and why."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Diagnosis, Finding, Kind, Ranked, Remedy, Rule, Stage, Sureness
from unstuck.analysis.diagnosis.proposals import Part, Proposal, Start, complete_proposal, propose_arms
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History
from unstuck.rl import branch, metrics

from tests.analysis_tests.runs import healthy

POLICY, CRITIC, ADAM, RETURNS = Part.POLICY_HEAD, Part.VALUE_HEAD, Part.ADAM, Part.RETURN_NORMALIZER


def found(rule: str, *changes: dict[str, Any], kind: Kind = Kind.FAULT) -> Ranked:
    remedies = tuple(Remedy(change, f"why {rule}", "watch") for change in changes)
    return Ranked(
        Rule(rule, rule, Stage.STEP, (), "nowhere", lambda run: None),
        Finding("headline", kind, Sureness.SURE, remedies=remedies),
    )


def proposed(*findings: Ranked, run: History | None = None) -> list[Proposal]:
    return propose_arms(Diagnosis(Signals(run or healthy()), findings, ()))


def starts(*findings: Ranked, run: History | None = None) -> list[tuple[dict[str, Any], Start, tuple[Part, ...]]]:
    return [(dict(one.change), one.start, one.reset) for one in proposed(*findings, run=run)]


def test_a_change_of_coefficients_resets_nothing_and_starts_anew_beside_that() -> None:
    one, anew = proposed(found("updates_too_small", {"ppo.lr": 1e-3}))
    assert (anew.change, anew.start, anew.reset) == (one.change, Start.ANEW, ())
    assert anew.carried == (
        "Nothing is carried over from the run: the arm shows whether the settings train well from the start."
    )
    assert (one.start, one.reset, one.carried) == (Start.CHECKPOINT, (), "Everything goes on as saved.")
    assert (one.why, one.rule, one.watch) == ("why updates_too_small", "updates_too_small", "watch")


@pytest.mark.parametrize("change", [{"ppo.gamma": 0.5}, {"ppo.gae_lambda": 0.5}, {"ppo.normalize_returns": "none"}])
def test_other_targets_need_a_critic_that_starts_anew(change: dict[str, Any]) -> None:
    one, anew = proposed(found("value_floor", change, kind=Kind.LIMIT))
    assert (anew.change, anew.start) == (change, Start.ANEW)
    assert (one.start, one.reset) == (Start.CHECKPOINT, (CRITIC, ADAM, RETURNS))
    name = next(iter(change)).rpartition(".")[2]
    assert one.carried == (
        "The critic's head, Adam's moments and the normaliser of returns start anew: "
        f"{name} changes the scale or the horizon of the critic's targets. Everything else goes on as saved."
    )


@pytest.mark.parametrize(
    "change", [{"ppo.hidden_sizes": (16, 16)}, {"ppo.shared_trunk": False}, {"ppo.normalize_observations": True}]
)
def test_other_networks_or_inputs_can_only_start_anew(change: dict[str, Any]) -> None:
    (one,) = proposed(found("overfitting", change))
    assert (one.start, one.reset) == (Start.ANEW, ())
    assert one.carried.startswith("Nothing is carried over from the run: ")
    assert next(iter(change)).rpartition(".")[2] in one.carried
    assert proposed(found("entropy_collapsed", change)) == [replace(one, rule="entropy_collapsed", why=_WHY)]  # once


_WHY = "why entropy_collapsed"


@pytest.mark.parametrize(
    ("rule", "reset"),
    [
        ("entropy_collapsed", (POLICY, ADAM)),
        ("units_saturated", (POLICY, CRITIC, ADAM)),
        ("updates_too_large", (POLICY, CRITIC, ADAM)),
        ("value_explosion", (CRITIC, ADAM, RETURNS)),
    ],
)
def test_damage_is_reset_in_one_arm_and_left_behind_in_another(rule: str, reset: tuple[Part, ...]) -> None:
    change = {"ppo.lr": 1e-4}
    arms = starts(found(rule, change))
    assert len(arms) == 2
    assert (change, Start.CHECKPOINT, reset) in arms
    assert (change, Start.ANEW, ()) in arms
    going_on, anew = sorted(proposed(found(rule, change)), key=lambda one: one.start is Start.ANEW)
    assert "start anew: " in going_on.carried
    assert anew.carried.startswith("Nothing is carried over from the run: ")


@pytest.mark.parametrize(
    ("rule", "shared", "first"),
    [
        ("units_saturated", False, Start.ANEW),
        ("updates_too_large", False, Start.ANEW),  # Stable-Baselines3 with lr 0.3: 437 started anew, 33 going on
        ("value_explosion", True, Start.ANEW),
        ("value_explosion", False, Start.CHECKPOINT),  # a critic of its own: the policy's layers are whole
        ("entropy_collapsed", True, Start.CHECKPOINT),  # the head alone
    ],
)
def test_where_hidden_layers_are_damaged_the_arm_that_starts_anew_comes_first(
    rule: str, shared: bool, first: Start
) -> None:
    run = healthy(settings={"ppo.shared_trunk": shared})
    arms = proposed(found(rule, {"ppo.lr": 1e-4}), run=run)
    assert arms[0].start is first
    going_on = next(one for one in arms if one.start is Start.CHECKPOINT)
    assert ("the damaged hidden layers too" in going_on.carried) is (first is Start.ANEW)
    in_doubt = proposed(found(rule, {"ppo.lr": 1e-4}, kind=Kind.SUSPECT), run=run)
    assert in_doubt[0].start is Start.CHECKPOINT  # what the run has learned may be worth more


def test_every_arm_meets_the_damage_that_a_fault_left() -> None:
    collapsed, horizon = found("entropy_collapsed"), found("value_floor", {"ppo.gamma": 0.5}, kind=Kind.LIMIT)
    assert starts(collapsed, horizon) == [
        ({"ppo.gamma": 0.5}, Start.CHECKPOINT, (POLICY, CRITIC, ADAM, RETURNS)),
        ({"ppo.gamma": 0.5}, Start.ANEW, ()),
    ]
    suspected = replace(collapsed, finding=replace(collapsed.finding, kind=Kind.SUSPECT))
    assert starts(suspected, horizon)[0] == ({"ppo.gamma": 0.5}, Start.CHECKPOINT, (CRITIC, ADAM, RETURNS))


def test_weights_that_are_no_numbers_are_never_gone_on_from() -> None:
    run = healthy()
    table = run.table.copy()
    table.loc[table.index[-1], metrics.VALUE_LOSS] = np.inf
    smaller = found("entropy_collapsed", {"ppo.lr": 1e-4})
    assert [start for _, start, _ in starts(smaller, run=replace(run, table=table))] == [Start.ANEW]
    table.loc[table.index[-1], metrics.VALUE_LOSS] = 1.0
    assert [start for _, start, _ in starts(smaller, run=replace(run, table=table))] == [Start.CHECKPOINT, Start.ANEW]


def test_one_fault_can_hide_another_so_one_arm_mends_all_basic_ones_at_once() -> None:
    starved = found("policy_starved", {"ppo.normalize_returns": "running"}, {"ppo.value_coef": 0.1})
    short = found("updates_too_small", {"ppo.lr": 1e-3}, {"ppo.lr": 3e-3})
    follows = replace(found("entropy_pinned", {"ppo.entropy_coef": 1e-3}), follows_from=("updates_too_small",))
    run = healthy(settings={"ppo.clip_range": 1e-3})
    together = {"ppo.clip_range": 0.2, "ppo.lr": 1e-3, "ppo.normalize_returns": "running"}
    assert [(dict(one.change), one.start) for one in proposed(starved, short, follows, run=run)] == [
        ({"ppo.normalize_returns": "running"}, Start.CHECKPOINT),
        (together, Start.CHECKPOINT),
        (together, Start.ANEW),
        ({"ppo.clip_range": 0.2}, Start.CHECKPOINT),
        ({"ppo.value_coef": 0.1}, Start.CHECKPOINT),
        ({"ppo.lr": 1e-3}, Start.CHECKPOINT),
        ({"ppo.lr": 3e-3}, Start.CHECKPOINT),
        ({"ppo.entropy_coef": 1e-3}, Start.CHECKPOINT),
    ]
    combined = proposed(starved, short, follows, run=run)[1]
    assert combined.rule == "policy_starved, updates_too_small, unusual_setting"
    assert combined.reset == (CRITIC, ADAM, RETURNS)


def test_a_usual_value_never_contradicts_a_finding() -> None:
    more = found("entropy_collapsed", {"ppo.entropy_coef": 0.6})
    changes = [dict(one.change) for one in proposed(more, run=healthy(settings={"ppo.entropy_coef": 0.2}))]
    assert changes == [{"ppo.entropy_coef": 0.6}] * 2


def test_without_a_finding_settings_far_from_usual_are_all_that_is_proposed() -> None:
    assert proposed() == []
    assert [dict(one.change) for one in proposed(run=healthy(settings={"ppo.lr": 0.05}))] == [{"ppo.lr": 1e-3}] * 2


def test_rewards_and_environment_stay_as_they_are() -> None:
    rewards = {"env.reward_threat": (1.0, 1.0, 1.0, 1.0)}
    assert proposed(found("reward_misspecified", rewards)) == []


def test_what_is_asked_for_is_completed_alike() -> None:
    horizon = complete_proposal({"ppo.gamma": 0.5}, "asked for")
    assert (horizon.start, horizon.reset, horizon.rule) == (Start.CHECKPOINT, (CRITIC, ADAM, RETURNS), "")
    kept = complete_proposal({"ppo.gamma": 0.5}, "asked for", reset=())
    assert (kept.reset, kept.carried) == ((), "Everything goes on as saved.")
    head = complete_proposal({}, "asked for", reset=["adam", "policy_head"])
    assert head.reset == (POLICY, ADAM)
    assert head.carried == (
        "The policy's head and Adam's moments start anew: it was asked for. Everything else goes on as saved."
    )
    anew = complete_proposal({"ppo.lr": 1e-3}, "asked for", Start.ANEW)
    assert anew.start is Start.ANEW
    assert anew.carried.startswith("Nothing is carried over from the run: ")
    lanes = complete_proposal({"ppo.num_envs": 4}, "asked for")
    assert (lanes.start, lanes.reset) == (Start.CHECKPOINT, ())
    assert lanes.carried == "Lanes start anew: num_envs sets another number of them. Everything else goes on as saved."


def test_parts_that_can_be_reset_are_those_that_the_learner_can_reset() -> None:
    """`analysis` may not import torch, so the names stand there once more."""
    assert [(part.name, part.value) for part in Part] == [(part.name, part.value) for part in branch.Part]
