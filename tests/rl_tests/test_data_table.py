import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unstuck.rl.config import DataConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.data.columns import read_column
from unstuck.rl.data.raw import Categorical
from unstuck.rl.data.table import read_csv
from unstuck.rl.errors import DataError


def _lines(rows: int = 300, threats: int = 100) -> list[str]:
    """A table sorted by label, with a name, a tail, gaps, a constant and a row identifier."""
    lines = ["id, Proto,bytes,rate,version,Label"]
    for k in range(rows):
        proto = ("tcp", "udp", "")[k % 3]
        rate = "inf" if k % 50 == 0 else f"{k % 7 / 7:.3f}"
        lines.append(f"flow-{k},{proto},{k**3},{rate},4,{'BENIGN' if k < rows - threats else ' DDoS'}")
    return lines


def _config(folder: Path, lines: list[str], **settings: object) -> DataConfig:
    path = folder / "flows.csv"
    path.write_text("\n".join(lines) + "\n")
    defaults = {"label": "Label", "benign": ("BENIGN",), "drop": ("id",), "threat_share": 0.2, "eval_flows": 40}
    return DataConfig(source="csv", path=str(path), **(defaults | settings))


def _parts(flows: FlowData) -> list[tuple[int, int]]:
    return [(len(p), int(p.threat.sum())) for p in (flows.train, flows.validation, flows.test)]


def test_a_table_of_everything(tmp_path: Path):
    flows = load_flows(_config(tmp_path, _lines()))
    assert set(flows.feature_names) >= {"log1p(bytes)", "rate", "Proto=tcp", "Proto=udp", "Proto=missing"}
    assert "version" not in flows.feature_names  # constant
    assert _parts(flows) == [(170, 34), (40, 8), (40, 8)]  # 200 benign and 50 threats kept
    assert np.isfinite(flows.train.features).all()


def test_gzip_and_other_delimiters_give_the_same_flows(tmp_path: Path):
    config = _config(tmp_path, _lines())
    plain = load_flows(config)
    tabs = load_flows(_config(tmp_path, [line.replace(",", "\t") for line in _lines()]))
    packed = tmp_path / "flows.csv.gz"
    packed.write_bytes(gzip.compress(("\n".join(_lines()) + "\n").encode()))
    zipped = load_flows(replace(config, path=str(packed)))
    np.testing.assert_array_equal(plain.train.features, tabs.train.features)
    np.testing.assert_array_equal(plain.test.features, zipped.test.features)


def test_a_stream_sorted_by_label_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"got 0 threats and 136 benign flows in training; use data.order=shuffled"):
        load_flows(_config(tmp_path, _lines(), order="stream"))


def test_a_stream_keeps_the_order_of_the_file(tmp_path: Path):
    lines = ["time,x,Label", *(f"{k},{k % 5},{'DDoS' if k % 4 == 0 else 'BENIGN'}" for k in range(400))]
    flows = load_flows(_config(tmp_path, lines, order="stream", drop=()))
    times = np.concatenate([p.features[:, 0] for p in (flows.train, flows.validation, flows.test)])
    assert flows.feature_names == ("time", "x")
    assert (np.diff(times) > 0).all()


def test_duplicates_stay_in_one_part(tmp_path: Path):
    rows = [f"{k % 150},{'DDoS' if k % 150 % 3 == 0 else 'BENIGN'}" for k in range(600)]
    rows += ["7,DDoS", "0,BENIGN"]  # one vector, two labels
    flows = load_flows(_config(tmp_path, ["x,Label", *rows], drop=(), threat_share=None))
    held = [set(p.features.ravel().tolist()) for p in (flows.train, flows.validation, flows.test)]
    assert sum(map(len, held)) == 150
    assert len(set.union(*held)) == 150
    assert sum(n for n, _ in _parts(flows)) == 602


def test_a_huge_duplicate_group(tmp_path: Path):
    rows = ["1,2,BENIGN"] * 500 + ["1,2,DDoS"] * 100 + [f"{k},{k * 7 % 11},BENIGN" for k in range(10, 410)]
    rows += [f"{k},{k * 5 % 13},DDoS" for k in range(500, 700)]
    flows = load_flows(_config(tmp_path, ["a,b,Label", *rows], drop=(), eval_flows=100))
    for part in (flows.validation, flows.test):
        assert len(part) == 100
        assert part.threat.sum() == 20
    assert sum(n for n, _ in _parts(flows)) == 900 + 225


def test_repeated_and_empty_column_names_are_told_apart(tmp_path: Path):
    raw = read_csv(_config(tmp_path, ["a,a,,Label", "1,2,3,BENIGN", "4,5,6,DDoS"], drop=()))
    assert {name: values.tolist() for name, values in raw.numbers.items()} == {
        "a": [1, 4],
        "a.1": [2, 5],
        "column 3": [3, 6],
    }


