"""Does the best arm's change fix the run: fresh repeats for this run, members for runs like it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.comparison import describe_scope, describe_verdict
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.statistics import Interval, NoInterval
from unstuck.analysis.sweep.verdicts import (
    FILE,
    Answer,
    Reading,
    Readings,
    Verdict,
    add_verdict,
    judge_reading,
    read_verdicts,
)

from benchmarks.intervals import SUITS, normal, skewed, wins

Values = tuple[tuple[float, ...], ...]

ONE: Values = ((0.8,), (0.9,), (1.0,))
LOW: Values = ((0.1,), (0.2,), (0.3,))


def reading(arm: Values = ONE, control: Values = LOW, **changed: Any) -> Reading:
    whole = {"trial": 3, "searched": 0.95, "chosen_among": 8, "values": {"ppo.lr": 1e-3}, "at": "2026-05-01T12:00:00"}
    return Reading(arm=arm, control=control, **{**whole, **changed})


def by_members(*gaps: float) -> Reading:
    """Three repeats of as many members as gaps, all repeats alike up to a shift that both sides share."""
    control: Values = tuple(tuple(0.1 * member + 0.01 * repeat for member in range(len(gaps))) for repeat in range(3))
    arm: Values = tuple(tuple(low + gap for low, gap in zip(row, gaps, strict=True)) for row in control)
    return reading(arm, control)


def judged(one: Reading) -> Verdict:
    return judge_reading(one, 1)


def test_a_run_of_one_seed_is_judged_by_its_repeats() -> None:
    found = judged(reading())
    assert (found.answer, found.alike, found.this_run.more) == (Answer.WINS, None, None)
    assert (found.arm, found.control) == (pytest.approx(0.9), pytest.approx(0.2))
    # Welch: spreads of 0.1, error sqrt(0.01/3 + 0.01/3) = 0.0816, 4 degrees of freedom, t = 2.7764.
    interval = found.this_run.difference.interval
    assert isinstance(interval, Interval)
    assert (interval.low, interval.high) == (pytest.approx(0.7 - 0.2267, abs=1e-4), pytest.approx(0.9267, abs=1e-4))
    assert found.this_run.difference.comparisons == 1  # fresh randomness has paid for the choice
    assert judge_reading(reading(LOW, ONE), 1).answer is Answer.LOSES
    assert judge_reading(reading(LOW, ONE), -1).answer is Answer.WINS
    assert judge_reading(reading(), 1, configurations=4).this_run.difference.comparisons == 4


def test_what_cannot_be_told_says_how_many_more_repeats_would() -> None:
    found = judged(reading(((0.3,), (0.4,), (0.5,)), ((0.2,), (0.3,), (0.4,)))).this_run
    # 0.1 > t(2n - 2) * 0.1 * sqrt(2 / n): t(14) sqrt(2/8) = 1.072, t(16) sqrt(2/9) = 0.9994.
    assert (found.answer, found.more) == (Answer.UNKNOWN, 6)
    small = judged(reading(((0.3001,), (0.4,), (0.5,)), ((0.3,), (0.4,), (0.5,)))).this_run
    assert (small.answer, small.more) == (Answer.UNKNOWN, None)


def test_members_answer_for_runs_like_this_one_and_pay_for_the_choice() -> None:
    alike = judged(by_members(0.5, 0.6, 0.7)).alike
    assert alike is not None
    assert alike.difference.comparisons == 8
    # Paired: spread 0.1, error 0.0577; t at 1 - 0.025 / 8 with 2 degrees of freedom is 12.59, against 10.39 needed.
    assert (alike.answer, alike.more) == (Answer.UNKNOWN, 1)
    assert judge_reading(by_members(0.5, 0.6, 0.7), 1).answer is Answer.WINS  # the repeats agree: this run is fixed
    more = judged(by_members(0.5, 0.6, 0.7, 0.5, 0.6, 0.7)).alike
    assert more is not None
    assert more.answer is Answer.WINS
    mixed = judged(by_members(2.0, 0.1, 0.1, 0.1, 0.1)).alike
    assert mixed is not None
    assert mixed.answer is Answer.UNKNOWN
    assert judged(by_members(0.5, 0.6)).alike is None


def test_members_are_paired() -> None:
    """Members that differ far more than the arm helps: unpaired they would hide what the arm does to each."""
    control: Values = tuple(tuple(10.0 * member for member in range(6)) for _ in range(3))
    arm: Values = tuple(tuple(10.0 * member + 0.1 + 0.001 * member for member in range(6)) for _ in range(3))
    alike = judged(reading(arm, control)).alike
    assert alike is not None
    assert alike.answer is Answer.WINS


def test_values_without_spread_or_not_finite_have_no_interval() -> None:
    broken = judged(reading(((math.nan,), (0.9,), (0.9,))))
    assert (broken.answer, broken.this_run.difference.interval) == (Answer.UNKNOWN, NoInterval.NOT_FINITE)
    assert "training diverged in a repeat" in describe_verdict(broken, "eval/f1", "trial 3")
    equal = ((1.0,),) * 5
    level = judged(reading(equal, ((0.0,),) * 5))
    assert (level.answer, level.this_run.difference.interval) == (Answer.WINS, NoInterval.NO_SPREAD)
    assert judged(reading(equal, equal)).answer is Answer.UNKNOWN


def test_an_arm_whose_every_value_is_the_controls_changes_nothing() -> None:
    """As where F1 is 0 whatever is tuned: more repeats would tell no more."""
    level = judged(reading(((0.0, 0.2),) * 5, ((0.0, 0.2),) * 5))
    assert describe_verdict(level, "eval/f1", "trial 1 (lr 0.001)") == (
        "Trial 1 (lr 0.001) changes nothing: eval/f1 is the same, seed by seed, in 10 fresh trainings of the arm and "
        "of the untouched control, 0.1 on average."
    )
    assert describe_scope(level) == "So the change does not cure the run, in any of its seeds."


def test_words_of_a_verdict() -> None:
    won = judged(reading())
    assert describe_verdict(won, "eval/f1", "trial 3 (lr 0.001)") == (
        "Trial 3 (lr 0.001) wins: eval/f1 0.9 against 0.2 of the untouched control, "
        "+0.7 (95 % interval 0.473 to 0.927)."
    )
    assert describe_scope(won) == (
        "The verdict holds for this run alone, with its 1 seed: only a run of 3 seeds or more says something of others."
    )
    unclear = judged(reading(((0.3,), (0.4,), (0.5,)), ((0.2,), (0.3,), (0.4,))))
    assert describe_verdict(unclear, "eval/f1", "trial 3").startswith(
        "It cannot be told whether trial 3 wins: eval/f1 0.4 against 0.3"
    )
    assert describe_verdict(unclear, "eval/f1", "trial 3").endswith("; about 6 more repeats would.")
    small = judged(reading(((0.3001,), (0.4,), (0.5,)), ((0.3,), (0.4,), (0.5,))))
    assert describe_verdict(small, "f", "trial 3").endswith(
        "; not even 1,000 more repeats would tell so small a difference."
    )
    three = describe_scope(judged(by_members(0.5, 0.6, 0.7)))
    assert three.startswith("The verdict holds for this run alone, with its 3 seeds. For runs of other seeds it cannot")
    assert three.endswith("over seeds; about 1 more seed would.")
    six = describe_scope(judged(by_members(0.5, 0.6, 0.7, 0.5, 0.6, 0.7)))
    assert six.startswith("The same holds for runs like this one, of other seeds, as far as these tell: +0.6 (95 %")


def test_every_reading_is_kept_and_a_second_one_says_so(tmp_path: Path) -> None:
    assert read_verdicts(tmp_path).last is None
    assert add_verdict(tmp_path / "report", reading()).warning == ""
    other = reading(trial=5, values={"ppo.hidden_sizes": (16, 16), "ppo.target_kl": None}, data="abc")
    kept = add_verdict(tmp_path / "report", other)
    assert kept == Readings((reading(), other)) == read_verdicts(tmp_path / "report")
    assert kept.last == other
    assert kept.configurations == 2
    assert kept.judge(other, 1).this_run.difference.comparisons == 2
    assert kept.warning.startswith("The test part has been read 2 times, for trials 3 and 5: what is chosen")
    again = Readings((reading(), reading()))
    assert again.configurations == 1
    assert "to look until an interval suits is no test" in again.warning


@pytest.mark.parametrize(
    "held",
    [
        "{",
        "{}",
        "3",
        '[{"trial": 1}]',
        json.dumps([{"trial": 1, "searched": 1, "arm": [[1], [2, 3]], "control": [[1], [2]]}]),
        json.dumps([{"trial": 1, "searched": 1, "arm": [], "control": []}]),
        json.dumps([{"trial": 1, "searched": 1, "arm": [[], []], "control": [[], []]}]),
    ],
)
def test_another_file_is_refused_and_left_alone(tmp_path: Path, held: str) -> None:
    (tmp_path / FILE).write_text(held)
    with pytest.raises(AnalysisError, match=r"verdicts.json must hold verdicts of an unstick"):
        read_verdicts(tmp_path)
    assert (tmp_path / FILE).read_text() == held


@pytest.mark.parametrize("draw", [normal, skewed])
def test_the_best_of_equal_arms_seldom_wins_and_naive_ways_let_it(draw: Any) -> None:
    """At most 5 % are allowed; 400 unsticks have a standard error of 1.1 % there."""
    one, many = wins(draw, (12, 1, 5), 400), wins(draw, (12, 10, 5), 400, suits=SUITS)
    assert one.this_run <= 0.05
    assert many.alike <= 0.05
    assert one.maximum > 0.8 < many.maximum
    assert many.same_members > 0.05
    assert wins(draw, (8, 10, 5), 50, effect=6.0).this_run == 1.0
    assert wins(draw, (8, 10, 5), 50, effect=9.0, suits=SUITS).alike > 0.9
