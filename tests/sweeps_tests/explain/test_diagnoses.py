"""Diagnosed while they run, by the rules of `python -m unstuck.analysis diagnose`."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from unstuck.analysis import diagnosis
from unstuck.analysis.history import Stores, load
from unstuck.records.measurement import Record
from unstuck.records.names import DIAGNOSIS, FINDINGS
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import SweepHeader
from unstuck.rl import metrics
from unstuck.rl.config import PPOConfig
from unstuck.sweeps.config.settings import SamplerConfig, StudyConfig, SweepConfig, TrackingConfig
from unstuck.sweeps.explain.diagnoses import STEP, Diagnoses, summarise
from unstuck.sweeps.mirror import make_tracker, write_run
from unstuck.sweeps.search.kinds import Log
from unstuck.sweeps.search.sampler import create_ledger
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.stopping.live_trial import LiveTrial

CONFIG = SweepConfig(sweep=StudyConfig(name="mine", seeds=1), ppo=PPOConfig(num_iterations=40, eval_every=2))


def record(iteration: int, **changed: float) -> Record:
    """An iteration of a run that nothing moves: no KL, the entropy of a uniform policy, level returns."""
    measured = {
        metrics.VALUE_LOSS: 1.0,
        metrics.APPROX_KL: 0.0,
        metrics.ENTROPY: math.log(4),
        metrics.TRAIN_RETURN: -1700.0 + iteration % 3,
        metrics.F1: 0.0,
        metrics.EVAL_RETURN: -650.0,
        metrics.F1_FLAG_ALL: 0.2,
        metrics.F1_FLAG_NONE: 0.0,
        metrics.F1_RANDOM: 0.17,
    }
    return Record(iteration, 1_700_000_000_000 + iteration, {**measured, **changed})


DIAGNOSES = Diagnoses(pytest.fail)


def trial_of(records: list[Record], on_record: Mapping[str, str] | None = None) -> LiveTrial:
    trial = LiveTrial(7, CONFIG, notes_on_record=on_record or {})
    trial.add(records)
    return trial


def test_a_policy_that_does_not_move_is_found_and_named() -> None:
    found = DIAGNOSES.refresh_if_due(trial_of([record(i) for i in range(1, 25)]), ended=False)
    assert found is not None
    assert found.title == "policy not moving"
    assert found.notes[DIAGNOSIS].startswith("fault: The policy is not being updated: KL")
    assert found.notes[FINDINGS].split(", ")[0] == "policy_frozen"


def test_each_seed_of_a_running_trial_is_heard() -> None:
    """Two of three policies do not move; the mean over the three does."""

    def of_seeds(iteration: int) -> Record:
        one, moving = record(iteration), {metrics.APPROX_KL: 0.006, metrics.ENTROPY: 1.38 - 0.02 * iteration}
        seeds = {name: (value, value, moving.get(name, value)) for name, value in one.metrics.items()}
        return replace(one, metrics={name: sum(values) / 3 for name, values in seeds.items()}, seeds=seeds)

    found = DIAGNOSES.refresh_if_due(trial_of([of_seeds(i) for i in range(1, 25)]), ended=False)
    assert found is not None
    assert found.title == "policy not moving"
    assert found.notes[DIAGNOSIS].endswith(" (in 2 of 3 seeds: 0 and 1)")
    mean = trial_of([replace(of_seeds(i), seeds={}) for i in range(1, 25)])
    alone = DIAGNOSES.refresh_if_due(mean, ended=False)
    assert alone is not None
    assert alone.title != "policy not moving"


def test_a_run_without_a_fault_is_said_to_have_none() -> None:
    found = DIAGNOSES.refresh_if_due(trial_of([Record(1, 0, {metrics.EVAL_RETURN: 1.0})]), ended=True)
    assert found is not None
    assert (found.title, found.headline) == ("", "")
    assert found.notes == {DIAGNOSIS: "no fault found", FINDINGS: ""}


def test_a_trial_taken_up_again_has_its_title_though_nothing_is_new() -> None:
    records = [record(i) for i in range(1, 25)]
    found = DIAGNOSES.refresh_if_due(trial_of(records), ended=False)
    assert found is not None
    again = trial_of(records, found.notes)
    assert again.title == ""
    assert DIAGNOSES.refresh_if_due(again, ended=False) is None
    assert again.title == "policy not moving"


def test_it_looks_again_after_a_tenth_of_the_run_and_tells_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    diagnose = diagnosis.diagnose
    monkeypatch.setattr(
        diagnosis, "diagnose", lambda history: looked.append(history.last_iteration) or diagnose(history)
    )
    trial, told = trial_of([]), []
    for last in range(2, 23, 2):
        trial.add([record(last - 1), record(last)])
        if DIAGNOSES.refresh_if_due(trial, ended=False):
            told.append(last)
    assert looked == [4, 8, 12, 16, 20]  # 22 iterations in steps of STEP * 40
    assert STEP * CONFIG.ppo.num_iterations == 4
    assert len(told) < len(looked)
    last = DIAGNOSES.refresh_if_due(trial, ended=True)
    assert last is not None  # the last word on a trial is said again, with its last numbers
    assert looked[-1] == 22
    assert DIAGNOSES.refresh_if_due(trial_of(trial.records, last.notes), ended=True) is None  # on record already


def test_why_it_stands_still_comes_before_that_it_does() -> None:
    verdict = Verdict(Outcome.STUCK, "value loss 1 >= 0.9 x its start 1 and F1 0 <= 0.21 at iteration 8")
    why = DIAGNOSES.refresh(trial_of([record(i) for i in range(1, 25)])).explain(verdict)
    assert why.outcome is Outcome.STUCK
    assert why.reason.startswith("The policy is not being updated: KL")
    assert why.reason.endswith(f"; {verdict.reason}")
    nothing = DIAGNOSES.refresh(trial_of([Record(1, 0, {metrics.VALUE_LOSS: 1.0})])).explain(verdict)
    assert nothing.reason == f"no rule says why; {verdict.reason}"


def test_a_rule_that_fails_is_told_of_and_costs_the_diagnosis_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "diagnose", lambda _: {}["no such key"])
    warnings: list[str] = []
    found = Diagnoses(warnings.append).refresh_if_due(trial_of([record(1)]), ended=True)
    assert warnings == ["trial 7 could not be diagnosed: KeyError('no such key')"]
    assert found is not None
    assert found.notes[FINDINGS] == ""


@pytest.mark.slow
def test_live_and_from_the_tracker_the_rules_say_the_same(tmp_path: Path) -> None:
    records = [record(i, **{metrics.APPROX_KL: 1e-3 * (i % 2)}) for i in range(1, 21)]
    found = DIAGNOSES.refresh(trial_of(records))
    assert found.headline
    space = Space({"ppo.lr": Log(1e-5, 1e-2)})
    ledger = create_ledger(f"sqlite:///{tmp_path / 'optuna.db'}", CONFIG.sweep, SamplerConfig(name="random"), {})
    tracker = make_tracker(TrackingConfig(), tmp_path)
    tracker.start_sweep(SweepHeader("mine", "mine", 3, "eval/f1", "max"), "", {})
    ledger.enqueue(space.encode(space.control_values(CONFIG)))
    number, _ = ledger.ask(space.distributions())
    ledger.annotate(number, found.notes)
    write_run(tracker, CONFIG, space, ledger.entries()[0], records, None)
    read = load("mine/0", Stores(tmp_path))
    assert {name: read.tags[name] for name in found.notes} == found.notes  # a replay writes them too
    assert summarise(diagnosis.diagnose(read)) == found
