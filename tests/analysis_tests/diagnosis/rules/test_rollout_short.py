"""Rollouts that are too short: from settings, or from a log's counter of steps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind, Sureness
from unstuck.analysis.diagnosis.rules import rollout_short
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENV_STEPS, EPISODE_LENGTH

from tests.analysis_tests.diagnosis.asking import changes, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = rollout_short.RULE
FLAT = 22 + np.sin(7.0 * TURN)


def sized(lanes: int, steps: int, returns: Any = FLAT) -> History:
    """A run whose settings say how long its rollouts are."""
    return elsewhere(returns, settings={"ppo.num_envs": lanes, "ppo.num_steps": steps})


def counted(steps: float, dialect: str = "sb3") -> History:
    """A run of others that counts so many steps an iteration."""
    return replace(elsewhere(FLAT, more={ENV_STEPS: steps * TURN}), dialect=dialect)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (sized(1, 5), Kind.FAULT),
        (sized(8, 7), Kind.FAULT),
        (sized(8, 8), None),
        (sized(1, 32, np.linspace(0, 100, 100)), Kind.SUSPECT),  # it learns all the same
        (sized(1, 31, np.linspace(0, 100, 100)), Kind.FAULT),  # and might learn more
        (counted(5), Kind.FAULT),
        (counted(63), Kind.FAULT),
        (counted(64), None),
        (counted(5, dialect="plain"), None),  # what its counter counts is not known
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_a_usual_rollout_is_offered_for_the_lanes_there_are() -> None:
    finding = found(RULE, sized(8, 2))
    assert finding.headline == "Rollouts are too short: 16 steps in a rollout"
    assert changes(finding) == [{"ppo.num_steps": 256, "ppo.minibatch_size": 64}]


@pytest.mark.parametrize(
    ("steps", "length", "returns", "fires"),
    [
        (100, 80.0, FLAT, True),
        (64, 80.0, FLAT, True),
        (127, 32.0, FLAT, True),
        (127, 31.0, FLAT, False),  # four episodes tell more than their luck
        (128, 80.0, FLAT, False),  # has been seen to train
        (100, 80.0, np.linspace(0, 100, 100), False),  # it learns
        (100, None, FLAT, False),  # how many episodes a rollout holds is not known
    ],
)
def test_a_rollout_of_an_episode_or_two_is_short_for_a_run_that_learns_nothing(
    steps: int, length: float | None, returns: Any, fires: bool
) -> None:
    run = sized(1, steps, returns)
    run = replace(run, table=run.table.assign(**({} if length is None else {EPISODE_LENGTH: length})))
    assert kind(RULE, run) is (Kind.FAULT if fires else None)
    if fires:
        assert found(RULE, run).ground is Ground.PACE  # of a run that goes on it is a doubt
        assert found(RULE, run).sureness is Sureness.POSSIBLE
        assert found(RULE, run).headline == (
            f"Rollouts are too short: {steps} steps in a rollout, and episodes last {length:g}"
        )
