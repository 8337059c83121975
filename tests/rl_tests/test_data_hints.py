"""What is said of columns, and what is not."""

from pathlib import Path

import numpy as np
import pytest
from unstuck.rl.config import DataConfig
from unstuck.rl.data import load_flows
from unstuck.rl.data.hints import FEWEST, list_hints
from unstuck.rl.data.notation import Notation, guess_notations
from unstuck.rl.data.raw import Categorical, RawFlows
from unstuck.rl.errors import ConfigError

PLAIN = Notation()
ROWS = 400


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed))


def _hints(
    numbers: dict[str, np.ndarray] | None = None, names: dict[str, list[str]] | None = None, **threat
) -> list[str]:
    labels = threat.get("threat", np.arange(ROWS) % 4 == 0)
    columns = {name: Categorical.from_cells(values) for name, values in (names or {}).items()}
    return list(list_hints(RawFlows(numbers or {}, columns, labels), PLAIN, _rng()))


@pytest.mark.parametrize(
    ("notation", "cell", "number"),
    [
        (PLAIN, " 1.5 ", 1.5),
        (PLAIN, "-Infinity", -np.inf),
        (Notation(","), "1,5", 1.5),
        (Notation(","), "-,5e3", -500.0),
        (Notation(","), "12", 12.0),
        (Notation(","), "inf", np.inf),
        (Notation(",", "."), "1.234.567,89", 1234567.89),
        (Notation(".", ","), "1,234", 1234.0),
        (Notation(".", ","), "1234.5", 1234.5),
        (Notation(".", " "), "1\u202f234\u00a0567", 1234567.0),
        (Notation(".", "'"), "1'234.5", 1234.5),
    ],
)
def test_numbers_are_read_as_they_are_written(notation: Notation, cell: str, number: float):
    assert notation.read(cell) == number


@pytest.mark.parametrize(
    ("notation", "cell"),
    [
        (PLAIN, "1,5"),
        (Notation(","), "1.5"),  # with decimal commas a point is no decimal point
        (Notation(".", ","), "1,5"),
        (Notation(".", ","), "12,34"),
        (Notation(".", ","), ",234"),
        (Notation(",", "."), "10.0.0.1"),
        (Notation(",", "."), "1.234.56"),
        (Notation(","), "."),
        (Notation(","), ""),
    ],
)
def test_what_is_written_otherwise_is_no_number(notation: Notation, cell: str):
    assert not notation.reads(cell)


def test_a_notation_is_guessed_where_it_explains_what_the_present_one_does_not():
    assert guess_notations(["1,5", "2,25", "3"], PLAIN)[0] == Notation(",")
    assert guess_notations(["1,234.5", "999"], PLAIN)[0] == Notation(".", ",")
    assert guess_notations(["1.5"], Notation(","))[0] == PLAIN
    assert guess_notations(["80", "443", "8080", "http"], PLAIN) == []
    assert guess_notations(["10.0.0.1", "10.0.0.2"], PLAIN) == []
    assert guess_notations([], PLAIN) == []


def test_columns_of_one_file_are_explained_by_one_notation():
    assert _hints(names={"a": ["1,234", "5,678"] * 200, "b": ["1,234,567", "9,876,543"] * 200}) == [
        "columns of numbers that were read as names: a (such as '1,234'), b (such as '1,234,567'); set data.thousands=,"
    ]
    assert _hints(names={"a": ["1,234", "5,678"] * 200})[0].endswith("set data.thousands=, (or data.decimal=,)")
    assert _hints(names={"a": ["1,23", "5,678"] * 200})[0].endswith("set data.decimal=,")


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (["12%", "3.5 %"], "percentages"),
        (["0x1f", "0xA0"], "hexadecimal numbers"),
        (["2024-01-31 12:00:01", "2024-02-01T00:00"], "dates or times"),
        (["31.1.2024", "1/2/24 10:00"], "dates or times"),
        (["12:30", "1:05:09"], "dates or times"),
        (["12 kB", "3.5MB"], "numbers with a unit"),
    ],
)
def test_quantities_that_were_read_as_names_are_named(values: list[str], what: str):
    assert _hints(names={"x": values * 200}) == [
        f"columns of {what} that were read as names: x (such as {values[0]!r}); write plain numbers, or set "
        "'data.drop=[x]'"
    ]


