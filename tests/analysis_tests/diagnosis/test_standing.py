"""How a run stands: where each score is going, told from its noise, and when there is nothing to show."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import Standing, judge_standing, name_return
from unstuck.analysis.history import ENV_STEPS, History
from unstuck.analysis.history.record import EPISODE_LENGTH, SUCCESS_RATE
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import first
from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH, healthy, untaught

TURN = np.arange(1, LENGTH + 1)


def standing(run: History) -> Standing:
    return judge_standing(Signals(run))


def returning(values: Any) -> Standing:
    """How a run stands of which only returns of training episodes are on record."""
    nothing = {"f1": None, "eval/episode_return": None}
    return standing(healthy(seeds=0, **nothing, **{"train/episode_return": values}))


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (TURN * 1.0, State.RISING),
        (np.minimum(TURN, 50) * 1.0, State.HOLDING),
        (np.full(LENGTH, 7.0), State.FLAT),
        (-1.0 * TURN, State.FALLING),
        (np.where(TURN <= 25, 0.0, np.where(TURN <= 75, 100.0, 74.0)), State.FALLING),
        (np.where(TURN <= 25, 0.0, np.where(TURN <= 75, 100.0, 76.0)), State.HOLDING),  # lost less than a quarter
        # neighbours 10 apart: a spread of 10 / 0.954, of two means of 25 an error of 2.96, and 8.9 are clear
        (np.where(TURN % 2 == 0, 5.0, -5.0) + np.where(TURN > 75, 9.4, 0.0), State.RISING),
        (np.where(TURN % 2 == 0, 5.0, -5.0) + np.where(TURN > 75, 8.4, 0.0), State.FLAT),
        (np.where(TURN % 2 == 0, 5.0, -5.0) - np.where(TURN > 75, 9.4, 0.0), State.FALLING),
        (np.where(TURN % 2 == 0, 5.0, -5.0) - np.where(TURN > 75, 8.4, 0.0), State.FLAT),
        (np.where(TURN <= 3, TURN * 1.0, math.nan), State.UNKNOWN),
        (np.where(TURN <= 4, TURN * 100.0, math.nan), State.FLAT),  # four in steps of 100: no more than noise
        (np.where(TURN == 50, math.inf, TURN * 1.0), State.RISING),
    ],
)
def test_where_a_return_is_going(values: Any, state: State) -> None:
    assert returning(values).state is state


SWAYING = np.where(TURN % 2 == 0, 5.0, -5.0)
"""Returns of no direction."""


@pytest.mark.parametrize(
    ("success", "state"),
    [
        (np.minimum(0.1 + TURN / 50, 0.9), State.HOLDING),
        (np.minimum(0.1 + TURN / 50, 0.79), State.FLAT),
        (np.minimum(0.37 + TURN / 50, 0.9), State.FLAT),  # 0.39, 0.41 and 0.43 at first
        (np.where(TURN % 6 == 0, 0.9, np.nan), State.FLAT),  # 16 values
        (0.0, State.FLAT),
    ],
)
def test_a_success_rate_shows_what_noisy_returns_do_not(success: Any, state: State) -> None:
    run = elsewhere(SWAYING, more={SUCCESS_RATE: success})
    assert standing(replace(run, dialect="cleanrl")).state is state


@pytest.mark.parametrize(
    ("end", "lost", "poor"), [(0.0, 1.0, True), (24.0, 0.76, True), (26.0, 0.74, False), (60.0, 0.4, False)]
)
def test_without_f1_a_run_that_has_lost_most_of_its_gain_has_nothing_to_show(
    end: float, lost: float, poor: bool
) -> None:
    run = returning(np.where(TURN <= 25, 0.0, np.where(TURN <= 75, 100.0, end)))
    assert run.state is State.FALLING
    assert run.lost == pytest.approx(lost)
    assert run.is_poor is poor


@pytest.mark.parametrize(
    ("f1", "trivial", "poor"),
    [(0.206, True, True), (0.208, False, False), (0.0, True, True)],
)
def test_an_f1_at_most_a_hundredth_above_trivial_is_nothing(f1: float, trivial: bool, poor: bool) -> None:
    run = standing(untaught(f1=f1))
    assert (run.score, run.trivial, run.is_poor) == (metrics.F1, trivial, poor)


def test_a_trivial_f1_of_a_run_whose_returns_rise_is_not_poor_yet() -> None:
    run = standing(untaught(**{"train/episode_return": -1750.0 + 20 * TURN}))
    assert (run.state, run.trivial, run.is_poor) == (State.RISING, True, False)
    assert run.brief == "the run gets better all the same"


def test_the_best_score_on_record_speaks() -> None:
    assert standing(healthy()).score == metrics.F1
    assert standing(healthy(f1=None)).score == metrics.EVAL_RETURN
    assert standing(healthy(f1=None)).trivial is None
    assert standing(healthy(f1=None, **{"eval/episode_return": None})).score == metrics.TRAIN_RETURN
    nothing = {"f1": None, "eval/episode_return": None, "train/episode_return": None}
    unknown = standing(healthy(**nothing))
    assert (unknown.state, unknown.level, unknown.is_poor) == (State.UNKNOWN, None, False)
    assert unknown.text == "no returns were recorded"
    assert unknown.brief == "how the run stands is not known"


def test_few_evaluations_yield_to_what_training_shows() -> None:
    """Greedy returns that have fallen to nothing, beside sampled ones."""
    fallen = {"f1": None, "eval/episode_return": np.where(TURN <= 70, 1000.0, 0.0)}
    held = np.minimum(TURN, 50) * 20.0
    assert standing(healthy(**fallen, **{"train/episode_return": 0.0})).state is State.FALLING
    assert standing(healthy(**fallen, **{"train/episode_return": held})).state is State.HOLDING
    assert standing(healthy(**fallen, **{"train/episode_return": TURN * 20.0})).state is State.RISING
    kept = np.where(TURN <= 25, 0.0, np.where(TURN <= 75, 1000.0, 500.0))
    assert standing(healthy(**fallen, **{"train/episode_return": kept})).state is State.HOLDING
    lost = np.where(TURN <= 25, 0.0, np.where(TURN <= 75, 1000.0, 100.0))
    assert standing(healthy(**fallen, **{"train/episode_return": lost})).state is State.FALLING


def logged(returns: Any, dialect: str = "plain", **columns: Any) -> Standing:
    """How a run of another program stands, by its training returns and what else it logs."""
    table = pd.DataFrame({metrics.TRAIN_RETURN: returns, **columns})
    table.index = pd.Index(range(1, len(table) + 1), name="iteration")
    return judge_standing(Signals(History("logged", "made", table, dialect=dialect)))


@pytest.mark.parametrize("window", [1, 5, 25])
def test_a_moving_mean_of_noise_is_seldom_taken_for_a_change(window: int) -> None:
    """Without the window 55 of 100 such curves over 25 iterations fall, and 27 have learned something."""
    draws = np.random.default_rng(0).standard_normal((60, 100))
    curves = [pd.Series(row).rolling(window, min_periods=1).mean().to_numpy() for row in draws]
    changed = [logged(curve).state is not State.FLAT for curve in curves]
    assert np.mean(changed) <= (0.25 if window == 25 else 0.05)


def test_a_mean_over_100_episodes_is_known_by_their_length() -> None:
    """1,000 steps an episode, 4,000 an iteration: 25 iterations a window."""
    draws = np.random.default_rng(1).standard_normal((60, 100))
    turn = np.arange(1.0, 101)
    steps = {ENV_STEPS: 4000 * turn, EPISODE_LENGTH: np.full(100, 1000.0)}
    curves = [pd.Series(row).rolling(25, min_periods=1).mean().to_numpy() for row in draws]
    assert np.mean([logged(curve, "sb3", **steps).state is not State.FLAT for curve in curves]) <= 0.25
    learned = pd.Series(draws[0] + 0.1 * turn).rolling(25, min_periods=1).mean().to_numpy()
    assert logged(learned, "sb3", **steps).has_learned


def test_a_rise_within_the_first_values_is_one() -> None:
    noise = np.random.default_rng(2).standard_normal(100)
    curve = np.where(np.arange(100) < 3, [25.0, 62.0, 101.0, *[0.0] * 97], 190 + noise)
    assert logged(pd.Series(curve).rolling(2, min_periods=1).mean().to_numpy()).state is State.HOLDING


def test_it_is_said_with_its_numbers_seeds_and_trivial_policies() -> None:
    seeds = {"f1/seed_0": 0.8, "f1/seed_1": 0.9, "f1/seed_2": 1.0}
    text = standing(healthy(seeds=3, f1=0.9, **{"train/episode_return": 0.0}, **seeds)).text
    assert text == (
        "F1 0.90 ± 0.10 over the last 3 evaluations and 3 seeds, above policies that have learned nothing (flag all "
        "0.197, flag none 0 and random 0.19); no better than at the start"
    )
    assert standing(untaught()).text == (
        "F1 0 over the last 3 evaluations, no better than policies that have learned nothing (flag all 0.197, flag "
        "none 0 and random 0.19); no better than at the start"
    )
    assert returning(TURN * 1.0).text == "return 99 over the last 3 iterations; still rising"
    assert standing(healthy(seeds=0, f1=None, **{"eval/episode_return": 5.0, "train/episode_return": 5.0})).text == (
        "greedy return 5 over the last 3 evaluations; no better than at the start"
    )


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ({"settings": {"trainer.name": "ppo"}}, "greedy return"),
        ({"settings": {"trainer.name": "sb3"}}, "greedy return"),
        ({"settings": {"trainer.name": "command"}}, "return"),  # of evaluations, or of training, as the script logs
        ({"settings": {"trainer.name": "their_package"}}, "return in evaluation"),
        ({"dialect": "sb3"}, "greedy return"),
        ({"probed": "sb3"}, "greedy return"),
        ({"probed": "plain"}, "return in evaluation"),
        ({"dialect": "rllib"}, "return in evaluation"),
    ],
)
def test_a_return_is_called_greedy_where_evaluations_are_known_to_be(history: dict[str, Any], words: str) -> None:
    assert name_return(Signals(replace(healthy(), **{"settings": {}, **history}))) == words


def test_a_run_that_has_just_begun_is_not_called_poor() -> None:
    run = standing(first(healthy(), 10))
    assert run.state in (State.UNKNOWN, State.FLAT, State.RISING)
    assert standing(first(healthy(), 2)).state is State.UNKNOWN
    assert standing(first(healthy(), 2)).is_poor is False


def test_scores_of_other_programs_may_be_means_of_several_evaluations() -> None:
    """Five evaluations within an iteration are one value of the table: three values are no three evaluations."""
    run = replace(healthy(seeds=0, f1=None), dialect="sb3")
    assert " over the last 3 evaluated iterations; " in standing(run).text
    assert " over the last 3 evaluations; " in standing(replace(run, dialect="unstuck")).text


@pytest.mark.parametrize(("end", "going"), [(0.0, "no better than"), (9.0, "risen since")])
def test_a_record_that_begins_late_is_not_set_beside_a_start_that_it_lacks(end: float, going: str) -> None:
    nothing = {"f1": None, "eval/episode_return": None}
    run = healthy(seeds=0, **nothing, **{"train/episode_return": np.where(TURN <= 40, 0.0, end) + TURN % 2})
    late = replace(run, table=run.table.set_index(run.table.index + 700))
    assert f"; {going} the" in standing(run).text.replace("at the start", "the start")
    assert "the start" in standing(run).text
    assert f"; {going} " in standing(late).text
    assert "the record begins" in standing(late).text


@pytest.mark.parametrize(
    ("succeeded", "failed"),
    [
        (0.0, LENGTH),
        (None, 0),
        (np.where(TURN == LENGTH, 0.1, 0.0), 0),
        (np.where(TURN <= 20, 0.0, math.nan), 20),
        (np.where(TURN <= 19, 0.0, math.nan), 0),
    ],
)
def test_a_return_that_rose_shows_nothing_where_no_episode_succeeds(succeeded: Any, failed: int) -> None:
    run = elsewhere(np.minimum(TURN, 50) * 1.0, more={SUCCESS_RATE: succeeded} if succeeded is not None else {})
    found = standing(run)
    assert (found.state, found.failed) == (State.HOLDING, failed)
    assert (found.has_learned, found.is_poor) == (not failed, bool(failed))
    assert ("no episode has succeeded" in found.text) == bool(failed)
    rising = standing(elsewhere(TURN * 1.0, more={SUCCESS_RATE: 0.0}))
    assert (rising.state, rising.has_learned, rising.is_poor) == (State.RISING, True, False)


@pytest.mark.parametrize(
    ("columns", "unrecorded", "poor", "brief"),
    [
        ({}, 0, True, "the run has nothing to show for it"),
        ({}, 10, False, "the run is where its record begins"),
        ({SUCCESS_RATE: 0.0}, 10, True, "the run has nothing to show for it"),  # wherever it began
    ],
)
def test_a_level_return_of_a_record_that_begins_in_mid_run_may_have_been_learned_before(
    columns: dict[str, float], unrecorded: int, poor: bool, brief: str
) -> None:
    table = pd.DataFrame({metrics.TRAIN_RETURN: np.full(40, 7.0) + TURN[:40] % 2, **columns}, index=TURN[:40])
    run = judge_standing(Signals(History("logged", "made", table, dialect="plain", unrecorded=unrecorded)))
    assert run.state is State.FLAT
    assert (run.is_poor, run.brief) == (poor, brief)


def test_a_run_is_judged_once_however_many_rules_ask() -> None:
    run = Signals(healthy())
    assert judge_standing(run) is judge_standing(run)


@pytest.mark.parametrize(
    ("lengths", "more", "learned"),
    [
        (1.4, {}, True),  # a game of cards: the first rollout may have taught all that there is
        (3.0, {}, True),
        (3.1, {}, False),
        (np.where(TURN <= 50, 20.0, 1.0), {}, False),  # they have come to be short
        (np.where(TURN <= 50, 1.0, 20.0), {}, False),
        (1.4, {SUCCESS_RATE: 0.0}, False),  # no episode succeeds: nothing was learned
    ],
)
def test_a_level_return_of_short_episodes_may_have_been_learned_before_its_first_value(
    lengths: Any, more: dict[str, Any], learned: bool
) -> None:
    noise = np.where(TURN % 2 == 0, 0.1, -0.1)
    run = logged(noise, **{EPISODE_LENGTH: lengths + 0.0 * TURN, **more})
    assert (run.state, run.may_have_learned, run.is_poor) == (State.FLAT, learned, not learned)
    assert not run.has_learned
    falls = logged(noise - TURN, **{EPISODE_LENGTH: lengths + 0.0 * TURN, **more})
    assert not falls.may_have_learned


def test_short_episodes_that_all_return_the_same_show_that_nothing_was_learned() -> None:
    same = np.where((TURN >= 50) & (TURN <= 60), -13.5, -13.0)
    run = logged(same, **{EPISODE_LENGTH: 1.4})
    assert (run.state, run.may_have_learned, run.is_poor) == (State.FLAT, False, True)


@pytest.mark.parametrize(
    ("lower", "count", "learned"),
    [
        # a spread of 0.2 / 0.954, of three beside 25 an error of 0.128: 0.32 is clear, and chance gives 0.037 of it
        (0.30, 100, True),
        (0.27, 100, False),
        (0.5, 15, False),  # too few to tell noise by
    ],
)
def test_a_level_return_whose_first_values_lie_lower_may_have_risen_among_them(
    lower: float, count: int, learned: bool
) -> None:
    """Learned within three iterations, a game whose returns are mostly chance shows no clear rise ever after."""
    values = np.where(TURN % 2 == 0, 0.1, -0.1) - np.where(TURN <= 3, lower, 0.0)
    run = logged(values[:count])
    assert (run.state, run.may_have_learned, run.is_poor) == (State.FLAT, learned, not learned)


@pytest.mark.parametrize(("evaluations", "score"), [(3, metrics.TRAIN_RETURN), (4, metrics.EVAL_RETURN)])
def test_few_evaluations_of_another_learner_tell_less_than_its_training(evaluations: int, score: str) -> None:
    table = pd.DataFrame(
        {
            metrics.TRAIN_RETURN: -100.0 + 0.0 * TURN,
            metrics.EVAL_RETURN: np.where(evaluations >= TURN, -90.0, np.nan),
        },
        index=TURN,
    )
    found = standing(History("bare", "made", table, settings={}, dialect="plain"))
    assert (found.score, found.state) == (score, State.FLAT)
