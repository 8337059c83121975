"""Snapshots made by hand: what agrees is silent, and each planted difference is named, alone."""

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from unstuck.records.entry import Entry
from unstuck.records.measurement import Record
from unstuck.records.mlflow.runs import Point, TrackedRun
from unstuck.records.outcome import Outcome
from unstuck.records.unstick import MilestoneRecord
from unstuck.rl import metrics
from unstuck.sweeps.audit.compare import Kind, compare_records
from unstuck.sweeps.audit.snapshot import SavedTrial, Snapshot

F1, LOSS = metrics.F1, metrics.VALUE_LOSS
CURVE = {2: 0.25, 4: 0.5}
STATES = {Outcome.COMPLETED: "COMPLETE", Outcome.CRASHED: "FAIL"}
STATUSES = dict.fromkeys((Outcome.DIVERGED, Outcome.CRASHED, Outcome.INFEASIBLE), "FAILED")


def entry(number: int = 0, outcome: Outcome = Outcome.COMPLETED, **changed: Any) -> Entry:
    """A trial of four iterations in the ledger, evaluated at every second."""
    usual: dict[str, Any] = {
        "number": number,
        "outcome": outcome,
        "reason": "reached iteration 4",
        "values": {"ppo.lr": 3e-4, "ppo.hidden_sizes": (8, 8)},
        "value": 0.5,
        "curve": CURVE,
        "summary": {metrics.FINAL_ITERATIONS: 4.0, metrics.FINAL_VALUE: 0.5},
        "started": datetime(2026, 1, 1),
        "state": STATES.get(outcome, "PRUNED"),
    }
    return Entry(**{**usual, **changed})


def points(values: Mapping[int, float]) -> list[Point]:
    return [Point(step, value, 1000 + step) for step, value in values.items()]


def run(number: int = 0, outcome: Outcome = Outcome.COMPLETED, **changed: Any) -> TrackedRun:
    """The same trial in MLflow."""
    tags = {"outcome": str(outcome), "reason": "reached iteration 4", "sweep_format": "3"}
    usual: dict[str, Any] = {
        "id": f"run{number}",
        "trial": number,
        "parent": "own",
        "status": STATUSES.get(outcome, "FINISHED"),
        "tags": tags,
        "params": {"ppo.lr": "0.0003", "ppo.hidden_sizes": "(8, 8)", "ppo.gamma": "0.99"},
        "curves": {
            F1: points(CURVE),
            LOSS: points({step: 1 / step for step in range(1, 5)}),
            metrics.FINAL_ITERATIONS: [Point(4, 4.0, 1004)],
            metrics.FINAL_VALUE: [Point(4, 0.5, 1004)],
        },
    }
    return TrackedRun(**{**usual, **changed})


def saved(last: int = 4) -> SavedTrial:
    """Its checkpoint at some iteration."""
    measured = [
        {LOSS: 1 / step} | ({F1: CURVE.get(step, 0.75)} if step % 2 == 0 else {}) for step in range(1, last + 1)
    ]
    return SavedTrial([Record(step, 1000 + step, values) for step, values in enumerate(measured, start=1)])


OWN = TrackedRun("own", None, None, "FINISHED", {}, {}, {})


def snapshot(*trials: tuple[Entry | None, TrackedRun | None, SavedTrial | None]) -> Snapshot:
    """What each of the three records has of each trial; None: nothing."""
    return Snapshot(
        F1,
        [ledger for ledger, _, _ in trials if ledger],
        [OWN, *(tracked for _, tracked, _ in trials if tracked)],
        {number: kept for number, (_, _, kept) in enumerate(trials) if kept},
    )


def told(state: Snapshot) -> list[str]:
    return [str(finding) for finding in compare_records(state)]


def opened(**changed: Any) -> Entry:
    """A trial that was interrupted after its evaluation at 4, as a killed driver leaves it."""
    return entry(**{"outcome": None, "reason": "", "summary": {}, "value": 0.5, "state": "RUNNING", **changed})


def test_whole_trials_agree() -> None:
    whole = [(entry(number), run(number), saved()) for number in range(3)]
    assert told(snapshot(*whole)) == []


@pytest.mark.parametrize("outcome", [Outcome.PRUNED, Outcome.STUCK, Outcome.DIVERGED, Outcome.CRASHED])
def test_every_outcome_agrees_with_its_own_status(outcome: Outcome) -> None:
    assert told(snapshot((entry(0, outcome), run(0, outcome), saved()))) == []


