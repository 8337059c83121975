import functools
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score
from sklearn.neural_network import MLPClassifier
from unstuck.rl.config import DataConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.data.nsl_kdd import CATEGORICAL, FEATURES, read_nsl_kdd
from unstuck.rl.errors import DataError

PUBLISHED = "KDDTrain+_20Percent.txt"


def _row(k: int, label: str) -> list[str]:
    cells = ["0"] * 41
    cells[1:6] = [("tcp", "udp")[k % 2], ("http", "private")[k % 3 // 2], "SF", str(k * k), "7"]
    return [*cells, label, str(k % 22)]


def _config(folder: Path, rows: list[list[str]], **settings: object) -> DataConfig:
    path = folder / "KDD.txt"
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return DataConfig(source="nsl_kdd", path=str(path), **settings)


def _rows(benign: int = 160, threats: int = 40) -> list[list[str]]:
    return [_row(k, "normal" if k < benign else "neptune") for k in range(benign + threats)]


def test_the_difficulty_is_never_read(tmp_path: Path):
    rows = _rows()
    with_it = read_nsl_kdd(_config(tmp_path, rows))
    without = read_nsl_kdd(_config(tmp_path, [row[:42] for row in rows]))
    assert len(FEATURES) == 41
    assert set(with_it.numbers) == set(FEATURES) - set(CATEGORICAL) == set(without.numbers)
    assert set(with_it.categories) == set(CATEGORICAL)
    assert with_it.threat.tolist() == without.threat.tolist() == [False] * 160 + [True] * 40
    np.testing.assert_array_equal(with_it.vectors(), without.vectors())


def test_the_labels_of_kdd_cup_99_are_read(tmp_path: Path):
    rows = [_row(0, "normal."), _row(1, "smurf.")]
    assert read_nsl_kdd(_config(tmp_path, rows)).threat.tolist() == [False, True]


def test_columns_are_where_the_format_says(tmp_path: Path):
    raw = read_nsl_kdd(_config(tmp_path, [_row(3, "normal"), _row(4, "neptune")]))
    assert raw.numbers["src_bytes"].tolist() == [9, 16]
    assert raw.numbers["dst_bytes"].tolist() == [7, 7]
    assert raw.categories["protocol_type"].values == ("udp", "tcp")
    assert raw.categories["service"].values == ("http",)
    assert raw.categories["flag"].values == ("SF",)


def test_what_varies_becomes_a_feature(tmp_path: Path):
    flows = load_flows(_config(tmp_path, _rows(), threat_share=None))
    assert set(flows.feature_names) == {
        "src_bytes",
        "protocol_type=tcp",
        "protocol_type=udp",
        "service=http",
        "service=private",
    }


@pytest.mark.parametrize("width", [41, 44])
def test_another_number_of_columns(tmp_path: Path, width: int):
    rows = [[*row, "0"][:width] for row in _rows()]
    with pytest.raises(DataError, match=rf"must have 42 columns, or 43 with the difficulty, got {width} in .*KDD\.txt"):
        load_flows(_config(tmp_path, rows))


def test_junk_in_a_column_of_numbers(tmp_path: Path):
    rows = _rows()
    rows[6][4] = "many"
    with pytest.raises(DataError, match=r"column 'src_bytes' must hold numbers, got 'many' in row 7 of .*KDD\.txt"):
        load_flows(_config(tmp_path, rows))


def test_one_class_only(tmp_path: Path):
    with pytest.raises(DataError, match=r"two classes, got threats alone: column 42 of .* holds neptune"):
        load_flows(_config(tmp_path, _rows(0, 200)))
    with pytest.raises(DataError, match="two classes, got benign flows alone"):
        load_flows(_config(tmp_path, _rows(200, 0)))


@functools.cache
def _published(folder: Path, order: str) -> FlowData:
    return load_flows(DataConfig(source="nsl_kdd", path=str(folder / "nsl-kdd" / PUBLISHED), order=order))


@pytest.mark.parametrize("order", ["shuffled", "stream"])
def test_the_published_file(real_data: Path, order: str):
    flows = _published(real_data, order)
    parts = (flows.train, flows.validation, flows.test)
    for part in parts[1:]:
        assert (len(part), int(part.threat.sum())) == (1600, 174)
    # 13,449 benign flows, all kept, and 0.109 / 0.891 as many threats: 1,645; a few flows encode alike.
    assert 15_084 <= sum(map(len, parts)) <= 15_094
    assert flows.train.threat.mean() == pytest.approx(0.109, abs=0.001)
    assert "difficulty" not in " ".join(flows.feature_names)
    assert {"log1p(src_bytes)", "log1p(dst_bytes)", "log1p(duration)", "flag=SF"} <= set(flows.feature_names)
    assert not {"num_outbound_cmds", "is_host_login"} & set(flows.feature_names)
    assert all(np.isfinite(part.features).all() and np.abs(part.features).max() <= 10 for part in parts)
    if order == "shuffled":
        held = [{row.tobytes() for row in part.features} for part in parts]
        assert len(set.union(*held)) == sum(map(len, held))


def test_the_published_file_with_its_own_share(real_data: Path):
    path = str(real_data / "nsl-kdd" / "KDDTest+.txt")
    flows = load_flows(DataConfig(source="nsl_kdd", path=path, threat_share=None))
    parts = (flows.train, flows.validation, flows.test)
    assert sum(map(len, parts)) == pytest.approx(22_544, abs=10)
    assert all(part.threat.mean() == pytest.approx(0.569, abs=0.001) for part in parts)


@pytest.mark.slow
def test_an_mlp_tells_threats_in_the_published_file(real_data: Path):
    flows = _published(real_data, "shuffled")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPClassifier((64, 64), batch_size=500, learning_rate_init=5e-3, max_iter=15, random_state=0)
        model.fit(flows.train.features, flows.train.threat)
    assert f1_score(flows.test.threat, model.predict(flows.test.features)) >= 0.97
