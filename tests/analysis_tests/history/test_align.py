"""From values at all sorts of steps to one row an iteration."""

import math

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.history.align import count_from_one, count_unrecorded, merge_tables
from unstuck.analysis.history.align import tabulate_iterations as aligned
from unstuck.analysis.history.raw import Points
from unstuck.analysis.history.record import ENV_STEPS
from unstuck.rl import metrics

Logged = dict[str, list[tuple[int, float]]]


def tabulate_iterations(points: Logged, counted: bool | None = None, ends: tuple[int, ...] = ()) -> pd.DataFrame:
    """The table of values written as (step, value)."""
    columns = {name: np.array(logged, dtype=float).reshape(-1, 2) for name, logged in points.items()}
    by_name = {name: Points(each[:, 0], each[:, 1]) for name, each in columns.items()}
    return aligned(by_name, counted, np.array(ends, dtype=float) if ends else None)


LOSS, RETURN, EVAL = metrics.VALUE_LOSS, metrics.TRAIN_RETURN, metrics.EVAL_RETURN


def test_steps_that_lie_close_together_count_iterations() -> None:
    table = tabulate_iterations({LOSS: [(10, 1.0), (20, 2.0)], EVAL: [(20, 5.0)]})
    assert table.index.tolist() == [10, 20]
    assert table.index.name == "iteration"
    assert table[EVAL].tolist()[1:] == [5.0]
    assert math.isnan(table[EVAL].iloc[0])
    assert ENV_STEPS not in table


def test_steps_that_lie_apart_are_the_environments_and_losses_say_when_iterations_ended() -> None:
    table = tabulate_iterations(
        {LOSS: [(512, 1.0), (1024, 2.0)], RETURN: [(100, 10.0), (512, 20.0), (513, 30.0), (1024, 50.0)]}
    )
    assert table.index.tolist() == [1, 2]
    assert table[RETURN].tolist() == [15.0, 40.0]  # a step at an iteration's end is still its own
    assert table[ENV_STEPS].tolist() == [512.0, 1024.0]


def test_what_was_logged_after_the_last_end_belongs_to_the_iteration_under_way() -> None:
    table = tabulate_iterations({LOSS: [(512, 1.0), (1024, 2.0)], EVAL: [(2000, 7.0)]})
    assert table[EVAL].to_dict()[3] == 7.0
    assert math.isnan(table[ENV_STEPS].loc[3])


@pytest.mark.parametrize(("stride", "index"), [(64, [64, 128]), (65, [1, 2])], ids=["iterations", "environment steps"])
def test_the_border_between_both(stride: int, index: list[int]) -> None:
    assert tabulate_iterations({LOSS: [(stride, 1.0), (2 * stride, 2.0)]}).index.tolist() == index


def test_who_knows_says_which_steps_count() -> None:
    points = {LOSS: [(1000, 1.0), (2000, 2.0)]}
    assert tabulate_iterations(points, counted=True).index.tolist() == [1000, 2000]
    assert tabulate_iterations({LOSS: [(1, 1.0), (2, 2.0)]}, counted=False).index.tolist() == [1, 2]
    assert tabulate_iterations({LOSS: [(1, 1.0), (3, 2.0)]}, counted=False)[ENV_STEPS].tolist() == [1.0, 3.0]
    ended = tabulate_iterations({LOSS: [(1000, 1.0)]}, counted=False, ends=(500, 1000))
    assert ended.index.tolist() == [1, 2]
    assert ended[LOSS].loc[2] == 1.0


def test_a_single_step_is_an_iteration() -> None:
    assert tabulate_iterations({LOSS: [(2048, 1.0)]}).index.tolist() == [2048]


def test_without_a_loss_the_first_metric_by_name_sets_the_pace() -> None:
    table = tabulate_iterations({"b": [(100, 1.0), (200, 2.0)], "a": [(150, 1.0), (300, 3.0)]})
    assert table[ENV_STEPS].tolist() == [150.0, 300.0]
    assert table["b"].to_dict() == {1: 1.0, 2: 2.0}


def test_values_of_one_step_are_averaged_whatever_their_order() -> None:
    assert tabulate_iterations({LOSS: [(2, 4.0), (1, 1.0), (2, 6.0)]})[LOSS].to_dict() == {1: 1.0, 2: 5.0}


def test_what_is_no_number_stays_so() -> None:
    table = tabulate_iterations({LOSS: [(1, math.nan), (2, math.inf), (3, 1.0), (3, math.nan)]})
    assert math.isnan(table[LOSS].loc[1])
    assert table[LOSS].loc[2] == math.inf
    assert table[LOSS].loc[3] == 1.0


def test_nothing_logged_is_an_empty_table() -> None:
    for points in ({}, {LOSS: []}):
        table = tabulate_iterations(points)
        assert table.empty
        assert table.index.name == "iteration"


def test_tables_are_joined_and_the_first_one_holds() -> None:
    one = pd.DataFrame({"a": [1.0, math.nan]}, index=[1, 3])
    other = pd.DataFrame({"a": [9.0, 2.0, 5.0], "b": [7.0, 8.0, 9.0]}, index=[1, 2, 3])
    merged = merge_tables([one, other])
    assert merged.index.tolist() == [1, 2, 3]
    assert merged["a"].tolist() == [1.0, 2.0, 5.0]
    assert merged["b"].tolist() == [7.0, 8.0, 9.0]
    assert merge_tables([one]).equals(one)


@pytest.mark.parametrize(
    ("counts", "from_one"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([10, 20, 30], [10, 20, 30]),  # logged every 10 iterations
        ([0, 1, 2], [1, 2, 3]),
        ([0, 10, 20], [1, 11, 21]),
        ([4, 9, 14], [5, 10, 15]),
        ([858, 859, 860], [1, 2, 3]),  # resumed
        ([860, 870, 880], [10, 20, 30]),
        ([109], [109]),  # one iteration tells nothing of where the count began
    ],
)
def test_iterations_are_counted_from_one(counts: list[int], from_one: list[int]) -> None:
    table, moved = count_from_one(pd.DataFrame({LOSS: 1.0}, index=counts))
    assert table.index.tolist() == from_one
    assert moved == from_one[0] - counts[0]
    assert table.index.name == "iteration" or not moved


@pytest.mark.parametrize(
    ("steps", "before"),
    [
        ([50_000, 100_000, 150_000], 0),
        ([200_000, 250_000, 300_000], 0),  # a logger that waited for the first episodes
        ([250_000, 300_000, 350_000], 4),
        ([550_000, 600_000, 650_000], 10),
        ([550_000, 1_100_000, 1_110_000, 1_120_000], 0),  # the stride is that of the whole record
        ([550_000], 0),  # one iteration tells nothing of how long it was
        ([550_000, 550_000], 0),
    ],
)
def test_steps_done_before_the_first_iteration_tell_a_record_that_begins_in_mid_run(
    steps: list[int], before: int
) -> None:
    table = pd.DataFrame({ENV_STEPS: steps}, index=range(1, len(steps) + 1), dtype=float)
    assert count_unrecorded(table, 0) == before


@pytest.mark.parametrize(
    ("counts", "before"),
    [([1, 2, 3], 0), ([0, 10, 20], 0), ([4, 5, 6], 0), ([858, 859, 860], 857), ([860, 870, 880], 850), ([], 0)],
)
def test_numbers_of_iterations_tell_it_too(counts: list[int], before: int) -> None:
    assert count_unrecorded(*count_from_one(pd.DataFrame({LOSS: 1.0}, index=counts, dtype=float))) == before
