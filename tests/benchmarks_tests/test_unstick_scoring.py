from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.analysis.sweep.verdicts import Answer, Reading, add_verdict
from unstuck.records.outcome import Outcome

from benchmarks.unstick import scoring, tables
from benchmarks.unstick.levels import Levels
from benchmarks.unstick.points import Point
from benchmarks.unstick.scoring import Score, explain, score
from benchmarks.unstick.sweeps import FailedError

LEVELS = Levels(-500.0, -100.0)
POINT = Point(7, "lr too low", "mild", "acrobot", {"env.id": "Acrobot-v1"}, {"ppo.lr": 1e-5})


def _trial(number: int, value: float, **values: Any) -> Trial:
    return Trial(
        number=number,
        outcome=Outcome.COMPLETED,
        reason="",
        values={"ppo.lr": 1e-5, "branch.start": "checkpoint", **values},
        value=value,
        curve={},
        summary={},
        started=None,
        state="COMPLETE",
        is_control=number == 0,
    )


SWEEP = Sweep(
    "one",
    {"sweep.mode": "max"},
    (_trial(0, -450.0), _trial(1, -90.0, **{"ppo.lr": 1e-3}), _trial(2, -200.0, **{"branch.start": "anew"})),
)


def _score(folder: Path, arm: float, control: float) -> Score:
    """Score an unstick whose fresh runs have these means; members and repeats differ by up to 8."""
    off = (-8.0, -4.0, 0.0, 4.0, 8.0)
    reading = Reading(
        trial=1,
        searched=-90.0,
        arm=tuple(tuple(arm + repeat + member for member in off) for repeat in off),
        control=tuple(tuple(control + repeat - member for member in off) for repeat in off),
        chosen_among=2,
        values={"ppo.lr": 1e-3},
    )
    report = folder / f"{POINT.name}-first" / "report"
    report.mkdir(parents=True)
    add_verdict(report, reading)
    with patch.object(scoring, "unstick", return_value=SWEEP):
        return score(POINT, 0.1, LEVELS, "first", folder)


def test_an_arm_that_wins_and_goes_nine_tenths_of_the_way_is_a_cure(tmp_path: Path) -> None:
    scored = _score(tmp_path, -140.0, -460.0)
    assert (scored.wins, scored.is_cured, scored.reason) == (True, True, "")
    assert scored.closed == pytest.approx(0.9)
    assert scored.control == pytest.approx(0.1)
    assert scored.best == {"ppo.lr": 1e-3}
    assert scored.arms == 2


def test_an_arm_that_wins_and_stops_short_is_none(tmp_path: Path) -> None:
    scored = _score(tmp_path, -144.0, -460.0)
    assert (scored.wins, scored.is_cured) == (True, False)
    assert scored.reason == "no arm cured: the best goes 89% of the way"


def test_an_arm_that_is_as_good_as_the_control_does_not_win(tmp_path: Path) -> None:
    scored = _score(tmp_path, -120.0, -122.0)
    assert (scored.wins, scored.is_cured) == (False, False)
    assert scored.verdict is Answer.UNKNOWN
    assert scored.reason == "verdict cannot tell"


def test_a_refused_unstick_is_a_failure_with_its_message(tmp_path: Path) -> None:
    with patch.object(scoring, "unstick", side_effect=FailedError("sweep.py: error: no")):
        scored = score(POINT, 0.1, LEVELS, "first", tmp_path)
    assert (scored.wins, scored.reason) == (False, "no unstick: sweep.py: error: no")


def test_the_diagnosis_is_wrong_if_no_arm_changes_what_is_faulty() -> None:
    missed = {1: {"ppo.gamma": 0.5}, 2: {"branch.start": "anew"}}
    assert explain(POINT, missed, Answer.UNKNOWN, 0.2) == "diagnosis wrong: no arm changes lr"
    assert explain(POINT, {**missed, 3: {"ppo.lr": 1e-4}}, Answer.UNKNOWN, 0.2).startswith("no arm cured")
    assert explain(POINT, missed, Answer.WINS, 0.95) == ""
    assert explain(POINT, {3: {"ppo.lr": 1e-4}}, Answer.LOSES, 0.95) == "the control is better"


def test_tables_count_wins_and_cures_and_list_who_was_replaced() -> None:
    def scored(kind: str, verdict: Answer, closed: float) -> Score:
        return Score(POINT._replace(kind=kind), 0.1, 2, {"ppo.lr": 1e-3}, 0.1, closed, verdict, Answer.UNKNOWN, "")

    scores = [scored("a", Answer.WINS, 0.9), scored("a", Answer.WINS, 0.89), scored("b", Answer.UNKNOWN, 1.0)]
    assert tables.describe_figure(scores) == (
        "3 points of 2 kinds in 1 environment: an arm wins its verdict in **2**, and closes 90% of the way from random "
        "to healthy in **1**."
    )
    assert (
        "| 7 | acrobot | a, mild | 10% | 10% | 90% | lr=0.001 | wins | cannot be told |  |"
        in tables.make_score_table(scores)
    )
    drawn = [POINT._replace(number=number) for number in range(4)]
    replaced = tables.make_replaced_table(drawn, {0: 0.1, 1: None, 2: 0.7})
    assert [line.split(" | ")[-1] for line in replaced.splitlines()[2:]] == ["diverged |", "70%, not below 70% |"]
