"""Sweeps as tables of trials: ranks, pruning, interactions; numbers worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.document.markdown import to_markdown
from unstuck.analysis.report.sweep import Findings, sweep_document
from unstuck.analysis.sweep.interactions import compute_interactions
from unstuck.analysis.sweep.pruning import measure_pruning
from unstuck.analysis.sweep.trials import Sweep, Trial, count_outcomes
from unstuck.records.rungs import RungEntry

from tests.analysis_tests.report.made import summarize


def trial(number: int, value: float | None, outcome: str = "completed", **changed: Any) -> Trial:
    """A trial of 90 iterations, judged at 30."""
    values = {"number": number, "outcome": outcome, "reason": "", "values": {"ppo.lr": 0.1 * (number + 1)}, "raw": {}}
    seeds = () if value is None else (value, value)
    values |= {"value": value, "curve": dict.fromkeys((30, 45, 60, 90), value or 0.0)}
    values |= {"summary": summarize(seeds, 90 if outcome == "completed" else 30, 1.0), "started": None, "state": ""}
    return Trial(**{**values, **changed})  # type: ignore[arg-type]


def sweep(*trials: Trial, **settings: Any) -> Sweep:
    known = {"sweep.metric": "eval/f1", "sweep.mode": "max", "ppo.num_iterations": 90, "ppo.lr": 0.1}
    return Sweep("s", {**known, **settings}, trials)


def test_the_best_trial_completed_and_trial_0_is_the_control() -> None:
    found = sweep(trial(0, 0.5), trial(1, 0.9, "pruned"), trial(2, 0.7))
    assert found.best is not None
    assert found.best.number == 2
    assert found.control is found.trials[0]
    assert [one.number for one in found.rank_trials()] == [1, 2, 0]
    assert count_outcomes(found.trials) == {"completed": 2, "pruned": 1}


def test_what_could_not_run_is_no_trial_in_any_count() -> None:
    """A sweep of two trials used to be one of three in its report, and of two on the screen."""
    found = sweep(trial(0, 0.5), trial(1, None, "infeasible"), trial(2, 0.7, "stuck"), **{"sweep.num_trials": 2})
    text = to_markdown(sweep_document(Findings(found, {})))
    assert "Trial 0 is the best of 2 trials: " in text
    assert "\n- 2 trials of " in text
    assert "Did not work: 1 stuck of 2 trials; 1 more could not run and do not count." in text
    assert "Outcomes of 2 trials; 1 more could not run and do not count" in text
    assert "sweep.num_trials=4" in text


def test_a_first_trial_that_differs_from_the_configuration_is_no_control() -> None:
    assert sweep(trial(0, 0.5), **{"ppo.lr": 0.3}).control is None
    assert sweep(trial(1, 0.5)).control is None


def test_the_control_is_whom_the_record_says() -> None:
    """A trial may equal it by chance, and among points it may be any."""
    found = sweep(trial(0, 0.5), trial(1, 0.6, values={"ppo.lr": 0.1}, is_control=True), format=2)
    assert found.control is found.trials[1]
    assert sweep(trial(0, 0.5), format=2).control is None


def test_less_can_be_better_and_what_is_not_finite_is_not_ranked() -> None:
    found = sweep(trial(0, 0.5), trial(1, 0.2), trial(2, math.nan), **{"sweep.mode": "min"})
    assert [one.number for one in found.rank_trials()] == [1, 0]


def rung(
    value: float, spared: bool = False, would_stop: bool | None = False, iteration: int = 30
) -> tuple[RungEntry, ...]:
    return (RungEntry(0, 1, iteration, value, 0.0, spared, would_stop),)


def test_what_pruning_saved_is_iterations_not_spent() -> None:
    found = measure_pruning(sweep(trial(0, 0.5, rungs=rung(0.3)), trial(1, 0.4, "pruned", rungs=rung(0.2))))
    assert found is not None
    assert (found.planned, found.done) == (180, 120)
    assert found.saved == pytest.approx(1 / 3)
    assert (found.rungs[0].iteration, found.rungs[0].reached, found.rungs[0].stopped) == (30, 2, 1)


def test_a_spared_trial_that_a_rung_would_have_stopped_shows_the_risk() -> None:
    trials = [
        trial(0, 0.5, rungs=rung(0.6)),
        trial(1, 0.6, rungs=rung(0.5)),
        trial(2, 0.9, rungs=rung(0.1, spared=True, would_stop=True)),
        trial(3, 0.7, rungs=rung(0.7, spared=True)),
    ]
    found = measure_pruning(sweep(*trials))
    assert found is not None
    assert [(one.number, place) for one, place in found.doomed] == [(2, 1)]
    assert [one.number for one in found.spared] == [2, 3]
    assert found.is_recorded
    old = measure_pruning(sweep(*trials[:3], trial(3, 0.7, rungs=rung(0.7, spared=True, would_stop=None))))
    assert old is not None
    assert not old.is_recorded


PERMUTED = [(1, 1), (2, 3), (3, 2), (4, 4), (5, 5)]
"""Of five trials: the objective at the rung and at the end; Spearman's is 1 - 6 (1 + 1) / (5 * 24) = 0.9."""


def permuted(iteration: int, spared: bool) -> list[Trial]:
    curve = (30, 45, 60, 90)
    return [
        trial(n, end, curve=dict.fromkeys(curve, end), rungs=rung(early, spared, False, iteration))
        for n, (early, end) in enumerate(PERMUTED)
    ]


def test_rungs_are_judged_by_the_rank_of_their_trials_at_the_end() -> None:
    found = measure_pruning(sweep(*permuted(30, spared=False)))
    assert found is not None
    assert found.rungs[0].correlation == pytest.approx(0.9)
    assert math.isnan(found.rungs[0].unselected)
    found = measure_pruning(sweep(*permuted(30, spared=True)))
    assert found is not None
    assert found.rungs[0].unselected == pytest.approx(0.9)


def test_of_four_trials_no_rank_is_told() -> None:
    found = measure_pruning(sweep(*permuted(30, spared=True)[:4]))
    assert found is not None
    assert math.isnan(found.rungs[0].unselected)


def test_a_rung_that_the_final_value_averages_foresees_it_by_construction_and_is_not_told() -> None:
    """In a sweep of format 1."""
    found = measure_pruning(sweep(*permuted(45, spared=True)))
    assert found is not None
    assert found.rungs[0].overlaps
    assert math.isnan(found.rungs[0].correlation)
    assert math.isnan(found.rungs[0].unselected)


def test_a_sweep_that_stopped_nothing_has_no_pruning() -> None:
    assert measure_pruning(sweep(trial(0, 0.5), trial(1, 0.6))) is None


def test_a_pair_that_works_together_explains_more_than_its_parts() -> None:
    draws = np.random.default_rng(0).uniform(-1, 1, (3, 60))
    settings = {name: row.tolist() for name, row in zip("abc", draws, strict=True)}
    found = compute_interactions(settings, (draws[0] * draws[1]).tolist())
    assert found[0][:2] == ("a", "b")
    assert found[0][2] > 0.5
    assert all(gain < 0.1 for _, _, gain in found[1:])


def test_settings_that_add_up_do_not_interact() -> None:
    draws = np.random.default_rng(0).uniform(-1, 1, (2, 60))
    ((_, _, gain),) = compute_interactions({"a": draws[0].tolist(), "b": draws[1].tolist()}, draws.sum(axis=0).tolist())
    assert gain < 0.05


def test_few_trials_say_nothing_of_interactions() -> None:
    assert compute_interactions({"a": [1, 2, 3], "b": [3, 1, 2]}, [1, 2, 3]) == []
