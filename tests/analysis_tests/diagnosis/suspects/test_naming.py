"""What a stuck run of little record most likely suffers from: who is named, in which order, and who is never."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Diagnosis, Kind, Ranked, Sureness, Usual
from unstuck.analysis.history import History
from unstuck.analysis.history.record import FINISHED
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.suspects.bare import DRAWN, NOISE, TURN, stuck


def suspects(run: History) -> list[str]:
    """Rules of the usual suspects, in the order of the diagnosis."""
    return [one.rule.name for one in diagnose(run).findings if one.finding.usual]


def at(diagnosis: Diagnosis, rule: str) -> Ranked:
    return next(one for one in diagnosis.findings if one.rule.name == rule)


def test_returns_alone_leave_three_suspects_in_the_order_of_their_frequency() -> None:
    """Of 90 logs 23 had steps too large; a return of 5 is no large one; 8 a reward seldom met, 5 raw inputs."""
    assert suspects(stuck()) == ["updates_too_large", "reward_sparse", "inputs_unscaled"]
    found = diagnose(stuck())
    assert [one.rule.name for one in found.findings if one.finding.kind in (Kind.FAULT, Kind.SUSPECT)] == [
        *("updates_too_large", "reward_sparse", "inputs_unscaled", "oscillating"),
    ]
    assert not found.select_findings(Kind.FAULT)  # a curve without a trend is none by itself
    first = at(found, "updates_too_large").finding
    assert (first.kind, first.sureness, first.usual) == (Kind.SUSPECT, Sureness.POSSIBLE, Usual(1, is_hinted=False))
    assert first.causes[0].what == "a learning rate too high, or too many passes over a rollout"
    assert first.why == (
        "a usual suspect of a run that learned nothing: it was the cause in 23 of 90 public logs whose cause is known, "
        "and this run's numbers do not tell"
    )
    assert {metrics.APPROX_KL, metrics.LR} <= set(first.missing)
    assert metrics.APPROX_KL in found.questions
    blind = {one.rule.name for one in found.unexamined}
    assert "inputs_unscaled" in blind  # a guess is no look


@pytest.mark.parametrize(
    ("run", "first"),
    [
        (stuck(value_loss=760.0, approx_kl=0.008), "reward_scale"),
        (stuck(value_loss=0.1, entropy=1.42 + 0.01 * TURN, bonus=0.1, approx_kl=0.008), "entropy_pinned"),
        (stuck(value_loss=0.1, settings={"ppo.lr": 1e-3}), "updates_too_large"),
        (stuck(value_loss=0.1, settings={"ppo.lr": 3e-5}), "updates_too_small"),
        (stuck(value_loss=0.1, approx_kl=0.008, lengths=200.0, settings={"ppo.gamma": 0.9}), "horizon_short"),
        (stuck(-1.0 - 0.1 * abs(NOISE), value_loss=1e-4, approx_kl=0.008, lengths=1200.0), "doing_nothing_pays"),
    ],
)
def test_what_the_runs_numbers_speak_for_stands_first_and_is_at_fault_as_the_curve_is(run: History, first: str) -> None:
    found = diagnose(run)
    assert suspects(run)[0] == first
    assert at(found, first).finding.kind is Kind.FAULT
    assert at(found, "oscillating").finding.kind is Kind.SUSPECT  # the curve's look is no second fault
    assert first in at(found, "oscillating").follows_from
    assert found.findings[0].rule.name in (first, "signal_lost")


@pytest.mark.parametrize(
    "run",
    [
        stuck(5.0 + 0.5 * TURN),  # learns
        stuck(settings={FINISHED: False}),  # young
        replace(stuck(), dialect="unstuck", settings={FINISHED: True, "ppo.num_iterations": 60}),  # ours
        stuck(500.0 + 0.0 * NOISE),  # solved or stuck
        stuck(approx_kl=2.0, clip_fraction=0.5),  # a cause that is sure
        replace(stuck(), left_out=("train/qf1_loss",)),  # SAC's
    ],
)
def test_of_a_run_that_learns_goes_on_is_told_or_is_no_ppos_nobody_is_suspected(run: History) -> None:
    assert suspects(run) == []


def test_of_a_run_that_lost_a_part_only_what_its_numbers_hint_at_is_named() -> None:
    """It rises by 200 and loses half: steps too large are the usual reason, and counted twice as a score fell."""
    curve = np.where(TURN < 20, 0.0, np.where(TURN < 40, 200.0, 100.0)) + 4 * NOISE
    assert suspects(stuck(curve)) == ["updates_too_large", "entropy_collapsed"]
    assert suspects(stuck(curve, approx_kl=0.008, entropy=0.5, value_loss=1.0)) == []


def test_beside_a_cause_only_what_the_numbers_hint_at_is_named_and_three_causes_in_all() -> None:
    run = stuck(value_loss=760.0, approx_kl=0.008, entropy=0.3, settings={"ppo.num_envs": 1, "ppo.num_steps": 40})
    found = diagnose(run)
    assert next(one.rule.name for one in found.findings if one.finding.kind is Kind.FAULT) == "rollout_short"
    assert suspects(run) == ["reward_scale", "signal_lost"]
    assert at(found, "reward_scale").finding.kind is Kind.SUSPECT


def drawn(count: int = 300, settings: dict[str, Any] | None = None) -> History:
    """An ended run whose returns are those of one policy."""
    table = pd.DataFrame({metrics.TRAIN_RETURN: DRAWN[:count] - 354.0}, index=np.arange(1, count + 1))
    return History("bare", "made", table, settings={FINISHED: True, **(settings or {})}, dialect="plain")


def test_returns_that_scatter_as_one_policys_do_speak_for_a_policy_that_nothing_updates() -> None:
    assert suspects(drawn()) == ["policy_frozen", "updates_too_small", "reward_sparse"]
    assert at(diagnose(drawn()), "policy_frozen").finding.kind is Kind.FAULT  # 300 returns speak for it, 60 hint at it
    assert suspects(drawn(60)) == ["updates_too_small", "reward_sparse", "policy_frozen"]
    assert not diagnose(drawn(60)).select_findings(Kind.FAULT)
    usual_rate = suspects(drawn(settings={"ppo.lr": 3e-4}))
    assert usual_rate[0] == "policy_frozen"
    assert "updates_too_small" not in usual_rate
    assert suspects(drawn(settings={"ppo.lr": 1e-3}))[0] == "updates_too_large"  # a rate that speaks for itself


def test_a_signal_that_only_the_result_tells_of_stands_behind_causes_that_are_hinted_at() -> None:
    """Of the 49 logs of three looks one had lost its signal, and most had what else leaves a return where it was."""
    moved = stuck(approx_kl=0.008, clip_fraction=0.1, entropy=0.5)
    assert at(diagnose(moved), "signal_lost").finding.kind is Kind.FAULT  # nothing else is hinted at
    raw = diagnose(stuck(approx_kl=0.008, clip_fraction=0.1, entropy=0.5, value_loss=760.0))
    names = [one.rule.name for one in raw.findings]
    assert names.index("reward_scale") < names.index("signal_lost") < names.index("oscillating")
    assert at(raw, "signal_lost").finding.kind is Kind.SUSPECT


def test_a_reward_that_turned_stands_behind_what_was_learned_and_lost_in_another_programs_log() -> None:
    """It rises to 170, and is at -180 within few iterations, as where a policy that settled changes its mind."""
    turn = np.arange(1, 197)
    returns = np.where(turn < 156, 100.0 + 70.0 * np.minimum(turn / 100, 1.0), -180.0) + np.sin(7.0 * turn)
    columns = {metrics.TRAIN_RETURN: returns, metrics.APPROX_KL: 0.008, metrics.CLIP_FRACTION: 0.1}
    table = pd.DataFrame(columns, index=turn)
    run = History("bare", "made", table, settings={FINISHED: True}, dialect="sb3")
    names = [one.rule.name for one in diagnose(run).findings if one.finding.kind in (Kind.FAULT, Kind.SUSPECT)]
    assert names.index("learned_and_lost") < names.index("reward_turned")
    assert at(diagnose(run), "reward_turned").finding.kind is Kind.SUSPECT
    measured = diagnose(replace(run, probed="sb3"))
    assert measured.findings[0].rule.name == "reward_turned"
    assert measured.findings[0].finding.kind is Kind.FAULT
