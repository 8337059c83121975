import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.diagnosis import split
from benchmarks.diagnosis.__main__ import main
from benchmarks.diagnosis.faults import OF_STRANGERS
from benchmarks.diagnosis.split import Candidate, Half, SplitError
from benchmarks.diagnosis.training import BASE, MILD, arms, draw_kept_out
from benchmarks.diagnosis.worlds import SMALL

TITLES = {arm.title: arm for arm in arms()}


def listed() -> dict[Half, list[str]]:
    halves = split.read(TITLES, is_part=True)
    return {half: [title for title in halves if halves[title] is half] for half in Half}


def test_the_committed_list_is_the_one_that_was_drawn() -> None:
    assert listed()[Half.KEPT_OUT] == draw_kept_out(listed()[Half.CALIBRATION])


def test_what_is_kept_out_was_never_trained_and_each_kind_is_there_once() -> None:
    halves = {half: [TITLES[title] for title in titles] for half, titles in listed().items()}
    kept = halves[Half.KEPT_OUT]
    assert not {arm.pair for arm in kept} & {arm.pair for arm in halves[Half.CALIBRATION]}
    assert all(arm.world in SMALL or arm.name in OF_STRANGERS for arm in kept)
    assert Counter(arm.is_healthy for arm in kept) == {False: split.FAULTS_COUNT, True: split.HEALTHY_COUNT}
    assert not any(arm.form == MILD or arm.name == BASE for arm in kept)
    assert len({arm.name for arm in kept}) == len(kept)


def test_names_are_drawn_and_one_arm_of_each() -> None:
    many = [Candidate(f"{number}", world, "mild", "faults") for number in range(400) for world in "abcd"]
    drawn = split.draw_arms([*many, Candidate("base", "a", "healthy", split.PLAIN)], {"faults": 300}, seed=1)
    assert drawn[0] == "base in a, healthy"
    names = [title.split(" in ")[0] for title in drawn[1:]]
    assert len(set(names)) == len(names) == 300
    worlds = Counter(title.split(" in ")[1] for title in drawn[1:])
    assert all(50 < worlds[f"{world}, mild"] < 100 for world in "abcd")


def test_a_name_that_was_drawn_is_left_out_of_the_next_group_as_far_as_names_suffice() -> None:
    both = [Candidate(f"{number}", "a", "mild", group) for number in range(10) for group in ("one", "other")]
    drawn = split.draw_arms(both, {"one": 4, "other": 7}, seed=1)
    assert Counter(Counter(drawn).values()) == {1: 9, 2: 1}


def test_reading_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("sys.argv", ["diagnosis", "--folder", str(tmp_path)])
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith("each arm of the half must be trained before it is read, got ")
    assert said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_another_list_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    halves = json.loads(split.FILE.read_text())
    halves["calibration"].append(halves["kept-out"].pop())
    file.write_text(json.dumps(halves))
    with pytest.raises(SplitError, match=r"split.json must have the sha256 [0-9a-f]{12}\.\.\., committed before"):
        split.read(TITLES, file, is_part=True)


def test_a_list_that_does_not_name_what_is_trained_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    digest = split.write({"calibration": ["a in b"], "kept-out": ["c in d"]}, file)
    assert split.read(["a in b", "c in d"], file, digest) == {"a in b": Half.CALIBRATION, "c in d": Half.KEPT_OUT}
    with pytest.raises(SplitError, match="the two differ in c in d, e in f"):
        split.read(["a in b", "e in f"], file, digest)
    assert split.read(["a in b", "c in d", "e in f"], file, digest, is_part=True)
    with pytest.raises(SplitError, match="the two differ in c in d"):
        split.read(["a in b"], file, digest, is_part=True)