def test_milestones_and_start_of_an_arm_are_compared() -> None:
    decided = MilestoneRecord(
        number=1, metric=F1, bound="above", limit=0.3, first=1, last=4, iteration=4, value=0.5, passed=True
    )
    arm = entry(milestones=(decided,), notes={"branched_from": "trial 3", "diagnosis": "anything"})
    tags = {**run().tags, "milestone_1": "passed: F1 0.5 > 0.3 at iteration 4", "branched_from": "trial 3"}
    assert told(snapshot((arm, run(tags=tags), saved()))) == []
    lacking = snapshot((arm, run(tags={**run().tags, "branched_from": "trial 2"}), saved()))
    assert told(lacking) == [
        "trial 0: disagreement: MLflow's milestone_1 is None, the ledger's 'passed: F1 0.5 > 0.3 at iteration 4'; "
        "--repair writes it again",
        "trial 0: disagreement: MLflow's branched_from is 'trial 2', the ledger's 'trial 3'; --repair writes it again",
    ]


def test_an_infeasible_trial_has_no_curve_and_no_folder() -> None:
    refused = entry(0, Outcome.INFEASIBLE, curve={}, summary={}, value=None)
    assert told(snapshot((refused, run(0, Outcome.INFEASIBLE, curves={}), None))) == []


def test_numbers_that_are_not_finite_agree_as_mlflow_keeps_them() -> None:
    ledger = entry(outcome=Outcome.DIVERGED, curve={2: math.inf, 4: math.nan}, summary={metrics.FINAL_ITERATIONS: 4.0})
    curves = {**run().curves, F1: points({2: sys.float_info.max, 4: math.nan})}
    assert told(snapshot((ledger, run(outcome=Outcome.DIVERGED, curves=curves), None))) == []


def without(values: Mapping[int, float], *steps: int) -> dict[int, float]:
    return {step: value for step, value in values.items() if step not in steps}


def curves(**changed: Any) -> dict[str, Any]:
    """MLflow's curves with some of them changed: `f1` and `loss`, points or a mapping by step."""
    names = {"f1": F1, "loss": LOSS}
    given = {names[key]: points(value) if isinstance(value, dict) else value for key, value in changed.items()}
    return {**run().curves, **given}


LOSSES = {step: 1 / step for step in range(1, 5)}
KILLED = {"outcome": "interrupted", "reason": "stopped by the user"}

OPEN_AND_FINE = {
    "still running in mlflow, killed driver": (opened(), run(status="RUNNING", tags={}), saved()),
    "closed as interrupted": (
        opened(outcome=Outcome.INTERRUPTED, summary={metrics.FINAL_ITERATIONS: 2.0}),
        run(status="KILLED", tags=KILLED),
        saved(),
    ),
    "nothing but asked for": (opened(curve={}, value=None), None, None),
    "mlflow an evaluation behind": (
        opened(),
        run(status="RUNNING", tags={}, curves=curves(f1={2: 0.25}, loss=without(LOSSES, 3, 4))),
        saved(),
    ),
    "mlflow cut off between two batches": (
        opened(),
        run(status="RUNNING", tags={}, curves=curves(f1={2: 0.25}, loss=LOSSES)),
        saved(),
    ),
    "checkpoint an evaluation ahead": (opened(), run(status="RUNNING", tags={}), saved(6)),
    "end half recorded": (opened(outcome=Outcome.COMPLETED), run(status="RUNNING", tags={}), saved()),
}


@pytest.mark.parametrize("trial", OPEN_AND_FINE.values(), ids=OPEN_AND_FINE.keys())
def test_an_open_trial_may_be_behind_but_nothing_else(trial: Any) -> None:
    assert told(snapshot(trial)) == []


def test_a_crashed_trial_may_have_saved_what_it_never_reported() -> None:
    assert told(snapshot((entry(0, Outcome.CRASHED), run(0, Outcome.CRASHED), saved(6)))) == []


