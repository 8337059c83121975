import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.diagnosis import split
from benchmarks.diagnosis.faults import FAULTS
from benchmarks.diagnosis.healthy import VARIANTS
from benchmarks.diagnosis.split import Candidate, Half, SplitError
from benchmarks.diagnosis.training import arms, candidates

TITLES = {arm.title: arm for arm in arms()}


def test_the_committed_list_is_the_one_that_was_drawn() -> None:
    halves = split.read(TITLES, is_part=True)
    assert {half: [title for title in halves if halves[title] is half] for half in Half} == split.draw_arms(
        candidates()
    )


def test_each_fault_and_each_way_to_train_is_kept_out_once_or_twice_in_another_world_than_calibrates() -> None:
    halves = {TITLES[title]: half for title, half in split.read(TITLES, is_part=True).items()}
    assert len({arm.pair for arm in halves}) == len(halves)  # one form
    kept = Counter(arm.name for arm, half in halves.items() if half is Half.KEPT_OUT)
    assert kept.keys() == FAULTS.keys() | VARIANTS.keys()
    assert all(kept[name] in (1, 2) for name in FAULTS)
    assert sum(arm.is_healthy and half is Half.KEPT_OUT for arm, half in halves.items()) * 3 > 150


def test_the_order_of_worlds_is_drawn_for_each_name() -> None:
    many = [Candidate(f"{number}", world, "mild", "faults") for number in range(400) for world in "abcd"]
    drawn = split.draw_arms(many, seed=1)
    assert {half: len(titles) for half, titles in drawn.items()} == {"calibration": 400, "kept-out": 600}
    worlds = Counter(title.split(" in ")[1] for title in drawn[Half.KEPT_OUT])
    assert all(120 < worlds[f"{world}, mild"] < 180 for world in "abcd")


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
