"""Episodes of training that are cut off, and the nearest runs whose episodes are as long as the task."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Ground, Kind, Sureness
from unstuck.analysis.diagnosis.rules import episodes_short
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENV_STEPS, EPISODE_LENGTH, EVAL_LENGTH, POLICY_STD
from unstuck.analysis.report.verdict import state_verdict
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, first, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = episodes_short.RULE
CHANCE = np.abs(np.sin(7.0 * TURN))


def cut(lengths: Any, returns: Any = 0.05 * CHANCE, tried: Any = None) -> History:
    """A run of Stable-Baselines3's with episodes of these lengths."""
    more = {EPISODE_LENGTH: lengths + 0.0 * TURN, **({} if tried is None else {EVAL_LENGTH: tried + 0.0 * TURN})}
    return replace(elsewhere(returns, more=more), dialect="sb3")


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (cut(3.0), True),
        (cut(3.0 - 0.1 * CHANCE), True),  # a few end by themselves
        (cut(3.0 - 0.3 * CHANCE), False),
        (cut(1.0), False),  # a bandit, paid now and then
        (cut(11.0), False),
        (cut(3.0, 0.3 * CHANCE), False),  # every fifth episode is paid
        (cut(3.0, 0.0), False),  # none is: another rule's
        (cut(3.0, 0.05 * CHANCE - 0.01), False),  # not nothing and something
        (cut(8.0, 8.0, 9.5), True),
        (cut(8.0, 8.0, 8.5), False),
        (cut(200.0, -50.0 - CHANCE, 500.0), True),
        (cut(200.0 - 50 * CHANCE, -50.0 - CHANCE, 500.0), False),  # they end by themselves
        (cut(500.0, -50.0 - CHANCE, 200.0), False),
        (first(cut(3.0, 0.05), 11), False),
        (cut(1.0, -0.6 - 0.3 * CHANCE, 2.0), True),  # a counter of steps that is never set back
        (cut(1.0, -0.6 - 0.3 * CHANCE, 1.9), False),
        (cut(np.where(TURN > 50, 3.0, 20.0), -0.6 - 0.3 * CHANCE, 20.0), True),
        (first(cut(np.where(TURN > 7, 3.0, 20.0), -0.6 - 0.3 * CHANCE, 20.0), 14), True),  # on record a few times
        (cut(np.where(TURN > 51, 3.0, 20.0), -0.6 - 0.3 * CHANCE, 20.0), False),
        (cut(np.minimum(6.0 * TURN, 200.0), np.minimum(6.0 * TURN, 200.0), 500.0), False),  # learned up to its limit
        (cut(np.where(TURN > 50, 13 + 0.01 * CHANCE, 20.0), -0.6 - 0.3 * CHANCE, 50.0), False),  # a goal is reached
        (cut(np.where(TURN > 50, 13.0, 20.0), -13.0 - 0.01 * CHANCE, 13.0), False),  # and by the shortest way
    ],
)
def test_its_borders(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


@pytest.mark.parametrize(
    ("length", "judged", "fires"),
    [
        (3.0, -6.4, True),
        (3.0, 6.4, True),  # up to sign: steps cost, and a goal that lies behind the limit pays
        (3.0, -6.2, False),  # less than three times 2.1
        (10.0, -6.4, True),
        (11.0, -6.4, False),  # a reward in another unit shows the same
    ],
)
def test_evaluations_of_our_own_that_return_more_than_short_episodes_can(
    length: float, judged: float, fires: bool
) -> None:
    """Our learner does not log how long evaluations last."""
    run = elsewhere(-1.8 - 0.3 * (TURN % 2), more={EPISODE_LENGTH: length, metrics.EVAL_RETURN: judged})
    finding = ask(RULE, run)
    assert (finding is not None) is fires
    if fires:
        assert (kind(RULE, run), found(RULE, run).ground) == (Kind.FAULT, Ground.MEASURED)
        assert ask(RULE, replace(run, dialect="sb3")) is None


def test_its_numbers_and_what_makes_it_likely() -> None:
    finding = found(RULE, cut(8.0, 8.0, 9.5))
    assert finding.headline == "Episodes of training are cut off: all end after 8 steps, and evaluations last 9.5"
    assert (finding.kind, finding.sureness) == (Kind.FAULT, Sureness.LIKELY)
    assert found(RULE, cut(3.0)).sureness is Sureness.POSSIBLE


@pytest.mark.parametrize(
    ("scatter", "ended", "ground"),
    [
        (0.02, True, Ground.MEASURED),  # single episodes of a mean over 100 scatter by 0.2: 4 times the mean
        (0.001, True, Ground.PACE),  # all are paid, in a small unit
        (0.02, False, Ground.PACE),  # the reward may yet be found
    ],
)
def test_a_run_that_ends_with_few_episodes_paid_is_a_fault_whatever_it_gained(
    scatter: float, ended: bool, ground: Ground
) -> None:
    noise = np.random.default_rng(5).standard_normal(len(TURN))
    run = cut(3.0, np.clip(0.03 + 0.0004 * TURN + scatter * noise, 0.0, 1.0))
    run = replace(run, table=run.table.assign(**{ENV_STEPS: 1024.0 * TURN}), has_ended=ended)
    run = replace(run, settings={"env.id": "Own-v0"})
    assert found(RULE, run).ground is ground


STILL = 11.0 + 0.2 * CHANCE


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (cut(1.0, -49.3 - 0.01 * CHANCE), Kind.FAULT),
        (cut(6.4 - 0.2 * CHANCE, STILL), Kind.SUSPECT),
        (cut(6.4 - 0.5 * CHANCE, STILL), None),  # what the policy does makes them longer or shorter
        (cut(6.4, 11.0 + 0.8 * CHANCE), None),  # it makes them pay more or less
        (cut(1.0, 0.5 + 0.1 * CHANCE), None),  # a bandit
        (cut(1.0, -49.3), None),  # not one return differs: another rule's
        (cut(11.0, STILL), None),
        (cut(1.0, 95.5 + 4.4 * TURN / len(TURN) + 0.1 * CHANCE), None),  # it learns
        (first(cut(6.4, STILL), 8), Kind.SUSPECT),
        (first(cut(6.4, STILL), 7), None),
    ],
)
def test_episodes_that_end_at_once_whatever_is_done(run: History, expected: Kind | None) -> None:
    finding = ask(RULE, replace(run, has_ended=True))
    assert (finding.kind if finding else None) is expected  # type: ignore[union-attr]