@pytest.mark.parametrize("values", [["tcp", "udp"], ["True", "False"], ["10.0.0.1", "10.0.0.2"], ["1.0.0", "1.0.1"]])
def test_names_are_left_alone(values: list[str]):
    assert _hints(names={"x": values * 200}) == []


def test_a_column_that_gives_the_label_away_is_named():
    rng = _rng(1)
    threat = rng.random(ROWS) < 0.15
    numbers = {
        "strong": threat * 3.0 + rng.normal(size=ROWS),  # balanced accuracy 0.93
        "score": threat * 10.0 + rng.random(ROWS),
        "code": np.where(threat, rng.choice([1.0, 5.0], size=ROWS), 3.0),  # no single threshold tells
        "gaps": np.where(threat, np.nan, rng.random(ROWS)),
    }
    names = {"kind": ["dos" if t else "normal" for t in threat], "proto": rng.choice(["tcp", "udp"], ROWS).tolist()}
    said = _hints(numbers, names, threat=threat)
    assert said == [
        "columns that nearly give the label away, each by itself: score, code, gaps, kind; if they are not known when "
        "a flow is to be judged, set 'data.drop=[score,code,gaps,kind]'"
    ]


def test_identifiers_and_rare_names_are_named():
    rng = _rng(2)
    numbers = {
        "row": np.arange(ROWS, dtype=float),
        "time": np.cumsum(rng.random(ROWS)),
        "uid": rng.permutation(ROWS).astype(float),
        "bytes": rng.integers(10**6, size=ROWS).astype(float),
        "flag": (np.arange(ROWS) % 2).astype(float),
    }
    names = {"id": [f"flow-{k}" for k in range(ROWS)], "host": [f"host-{k}" for k in rng.integers(120, size=ROWS)]}
    assert _hints(numbers, names, threat=rng.random(ROWS) < 0.3) == [
        "columns that look like an identifier, a row number or a time, which says nothing of other flows: row, time, "
        "uid, id (such as 'flow-0'); set 'data.drop=[row,time,uid,id]'",
        "columns in which most flows have a name that is too rare for a feature: host; put like names together, or set "
        "'data.drop=[host]'",
    ]


def test_little_is_said_of_few_rows():
    few = FEWEST - 1
    raw = RawFlows({"row": np.arange(few, dtype=float)}, {}, np.arange(few) % 9 == 0)
    assert list_hints(raw, PLAIN, _rng()) == ()


def test_columns_left_out_are_told_by_their_reason(real_data: Path):
    report = load_flows(
        DataConfig(source="nsl_kdd", path=str(real_data / "nsl-kdd" / "KDDTrain+_20Percent.txt"))
    ).report
    assert report is not None
    assert report.lines() == [
        "Data: 15,093 of 25,192 flows (KDDTrain+_20Percent.txt), 1,644 of them threats: 35 numbers and 3 names "
        "(90 features); left out: 1 constant in training (urgent), 2 constant (num_outbound_cmds, is_host_login); "
        "10,099 flows left out, so that 10.9 % are threats (data.threat_share); "
        "kept: duration, src_bytes, dst_bytes, land, wrong_fragment, ..."
    ]


def test_legitimate_columns_of_real_data_are_not_named(real_data: Path):
    kdd, phishing = real_data / "nsl-kdd" / "KDDTrain+_20Percent.txt", real_data / "website-phishing" / "phishing.csv"
    for config in (
        DataConfig(source="nsl_kdd", path=str(kdd)),
        DataConfig(source="csv", path=str(phishing), label="is_phishing", benign=("0",), threat_share=None),
    ):
        report = load_flows(config).report
        assert report is not None
        assert report.hints == ()


@pytest.mark.parametrize("settings", [{"decimal": ";"}, {"thousands": "."}, {"thousands": ""}, {"thousands": "_"}])
def test_notations_that_cannot_be_are_refused(settings: dict[str, str]):
    decimal = settings.get("decimal", ".")
    with pytest.raises(
        ConfigError, match="data.decimal must be one of" if decimal == ";" else "data.thousands must be"
    ):
        DataConfig(**settings)
