"""A data set's fingerprint follows the flows, wherever they come from."""

from dataclasses import replace

import pytest
from unstuck.rl.config import DataConfig
from unstuck.rl.data import FlowData, compute_fingerprint, load_flows

CONFIG = DataConfig(num_flows=500, num_features=4, eval_flows=20)


@pytest.fixture(scope="module")
def flows() -> FlowData:
    return load_flows(CONFIG)


def test_the_same_flows_have_the_same(flows: FlowData) -> None:
    assert compute_fingerprint(flows) == compute_fingerprint(load_flows(CONFIG))
    assert len(compute_fingerprint(flows)) == 64
    assert set(compute_fingerprint(flows)) <= set("0123456789abcdef")


def test_one_value_one_label_one_name_or_another_split_is_another(flows: FlowData) -> None:
    features, threat = flows.test.features.copy(), flows.train.threat.copy()
    features[-1, -1] += 1e-6
    threat[0] ^= True
    others = [
        replace(flows, test=replace(flows.test, features=features)),
        replace(flows, train=replace(flows.train, threat=threat)),
        replace(flows, validation=flows.test, test=flows.validation),
        replace(flows, feature_names=(*flows.feature_names[:-1], "other")),
        load_flows(replace(CONFIG, seed=1)),
    ]
    assert len({compute_fingerprint(flows), *map(compute_fingerprint, others)}) == 6
