"""Trials of several seeds beside each seed: the counts by hand, and what a mean alone leaves out."""

import numpy as np
from unstuck.rl import metrics

from benchmarks.diagnosis.faults import FAULTS
from benchmarks.diagnosis.harm import Harm
from benchmarks.diagnosis.scoring import Verdict, verdict
from benchmarks.diagnosis.together import find_place, make_trial
from benchmarks.diagnosis.training import HEALTHY, Arm, Run
from benchmarks.seeds_together import ALONE, MEAN, TOGETHER, Trial, drop_seeds, together_table
from tests.analysis_tests.runs import healthy

LEFT_OUT = Arm("policy left out", "shuffled", "strong", FAULTS["policy left out"].strong)
SOUND = Arm("base", "shuffled", HEALTHY, FAULTS["policy left out"].strong)


def judged(*faults: str, alarms: tuple[str, ...] = (), score: float = 0.9) -> Verdict:
    return Verdict(score, 100, 100, None, (*faults, *alarms), faults, faults)


def test_counts_by_hand() -> None:
    right, wrong, quiet = judged("policy_frozen"), judged("greedy_collapsed"), judged()
    faulty = Trial(LEFT_OUT, {ALONE: (right, wrong, quiet), MEAN: (wrong,), TOGETHER: (right,)})
    sound = Trial(SOUND, {ALONE: (quiet, judged(alarms=("x",)), judged("x")), MEAN: (quiet,), TOGETHER: (quiet,)})
    rows = together_table([faulty, sound], {LEFT_OUT: Harm(0.9, 0.1, -0.9, -0.7)}, find_place).splitlines()[2:]
    assert rows == [
        "| one seed | 3 | 0.67 (0.09 to 0.99) | 0.33 (0.01 to 0.91) | 0.33 (0.01 to 0.91) | 3 | 2 | 1 |",
        "| the mean over 3 seeds | 1 | 1.00 (0.03 to 1.00) | 0.00 (0.00 to 0.97) | 0.00 (0.00 to 0.97) | 1 | 0 | 0 |",
        "| 3 seeds together | 1 | 1.00 (0.03 to 1.00) | 1.00 (0.03 to 1.00) | 1.00 (0.03 to 1.00) | 1 | 0 | 0 |",
    ]


def test_a_trial_is_made_of_its_seeds_and_its_mean_is_what_mlflow_holds() -> None:
    runs = [Run(SOUND, seed, healthy(seeds=0, entropy=np.full(100, 1.0 + seed)), 0.1 * seed) for seed in range(3)]
    trial = make_trial(runs)
    assert trial.score == sum(run.score for run in runs) / 3
    assert set(trial.history.curve(metrics.ENTROPY)) == {2.0}
    assert set(trial.history.split_seeds()) == {0, 1, 2}
    mean = drop_seeds(trial.history)
    assert set(mean.curve(metrics.ENTROPY)) == {2.0}
    assert (mean.split_seeds(), list(mean.seeds(metrics.F1))) == ({}, [0, 1, 2])
    assert mean.seeds(metrics.ENTROPY) == {}


def test_a_trial_is_diagnosed_as_it_goes() -> None:
    still = np.where(np.arange(100) < 29, 2e-3, 0.0)
    runs = [Run(LEFT_OUT, seed, healthy(approx_kl=still, entropy=1.2, seeds=0), 0.0) for seed in range(3)]
    assert verdict(make_trial(runs), whole=False).faults[0] == "policy_frozen"