def test_its_numbers_where_episodes_end_at_once() -> None:
    run = replace(cut(1.0, -49.3 - 0.01 * CHANCE), has_ended=True)
    assert found(RULE, run).headline.startswith(
        "Episodes end at once, whatever the policy does: each ends at its first step, and returns -49.3, over iter"
    )
    assert diagnose(run).select_findings(Kind.FAULT)[0].rule is RULE


def test_it_stands_above_a_curve_that_it_explains_though_a_doubt() -> None:
    """`oscillating` names no cause, and is no fault beside one."""
    run = replace(cut(6.4 - 0.2 * CHANCE, STILL), has_ended=True)
    run = replace(run, settings={"env.id": "Own-v0"}, table=run.table[[metrics.TRAIN_RETURN, EPISODE_LENGTH]])
    ranked = diagnose(run).select_findings(Kind.FAULT, Kind.SUSPECT)
    names = [one.rule.name for one in ranked]
    assert names.index("episodes_short") < names.index("oscillating")
    assert {one.finding.kind for one in ranked} == {Kind.SUSPECT}
    assert state_verdict(diagnose(run)).startswith(
        "Stuck, and why is not settled: episodes end at once, whatever the policy does; return "
    )


def body(lengths: Any, numbers: float = 12.0, spread: float = 1.0, ended: bool = True, returns: Any = TURN) -> History:
    """A run of as many continuous numbers an action, of so much spread at first; it learns."""
    entropy = numbers * (0.5 * math.log(2 * math.pi * math.e) + math.log(spread)) - 0.01 * (TURN - 1)
    more = {EPISODE_LENGTH: lengths + 0.0 * TURN, POLICY_STD: spread * (1 - TURN / 200)}
    run = elsewhere(returns, more=more, entropy=entropy)
    return replace(run, dialect="sb3", has_ended=ended, settings={"env.id": "Own-v0"})


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (body(2.4 + 0.6 * CHANCE), True),
        (body(4.0 + CHANCE), True),
        (body(4.1 + CHANCE), False),
        (body(2.4 + 0.6 * CHANCE, numbers=6.0), True),
        (body(2.4 + 0.6 * CHANCE, numbers=5.0), False),  # a place and a turn to grasp at
        (body(2.4 + 0.6 * CHANCE, numbers=12.0, spread=0.6), True),
        (body(3.0), False),  # a task of three steps
        (body(1.0), False),  # a design
        (body(np.minimum(2.0 + 0.1 * TURN, 100.0)), False),  # it learns to stand
        (body(2.4 + 0.6 * CHANCE, ended=False), False),
        (first(body(2.4 + 0.6 * CHANCE), 11), False),
        (replace(body(2.4 + 0.6 * CHANCE), table=body(2.4 + 0.6 * CHANCE).table.drop(columns=POLICY_STD)), False),
        (cut(1.4 + 0.3 * CHANCE, -0.1 + 0.1 * CHANCE), False),  # a game of cards
    ],
)
def test_a_body_whose_episodes_end_after_a_few_steps_from_first_to_last_leaves_a_doubt(
    run: History, fires: bool
) -> None:
    assert kind(RULE, run) is (Kind.SUSPECT if fires else None)


