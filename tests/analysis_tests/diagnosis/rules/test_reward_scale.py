"""Returns too large for the critic: errors in the hundreds from the start, and nothing explained."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import reward_scale
from unstuck.analysis.history import History
from unstuck.analysis.history.record import EVAL_LENGTH, FINISHED, TOTAL_LOSS
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, kind
from tests.analysis_tests.runs import LENGTH, untaught

RULE = reward_scale.RULE
TURN = np.arange(1, LENGTH + 1)


def raw(loss: Any = 1e7, explained: Any = 0.0, **settings: Any) -> History:
    """A run of another program, on raw returns, with nothing to show."""
    run = untaught(value_loss=loss, explained_variance=explained, grad_norm_policy=None)
    return replace(run, settings={"env.id": "Own-v1", **settings}, dialect="sb3")


def test_errors_in_thousands_that_nothing_explains_are_a_likely_fault() -> None:
    finding = found(RULE, raw())
    assert (finding.kind, finding.sureness, finding.ground) == (Kind.FAULT, Sureness.LIKELY, Ground.MEASURED)
    assert finding.headline == (
        "Returns are too large for the critic: value loss 10,000,000 over iterations 76 to 100 and explained variance 0"
    )
    assert facts(finding) == ["value loss 10,000,000 over iterations 76 to 100", "explained variance 0"]
    assert finding.why.startswith("its error is about 3,162 a prediction, from the start; ")
    assert changes(finding) == [{"ppo.normalize_returns": "batch"}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (raw(1.01e4), Kind.FAULT),
        (raw(0.99e4), None),
        (raw(explained=0.09), Kind.FAULT),
        (raw(explained=0.11), None),
        (raw(np.where(TURN <= 3, 5.0, 1e7)), None),  # it grew: another rule's
        (raw(np.where(TURN <= 3, 1e7, 5.0)), None),
        (raw(np.where(TURN <= 3, 1e7, 5.1e6), None), Kind.FAULT),
        (raw(np.where(TURN <= 3, 1e7, 4.9e6), None), None),  # a critic that learns
        (first(raw(), 1), Kind.SUSPECT),  # a single row tells of the critic, and not how the run stands
        (raw(**{"ppo.normalize_returns": "batch"}), None),
        (untaught(value_loss=1e7, explained_variance=0.0), None),  # there the gradients are on record
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_without_an_explained_variance_it_is_only_possible_and_asked_for() -> None:
    finding = found(RULE, raw(explained=None))
    assert finding.sureness is Sureness.POSSIBLE
    assert finding.missing == (metrics.EXPLAINED_VARIANCE,)


def test_a_loss_of_the_whole_update_serves_where_the_critics_is_not_logged() -> None:
    run = raw(None, None)
    whole = replace(run, table=run.table.assign(**{TOTAL_LOSS: 36_000.0 + 1000 * TURN}))
    assert found(RULE, whole).headline.startswith("Returns are too large for the critic: loss 124,000 over ")
    assert blind(RULE, run) == ((metrics.VALUE_LOSS, TOTAL_LOSS),)


@pytest.mark.parametrize(
    ("loss", "weight", "fires"),
    [
        (5_000.0, None, True),
        (4_999.0, None, False),
        (4_999.0, 0.25, True),
        (9_999.0, 1.0, False),
        (10_000.0, 1.0, True),
    ],
)
def test_a_loss_of_the_whole_update_weighs_the_critics(loss: float, weight: float | None, fires: bool) -> None:
    """Where the weight is not on record, a half is taken for it."""
    run = raw(None, None)
    run = replace(run, table=run.table.assign(**{TOTAL_LOSS: float(loss)}))
    run = replace(run, settings={**run.settings, "ppo.value_coef": weight})
    assert (ask(RULE, run) is not None) == fires


@pytest.mark.parametrize(
    ("beginning", "settings", "support"),
    [
        ("rewards, or returns", {"ppo.normalize_returns": "none"}, Support.SUPPORTED),
        ("rewards, or returns", {}, Support.OPEN),
        ("a critic whose move", {"ppo.clip_range_vf": None}, Support.RULED_OUT),
        ("a critic whose move", {"ppo.clip_range_vf": 0.2}, Support.OPEN),
        ("returns that nothing", {}, Support.OPEN),
    ],
)
def test_its_causes(beginning: str, settings: dict[str, Any], support: Support) -> None:
    assert cause(found(RULE, raw(**settings)), beginning).support is support
    assert ask(RULE, raw(0.99e4)) is None


def test_a_record_that_begins_far_into_a_run_tells_nothing_of_its_start() -> None:
    def why(run: History) -> str:
        return found(RULE, run).why.partition(" a prediction, ")[2].partition(";")[0]

    whole = raw()
    late = replace(whole, table=whole.table.set_index(whole.table.index + 700))
    sparse = replace(whole, table=whole.table.set_index(whole.table.index * 10))
    assert (why(whole), why(sparse)) == ("from the start", "from the start")
    assert why(late) == "where the record begins and where it ends"
    assert why(replace(late, table=late.table.iloc[:1])) == "at iteration 701, the only one on record"


def unlogged(returns: Any, lengths: Any = 430.0, **settings: Any) -> History:
    """An ended run of another program of which evaluations are on record, and nothing of its updates."""
    table = pd.DataFrame({metrics.EVAL_RETURN: returns + 0.0 * TURN, EVAL_LENGTH: lengths + 0.0 * TURN}, index=TURN)
    return History("bare", "made", table, settings={FINISHED: True, **settings}, dialect="plain")


SWAY = np.sin(7.0 * TURN)


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (unlogged(-43_000 - 5_000 * SWAY), True),  # 100 a step, 10,000 over 100 steps
        (unlogged(-13_000 - 1_000 * SWAY), True),  # 30 a step
        (unlogged(-12_800 - 1_000 * SWAY), False),
        (unlogged(-43_000 - 5_000 * SWAY, **{"ppo.gamma": 0.95}), False),  # 20 steps ahead: 2,000
        (unlogged(-43_000 - 5_000 * SWAY, **{"ppo.gamma": 0.97}), True),
        (unlogged(-2_900 - 100 * SWAY, 10.0), False),  # no episode is longer than that
        (unlogged(-3_100 - 100 * SWAY, 10.0), True),
        (unlogged(-1_200 - 300 * SWAY, 200.0), False),  # Gymnasium's Pendulum
        (unlogged(-43_000 + 300 * TURN), False),  # it learns
        (unlogged(-43_000 - 5_000 * SWAY, **{"ppo.normalize_returns": "batch"}), False),
        (unlogged(-43_000 - 5_000 * SWAY, **{FINISHED: False}), False),
        (first(unlogged(-43_000 - 5_000 * SWAY), 7), False),
    ],
)
def test_returns_alone_leave_a_doubt_where_a_run_ended_with_nothing_learned(run: History, fires: bool) -> None:
    assert kind(RULE, run) is (Kind.SUSPECT if fires else None)
    assert fires or blind(RULE, run) == ((metrics.VALUE_LOSS, TOTAL_LOSS),)


def test_its_numbers_where_returns_alone_tell() -> None:
    finding = found(RULE, unlogged(np.where(TURN % 2 == 0, -38_000.0, -48_000.0)))
    text = "a step pays 100 on average, so that the critic is to predict some 10,000"
    assert (finding.headline, facts(finding)) == (f"Returns may be too large for the critic: {text}", [text])
    assert (finding.sureness, finding.missing) == (
        Sureness.POSSIBLE,
        (metrics.VALUE_LOSS, metrics.EXPLAINED_VARIANCE),
    )
    assert changes(finding) == [{"ppo.normalize_returns": "batch"}]
