"""What a sweep and a champion say of the flows that they have loaded, before anything is trained on them."""

import csv
import itertools
import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unstuck.records.errors import SweepError

Make = Callable[[int, bool, random.Random], object]
SETTINGS = ("+experiment=quickstart", "data=csv", "data.path=flows.csv", "data.label=label", "data.benign=[normal]")
ROWS = 1200


def write(file: Path, columns: dict[str, Make], delimiter: str = ",") -> None:
    """A table of `ROWS` flows, 180 of them threats, with a label behind the columns."""
    rng = random.Random(0)
    threats = set(rng.sample(range(ROWS), 180))
    with file.open("w", newline="") as out:
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerow([*columns, "label"])
        for k in range(ROWS):
            threat = k in threats
            writer.writerow([*(make(k, threat, rng) for make in columns.values()), "attack" if threat else "normal"])


def size(k: int, threat: bool, rng: random.Random) -> float:
    return rng.lognormvariate(8 + 2 * threat, 1)


def rate(k: int, threat: bool, rng: random.Random) -> float:
    return rng.gauss(1 + 2 * threat, 1)


def packets(k: int, threat: bool, rng: random.Random) -> int:
    return rng.randrange(1, 300)


def remedy(line: str) -> list[str]:
    """The words that a warning or an error ends with, as a shell hands them over."""
    return shlex.split(line.rpartition("; ")[2].partition("set ")[2])