def test_labels_are_compared_as_stripped_text(tmp_path: Path):
    lines = ["x,y", "1, 0", "2,1", "3,0 "]
    assert read_csv(_config(tmp_path, lines, label="y", benign=(" 0",), drop=())).threat.tolist() == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("word", ["", " ", "NA", "nan", "NULL", "?", "-", "inf", "-Infinity", "1e999"])
def test_missing_and_infinite_numbers(word: str):
    column = read_column("x", ["1", word, " 2.5 "], [2, 3, 4], Path("f.csv"))
    assert isinstance(column, np.ndarray)
    np.testing.assert_array_equal(column, [1, np.nan, 2.5])


def test_names_and_numbers_are_told_apart():
    ports = ["80", "443", "http", "?", "ssh"]  # half are no number: names
    column = read_column("port", ports, list(range(5)), Path("f.csv"))
    assert isinstance(column, Categorical)
    assert column.values == ("80", "443", "http", "missing", "ssh")
    assert isinstance(read_column("x", ["1e3", "-.5", "+7"], [2, 3, 4], Path("f.csv")), np.ndarray)


def test_junk_in_a_column_of_numbers(tmp_path: Path):
    lines = _lines()
    lines[41] = lines[41].replace(f",{40**3},", ",12 kB,")
    with pytest.raises(
        DataError, match=r"column 'bytes' must hold numbers, got '12 kB' in row 42 of .*; correct it, or add bytes to"
    ):
        load_flows(_config(tmp_path, lines))
    assert "log1p(bytes)" not in load_flows(_config(tmp_path, lines, drop=("id", "bytes"))).feature_names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "label"}, r"data\.label must name a column of .*, got 'label'; did you mean 'Label'\?"),
        ({"label": "zzz"}, r"data\.label .*got 'zzz'; there are 'id', 'Proto'"),
        ({"drop": ("prot",)}, r"data\.drop must name a column of .*, got 'prot'; did you mean 'Proto'\?"),
        ({"drop": ("Label",)}, "data.drop must not name the label column, got 'Label'"),
        (
            {"benign": ("BENING",)},
            r"data\.benign must list labels that occur in column 'Label', got 'BENING'; did you mean 'BENIGN'\? "
            "there are 'BENIGN', 'DDoS'",
        ),
        ({"benign": ("BENIGN", "DDoS")}, r"two classes, got benign alone: .*\(BENIGN, DDoS\)"),
        (
            {"threat_share": 0.5},
            r"threat_share = 0\.5 needs 200 threats .* 200 benign flows, got 100, .*=0\.333, or null",
        ),
        ({"drop": ("id", "Proto", "bytes", "rate", "version")}, "must have a column beside the label 'Label'"),
        ({"drop": ("id", "Proto", "bytes", "rate")}, "at least one column must vary in the training part"),
    ],
)
def test_settings_that_do_not_fit_the_file(tmp_path: Path, settings: dict[str, object], message: str):
    with pytest.raises(DataError, match=message):
        load_flows(_config(tmp_path, _lines(), **settings))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (_lines()[:1], "rows below its header, got none"),
        (_lines(90, 30), r"at least 100 flows, .* got 75 flows \(60 benign, 15 threats\)"),
        ([*_lines(), "flow,tcp,1,1,4,"], r"every row must have a label, got '' in row 302 of .*, column 'Label'"),
        ([*_lines(), "flow,tcp"], r"as many cells as the first, 6, got 2 in row 302"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, lines: list[str], message: str):
    with pytest.raises(DataError, match=message):
        load_flows(_config(tmp_path, lines))


def test_too_many_labels_are_not_all_listed(tmp_path: Path):
    lines = ["x,Label", *(f"{k},kind-{k % 12:02d}" for k in range(240))]
    with pytest.raises(DataError, match=r"got 'normal'; there are 'kind-00', .*'kind-07', \.\.\."):
        load_flows(_config(tmp_path, lines, benign=("normal",), drop=()))


def test_website_phishing(real_data: Path):
    path = str(real_data / "website-phishing" / "phishing.csv")
    config = DataConfig(source="csv", path=path, label="is_phishing", benign=("0",), threat_share=None)
    flows = load_flows(config)
    parts = (flows.train, flows.validation, flows.test)
    assert flows.num_features == 9
    assert sum(map(len, parts)) == 1250
    assert sum(int(p.threat.sum()) for p in parts) == 548
    held = [{row.tobytes() for row in p.features} for p in parts]
    assert len(set.union(*held)) == sum(map(len, held)) == 625  # no vector in two parts
    for part in parts[1:]:
        assert 245 <= len(part) <= 250
        assert part.threat.mean() == pytest.approx(0.4384, abs=0.01)
    kept = load_flows(replace(config, threat_share=0.109))
    assert sum(n for n, _ in _parts(kept)) == 702 + 86  # 0.109 / 0.891 * 702 = 85.9
    assert all(n_threat / n == pytest.approx(0.109, abs=0.01) for n, n_threat in _parts(kept))
