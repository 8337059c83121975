"""A return that no longer varies: since when, above its start or not, and where it is the best there is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import return_frozen
from unstuck.analysis.history import History
from unstuck.analysis.history.record import SUCCESS_RATE
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, facts, first, found, kind
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = return_frozen.RULE
TURN = np.arange(1, LENGTH + 1)


def returning(values: Any, env: str = "Own-v1", **changed: Any) -> History:
    """A run of an unknown task of which only training returns are on record."""
    nothing = {"f1": None, "eval/episode_return": None, "train/episode_return": values}
    return healthy(seeds=0, **nothing, settings={"env.id": env}, **changed)


def test_a_return_that_froze_no_higher_than_it_began_is_a_fault() -> None:
    finding = found(RULE, returning(np.where(TURN <= 6, -61_000.0 - 5000 * TURN, -83_000.93)))
    text = "return -83,001 in all but few iterations from 7 to 100"
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.LIKELY, 26)
    assert finding.headline == f"The return no longer varies: {text}"
    assert facts(finding) == [text]
    assert finding.missing == ()


def test_a_task_that_no_episode_solves_is_not_taken_for_solved() -> None:
    run = returning(np.where(TURN <= 25, -20.0, -0.76))
    finding = found(RULE, replace(run, table=run.table.assign(**{SUCCESS_RATE: 0.0})))
    assert (finding.kind, finding.sureness) == (Kind.FAULT, Sureness.LIKELY)
    assert finding.why == "episodes that all return the same tell no action from another, and no episode has succeeded"
    solved = cause(finding, "a task that is solved")
    assert (solved.support, solved.why) == (Support.RULED_OUT, "success rate 0 in all 100 values")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (returning(np.where(TURN <= 25, -20.0, -0.76)), Kind.SUSPECT),  # solved, or doing nothing pays best
        (returning(np.where(TURN <= 25, 20.0, 500.0), env="CartPole-v1"), Kind.FINE),  # the most there is
        (returning(np.where(TURN <= 25, 20.0, 499.0), env="CartPole-v1"), Kind.SUSPECT),
        (returning(np.where(TURN <= 25, 20.0, 500.0), env="Own-v1"), Kind.SUSPECT),
        (returning(np.where(TURN <= 80, 1.0 * TURN, 80.0)), Kind.SUSPECT),  # 21 values
        (returning(np.where(TURN <= 82, 1.0 * TURN, 82.0)), None),  # 19
        (returning(np.where(TURN % 30 == 0, -5.0, np.where(TURN <= 25, -20.0, -0.76))), Kind.SUSPECT),  # but for few
        (returning(np.where(TURN % 10 == 0, -5.0, np.where(TURN <= 25, -20.0, -0.76))), None),
        (returning(np.full(LENGTH, -200.0)), None),  # it has never varied: another rule's
        (returning(1.0 * TURN), None),
        (untaught(**{"train/episode_return": np.where(TURN <= 25, 0.0, 5.0)}), None),  # F1 tells how a run stands
        (healthy(), None),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_a_frozen_return_above_its_start_is_only_possibly_wrong_and_solved_is_among_its_causes() -> None:
    finding = found(RULE, returning(np.where(TURN <= 25, -20.0, -0.76), entropy=None))
    assert finding.sureness is Sureness.POSSIBLE
    assert finding.why.startswith("it is above the start: either the task is solved, or ")
    assert [cause.what for cause in finding.causes][-1].startswith("a task that is solved")
    assert finding.missing == (metrics.ENTROPY,)


SWAY = np.sin(7.0 * TURN)


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (returning(np.where(TURN <= 8, -134.0, -108.0 + 0.4 * SWAY)), True),  # a policy that stands still
        (returning(np.where(TURN <= 8, -134.0, -108.0 + 2.1 * SWAY)), True),
        (returning(np.where(TURN <= 8, -134.0, -108.0 + 2.3 * SWAY)), False),  # by 2.1 % of its level
        (returning(np.where(TURN <= 8, -134.0, -68.0 + 0.4 * SWAY)), True),
        (returning(np.where(TURN <= 8, -134.0, -66.0 + 0.4 * SWAY)), False),  # half of the costs are avoided
        (returning(np.where(TURN <= 8, -500.0, -13.0 + 0.1 * SWAY)), False),  # the shortest way to a goal
        (returning(np.where(TURN <= 8, -1250.0, -150.0 + 1.0 * SWAY)), False),  # Gymnasium's Pendulum, learned
        (returning(np.where(TURN <= 20, -134.0, -108.0 + 0.4 * SWAY)), True),
        (returning(np.where(TURN <= 21, -134.0, -108.0 + 0.4 * SWAY)), False),  # it came late
        (returning(np.where(TURN <= 8, 80.0, 108.0 + 0.4 * SWAY)), False),  # above 0: a goal that is mostly met
        (returning(-108.0 + 0.4 * SWAY), False),  # no better than at the start: another rule's
        (first(returning(np.where(TURN <= 4, -134.0, -108.0 + 0.4 * SWAY)), 50), True),
        (first(returning(np.where(TURN <= 4, -134.0, -108.0 + 0.4 * SWAY)), 49), False),  # 39 values
        (replace(returning(np.where(TURN <= 8, -134.0, -108.0 + 0.4 * SWAY)), unrecorded=500), False),
    ],
)
def test_a_return_that_rose_at_once_and_hardly_varies_below_0_leaves_a_doubt(run: History, fires: bool) -> None:
    assert kind(RULE, run) is (Kind.SUSPECT if fires else None)


def test_its_numbers_where_a_return_hardly_varies() -> None:
    finding = found(RULE, returning(np.where(TURN <= 8, -134.0, np.where(TURN % 2 == 0, -107.0, -109.0))))
    text = "return -134 at first, and -109 to -107 over iterations 21 to 100"
    assert (finding.headline, facts(finding)) == (f"The return hardly varies below 0: {text}", [text])
    assert finding.why == "81 % of the costs at the start are left, and nothing has changed them since"
    assert (finding.sureness, finding.since) == (Sureness.POSSIBLE, 60)
    assert [cause.what for cause in finding.causes][-1].startswith("a task that is solved")


def test_without_returns_the_rule_is_blind() -> None:
    assert blind(RULE, returning(None)) == ((metrics.TRAIN_RETURN, metrics.EVAL_RETURN),)
    assert ask(RULE, healthy()) is None


def test_a_record_that_begins_in_mid_run_does_not_tell_solved_from_stuck() -> None:
    """Its first values are no start: the run may have come there by learning."""
    level = returning(np.where((TURN >= 50) & (TURN <= 60), -13.5, -13.0))
    assert found(RULE, level).kind is Kind.FAULT
    assert found(RULE, level).why.endswith("it is no better than at the start")
    late = found(RULE, replace(level, unrecorded=500))
    assert (late.kind, late.sureness) == (Kind.SUSPECT, Sureness.POSSIBLE)
    assert late.why.startswith("the record begins in mid-run: either the task is solved, or ")
    fallen = returning(np.where(TURN <= 30, 100.0 + TURN, -13.0))
    assert found(RULE, replace(fallen, unrecorded=500)).kind is Kind.FAULT  # what it lost stands in the record
    assert found(RULE, fallen).why.endswith("it had been better")


def evaluated(values: Any) -> History:
    """A run of an unknown task of which only evaluations are on record, as in an evaluations.npz."""
    run = returning(None)
    return replace(run, dialect="plain", table=run.table.assign(**{metrics.EVAL_RETURN: values}))


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (evaluated(-5.6 + 0.005 * SWAY), True),
        (evaluated(-5.6 + 0.006 * SWAY), False),  # it varies, by more than a thousandth
        (evaluated(0.0), True),
        (evaluated(500.0), False),  # above 0: it may be all that there is
        (evaluated(np.where(TURN <= 1, -7.0, -5.6)), False),  # a first one that is different
        (first(evaluated(-5.6), 20), True),
        (first(evaluated(-5.6), 19), False),
        (replace(evaluated(-5.6), unrecorded=500), False),  # it may have come there by learning
        (replace(evaluated(-5.6), table=evaluated(-5.6).table.assign(**{metrics.TRAIN_RETURN: -5.0 + SWAY})), False),
    ],
)
def test_evaluations_that_are_all_alike_leave_a_doubt(run: History, fires: bool) -> None:
    assert kind(RULE, run) is (Kind.SUSPECT if fires else None)


def test_its_words_where_evaluations_are_alike() -> None:
    finding = found(RULE, evaluated(-5.617))
    text = "return -5.617 in each of 100 evaluations"
    assert (finding.headline, facts(finding)) == (f"Evaluations do not vary: {text}", [text])
    assert (finding.sureness, finding.since, finding.missing) == (Sureness.LIKELY, 20, (metrics.TRAIN_RETURN,))


@pytest.mark.parametrize(
    ("values", "kl", "expected"),
    [
        ((3.6348, 3.9184), 0.0101, Kind.SUSPECT),
        ((3.6348, 3.7, 3.8332, 3.9184), 0.0101, Kind.SUSPECT),
        ((3.6, 3.7, 3.8, 3.9, 4.0), 0.0101, None),  # five values
        ((3.6348, 3.9184), 0.0099, None),  # a hundred updates of a sum below 1
        ((0.0, 1.0), 0.0101, None),  # a goal that is met, or is not
        ((3.6348,), 0.0101, None),  # one value: of another rule
    ],
)
def test_a_return_of_few_values_whatever_the_policy_does(
    values: tuple[float, ...], kl: float, expected: Kind | None
) -> None:
    drawn = np.random.default_rng(0).choice(values, LENGTH)
    nameless = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    run = replace(returning(drawn, approx_kl=kl, **nameless), dialect="rl_games")
    assert kind(RULE, run) is expected
    if expected:
        assert found(RULE, run).headline.startswith("The return takes few values: 100 % of the returns are 3.6348")