@pytest.fixture
def said(command: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What `sweep.py` prints of the table in `flows.csv`; it is stopped before Ray starts."""

    def stop(*_: object) -> None:
        raise SweepError("stopped by the test")

    def run(*words: str) -> list[str]:
        monkeypatch.setattr("unstuck.sweeps.run.ending.OpenSweep.show_start", stop)
        done = command(*SETTINGS, "tracking=none", *words)
        assert done.code == 2
        lines = (done.out if "stopped by the test" in done.err else done.err).splitlines()
        assert [line.partition(":")[0] for line in lines[:1]] in (["Data"], ["sweep.py"])
        return list(itertools.takewhile(lambda line: not line.startswith("Sweep "), lines))

    return run


def test_a_table_is_summed_up_in_one_line(said: Callable[..., list[str]], command: Any) -> None:
    write(
        command.folder / "flows.csv",
        {
            "size": size,
            "rate": lambda k, t, r: "Infinity" if k % 50 == 0 else f"{rate(k, t, r):.3f}",
            "proto": lambda k, t, r: ("tcp", "udp")[k % 2],
            "version": lambda k, t, r: 4,
            "comment": lambda k, t, r: "",
        },
    )
    assert said() == [
        "Data: 1,200 flows (flows.csv), 180 of them threats: 2 numbers and 1 name (5 features); "
        "left out: 1 constant (version), 1 empty (comment); 24 infinite values count as missing (rate); "
        "kept: size, rate, proto"
    ]
    fewer = said("data.drop=[comment]", "data.threat_share=0.1")[0]
    assert fewer.startswith(
        "Data: 1,133 of 1,200 flows (flows.csv), 113 of them threats: 2 numbers and 1 name (5 features); "
        "left out: 1 by data.drop (comment), 1 constant (version); 24 infinite"
    )
    assert "; 67 flows left out, so that 10 % are threats (data.threat_share); kept: size, rate, proto" in fewer


def test_decimal_commas_are_warned_of_and_the_remedy_works(said: Callable[..., list[str]], command: Any) -> None:
    columns: dict[str, Make] = {
        "size": lambda k, t, r: f"{size(k, t, r):.2f}".replace(".", ","),
        "rate": lambda k, t, r: f"{rate(k, t, r):.3f}".replace(".", ","),
        "packets": packets,
    }
    write(command.folder / "flows.csv", columns, ";")
    line, warning = said()
    assert line.startswith(
        "Data: 1,200 flows (flows.csv), 180 of them threats: 1 number (1 feature); left out: 1 all different"
    )
    assert warning.startswith("warning: columns of numbers that were read as names: size (such as '")
    assert warning.endswith("; set data.decimal=,")
    assert said(*remedy(warning)) == [
        "Data: 1,200 flows (flows.csv), 180 of them threats: 3 numbers (3 features); kept: size, rate, packets"
    ]


def test_a_table_of_which_nothing_is_left_is_refused_with_the_remedy(
    said: Callable[..., list[str]], command: Any
) -> None:
    write(command.folder / "flows.csv", {"size": lambda k, t, r: f"{int(100 * size(k, t, r)) + 1000:,}"})
    (error,) = said()
    assert error.startswith(
        "sweep.py: error: at least one column must vary in the training part, got constants in size"
    )
    assert error.endswith("; set data.thousands=,")
    assert len(said(*remedy(error))) == 1


def test_leaks_and_identifiers_are_warned_of_by_name(said: Callable[..., list[str]], command: Any) -> None:
    columns: dict[str, Make] = {
        "size": size,
        "severity": lambda k, t, r: r.choice(["low", "high"]) if t else "none",
        "id": lambda k, t, r: f"flow-{k}",
        "row": lambda k, t, r: k,
    }
    write(command.folder / "flows.csv", columns)
    line, *warnings = said()
    assert line.startswith("Data: 1,200 flows (flows.csv), 180 of them threats: 2 numbers and 1 name")
    assert "left out: 1 all different (id)" in line
    assert warnings == [
        "warning: columns that nearly give the label away, each by itself: severity; if they are not known when a "
        "flow is to be judged, set 'data.drop=[severity]'",
        "warning: columns that look like an identifier, a row number or a time, which says nothing of other flows: "
        "row, id (such as 'flow-0'); set 'data.drop=[row,id]'",
    ]
    assert len(said(*remedy(warnings[0]))) == 2
    assert said("data.drop=[severity,id,row]") == [
        "Data: 1,200 flows (flows.csv), 180 of them threats: 1 number (1 feature); "
        "left out: 3 by data.drop (severity, id, row); kept: size"
    ]


@pytest.mark.parametrize("separator", [",", " ", "'"])
def test_the_remedy_can_be_pasted(said: Callable[..., list[str]], command: Any, separator: str) -> None:
    def written(k: int, threat: bool, rng: random.Random) -> str:
        return f"{size(k, threat, rng) + 1000:,.2f}".replace(",", separator)

    columns: dict[str, Make] = {"size": written, "packets": packets, "it's, [odd] (id)": lambda k, t, r: k}
    write(command.folder / "flows.csv", columns)
    _, *warnings = said()
    assert len(warnings) == 2
    assert said(*remedy(warnings[0]), *remedy(warnings[1])) == [
        "Data: 1,200 flows (flows.csv), 180 of them threats: 2 numbers (2 features); left out: 1 by data.drop (it's, "
        "[odd] (id)); kept: size, packets"
    ]


def test_frequent_vectors_are_told_of(said: Callable[..., list[str]], command: Any) -> None:
    often = [*range(12)] * 60 + [*range(12, ROWS - 12 * 60 + 12)]
    write(command.folder / "flows.csv", {"x": lambda k, t, r: often[k]})
    (line,) = said()
    assert line.endswith("(1 feature); 492 different vectors, rare and frequent ones alike in each part; kept: x")
    write(command.folder / "flows.csv", {"x": lambda k, t, r: max(k - 500, 0)})
    assert "; 700 different vectors, rare and frequent ones alike in each part, but for 5" in said()[0]
    assert "about as frequent, which are in training alone: F1 says nothing of them; kept: x" in said()[0]


def test_what_tells_too_few_flows_apart_is_refused_with_the_remedy(
    said: Callable[..., list[str]], command: Any
) -> None:
    columns: dict[str, Make] = {"size": lambda k, t, r: f"{size(k, t, r):,.3f}", "proto": lambda k, t, r: k % 2}
    write(command.folder / "flows.csv", columns)
    (error,) = said()
    assert error.startswith("sweep.py: error: each part must hold 10 flows, 1 threat and 1 benign flow at least, got 0")
    assert error.endswith("; set data.thousands=,")


def test_a_champion_says_what_it_is_judged_on(old_sweeps: Path, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise SweepError("stopped by the test")

    monkeypatch.setattr("unstuck.sweeps.champion.train_to_end", stop)
    done = command.sweeps("champion", f"{old_sweeps}/runs/ended", "--data-path", f"{old_sweeps}/flows.csv")
    assert done.err == "sweeps: error: stopped by the test\n"
    line, *warnings = done.out.splitlines()
    assert line.startswith(
        "Data: 900 flows (flows.csv), 172 of them threats: 4 numbers (4 features); kept: port, proto"
    )
    assert warnings[0].startswith("warning: columns that nearly give the label away, each by itself: packets")
