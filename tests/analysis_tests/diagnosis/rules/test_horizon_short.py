"""A horizon that is too short: only in a run with little to show, and at each bound."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.arms import list_arms
from unstuck.analysis.diagnosis.finding import Ground, Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import horizon_short
from unstuck.analysis.history import History
from unstuck.analysis.history.record import (
    EPISODE_LENGTH,
    NEXT_BY_STEP,
    RETURN_VALUES,
    REWARD_BY_OBSERVATION,
    REWARD_BY_STEP,
)

from tests.analysis_tests.diagnosis.asking import cause, changes, first, found, kind
from tests.analysis_tests.runs import LENGTH, untaught

RULE = horizon_short.RULE
FLAT = 20 + np.sin(np.arange(LENGTH))


def elsewhere(gamma: float, returns: Any = FLAT, length: float | None = None, env: str = "Own-v0") -> History:
    """A run of another environment that has nothing to show, unless other returns are given."""
    names = ("allow", "block", "quarantine", "alert")
    nameless = {f"{prefix}_{name}": None for prefix in ("action", "greedy") for name in names}
    run = untaught(
        f1=None,
        tp=None,
        **{"train/episode_return": returns, "eval/episode_return": None},
        **nameless,
        settings={"env.id": env, "ppo.gamma": gamma},
    )
    return run if length is None else replace(run, table=run.table.assign(**{EPISODE_LENGTH: length}))


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (elsewhere(0.5), True),
        (elsewhere(0.89), True),
        (elsewhere(0.9), False),
        (elsewhere(0.5, length=6.1), True),  # a horizon of two steps
        (elsewhere(0.5, length=5.9), False),  # nothing lies further ahead
        (elsewhere(0.5, returns=np.linspace(0, 100, LENGTH)), False),  # it learns
        (elsewhere(0.5, returns=np.linspace(20, 200, LENGTH), env="CartPole-v1"), True),  # of 500
        (elsewhere(0.5, returns=np.linspace(20, 400, LENGTH), env="CartPole-v1"), False),
        (first(elsewhere(0.5), 24), False),  # less than a quarter of the run
        (first(elsewhere(0.5), 25), True),
        (untaught(settings={"ppo.gamma": 0.0}), False),  # flows stand alone
    ],
)
def test_when_a_short_horizon_is_named(run: History, fires: bool) -> None:
    assert (kind(RULE, run) is Kind.FAULT) == fires


@pytest.mark.parametrize(
    ("told", "length", "expected"),
    [
        (0.24, 12.0, Kind.FAULT),
        (0.26, 12.0, None),  # steps pay for where they lead
        (0.24, 11.9, None),
        (None, 12.0, Kind.FAULT),  # all rewards were the same: nothing was paid yet
    ],
)
def test_a_run_of_our_own_that_learns_and_is_paid_late(
    told: float | None, length: float, expected: Kind | None
) -> None:
    """At gamma 0.5 twelve steps are six horizons; our learner measures what foretells a reward."""
    run = elsewhere(0.5, np.linspace(0, 100, LENGTH), length)
    columns = {NEXT_BY_STEP: 0.9, **({} if told is None else {REWARD_BY_STEP: told})}
    assert kind(RULE, replace(run, table=run.table.assign(**columns))) is expected


def test_the_horizon_is_offered_first() -> None:
    finding = found(RULE, elsewhere(0.5, length=15))
    assert finding.headline == "The horizon may be too short: gamma 0.5 looks 2 steps ahead, and episodes last 15"
    assert changes(finding) == [{"ppo.gamma": [0.99, 0.95]}]
    assert cause(finding, "rewards that come long after").support is Support.SUPPORTED
    assert found(RULE, elsewhere(0.5)).sureness is Sureness.POSSIBLE
    assert list_arms(diagnose(elsewhere(0.5)))[0].change == {"ppo.gamma": 0.99}


@pytest.mark.parametrize(
    ("gamma", "length", "expected"),
    [
        *((0.5, 20.0, Kind.FAULT), (0.5, 19.0, Kind.SUSPECT), (0.6, 25.1, Kind.FAULT), (0.61, 26.0, Kind.SUSPECT)),
        *((0.5, 12.0, Kind.SUSPECT), (0.5, 11.0, None), (0.79, 29.0, Kind.SUSPECT), (0.8, 500.0, None)),
        *((0.5, None, None), (0.1, 20.0, Kind.SUSPECT)),  # at 0.1 each step is meant to stand alone
    ],
)
def test_a_horizon_of_a_sixth_of_an_episode_is_a_doubt_in_a_run_of_another_program_that_learns(
    gamma: float, length: float | None, expected: Kind | None
) -> None:
    learns = elsewhere(gamma, returns=np.linspace(0, 100, LENGTH), length=length)
    assert kind(RULE, learns) is None
    assert kind(RULE, replace(learns, dialect="sb3")) is expected


LEARNS = np.linspace(20, 200, LENGTH)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ({}, (Kind.SUSPECT, Ground.PACE)),  # nobody measured when steps pay
        ({NEXT_BY_STEP: 0.9}, (Kind.FAULT, Ground.MEASURED)),  # every step pays the same
        ({NEXT_BY_STEP: 0.9, REWARD_BY_STEP: 0.05}, (Kind.FAULT, Ground.MEASURED)),  # the end pays
        ({RETURN_VALUES: 2.0}, (Kind.FAULT, Ground.MEASURED)),  # reached or missed
        ({RETURN_VALUES: 4.0}, (Kind.SUSPECT, Ground.PACE)),
        ({RETURN_VALUES: 1.0}, (Kind.SUSPECT, Ground.PACE)),  # the same whatever is done
        ({NEXT_BY_STEP: 0.9, REWARD_BY_STEP: 0.4}, (Kind.SUSPECT, Ground.PACE)),  # each step pays for itself
    ],
)
def test_a_run_that_learns_is_short_sighted_where_no_step_pays_for_itself(
    measured: dict[str, float], expected: tuple[Kind, Ground]
) -> None:
    run = replace(elsewhere(0.5, returns=LEARNS, length=40.0), dialect="sb3")
    run = replace(run, table=run.table.assign(**measured))
    finding = found(RULE, replace(run, settings={"env.id": "Own-v0", "ppo.gamma": 0.7}))
    assert (finding.kind, finding.ground) == expected


@pytest.mark.parametrize(("best", "expected"), [(480.0, Kind.SUSPECT), (470.0, Kind.FAULT)])
def test_a_task_that_is_solved_was_looked_at_far_enough(best: float, expected: Kind) -> None:
    run = elsewhere(0.5, returns=np.minimum(np.linspace(20, 2000, LENGTH), best), length=400.0, env="CartPole-v1")
    settings = {"env.id": "CartPole-v1", "ppo.gamma": 0.5}
    assert kind(RULE, replace(run, dialect="sb3", settings=settings)) is expected


@pytest.mark.parametrize(
    ("gamma", "seen", "expected"),
    [(0.5, 0.0, None), (0.7, 0.0, None), (0.7, 0.5, Kind.SUSPECT), (0.5, 0.5, Kind.FAULT)],
)
def test_a_bandit_needs_no_horizon(gamma: float, seen: float, expected: Kind | None) -> None:
    run = replace(elsewhere(0.5, returns=LEARNS, length=40.0), dialect="sb3")
    told = {NEXT_BY_STEP: 0.0, REWARD_BY_OBSERVATION: seen, REWARD_BY_STEP: 0.6}
    run = replace(run, table=run.table.assign(**told), settings={"env.id": "Own-v0", "ppo.gamma": gamma})
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(
    ("lengths", "reward", "env", "expected"),
    [
        (np.linspace(20, 200, LENGTH), 1.0, "Own-v0", Kind.FAULT),
        (np.linspace(200, 60, LENGTH), -1.0, "Own-v0", Kind.FAULT),
        (np.linspace(100, 120, LENGTH), 1.0, "Own-v0", Kind.SUSPECT),  # hardly longer
        (
            np.linspace(20, 200, LENGTH),
            np.linspace(1.0, 2.0, LENGTH),
            "Own-v0",
            Kind.SUSPECT,
        ),  # steps pay more and more
        (np.linspace(20, 500, LENGTH), 1.0, "CartPole-v1", Kind.FAULT),  # below its 500
        (np.minimum(np.linspace(20, 900, LENGTH), 500), 1.0, "CartPole-v1", Kind.SUSPECT),  # solved
    ],
)
def test_where_only_lasting_pays_a_short_horizon_is_a_fault_of_a_run_that_learns(
    lengths: Any, reward: Any, env: str, expected: Kind
) -> None:
    run = elsewhere(0.7, returns=reward * lengths, env=env)
    run = replace(run, dialect="sb3", table=run.table.assign(**{EPISODE_LENGTH: lengths}))
    assert kind(RULE, replace(run, settings={"env.id": env, "ppo.gamma": 0.7})) is expected
