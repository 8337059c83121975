"""Figures of a run: which there are by what was recorded, and what their captions claim."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History
from unstuck.analysis.report.figures import draw_run, make_confusion_table, make_line
from unstuck.rl import metrics

from tests.analysis_tests.report.made import figures, tables
from tests.analysis_tests.runs import LENGTH, healthy, untaught

TURN = np.arange(1, LENGTH + 1)
ACTIONS: dict[str, Any] = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
UPDATES: dict[str, Any] = {"approx_kl": None, "clip_fraction": None, "update_norm": None}


def drawn(run: History) -> dict[str, Any]:
    """Figures by their kind."""
    return {name.removeprefix("made-"): figure for name, figure in figures(draw_run(Signals(run)).values()).items()}


def test_a_run_with_everything_has_all_figures() -> None:
    assert list(drawn(healthy())) == ["score", "returns", "value-loss", "actions", "updates", "entropy"]


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"f1": None, "eval/episode_return": None}, "score"),  # the training return has a figure of its own
        ({"train/episode_return": None}, "returns"),
        ({"value_loss": None}, "value-loss"),
        (ACTIONS, "actions"),
        (UPDATES, "updates"),
        ({"entropy": None}, "entropy"),
    ],
)
def test_what_was_not_recorded_is_not_drawn(changed: dict[str, Any], missing: str) -> None:
    assert set(drawn(healthy())) - set(drawn(healthy(**changed))) == {missing}


def test_one_value_is_no_curve() -> None:
    whole = healthy()
    assert drawn(replace(whole, table=whole.table.iloc[:1])) == {}
    assert drawn(replace(whole, table=whole.table.iloc[:0])) == {}
    assert "score" not in drawn(replace(whole, table=whole.table.loc[:10]))  # one evaluation
    assert "score" in drawn(replace(whole, table=whole.table.loc[:20]))


def test_captions_say_what_is_shown_and_alternatives_what_it_says() -> None:
    score = drawn(healthy(f1=np.where(TURN <= 50, 0.25, 0.75)))["score"]
    assert score.caption == (
        "eval/f1 of made; the shade spans the 5 seeds; the dashed line is the best policy that has learned nothing"
    )
    assert score.alt == "eval/f1 from 0.25 at iteration 10 to 0.75 at 100, between 0.25 to 0.75"
    assert "flag all 0.197" in score.svg
    alone = drawn(healthy(seeds=1, f1_flag_all=None, tp=None))["score"]
    assert alone.caption == "eval/f1 of made"


def test_returns_are_shown_beside_greedy_ones_where_f1_has_the_first_figure() -> None:
    assert "greedy return" in drawn(healthy())["returns"].svg
    assert "greedy return" not in drawn(healthy(f1=None))["returns"].svg
    assert drawn(healthy(f1=None))["score"].caption.startswith("eval/episode_return of made")


def test_a_value_loss_over_orders_of_magnitude_is_drawn_by_logarithms() -> None:
    """From 1 to 50 on one axis the middle is at 25, by logarithms at 7."""

    def height(end: float) -> float:
        svg = drawn(healthy(value_loss=np.where(TURN <= 50, 1.0, np.where(TURN <= 75, 7.07, end)), value_floor=None))
        path = next(part for part in svg["value-loss"].svg.split('d="') if "M7" in part and "var(--c0)" in part)
        ys = [float(point.split(" ")[1]) for point in path.split('"')[0][1:].split("L")]
        return (ys[60] - ys[0]) / (ys[-1] - ys[0])

    assert height(49.0) == pytest.approx(6.07 / 48, abs=0.01)
    assert height(51.0) == pytest.approx(math.log(7.07) / math.log(51), abs=0.01)


def test_actions_end_with_their_shares() -> None:
    shares = {"action_allow": 0.7, "action_block": 0.2, "action_quarantine": 0.06, "action_alert": 0.04}
    actions = drawn(healthy(**shares))["actions"]
    assert actions.alt == "at iteration 100: allow 70 %, block 20 %, quarantine 6 %, alert 4 %"
    assert "allow 70 %" in actions.svg
    assert ">alert 4 %<" not in actions.svg  # too thin for its name


def test_updates_leave_out_what_is_never_positive() -> None:
    assert "updates" not in drawn(healthy(approx_kl=0.0, clip_fraction=0.0, update_norm=0.0))
    once = np.where(TURN == 5, 1e-3, 0.0)
    assert "updates" not in drawn(healthy(approx_kl=once, clip_fraction=0.0, update_norm=0.0))
    some = drawn(healthy(approx_kl=np.where(TURN <= 2, 1e-3, 0.0), clip_fraction=0.0, update_norm=0.02))["updates"]
    assert some.alt.count("train/") == 2
    assert "clip fraction" not in some.svg


def test_entropy_is_drawn_below_its_largest() -> None:
    assert "largest possible 1.386" in drawn(healthy())["entropy"].svg
    nameless = drawn(healthy(entropy=1.2, settings={"env.id": "Own-v1"}, **ACTIONS))["entropy"]
    assert "largest possible" not in nameless.svg


def test_a_line_has_its_seeds_as_a_band() -> None:
    run = healthy(seeds=2, f1=0.5, **{"f1/seed_0": np.where(TURN == 10, math.nan, 0.4), "f1/seed_1": 0.6})
    line = make_line(Signals(run), metrics.F1, "F1")
    assert line.points[0] == (10.0, 0.5)
    assert line.band[:2] == [(10.0, 0.6, 0.6), (20.0, 0.4, 0.6)]
    assert make_line(Signals(healthy(seeds=1)), metrics.F1, "F1").band == []


def test_a_seed_that_is_no_number_leaves_the_band_to_the_others() -> None:
    run = healthy(seeds=3, f1=0.5, **{"f1/seed_0": 0.4, "f1/seed_1": 0.6, "f1/seed_2": math.inf})
    line = make_line(Signals(run), metrics.F1, "F1")
    assert line.band[0] == (10.0, 0.4, 0.6)
    assert "nan" not in drawn(run)["score"].svg


def test_counts_stand_beside_those_of_policies_that_learned_nothing() -> None:
    """Of 174 threats and 1,426 benign flows: F1 of flagging all 348 / 1774, of three quarters 261 / 1374."""
    (table,) = tables(make_confusion_table(Signals(healthy(tp=87.0, fn=87.0, fp=26.0, tn=1400.0))))
    assert table.rows == (
        ("made at iteration 100", "87", "26", "1,400", "87", "0.606"),
        ("flag every flow", "174", "1,426", "0", "0", "0.196"),
        ("flag none", "0", "0", "1,426", "174", "0.000"),
        ("draw the four actions evenly", "130", "1,070", "356", "44", "0.190"),
    )
    (three,) = tables(make_confusion_table(Signals(healthy(action_alert=None))))
    assert len(three.rows) == 3
    assert make_confusion_table(Signals(healthy(tp=None))) == []


def test_a_name_with_odd_letters_is_still_a_files() -> None:
    run = replace(untaught(), name="horizon/7 (a)")
    assert all(name.startswith("horizon-7--a-") for name in figures(draw_run(Signals(run)).values()))
