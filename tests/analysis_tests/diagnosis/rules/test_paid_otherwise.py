"""Training that is paid for something else than evaluations count, and the nearest runs where both go together."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import paid_otherwise
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history import ENV_STEPS, History
from unstuck.analysis.history.record import (
    EPISODE_LENGTH,
    EVAL_LENGTH,
    EVAL_STEP_PAY,
    EVAL_SUCCESS_RATE,
    POLICY_STD,
    REWARD_BY_EFFORT,
    START_REPEATS,
    STEP_PAY,
    SUCCESS_RATE,
)
from unstuck.rl.metrics import START_SCALE, STARTS_ALIKE

from tests.analysis_tests.diagnosis.asking import ask, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere
from tests.analysis_tests.runs import LENGTH, untaught

RULE = paid_otherwise.RULE
DONE = TURN / TURN[-1]
CHANCE = np.sin(7.0 * TURN)
LENGTHS = {EPISODE_LENGTH: 20.0, ENV_STEPS: 1000.0 * TURN}


def evaluated(returns: Any, greedy: Any, every: int = 10, **more: Any) -> History:
    """A run of Stable-Baselines3's that is evaluated ten times, or so."""
    seen = np.where(TURN % (TURN[-1] // every) == 0, greedy, np.nan)
    run = elsewhere(returns, more={**LENGTHS, **more})
    return replace(run, table=run.table.assign(**{"eval/episode_return": seen}), dialect="sb3")


COSTLY = -300 + 280 * DONE + CHANCE
MIRRORED = -12 + 8 * DONE + CHANCE / 4


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (evaluated(MIRRORED, -MIRRORED), "with the other sign"),
        (evaluated(16 + MIRRORED, -16 - MIRRORED), "with the other sign"),
        (evaluated(MIRRORED, -MIRRORED, 5), None),  # five evaluations tell nothing
        (evaluated(MIRRORED, 10 + 20 * DONE), None),  # evaluations gain
        (evaluated(10 + 20 * DONE + CHANCE, 30 - 15 * DONE + CHANCE), "for something else"),
        (evaluated(10 + 20 * DONE + CHANCE, 30 - CHANCE), None),  # evaluations stay: something else is wrong
        (evaluated(10 + 20 * DONE + CHANCE, 12 - 15 * DONE + CHANCE), None),  # alike at the start: it generalises badly
        (evaluated(COSTLY, 9 + CHANCE), "do not count"),
        (evaluated(COSTLY, 9 + 40 * DONE + CHANCE), None),  # evaluations gain a seventh
        (evaluated(COSTLY / 20, 9 + CHANCE), None),  # no more than the noise of exploration may cost
        (evaluated(COSTLY + 120, 9 + CHANCE), None),  # and so much above evaluations is no cost avoided
        (evaluated(np.minimum(-300 + 310 * TURN / 8, 8) + CHANCE, 9 + CHANCE, 10), None),  # solved before the first
        (
            evaluated(np.where(TURN < 9, -300.0, np.where(TURN == 11, -290.0, 8.0 + DONE)), 9 + CHANCE),
            None,
        ),  # but for one
        (evaluated(10 + 20 * DONE + CHANCE, 30 - 15 * np.abs(DONE - 0.5) + CHANCE), None),  # learned, and lost again
        (evaluated(30 - 60 * DONE + CHANCE, 9 + CHANCE), None),  # training falls
    ],
)
def test_its_borders(run: History, says: str | None) -> None:
    finding = found(RULE, run) if says else None
    assert finding is None or says in finding.headline  # type: ignore[operator]
    assert kind(RULE, run) is (Kind.FAULT if says else None)


@pytest.mark.parametrize(
    ("effort", "greedy", "says"),
    [
        (0.8, 9 - 5 * CHANCE, "do not count"),
        (0.79, 9 - 5 * CHANCE, None),
        (0.95, 9 + 20 * DONE + CHANCE, None),  # a reach whose actions cost, and which is learned
    ],
)
def test_a_cost_of_actions_that_is_nearly_all_of_the_reward(effort: float, greedy: Any, says: str | None) -> None:
    """Costs that are small beside what evaluations scatter, so that returns alone do not tell."""
    run = evaluated(-40 + 45 * DONE + CHANCE, greedy, **{REWARD_BY_EFFORT: effort})
    assert kind(RULE, run) is (Kind.FAULT if says else None)


