import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neural_network import MLPClassifier
from unstuck.rl.config import DataConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.data.synthetic import generate
from unstuck.rl.errors import ConfigError, DataError


def _threat(**settings: object) -> np.ndarray:
    rng = np.random.default_rng(np.random.SeedSequence(0))
    return generate(DataConfig(**settings), rng).threat


def _run_lengths(threat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the runs of threats, and of benign flows."""
    edges = np.flatnonzero(np.diff(threat.astype(int))) + 1
    lengths = np.diff(np.concatenate([[0], edges, [len(threat)]]))
    kinds = threat[np.concatenate([[0], edges])]
    return lengths[kinds], lengths[~kinds]


def _mlp_f1(flows: FlowData) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPClassifier((64, 64), batch_size=500, learning_rate_init=5e-3, max_iter=15, random_state=0)
        model.fit(flows.train.features, flows.train.threat)
    return float(f1_score(flows.test.threat, model.predict(flows.test.features)))


def test_defaults():
    flows = load_flows(DataConfig())
    assert flows.num_features == len(flows.feature_names) == 20
    sizes = [(len(p), int(p.threat.sum())) for p in (flows.train, flows.validation, flows.test)]
    assert sizes == [(16_800, 1832), (1600, 174), (1600, 174)]
    for part in (flows.train, flows.validation, flows.test):
        assert part.features.dtype == np.float32
        assert np.isfinite(part.features).all()
        assert np.abs(part.features).max() <= 10
    np.testing.assert_allclose(flows.train.features.mean(axis=0), 0, atol=0.02)
    assert sum(name.startswith("noise_") for name in flows.feature_names) == 4


def test_the_seed_decides():
    first, again, other = (load_flows(DataConfig(num_flows=1000, seed=seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.train.features, again.train.features)
    np.testing.assert_array_equal(first.test.threat, again.test.threat)
    assert not np.array_equal(first.train.features, other.train.features)


@pytest.mark.parametrize(("length", "share"), [(1.0, 0.109), (20.0, 0.109), (50.0, 0.4), (5.0, 0.7)])
def test_bursts(length: float, share: float):
    threat = _threat(num_flows=50_000, burst_length=length, threat_share=share)
    bursts, gaps = _run_lengths(threat)
    assert threat.sum() == round(50_000 * share)
    assert bursts.mean() == pytest.approx(length, rel=0.05)
    assert gaps.mean() == pytest.approx(length * (1 - share) / share, rel=0.05)
    if length > 1:
        assert bursts.std() == pytest.approx(np.sqrt(length * (length - 1)), rel=0.25)  # geometric


def test_flows_of_a_burst_are_of_one_kind():
    flows = load_flows(DataConfig(order="stream", difficulty=0.0))
    threat, x = flows.train.threat, flows.train.features
    neighbours = threat[1:] & threat[:-1]
    near = np.linalg.norm(x[1:][neighbours] - x[:-1][neighbours], axis=1).mean()
    threats = x[threat]
    far = np.linalg.norm(threats[: len(threats) // 2] - threats[-(len(threats) // 2) :], axis=1).mean()
    assert near < 0.7 * far


def test_a_stream_holds_about_the_share_in_each_part():
    for seed in range(3):
        flows = load_flows(DataConfig(order="stream", seed=seed))
        for part in (flows.train, flows.validation, flows.test):
            assert part.threat.mean() == pytest.approx(0.109, abs=0.01)


def test_num_features_is_the_width():
    for width in (4, 5, 7, 50):
        assert load_flows(DataConfig(num_flows=1000, num_features=width)).num_features == width


def test_settings_that_contradict_each_other():
    with pytest.raises(
        ConfigError, match=r"benign flows between bursts, got 0\.9 and 1\.0: .* try data\.burst_length=20"
    ):
        load_flows(DataConfig(threat_share=0.9, burst_length=1.0))
    with pytest.raises(ConfigError, match="must leave threats"):
        load_flows(DataConfig(threat_share=0.0001, num_flows=500))
    with pytest.raises(DataError, match=r"each part must hold 10 flows, 1 threat .* data\.order=shuffled"):
        load_flows(DataConfig(order="stream", num_flows=5000, burst_length=500.0))


@pytest.mark.slow
def test_an_mlp_finds_the_default_neither_trivial_nor_hopeless_and_beats_a_straight_cut():
    flows = load_flows(DataConfig())
    mlp = _mlp_f1(flows)
    line = LogisticRegression(max_iter=300).fit(flows.train.features, flows.train.threat)
    assert 0.90 <= mlp <= 0.97
    assert f1_score(flows.test.threat, line.predict(flows.test.features)) < mlp - 0.1


@pytest.mark.slow
def test_difficulty_makes_it_harder():
    easy, middle, hard = (_mlp_f1(load_flows(DataConfig(num_flows=8000, difficulty=d))) for d in (0.0, 0.5, 1.0))
    assert easy > 0.98
    assert easy - 0.02 > middle > hard + 0.1


def test_loading_needs_neither_torch_nor_sklearn_nor_pandas():
    code = (
        "import sys; from unstuck.rl.config import DataConfig; from unstuck.rl.data import load_flows; "
        "load_flows(DataConfig(num_flows=500)); "
        "assert not {'torch', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
