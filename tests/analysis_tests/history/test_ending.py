"""Whether a run has ended: by its file's age beside the pace of its rows, and by the user's word."""

import os
import time
from pathlib import Path

import pytest
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History, Stores, load

MINUTE, HOUR = 60.0, 3600.0


def write(folder: Path, age: float, rows: int = 30, pace: float = 2.0, timed: bool = True) -> str:
    """A log of Stable-Baselines3's that was last written so many seconds ago, with a row every `pace` seconds."""
    lines = ["time/iterations,time/total_timesteps,rollout/ep_rew_mean" + (",time/fps" if timed else "")]
    lines += [f"{n},{1024 * n},{n % 3}" + (f",{1024 / pace}" if timed else "") for n in range(1, rows + 1)]
    file = folder / "progress.csv"
    file.write_text("\n".join(lines) + "\n")
    os.utime(file, (time.time() - age,) * 2)
    return str(file)


def has_ended(history: History) -> bool:
    """Whether a diagnosis takes the run for one that is over."""
    return Signals(history).has_ended


@pytest.mark.parametrize(
    ("age", "how", "ended"),
    [
        (11 * MINUTE, {}, True),
        (9 * MINUTE, {}, False),  # a row every 2 s, but 10 minutes are waited at the least
        (HOUR, {"pace": 4 * MINUTE}, False),  # 15 rows' time
        (HOUR, {"pace": 2.9 * MINUTE}, True),  # 20.7 rows' time
        (HOUR, {"rows": 19}, False),  # too short to be a run that failed
        (23 * HOUR, {"timed": False}, False),
        (25 * HOUR, {"timed": False}, True),
    ],
)
def test_a_file_that_has_long_stopped_to_grow_is_of_a_run_that_has_ended(
    tmp_path: Path, age: float, how: dict[str, float], ended: bool
) -> None:
    history = load(write(tmp_path, age, **how))  # type: ignore[arg-type]
    assert has_ended(history) == ended
    assert any("taken for a run that has ended" in text for text in history.remarks) == ended


def test_the_remark_says_how_long_and_how_to_say_otherwise(tmp_path: Path) -> None:
    (remark,) = [text for text in load(write(tmp_path, 3 * HOUR)).remarks if text.startswith("taken for")]
    assert remark == (
        "taken for a run that has ended: nothing was written for 3 hours, and a row came every 2 seconds "
        "(if it goes on: --set finished=false)"
    )


def test_the_users_word_counts_before_the_files_age(tmp_path: Path) -> None:
    old, young = write(tmp_path, 3 * HOUR), None
    assert not has_ended(load(old, Stores(settings={"finished": False})))
    young = write(tmp_path, 0.0)
    assert has_ended(load(young, Stores(settings={"finished": True})))
