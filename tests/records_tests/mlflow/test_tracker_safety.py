"""What a tracker must never do: tell a password, phone home, hold a sweep up, print another library's traceback."""

import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from unstuck.records.errors import TrackingError
from unstuck.records.measurement import Record
from unstuck.records.mlflow.tracker import MlflowTracker
from unstuck.records.names import flatten
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import NullTracker, SweepHeader
from unstuck.sweeps.config.settings import TrackingConfig
from unstuck.sweeps.mirror import make_tracker


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("sqlite:////dev/null/mlflow.db", "OperationalError.*unable to open database file"),
        ("postgresql+nodriver://me:secret@db/runs", "NoSuchModuleError"),
        ("gopher://me:secret@db/runs", "gopher"),
    ],
)
def test_a_store_that_cannot_be_opened_is_told_at_once(
    url: str, cause: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = make_tracker(TrackingConfig(mlflow_url=url), tmp_path)
    with pytest.raises(
        TrackingError, match=f"cannot start sweep s in MLflow: .*{cause}.*check tracking.mlflow_url"
    ) as e:
        tracker.start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "", {})
    shown = "".join(traceback.format_exception(e.value))
    assert "site-packages" not in shown
    assert "secret" not in shown
    assert capfd.readouterr().err == ""


def test_a_tracker_is_never_pickled(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="must not be pickled, since its URL may hold a password"):
        pickle.dumps(MlflowTracker("postgresql://me:secret@db/runs", "unstuck", tmp_path))


def test_mlflow_is_loaded_late_and_with_its_telemetry_off(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from unstuck.records.tracker import SweepHeader
from unstuck.sweeps.config.settings import TrackingConfig
from unstuck.sweeps.mirror import make_tracker

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "mlflow":
            print(os.environ["MLFLOW_DISABLE_TELEMETRY"], flush=True)
            os._exit(0)

tracker = make_tracker(TrackingConfig(), Path({str(tmp_path)!r}))
print("mlflow" in sys.modules, flush=True)
sys.meta_path.insert(0, Watch())
tracker.start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "", {{}})
"""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "false"}  # whatever the user has set
    root = Path(__file__).parents[3]
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env=environment
    )
    assert answer.stdout.split() == ["False", "true"]


def test_no_tracking_writes_nothing(tmp_path: Path) -> None:
    tracker = make_tracker(TrackingConfig(name="none"), tmp_path)
    assert isinstance(tracker, NullTracker)
    tracker.start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "", {})
    assert tracker.start_trial(0, {"ppo.lr": 1e-3}, {}, {}, "") == ""
    tracker.log(0, [Record(1, 1_700_000_000_000, {"eval/f1": 0.5})])
    tracker.tag_trial(0, {"a": "b"})
    tracker.end_trial(0, Verdict(Outcome.COMPLETED, "done"), {"final/f1": 0.5})
    tracker.end_sweep(Outcome.COMPLETED, {})
    tracker.attach(0, [tmp_path / "none.html"], "")
    assert list(tmp_path.iterdir()) == []


def test_flatten_keeps_lists_and_empty_mappings() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [{"e": 2}]}, "f.g": None, "h": {}}
    assert flatten(nested) == {"a.b.c": 1, "a.d": [{"e": 2}], "f.g": None, "h": {}}