@pytest.mark.parametrize(
    ("left", "begins", "bent", "says"),
    [
        (0.1, -40.0, 0.0, "do not count"),
        (0.16, -40.0, 0.0, None),  # exploration goes on, as where a task is learned
        (0.1, -8.0, 0.0, None),  # it begins hardly below what evaluations count
        (0.1, -40.0, 12.0, None),  # the return does not follow the variance
    ],
)
def test_a_return_that_is_what_the_noise_of_actions_costs(
    left: float, begins: float, bent: float, says: str | None
) -> None:
    """The variance falls to its end within the first tenth, so that a mean over episodes may lag behind."""
    variance = np.maximum(1 - (1 - left) * TURN / 10, left)
    returns = 9 + (begins - 9) * variance + bent * np.sin(TURN / 9)
    run = evaluated(returns, 9 - 5 * CHANCE, **{POLICY_STD: np.sqrt(variance)})
    assert kind(RULE, run) is (Kind.FAULT if says else None)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({REWARD_BY_EFFORT: 0.2}, "do not count"),
        ({REWARD_BY_EFFORT: 0.19}, None),
        ({}, None),  # discrete actions, whose greedy policy is good after few updates
    ],
)
def test_a_cost_of_actions_in_runs_of_our_own_learner_is_measured(more: dict[str, Any], says: str | None) -> None:
    """The noise of exploration alone costs as much where the greedy policy has solved the task at its first look."""
    run = replace(evaluated(COSTLY, 9 + CHANCE, **more), dialect="unstuck")
    assert Signals(run).is_ours
    assert kind(RULE, run) is (Kind.FAULT if says else None)


def test_evaluations_of_our_own_learner_that_fall_while_training_rises() -> None:
    """A few episodes that training knows by heart show the same: other rules name them by what was measured."""
    run = replace(evaluated(10 + 20 * DONE + CHANCE, 30 - 15 * DONE + CHANCE), dialect="unstuck")
    assert kind(RULE, run) is None
    assert kind(RULE, replace(run, dialect="sb3")) is Kind.FAULT


@pytest.mark.parametrize(
    ("size", "more", "says"),
    [
        (1.0, {}, "with the other sign"),
        (1.49, {}, "with the other sign"),
        (1.51, {}, None),  # another reward
        (1.0, {START_SCALE: 0.2}, None),  # evaluations show other inputs
        (1.0, {STARTS_ALIKE: 1.0}, None),
        (1.0, {START_REPEATS: 0.6}, None),  # training's episodes are known by heart
        (1.0, {START_REPEATS: 0.4}, "with the other sign"),
    ],
)
def test_a_sign_that_turns_in_mid_run_leaves_our_evaluations_a_mirror_of_training(
    size: float, more: dict[str, Any], says: str | None
) -> None:
    """In the eighth draw of our own benchmark two such runs in three were said to be learning."""
    run = turned(size, **more)
    assert (kind(RULE, run) is Kind.FAULT) == (says is not None)
    if says:
        assert says in found(RULE, run).headline
    scattered = np.where(TURN % 20 < 10, -20.0, -5.0) * size  # as often below, but not as training rises
    assert kind(RULE, turned(size, scattered, **more)) is None


def turned(size: float, late: Any = None, **more: Any) -> History:
    """Our own run that rises from -20 to 4, and whose reward's sign turns at a third: training rises again, to 40."""
    rise = np.minimum(TURN - 20.0, 40.0)
    paid = np.where(TURN <= 30, np.minimum(-20 + 2.0 * TURN, 4.0), rise) + CHANCE / 10
    counted = np.where(TURN <= 30, np.minimum(-20 + 2.0 * TURN, 4.0), -size * rise if late is None else late)
    shown = {START_SCALE: 1.0, STARTS_ALIKE: 0.2, START_REPEATS: 0.0, **more}
    return replace(evaluated(paid, counted + CHANCE / 10, **shown), dialect="unstuck")