TWICE = [*points(LOSSES), Point(3, 1 / 3, 9000)]
PLANTED = {
    "no run": (
        (entry(), None, saved()),
        "lost: MLflow has no run of it, the ledger says completed; --repair writes it again",
    ),
    "no trial": (
        (None, run(), None),
        "lost: MLflow has run run0 of it, the ledger has no such trial; restore the ledger from a copy, or drop the "
        "run: mlflow runs delete --run-id run0",
    ),
    "folder without a trial": (
        (None, None, saved()),
        "lost: there is a folder trials/0000, the ledger has no such trial; restore the ledger from a copy, or delete "
        "the folder",
    ),
    "unreadable checkpoint of an open trial": (
        (opened(), run(status="RUNNING", tags={}), SavedTrial(error="cut short")),
        "lost: its checkpoint cannot be read: cut short; a resume trains it from its start",
    ),
    "checkpoint of an open trial gone": (
        (opened(), run(status="RUNNING", tags={}), None),
        "lost: its checkpoint is gone, the ledger is at 4; a resume trains it from its start",
    ),
    "status": (
        (entry(), run(status="RUNNING"), saved()),
        "disagreement: MLflow says RUNNING, outcome completed; by the ledger it is FINISHED, outcome completed; "
        "--repair writes it again",
    ),
    "pruned, with the status of an older sweep": (
        (entry(0, Outcome.PRUNED), run(0, Outcome.PRUNED, status="KILLED"), saved()),
        "disagreement: MLflow says KILLED, outcome pruned; by the ledger it is FINISHED, outcome pruned; "
        "--repair writes it again",
    ),
    "pruned taken for completed": (
        (entry(0, Outcome.PRUNED), run(0, Outcome.COMPLETED), saved()),
        "disagreement: MLflow says FINISHED, outcome completed; by the ledger it is FINISHED, outcome pruned; "
        "--repair writes it again",
    ),
    "no outcome in mlflow": (
        (entry(), run(tags={"reason": "reached iteration 4", "sweep_format": "3"}), saved()),
        "disagreement: MLflow says FINISHED, outcome none; by the ledger it is FINISHED, outcome completed; "
        "--repair writes it again",
    ),
    "finished in mlflow, open in the ledger": (
        (opened(), run(), saved()),
        "disagreement: MLflow says FINISHED, outcome completed; in the ledger it is open; --repair writes it again",
    ),
    "reason": (
        (entry(reason="asha rung 2: 0.31 < 0.44"), run(), saved()),
        "disagreement: MLflow's reason is 'reached iteration 4', the ledger's 'asha rung 2: 0.31 < 0.44'; "
        "--repair writes it again",
    ),
    "state of another outcome": (
        (entry(0, Outcome.PRUNED, state="COMPLETE"), run(0, Outcome.PRUNED), saved()),
        "disagreement: in the ledger it is pruned, which is PRUNED, but ended as COMPLETE; the ledger is the truth and "
        "cannot be derived: restore it from a copy",
    ),
    "ended without an outcome": (
        (entry(outcome=None, state="FAIL"), run(), saved()),
        "disagreement: in the ledger it ended as FAIL, with outcome none; the ledger is the truth and cannot be "
        "derived: restore it from a copy",
    ),
    "parameter": (
        (entry(values={"ppo.lr": 1e-3}), run(), saved()),
        "disagreement: MLflow's ppo.lr is 0.0003, the ledger's 0.001; --repair writes it again",
    ),
    "parameter missing": (
        (entry(), run(params={"ppo.lr": "0.0003"}), saved()),
        "disagreement: MLflow's ppo.hidden_sizes is None, the ledger's (8, 8); --repair writes it again",
    ),
    "summary": (
        (entry(summary={metrics.FINAL_ITERATIONS: 4.0, metrics.FINAL_VALUE: 0.4}), run(), saved()),
        "disagreement: MLflow's final/value is 0.5, the ledger's 0.4; --repair writes it again",
    ),
    "step twice": (
        (entry(), run(curves=curves(loss=TWICE)), saved()),
        "curve: MLflow's train/value_loss has iteration 3 more than once; --repair writes it again",
    ),
    "value of another trial": (
        (entry(curve={2: 0.26, 4: 0.5}), run(curves=curves(f1={2: 0.26, 4: 0.6})), None),
        "disagreement: eval/f1 is 0.6 at iteration 4 in MLflow, 0.5 in the ledger; --repair writes it again",
    ),
    "below another sweep's run": (
        (entry(), run(parent="another"), saved()),
        "disagreement: MLflow's run run0 lies below another instead of the sweep's own run; --repair writes it again",
    ),
    "checkpoint behind an ended trial": (
        (entry(), run(), SavedTrial(saved(4).records[:2])),
        "disagreement: its checkpoint stands at iteration 2, by the ledger it ended at 4; delete trials/0000: ledger "
        "and MLflow have all but its weights",
    ),
    "history with a gap": (
        (opened(), run(status="RUNNING", tags={}), SavedTrial([*saved().records[:2], saved().records[3]])),
        "curve: its checkpoint has a history of iterations 1, 2, 4; a resume trains it from its start",
    ),
}


