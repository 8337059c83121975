"""Runs that were packed for sending: archives of a folder, compressed files, and archives that are no run."""

import gzip
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import load
from unstuck.rl import metrics

LOG = "iteration,reward\n1,5\n2,6\n"
CURVE = {1: 5.0, 2: 6.0}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with a log, settings, and a model of no use."""
    made = tmp_path / "made" / "PPO_1"
    made.mkdir(parents=True)
    (made / "progress.csv").write_text(LOG)
    (made / "config.yaml").write_text("gamma: 0.9\n")
    (made / "model.pt").write_bytes(b"\x00")
    return made


def pack(run: Path, file: Path) -> Path:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            for one in run.iterdir():
                archive.write(one, f"PPO_1/{one.name}")
    else:
        with tarfile.open(file, "w:gz") as packed:
            packed.add(run, "PPO_1")
    return file


@pytest.mark.parametrize("name", ["run.zip", "run.tar.gz", "run.tgz"])
def test_the_run_in_an_archive_is_read_by_the_archives_name(run: Path, tmp_path: Path, name: str) -> None:
    history = load(str(pack(run, tmp_path / name)))
    assert history.curve(metrics.TRAIN_RETURN).to_dict() == CURVE
    assert history.setting("ppo.gamma") == 0.9
    assert (history.name, history.source) == (name, f"progress.csv in PPO_1 in {tmp_path / name}")


def test_a_compressed_log_is_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "progress.csv.gz", "wt") as written:
        written.write(LOG)
    assert load(str(tmp_path / "progress.csv.gz")).curve(metrics.TRAIN_RETURN).to_dict() == CURVE


def test_a_saved_model_is_no_log(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("policy.pth", b"")
    with pytest.raises(AnalysisError, match=r"model.zip must be a log, and is a saved model; name the log, or the "):
        load(str(tmp_path / "model.zip"))


@pytest.mark.parametrize("name", ["run.zip", "run.tar.gz", "log.csv.gz"])
def test_an_archive_that_cannot_be_unpacked_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(AnalysisError, match=rf"{name} must be an archive that can be unpacked: "):
        load(str(tmp_path / name))


def test_several_runs_in_an_archive_are_listed_and_to_be_unpacked(run: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as archive:
        archive.write(run / "progress.csv", "logs/PPO_1/progress.csv")
        archive.write(run / "progress.csv", "logs/PPO_2/progress.csv")
    with pytest.raises(AnalysisError, match=r"holds 2 runs: PPO_1, PPO_2; unpack the archive to name one$") as caught:
        load(str(tmp_path / "runs.zip"))
    assert "diagnose" not in str(caught.value)  # no command can name a part of an archive


def test_mlflows_folder_and_database_may_be_packed(tmp_path: Path) -> None:
    run = tmp_path / "made" / "mlruns" / "0" / ("a" * 32)
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text("")
    (run / "metrics" / "value_loss").write_text("1700 8.5 1\n1701 7.5 2\n")
    packed = shutil.make_archive(str(tmp_path / "store"), "zip", tmp_path / "made")
    history = load(packed)
    assert history.curve(metrics.VALUE_LOSS).to_dict() == {1: 8.5, 2: 7.5}
    assert (history.name, history.source) == ("store.zip", f"MLflow run mlruns/0/{'a' * 32} in {packed}")
    shutil.copytree(run, run.with_name("b" * 32))
    packed = shutil.make_archive(str(tmp_path / "two"), "gztar", tmp_path / "made")
    with pytest.raises(AnalysisError, match=r"holds 2 runs: 0/a{32}, 0/b{32}; unpack the archive to name one$"):
        load(packed)
    with gzip.open(tmp_path / "mlflow.db.gz", "wb") as written:
        written.write(b"SQLite format 3\x00")
    with pytest.raises(AnalysisError, match=r"mlflow.db.gz, unpacked: MLflow's records must be a database that MLflow"):
        load(str(tmp_path / "mlflow.db.gz"))


def test_what_a_mac_notes_of_each_file_is_no_run(run: Path, tmp_path: Path) -> None:
    """A Mac's zips hold such notes in a folder, its tars and foreign disks beside each file."""
    notes = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"
    with zipfile.ZipFile(pack(run, tmp_path / "run.zip"), "a") as archive:
        for name in ("progress.csv", "config.yaml"):
            archive.writestr(f"__MACOSX/PPO_1/._{name}", notes)
    for name in ("progress.csv", "config.json", "events.out.tfevents.1"):
        (run / f"._{name}").write_bytes(notes)
    for place in (tmp_path / "run.zip", run, run.parent, pack(run, tmp_path / "run.tgz")):
        history = load(str(place))
        assert history.curve(metrics.TRAIN_RETURN).to_dict() == CURVE
        assert history.setting("ppo.gamma") == 0.9


def test_a_file_beside_the_run_that_is_no_text_is_passed_over(run: Path) -> None:
    (run / "state.json").write_bytes(b"\x00\xff\x02")
    history = load(str(run))
    assert history.curve(metrics.TRAIN_RETURN).to_dict() == CURVE
    assert any("state.json" in remark for remark in history.remarks)
    (run / "progress.csv").rename(run / "progress.out")
    (run / "core.log").write_bytes(b"\x00\xff\x02")
    history = load(str(run))
    assert history.curve(metrics.TRAIN_RETURN).to_dict() == CURVE
    assert any("core.log" in remark for remark in history.remarks)
    for name in ("state.json", "core.log"):
        with pytest.raises(AnalysisError, match=f"{name} must be a CSV in UTF-8, and holds other bytes"):
            load(str(run / name))


def test_no_file_of_an_archive_is_written_elsewhere(run: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        archive.write(run / "progress.csv", "../../escaped.csv")
    with tarfile.open(tmp_path / "run.tar", "w") as packed:
        packed.add(run / "progress.csv", "../../escaped.csv")
    assert load(str(tmp_path / "run.zip")).curve(metrics.TRAIN_RETURN).to_dict() == CURVE
    with pytest.raises(AnalysisError, match=r"run.tar must be an archive that can be unpacked: "):
        load(str(tmp_path / "run.tar"))


def test_an_archive_too_large_to_unpack_is_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.analysis.history.forms.packed._LARGEST", 20)
    with pytest.raises(AnalysisError, match=r"to 10,000 files and 20 bytes at most, got 2 files and 36 bytes; "):
        load(str(pack(run, tmp_path / "run.zip")))
