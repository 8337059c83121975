"""What the report says of spared trials is what the judge decided, in drawn sequences."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from unstuck.analysis.sweep.pruning import measure_pruning
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.records.outcome import Outcome
from unstuck.records.rungs import RungEntry
from unstuck.rl.config import PPOConfig
from unstuck.sweeps.config.settings import SchedulerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.stopping.asha import Asha

from tests.analysis_tests.report.made import summarize

RUNGS, LENGTH = (2, 4, 8), 20


def scheduler(mode: str, spared_share: float, entries: list[RungEntry]) -> Asha:
    """A judge in a process of its own, which knows what is on record."""
    ppo = PPOConfig(num_iterations=LENGTH, eval_every=1)
    config = SchedulerConfig(grace_iterations=2, reduction_factor=2, spared_share=spared_share)
    asha = Asha(SweepConfig(sweep=StudyConfig(mode=mode), ppo=ppo, scheduler=config))
    asha.restore(RungEntry(**json.loads(json.dumps(asdict(entry)))) for entry in entries)
    assert asha.rungs[:3] == RUNGS
    return asha


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("seed", range(20))
def test_the_report_names_the_spared_trials_that_the_judge_would_have_stopped(mode: str, seed: int) -> None:
    draw = np.random.default_rng(np.random.SeedSequence(seed))
    values = [0.0, 0.0, 0.5, 1.0, math.nan, math.inf, -math.inf]  # ties are the rule, as while F1 is 0 everywhere
    on_record: list[RungEntry] = []
    asha = scheduler(mode, 0.4, [])
    doomed, alive, trials = set[int](), set(range(12)), dict[int, list[RungEntry]]()
    for step in RUNGS:
        for number in draw.permutation(sorted(alive)).tolist():
            if draw.random() < 0.3:  # the process died; another one goes on
                asha = scheduler(mode, 0.4, on_record)
            value, tie_breaker = float(draw.choice(values)), float(draw.choice([1.0, 2.0, math.nan]))
            unspared = scheduler(mode, 0.0, on_record).judge_rungs(number, step, value, tie_breaker)[1]
            entries, verdict = asha.judge_rungs(number, step, value, tie_breaker)
            on_record += entries
            trials.setdefault(number, []).extend(entries)
            assert (verdict is not None) == (unspared is not None and not entries[0].spared)
            if verdict:
                alive.discard(number)
            elif unspared:
                doomed.add(number)
    assert any(entry.spared for entry in on_record)
    ended = tuple(made(number, entries, number in alive) for number, entries in sorted(trials.items()))
    pruning = measure_pruning(Sweep("drawn", {"ppo.num_iterations": LENGTH, "sweep.mode": mode}, ended))
    assert pruning is not None
    assert {trial.number for trial, _ in pruning.doomed} == doomed
    assert pruning.is_recorded


def made(number: int, entries: list[RungEntry], completed: bool) -> Trial:
    curve = {entry.iteration: entry.value for entry in entries if math.isfinite(entry.value)}
    return Trial(
        number=number,
        outcome=Outcome.COMPLETED if completed else Outcome.PRUNED,
        reason="",
        values={},
        value=0.1 * number,
        curve=curve,
        summary=summarize((), LENGTH if completed else entries[-1].iteration, 1.0),
        started=None,
        state="",
        rungs=tuple(entries),
    )