@pytest.mark.parametrize(("trial", "said"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_difference_is_named_first(trial: Any, said: str) -> None:
    assert told(snapshot(trial))[0] == f"trial 0: {said}"


GAPS: dict[str, tuple[Any, Any, list[str]]] = {
    "gap in the loss": (entry(), run(curves=curves(loss=without(LOSSES, 3))), ["train/value_loss lacks iteration 3"]),
    "end missing": (
        entry(),
        run(curves=curves(f1={2: 0.25}, loss=without(LOSSES, 3, 4))),
        ["MLflow's train/value_loss lacks iterations 3, 4 of 4", "eval/f1 lacks iteration 4 in MLflow, not in the"],
    ),
    "points after the end": (
        entry(summary={metrics.FINAL_ITERATIONS: 4.0}),
        run(curves=curves(loss=LOSSES | {5: 0.2, 6: 0.1})),
        ["has iterations 5, 6, but the trial ended at 4"],
    ),
    "ahead of the ledger": (
        opened(curve={2: 0.25}),
        run(status="RUNNING", tags={}),
        ["eval/f1 has iteration 4 in MLflow, not in the ledger"],
    ),
    "hole in an open trial": (
        opened(),
        run(status="RUNNING", tags={}, curves=curves(f1={4: 0.5})),
        ["eval/f1 lacks iteration 2 in MLflow, not in the ledger"],
    ),
}


@pytest.mark.parametrize(("ledger", "tracked", "said"), GAPS.values(), ids=GAPS.keys())
def test_a_curve_that_is_not_whole_is_named(ledger: Entry, tracked: TrackedRun, said: list[str]) -> None:
    found = compare_records(dataclasses.replace(snapshot((ledger, tracked, None)), saved=None))
    assert {finding.kind for finding in found} == {Kind.CURVE}
    for text in said:
        assert any(text in finding.what for finding in found)


def test_any_metric_is_compared_with_the_history() -> None:
    history = [dataclasses.replace(kept, metrics={**kept.metrics, "train/entropy": 1.0}) for kept in saved().records]
    whole = run(curves={**run().curves, "train/entropy": points({1: 1.0, 2: 1.0, 4: 1.0})})
    assert told(snapshot((entry(), whole, SavedTrial(history)))) == [
        "trial 0: curve: train/entropy lacks iteration 3 in MLflow, not in its checkpoint; --repair writes it again"
    ]


def test_what_a_process_reads_back_when_it_goes_on_is_no_part_of_the_curve() -> None:
    """One went on after iteration 2; then the checkpoint was damaged, and the next started anew."""
    tags = {**run().tags, "sweep_format": "2"}
    tracked = run(tags=tags, curves={**run().curves, "effective/lr": points({1: 3e-4, 3: 3e-4})})
    assert told(snapshot((entry(), tracked, saved_with_lr(3e-4)))) == []


def saved_with_lr(*rates: float) -> SavedTrial:
    """A checkpoint of as many processes, each of which read back its learning rate when it went on."""
    records = list(saved().records)
    for place, rate in enumerate(rates):
        metrics_then = {**records[place].metrics, "effective/lr": rate}
        records[place] = dataclasses.replace(records[place], metrics=metrics_then)
    return SavedTrial(records)


def test_the_settings_in_force_are_those_of_the_last_process() -> None:
    tags = {**run().tags, "in_force.lr": "0.0003"}
    assert told(snapshot((entry(), run(tags=tags), saved_with_lr(3e-2, 3e-4)))) == []
    assert told(snapshot((entry(), run(tags=tags), saved_with_lr(3e-4, 3e-2)))) == [
        "trial 0: disagreement: MLflow's in_force.lr is 0.0003, its checkpoint's 0.03; --repair writes it again"
    ]
    assert told(snapshot((opened(), run(status="RUNNING", tags={}), saved_with_lr(3e-4)))) == []


def test_a_sweep_begun_before_has_the_statuses_of_its_time() -> None:
    pruned = run(0, Outcome.PRUNED, status="KILLED", tags={**run(0, Outcome.PRUNED).tags, "sweep_format": "2"})
    assert told(snapshot((entry(0, Outcome.PRUNED), pruned, saved()))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda runs: runs[1:], "sweep: lost: MLflow has no run of the sweep itself; --repair writes it again"),
        (
            lambda runs: [*runs, dataclasses.replace(OWN, id="second")],
            "sweep: duplicate: MLflow has 2 runs of the sweep itself: own, second; --repair writes it again",
        ),
        (
            lambda runs: [*runs, dataclasses.replace(runs[1], id="again")],
            "trial 0: duplicate: MLflow has 2 runs of it: run0, again; --repair leaves one, whole",
        ),
    ],
    ids=["none", "two", "trial twice"],
)
def test_runs_that_are_missing_or_there_twice(change: Callable[[Any], Any], said: str) -> None:
    whole = snapshot((entry(), run(), saved()))
    assert said in told(dataclasses.replace(whole, runs=change(whole.runs)))


def test_a_number_that_is_there_twice_in_the_ledger() -> None:
    whole = snapshot((entry(), run(), saved()))
    (said,) = told(dataclasses.replace(whole, entries=[*whole.entries, *whole.entries]))
    assert said.startswith("trial 0: duplicate: the ledger has it 2 times; the ledger is the truth")


def test_without_mlflow_and_without_folders_only_the_ledger_counts() -> None:
    bare = Snapshot(F1, [entry(), opened(number=1)], None, None)
    assert told(bare) == []
