"""From a file to a policy, on the real data sets."""

from dataclasses import replace

import pytest
from unstuck.rl import metrics
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

QUICK = PPOConfig(num_iterations=12, eval_every=12, lr=3e-3, gamma=0.0, normalize_returns="batch", shared_trunk=True)


def _f1(data_config, **settings):
    data = load_flows(data_config)
    learner = make_learner(QUICK, EnvConfig(**settings), make_member_seeds(0, 2), make_evaluation_seed(0), data)
    measured = [learner.iterate() for _ in range(QUICK.num_iterations)][-1]
    trivial = max(measured[name].max() for name in metrics.TRIVIAL)
    return measured[metrics.F1].min(), trivial


@pytest.mark.parametrize("order", ["shuffled", "stream"])
def test_learns_from_nsl_kdd(real_data, order):
    path = str(real_data / "nsl-kdd" / "KDDTrain+_20Percent.txt")
    f1, trivial = _f1(DataConfig(source="nsl_kdd", path=path, order=order))
    assert f1 > 0.8
    assert trivial < 0.25


def test_learns_from_a_csv(real_data):
    path = str(real_data / "website-phishing" / "phishing.csv")
    f1, trivial = _f1(
        DataConfig(source="csv", path=path, label="is_phishing", benign=("0",), threat_share=None),
        flows_per_episode=200,
    )
    assert f1 > 0.8
    assert f1 > trivial + 0.1


def test_is_judged_by_the_validation_part():
    data = load_flows(DataConfig(num_flows=1000))
    last = []
    for part in (data.validation, data.test):
        given = replace(data, validation=part)
        one = replace(QUICK, num_iterations=1, eval_every=1)
        learner = make_learner(one, EnvConfig(), make_member_seeds(0, 1), make_evaluation_seed(0), given)
        last.append(learner.iterate())
    validation, test = last
    assert validation[metrics.TRUE_POSITIVES] + validation[metrics.FALSE_NEGATIVES] == data.validation.threat.sum()
    assert test[metrics.TRUE_POSITIVES] + test[metrics.FALSE_NEGATIVES] == data.test.threat.sum()
