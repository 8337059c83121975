"""A probe's log is read with its settings, in our names and by our definitions, and speaks its owner's words."""

from pathlib import Path

import pytest
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.translation import make_translator
from unstuck.analysis.history import load
from unstuck.rl import metrics

ROWS = f"iteration,env_steps,{metrics.APPROX_KL},{metrics.RATIO_DEVIATION}\n1,64,-0.1,\n2,128,0.2,0.0\n"
SETTINGS = '{"probe.program": "cleanrl", "ppo.value_coef": 0.25, "ppo.num_iterations": 4}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "probe.csv").write_text(ROWS)
    (tmp_path / "probe.json").write_text(SETTINGS)
    return tmp_path


@pytest.mark.parametrize("name", ["", "probe.csv"])
def test_curves_and_settings_are_read_from_folder_or_file(folder: Path, name: str) -> None:
    run = load(str(folder / name))
    assert run.curve(metrics.APPROX_KL).tolist() == [-0.1, 0.2]
    assert run.settings == {"ppo.value_coef": 0.25, "ppo.num_iterations": 4}  # already by our names and in our unit
    assert (run.dialect, run.probed, run.program) == ("unstuck", "cleanrl", "cleanrl")
    assert run.read_as == "Read as the log of unstuck.Probe in CleanRL: 2 iterations, measured as our learner is."


def test_other_records_of_the_folder_are_left_alone_and_named(folder: Path) -> None:
    (folder / "progress.csv").write_text("time/iterations,train/approx_kl\n1,9\n2,9\n")
    run = load(str(folder))
    assert run.curve(metrics.APPROX_KL).tolist() == [-0.1, 0.2]
    assert "read from probe.csv alone; not read: progress.csv" in run.remarks


def test_a_probed_run_is_measured_by_us_and_trained_by_others(folder: Path) -> None:
    run = Signals(load(str(folder)))
    assert run.is_measured_by_us
    assert not run.is_ours
    (folder / "probe.json").unlink()
    alone = Signals(load(str(folder)))
    assert (alone.history.probed, alone.is_measured_by_us) == ("", False)


def test_a_loop_of_ones_own_keeps_our_names_and_is_run_again() -> None:
    text = "branch with value_coef 0.5 and see train/value_loss"
    assert make_translator("plain", "unstuck")(text) == "run again with value_coef 0.5 and see train/value_loss"
    assert make_translator("cleanrl", "unstuck")(text) == "run again with --vf-coef 1 and see train/value_loss"
