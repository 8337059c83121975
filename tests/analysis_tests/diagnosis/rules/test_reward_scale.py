"""Returns too large for the critic: errors in the hundreds from the start, and nothing explained."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import reward_scale
from unstuck.analysis.history import History
from unstuck.analysis.history.record import TOTAL_LOSS
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
