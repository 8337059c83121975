"""What a part of the flows says of a fixed rule is what the whole traffic says of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unstuck.rl.config import DataConfig
from unstuck.rl.data import FlowData, Flows, load_flows


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed))


def _f1(threat: np.ndarray, flagged: np.ndarray) -> float:
    return float(2 * (threat & flagged).sum() / (threat.sum() + flagged.sum()))


def _parts(data: FlowData) -> list[Flows]:
    return [data.train, data.validation, data.test]


def _share_no_vector(data: FlowData) -> bool:
    held = [{row.tobytes() for row in part.features} for part in _parts(data)]
    return len(set.union(*held)) == sum(map(len, held))


@pytest.fixture
def traffic(tmp_path: Path) -> tuple[DataConfig, float]:
    """4,000 flows, 70 % of them of 80 vectors, and the F1 over all of a rule that errs on rare vectors only."""
    rng = _rng(1)
    times = np.concatenate([rng.integers(55, 65, size=40), rng.integers(8, 16, size=40), np.ones(1200, dtype=np.int64)])
    threat = np.arange(len(times)) % 4 == 0
    flagged = threat ^ (rng.random(len(times)) < np.select([times > 50, times > 5], [0.0, 0.2], 0.5))
    rows = rng.permutation(np.repeat(np.arange(len(times)), times))
    lines = [f"{k},{int(flagged[k])},{'attack' if threat[k] else 'normal'}" for k in rows]
    file = tmp_path / "flows.csv"
    file.write_text("\n".join(["x,flagged,label", *lines]) + "\n")
    config = DataConfig(
        source="csv", path=str(file), label="label", benign=("normal",), threat_share=None, eval_flows=200
    )
    return config, _f1(threat[rows], flagged[rows])


def test_f1_of_a_fixed_rule_is_that_of_the_traffic(traffic: tuple[DataConfig, float]):
    config, true = traffic
    said = []
    for seed in range(20):
        data = load_flows(replace(config, seed=seed))
        assert _share_no_vector(data)
        flagged = data.feature_names.index("flagged")
        said.append([_f1(part.threat, part.features[:, flagged] > 0) for part in _parts(data)])
    assert true == pytest.approx(0.705, abs=0.001)
    np.testing.assert_allclose(np.mean(said, axis=0), true, atol=0.03)


def test_on_the_phishing_set_too(real_data: Path):
    path = real_data / "website-phishing" / "phishing.csv"
    header, *rows = [line.split(",") for line in path.read_text().splitlines()]
    cells = np.array(rows, dtype=float)
    place = header.index("https")
    true = _f1(cells[:, -1] > 0, cells[:, place] < 1)
    config = DataConfig(source="csv", path=str(path), label="is_phishing", benign=("0",), threat_share=None)
    said = []
    for seed in range(20):
        data = load_flows(replace(config, seed=seed))
        assert _share_no_vector(data)
        assert [len(part) for part in _parts(data)] == [750, 250, 250]
        assert [int(part.threat.sum()) for part in _parts(data)] == [328, 110, 110]
        https = [part.features[:, data.feature_names.index("https")] for part in _parts(data)]
        most = max(values.max() for values in https)
        said.append([_f1(part.threat, values < most) for part, values in zip(_parts(data), https, strict=True)])
    np.testing.assert_allclose(np.mean(said, axis=0), true, atol=0.02)