def test_a_logged_mean_that_lags_behind_evaluations_is_no_cost() -> None:
    lagging = np.minimum(-300 + 600 * DONE, 8) + CHANCE  # half of the run: as long as 100 episodes take
    long = {EPISODE_LENGTH: 10.0 * TURN[-1] / 2, ENV_STEPS: 1000.0 * TURN}
    assert kind(RULE, evaluated(lagging, 9 + CHANCE)) is Kind.FAULT
    assert kind(RULE, evaluated(lagging, 9 + CHANCE, **long)) is None


LOW = np.where(TURN > 50, 0.0, CHANCE)


@pytest.mark.parametrize(
    ("paid", "counted", "greedy", "expected"),
    [
        (-1.9, 0.1, LOW, (Kind.FAULT, Ground.MEASURED)),  # to end at once pays best
        (1.0, -1.0, LOW, (Kind.FAULT, Ground.MEASURED)),
        (0.1, 0.1, LOW, None),
        (-1.9, 0.1, 20 * DONE, None),  # evaluations gain all the same
        (0.2, 0.0, LOW, (Kind.FAULT, Ground.PACE)),  # 20 steps make 4, and a goal 1
        (0.19, 0.0, CHANCE - 1, None),  # less than twice the range of 2
        (-0.2, 0.0, 1 + CHANCE, None),  # a price of time, and a goal that most evaluations meet from the first on
        (-0.2, 0.0, -1 + CHANCE / 10, (Kind.FAULT, Ground.PACE)),  # a fall, which ends an episode, and most of them
        (-0.01, 0.0, 0.0, None),  # a small price of time, and a goal that nobody has reached
        (0.0, 0.1, LOW, None),
        (np.inf, -1.0, LOW, None),  # a column without a finite number, which ended the diagnosis
        (1.0, np.inf, LOW, None),
    ],
)
def test_steps_that_pay_in_training_what_evaluations_do_not_count(
    paid: float, counted: float, greedy: Any, expected: tuple[Kind, Ground] | None
) -> None:
    run = evaluated(-9.0 - CHANCE, greedy, **{STEP_PAY: paid, EVAL_STEP_PAY: counted})
    finding = ask(RULE, run)
    assert (None if finding is None else (finding.kind, finding.ground)) == expected  # type: ignore[union-attr]