def test_its_numbers_where_a_body_falls_at_once() -> None:
    finding = found(RULE, body(np.where(TURN <= 50, 2.0, 3.0)))
    assert finding.headline == "Episodes end at once: 2 steps at first and 3 of late, 3 at most"
    assert finding.why == "an action of about 12 numbers has hardly shown by then; the run gets better all the same"
    assert [cause.what.partition(" ")[2][:5] for cause in finding.causes] == ["start", "task "]


def test_in_our_own_runs_it_is_judged_alike() -> None:
    """Our learner logs lengths of episodes itself, and evaluates greedily."""
    run = elsewhere(0.05 * CHANCE, more={EPISODE_LENGTH: 3.0 + 0.0 * TURN, EVAL_LENGTH: 9.5 + 0.0 * TURN})
    assert run.program == "unstuck"
    assert diagnose(run).select_findings(Kind.FAULT)[0].rule is RULE
    assert (
        found(RULE, run).headline == "Episodes of training are cut off: all end after 3 steps, and evaluations last 9.5"
    )
    at_once = elsewhere(-49.3 - 0.01 * CHANCE, more={EPISODE_LENGTH: 1.0 + 0.0 * TURN})
    assert kind(RULE, replace(at_once, has_ended=True)) is Kind.FAULT
    healthy_run = elsewhere(20 + TURN, more={EPISODE_LENGTH: 20.0 + TURN, EVAL_LENGTH: 25.0 + TURN})
    assert ask(RULE, healthy_run) is None


def test_our_runs_of_one_step_that_learned_little_by_little_are_in_order() -> None:
    better = elsewhere(-49.3 + 0.02 * TURN, more={EPISODE_LENGTH: 1.0 + 0.0 * TURN})
    better = replace(better, settings={**better.settings, "ppo.num_iterations": len(better.table)}, has_ended=True)
    assert ask(RULE, better) is None
