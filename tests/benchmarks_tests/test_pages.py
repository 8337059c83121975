from unstuck.analysis.history.names import is_ours
from unstuck.rl import metrics

from benchmarks.pages import EVAL_EVERY, SEEDS, measure


def test_made_up_trials_have_the_names_that_learners_log():
    between, evaluated = measure(1, 0, 1e-3), measure(EVAL_EVERY, 0, 1e-3)
    assert all(map(is_ours, evaluated))
    assert between.keys() < evaluated.keys()
    assert {metrics.seed_metric(metrics.F1, seed) for seed in range(SEEDS)} <= evaluated.keys()
    assert len(evaluated) > 50
