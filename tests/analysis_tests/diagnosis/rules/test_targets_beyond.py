"""Targets beyond what episodes return: a question, since a correct PPO may show them; likely a fault in two tasks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Finding, Ground, Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import targets_beyond
from unstuck.analysis.history import History, record
from unstuck.analysis.history.record import EPISODE_LENGTH
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, facts, first, found, unset
from tests.analysis_tests.elsewhere import elsewhere as of_another_task
from tests.analysis_tests.runs import LENGTH, untaught

RULE = targets_beyond.RULE
TURN = np.arange(1, LENGTH + 1)


def beyond(target: Any = 90.0, returns: Any = 30.0, env: str = "Corridor-v0", **changed: Any) -> History:
    """A run whose critic is to predict so much, where whole episodes return so much."""
    nameless = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    columns = {"target_mean": target, "train/episode_return": returns, **nameless}
    return untaught(**{**columns, "settings": {"env.id": env, **changed.pop("settings", {})}, **changed})


def test_targets_beyond_returns_are_a_question() -> None:
    finding = found(RULE, beyond())
    text = "the critic is to predict 90 on average, and whole episodes return 30"
    assert (finding.kind, finding.sureness) == (Kind.SUSPECT, Sureness.POSSIBLE)
    assert finding.headline == f"Targets exceed what episodes return: {text}"
    assert facts(finding) == [text]
    assert finding.evidence[0].iterations == (96, 100)
    assert finding.why == "a correct PPO may show this as well, and how episodes end and pay is not recorded"
    assert [cause.support for cause in finding.causes] == [Support.OPEN] * 3
    assert finding.remedies == ()


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (beyond(37.6), True),
        (beyond(37.4), False),
        (beyond(np.where(TURN == LENGTH, 29.0, 90.0)), False),  # once below
        (beyond(np.where(TURN == LENGTH, 31.0, 90.0)), True),
        (beyond(np.where(TURN <= 95, 10.0, 90.0)), True),  # the last five tell
        (beyond(-90.0, -30.0), True),
        (beyond(-20.0, -30.0), False),
        (beyond(settings={"ppo.gamma": 0.995}), True),
        (beyond(settings={"ppo.gamma": 0.996}), False),
        (beyond(saturated_share=0.3), True),
        (beyond(saturated_share=0.31), False),
        (beyond(saturated_share=None), True),
        (beyond(env="CartPole-v1"), True),
        (beyond(env="unstuck/Triage-v0"), False),
        (unset(beyond(), "env.id"), False),
        (unset(beyond(), "ppo.gamma"), False),
        (first(beyond(), 5), True),
        (first(beyond(), 4), False),
        (beyond(500.0, 1.0 * TURN), False),  # returns that rise lag behind
        (beyond(500.0, np.where(TURN <= 90, 1.0 * TURN, 90.0)), True),
        (untaught(), False),
    ],
)
def test_its_borders(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


@pytest.mark.parametrize("env", ["CartPole-v1", "Acrobot-v1"])
def test_where_a_rest_is_less_than_the_whole_they_are_a_likely_fault_and_no_proof(env: str) -> None:
    finding = found(RULE, beyond(env=env))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.LIKELY, 96)
    assert finding.ground is Ground.STATE
    assert finding.why.startswith("every step pays the same here")
    assert [cause.what for cause in finding.causes] == [targets_beyond.ENDS_FORGOTTEN.what]


def test_a_run_that_learns_is_not_doubted() -> None:
    """Rewards that cost, and episodes cut off long before the horizon: -6 a target, -4 an episode, up from -90."""
    risen = np.minimum(-90.0 + 4 * TURN, -4.0)
    run = beyond(-6.0, risen, f1=None, tp=None, **{"eval/episode_return": None, "f1/seed_0": None})
    assert ask(RULE, run) is None
    assert found(RULE, beyond(-6.0, -4.0 + 0.1 * np.sin(TURN), f1=None, tp=None)).kind is Kind.SUSPECT


TOLD = {record.ENDS_TRUNCATED: 1.0, record.TRUNCATED_LENGTHS: 18.0, record.TRUNCATED_EARLY: 0.9}


@pytest.mark.parametrize(
    ("changed", "fires"),
    [
        ({}, True),
        ({record.ENDS_TRUNCATED: 0.98}, False),  # some ends are told as such
        ({record.TRUNCATED_LENGTHS: 9.0}, False),  # a limit that was changed in mid-run
        ({record.TRUNCATED_EARLY: 0.49}, False),  # most last as long as they may
    ],
)
def test_ends_at_many_lengths_that_are_told_as_truncations(changed: dict[str, float], fires: bool) -> None:
    risen = np.minimum(5.0 * TURN, 300.0) + np.sin(7.0 * TURN)
    run = of_another_task(risen, more={**TOLD, **changed})
    assert (ask(RULE, run) is not None) == fires
    if fires:
        finding = found(RULE, run)
        assert (finding.kind, finding.ground) == (Kind.SUSPECT, Ground.MEASURED)
        assert "100 % of the episodes are told as truncated, at 18 different lengths" in finding.headline
        assert "unless the environment truncates by design, which no number here tells" in finding.why


def test_truncations_are_a_fault_where_targets_exceed_returns_as_well() -> None:
    run = beyond()
    run = replace(run, table=run.table.assign(**TOLD))
    finding = found(RULE, run)
    assert finding.kind is Kind.FAULT
    assert facts(finding)[1] == "the critic is to predict 90 on average, and whole episodes return 30"


def test_ends_that_are_forgotten_stand_above_what_follows_from_them() -> None:
    assert {"signal_lost", "critic_underfits", "oscillating", "updates_too_small"} <= set(RULE.explains)


def test_without_targets_or_returns_the_rule_is_blind() -> None:
    assert blind(RULE, beyond(target=None)) == ((metrics.TARGET_MEAN,),)
    assert blind(RULE, beyond(returns=None)) == ((metrics.TRAIN_RETURN,),)


def probed(lengths: Any, spread: float = 0.03, pays: float = 1.0) -> History:
    """A probe's record of another program, whose episodes of these lengths pay so much in a step."""
    turn = np.arange(1, LENGTH + 1)
    lasting = np.where(turn < LENGTH // 2, 300.0, lengths)
    run = of_another_task(pays * lasting, more={EPISODE_LENGTH: lasting}, target_std=spread, target_mean=40.0)
    return replace(run, dialect="unstuck", probed="sb3", settings={"env.id": "Own-v0"})


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (probed(100.0), True),
        (probed(250.0), False),  # at a limit of 300, or nearly
        (probed(100.0, spread=0.06), False),
        (probed(100.0, spread=0.03, pays=0.5), False),  # a twentieth of a step's reward is 0.025
        (probed(100.0, spread=0.02, pays=0.5), True),
        (replace(probed(100.0), probed=""), False),  # a mean over 100 episodes may be of episodes long past
    ],
)
def test_targets_that_are_all_alike_do_not_see_that_episodes_end(run: History, fires: bool) -> None:
    finding = ask(RULE, run)
    assert (isinstance(finding, Finding) and finding.headline.startswith("Targets do not see")) == fires


@pytest.mark.parametrize(
    ("returns", "lengths", "ground"),
    [
        (30.0, np.linspace(60, 20, LENGTH), Ground.MEASURED),
        (46.0, np.linspace(60, 20, LENGTH), None),  # not twice as much
        (30.0, 50.0, None),  # cut off at a limit, where values go on by right
        (np.where(TURN == 1, -1.0, 30.0), np.linspace(60, 20, LENGTH), None),  # steps may cost, and an end pay
    ],
)
def test_where_nothing_costs_and_episodes_end_by_themselves_it_is_a_fault(
    returns: Any, lengths: Any, ground: Ground | None
) -> None:
    run = beyond(returns=returns)
    run = replace(run, table=run.table.assign(**{EPISODE_LENGTH: lengths}))
    finding = ask(RULE, run)
    told = isinstance(finding, Finding) and finding.kind is Kind.FAULT
    assert told is (ground is not None)
    if told and isinstance(finding, Finding):
        assert finding.ground is ground