@pytest.mark.parametrize(("bent", "expected"), [(0.0, Kind.FAULT), (0.01, None)])
def test_means_of_returns_and_lengths_tell_what_a_step_pays_as_well(bent: float, expected: Kind | None) -> None:
    """Means of returns that are lines in the lengths lie on these lines."""
    lengths = 20 + 10 * CHANCE + 20 * (1 - DONE)
    long = np.where(TURN % (TURN[-1] // 10) == 0, 30 - 15 * DONE, np.nan)
    run = evaluated(
        -lengths + bent * np.sin(TURN * TURN), 30 - 15 * DONE, **{EPISODE_LENGTH: lengths, EVAL_LENGTH: long}
    )
    finding = paid_otherwise._by_length(Signals(run))
    assert (finding.kind if finding else None) is expected


def test_where_lengths_differ_returns_of_a_step_are_compared() -> None:
    run = evaluated(MIRRORED, -10 * MIRRORED)
    assert kind(RULE, run) is None or "other sign" not in found(RULE, run).headline
    longer = np.where(TURN % (TURN[-1] // 10) == 0, 200.0, np.nan)
    assert "other sign" in found(RULE, evaluated(MIRRORED, -10 * MIRRORED, **{EVAL_LENGTH: longer})).headline


def test_its_numbers_and_that_the_run_has_learned_nothing() -> None:
    run = evaluated(COSTLY, 9 + CHANCE)
    finding = found(RULE, run)
    assert finding.headline.startswith(
        "Training is paid for what evaluations do not count, such as avoiding a cost: training goes from -29"
    )
    assert not judge_standing(Signals(run)).has_learned
    over = replace(run, settings={**run.settings, "finished": True})
    assert next(one.rule.name for one in diagnose(over).select_findings(Kind.FAULT)) == RULE.name


@pytest.mark.parametrize(("narrow", "says"), [(0.2, "do not count"), (0.9, None)])
def test_training_that_has_caught_up_with_actions_as_noisy_has_learned_to_steer(
    narrow: float, says: str | None
) -> None:
    """Of 309 that training began below evaluations 57 are left: 0.3 x 0.81 x 309 = 75 must be, at a spread of 0.9."""
    run = evaluated(COSTLY, 9 + CHANCE, **{"train/policy_std": 1.0 - (1.0 - narrow) * DONE})
    finding = ask(RULE, run)
    assert (finding is not None) == (says is not None)


def test_evaluations_that_lose_next_to_nothing_of_what_training_gains_are_no_opposite() -> None:
    """A grid that is solved before the first evaluation: 0.93, and 0.92 in the end, while training goes to 0.92."""
    run = evaluated(0.18 + 0.74 * np.minimum(5 * DONE, 1.0), 0.93 - 0.01 * (DONE > 0.3))
    assert ask(RULE, run) is None


@pytest.mark.parametrize(("worst", "says"), [(-12_000.0, True), (-9_900.0, False)])
def test_flows_that_are_paid_less_than_the_table_can(worst: float, says: bool) -> None:
    """1,000 flows of an episode earn -10,000 by the table, whatever is done with which: less is a cost beside it."""
    turn = np.arange(1, LENGTH + 1)
    run = untaught(**{"train/episode_return": worst + (-worst - 2000) * np.minimum(turn / 60, 1.0)})
    assert (kind(RULE, run) is Kind.FAULT) is says


def succeeding(returns: Any, rate: Any, ended: bool = True) -> History:
    """A run of Stable-Baselines3's with a success rate and without evaluations."""
    more = {**LENGTHS, SUCCESS_RATE: rate + 0.0 * TURN}
    return replace(elsewhere(returns, more=more, settings={"finished": ended}), dialect="sb3")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (succeeding(-2 + 80 * DONE + CHANCE, 0.0), Kind.FAULT),
        (succeeding(-2 + 80 * DONE + CHANCE, 0.0, ended=False), Kind.SUSPECT),
        (succeeding(-2 + 80 * DONE + CHANCE, 0.01 * (TURN > 90)), None),  # the first successes
        (succeeding(-90 + 80 * DONE + CHANCE, 0.0), None),  # costs are avoided: another rule's
        (succeeding(20 + CHANCE, 0.0), None),  # nothing is gained
        (succeeding(60 + CHANCE, 0.2 - 0.15 * DONE), Kind.FAULT),
        (succeeding(60 + CHANCE, 0.2 - 0.08 * DONE), None),  # six tenths of the successes are left
        (succeeding(60 + CHANCE, 0.09 - 0.08 * DONE), None),  # hardly an episode ever succeeded
        (succeeding(60 - 30 * DONE + CHANCE, 0.2 - 0.15 * DONE), None),  # both are lost
        (succeeding(-60 + CHANCE, 0.2 - 0.15 * DONE), None),
    ],
)
def test_successes_tell_what_is_paid(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_its_numbers_with_successes() -> None:
    """Quarters of 60, and of rates 0.2 falling to 0.05: 0.1814 at best, in the first, and 0.0686 in the last."""
    assert found(RULE, succeeding(60.0, 0.2 - 0.15 * DONE)).headline == (
        "The reward pays for something else than success: the return stays at 60, and successes fall from 18 % to 7 %"
    )
    ranked = diagnose(succeeding(-2 + 80 * DONE + CHANCE, 0.0)).select_findings(Kind.FAULT)
    assert ranked[0].rule is RULE


def test_successes_of_evaluations_tell_as_well() -> None:
    run = elsewhere(60.0 + CHANCE, more={"eval/episode_return": 60.0 + CHANCE, EVAL_SUCCESS_RATE: 0.2 - 0.15 * DONE})
    assert kind(RULE, replace(run, dialect="sb3", has_ended=True)) is Kind.FAULT
