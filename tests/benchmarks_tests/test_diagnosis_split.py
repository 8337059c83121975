import json
from pathlib import Path

import pytest

from benchmarks.diagnosis import split
from benchmarks.diagnosis.split import Entry, Half, SplitError
from benchmarks.diagnosis.training import arms

PAIRS = {arm.pair for arm in arms()}


def test_the_committed_list_is_the_one_that_was_drawn() -> None:
    halves = split.read(PAIRS)
    drawn = split.draw([Entry(arm.pair, arm.world, arm.is_healthy) for arm in arms()])
    assert {half: [pair for pair in sorted(halves) if halves[pair] is half] for half in Half} == drawn


def test_each_world_is_halved_for_itself_and_both_forms_of_a_pair_stay_together() -> None:
    halves = split.read(PAIRS)
    for world in {arm.world for arm in arms()}:
        for healthy in (True, False):
            pairs = {arm.pair for arm in arms() if arm.world == world and arm.is_healthy == healthy}
            kept = sum(halves[pair] is Half.KEPT_OUT for pair in pairs)
            assert abs(2 * kept - len(pairs)) <= 1
    assert sum(halves[arm.pair] is Half.KEPT_OUT for arm in arms() if arm.is_healthy) * 5 > 150


def test_another_list_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    halves = json.loads(split.FILE.read_text())
    halves["calibration"].append(halves["kept-out"].pop())
    file.write_text(json.dumps(halves))
    with pytest.raises(SplitError, match=r"split.json must have the sha256 [0-9a-f]{12}\.\.\., committed before"):
        split.read(PAIRS, file)


def test_a_list_that_does_not_name_what_is_trained_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    digest = split.write({"calibration": ["a in b"], "kept-out": ["c in d"]}, file)
    assert split.read(["a in b", "c in d"], file, digest) == {"a in b": Half.CALIBRATION, "c in d": Half.KEPT_OUT}
    with pytest.raises(SplitError, match="the two differ in c in d, e in f"):
        split.read(["a in b", "e in f"], file, digest)
