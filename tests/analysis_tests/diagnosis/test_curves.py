"""Windows and trends of a run's curves: values worked out by hand, and what is not finite left out."""

import math

import pandas as pd
import pytest
from unstuck.analysis.diagnosis.curves import Curves
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history import History
from unstuck.rl import metrics

NAME = metrics.VALUE_LOSS


def make_curves(values: list[float]) -> Curves:
    """A run of one metric."""
    table = pd.DataFrame({NAME: values}, index=pd.Index(range(1, len(values) + 1), name="iteration"), dtype=float)
    return Curves(History("a run", "nowhere", table, {}))


def test_a_window_has_the_statistics_of_its_values() -> None:
    window = Window(NAME, (3, 5, 9), (1.0, 2.0, 6.0))
    assert (window.mean, window.median, window.reach) == (3.0, 2.0, (3, 9))
    assert Window(NAME, (3, 5, 9, 11), (2.5, 7.0, 1.0, 4.0)).median == 3.25
    assert window.spread == pytest.approx(math.sqrt(7))  # (4 + 1 + 9) / 2
    assert window.error == pytest.approx(math.sqrt(7 / 3))
    assert str(window) == "1 to 6 over iterations 3 to 9"
    assert window.level == "3 ± 3"
    assert math.isnan(Window(NAME, (1, 2), (math.inf, 1.0)).spread)  # and no warning of numpy's
    single = Window(NAME, (3,), (1.5,))
    assert (single.spread, single.error, str(single), single.level) == (0.0, 0.0, "1.5 at iteration 3", "1.5")


def test_windows_hold_finite_values_only() -> None:
    run = make_curves([1.0, math.inf, 3.0, math.nan, 5.0, -math.inf])
    whole = run.select_all(NAME)
    assert whole == Window(NAME, (1, 3, 5), (1.0, 3.0, 5.0))
    assert run.select_first(NAME, 2) == Window(NAME, (1, 3), (1.0, 3.0))
    assert run.select_last(NAME, share=0.0, least=1) == Window(NAME, (5,), (5.0,))
    nothing = make_curves([math.inf, math.nan])
    assert (nothing.select_all(NAME), nothing.select_first(NAME), nothing.select_last(NAME)) == (None, None, None)
    assert run.select_all("train/entropy") is None


@pytest.mark.parametrize(
    ("count", "share", "least", "values"),
    [(100, 0.25, 3, 25), (101, 0.25, 3, 26), (10, 0.25, 3, 3), (2, 0.25, 3, 2), (10, 0.0, 3, 3), (10, 0.5, 1, 5)],
)
def test_the_last_values_are_a_share_of_them_and_so_many_at_least(
    count: int, share: float, least: int, values: int
) -> None:
    late = make_curves(list(range(count))).select_last(NAME, share=share, least=least)
    assert late is not None
    assert late.values == tuple(float(value) for value in range(count - values, count))
    assert late.iterations[-1] == count


def test_a_trend_can_be_asked_from_an_iteration_on() -> None:
    run = make_curves([float(abs(i - 20)) for i in range(40)])
    assert not run.trend(NAME).rises
    assert run.trend(NAME, start=21).rises
    assert run.trend(NAME, start=21).slope == pytest.approx(1.0)
    assert make_curves([1.0] * 40).trend(NAME).p == 1.0
    assert make_curves([]).trend(NAME).slope == 0.0


def test_a_record_that_begins_in_mid_run_does_not_hold_the_start() -> None:
    table = pd.DataFrame({NAME: 1.0}, index=pd.Index([1, 2], name="iteration"), dtype=float)
    assert not Curves(History("a run", "nowhere", table, unrecorded=10)).holds_start(NAME)


@pytest.mark.parametrize(
    ("steps", "holds"),
    [([1, 2], True), ([3, 4], True), ([4, 5], False), ([20, 30], True), ([21, 31], False), ([], False)],
)
def test_a_record_holds_the_start_if_it_begins_there_or_within_two_of_its_steps(steps: list[int], holds: bool) -> None:
    table = pd.DataFrame({NAME: 1.0}, index=pd.Index(steps, name="iteration"), dtype=float)
    assert Curves(History("a run", "nowhere", table, {})).holds_start(NAME) is holds
