"""Files of a run, one by one: which count, what counts their rows, and what of them is said."""

from pathlib import Path

import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.files import read_files as read_with
from unstuck.analysis.history.files import read_names
from unstuck.analysis.history.record import ENV_STEPS, History
from unstuck.rl import metrics


def read_files(path: Path, names: Path | None = None) -> History:
    return read_with(path, read_names(names, {}))


LOSS, RETURN = metrics.VALUE_LOSS, metrics.TRAIN_RETURN


def folder(tmp_path: Path, **files: str) -> Path:
    """Files by name, `_` before the suffix."""
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (tmp_path / f"{stem}.{suffix}").write_text(text)
    return tmp_path


def test_a_single_file_may_have_any_name(tmp_path: Path) -> None:
    run = read_files(folder(tmp_path, log_txt="iteration,value_loss\n1,0.5\n") / "log.txt")
    assert run.curve(LOSS).to_dict() == {1: 0.5}
    assert run.name == "log.txt"
    assert run.dialect == "plain"


def test_in_a_folder_other_files_are_passed_over(tmp_path: Path) -> None:
    run = read_files(
        folder(tmp_path, log_csv="iteration,value_loss\n1,0.5\n", readme_txt="a,b\nnot,a table of metrics\n")
    )
    assert run.source == f"log.csv in {tmp_path}"


def test_settings_of_a_level_below_belong_to_the_run(tmp_path: Path) -> None:
    folder(tmp_path, log_csv="iteration,value_loss\n1,0.5\n")
    (tmp_path / "conf").mkdir()
    folder(tmp_path / "conf", args_yml="learning_rate: 0.001\n")
    assert read_files(tmp_path).settings == {"ppo.lr": 0.001}


def test_environment_steps_are_turned_into_iterations_and_kept(tmp_path: Path) -> None:
    run = read_files(folder(tmp_path, log_csv="global_step,value_loss,reward\n512,0.5,1\n1024,0.4,2\n"))
    assert run.curve(LOSS).to_dict() == {1: 0.5, 2: 0.4}
    assert run.curve(ENV_STEPS).to_dict() == {1: 512.0, 2: 1024.0}


def test_where_both_are_counted_iterations_hold(tmp_path: Path) -> None:
    run = read_files(folder(tmp_path, log_csv="update,env_steps,value_loss\n10,5120,0.5\n20,10240,0.4\n"))
    assert run.curve(LOSS).to_dict() == {10: 0.5, 20: 0.4}
    assert run.curve(ENV_STEPS).to_dict() == {10: 5120.0, 20: 10240.0}


def test_text_in_a_column_of_numbers_is_no_value(tmp_path: Path) -> None:
    run = read_files(folder(tmp_path, log_csv="iteration,value_loss\n1,0.5\n2,n/a\n3,diverged\n4,inf\n"))
    assert run.curve(LOSS).to_dict() == {1: 0.5, 4: float("inf")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must be a CSV with a header: No columns to parse"),
        ("1,2\n3,4\n", r"the first row of .*log.csv must name its columns, got 1, 2"),
        ("value_loss,value_loss\n1,2\n", r"columns of .*log.csv must have names of their own, got value_loss twice"),
        ("iteration,value_loss\n-1,2\n", r"iteration in .*log.csv must hold whole numbers from 0 on, got -1"),
        ("iteration,value_loss\n1.5,2\n", r"iteration in .*log.csv must hold whole numbers from 0 on, got 1.5"),
        (
            "iteration,value_loss\n5,2\n6,1\n4,3\n",
            r"iteration in .*log.csv must not go back, got 4 after 6 in row 4; sort its rows, or keep one run a file",
        ),
        (
            "0,0.0,-0.047,4000,False\n1,0.0,-0.072,8000,False\n",
            r"must begin with a line that names its columns, got -0.047, 0, 0.0, 4000, False; write one",
        ),
        ("loudness\n3\n", r"must hold metrics under known names, got loudness; say what they are in a mapping file"),
    ],
)
def test_what_is_no_log_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        read_files(folder(tmp_path, log_csv=text) / "log.csv")


def test_a_folder_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"must be or hold a table \(.csv\), event files, .* and there is none"):
        read_files(folder(tmp_path, config_yaml="lr: 1\n"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"\xff\xfe\x00\xd8\x41\x00")
    with pytest.raises(AnalysisError, match="must be a CSV in UTF-8, and holds other bytes"):
        read_files(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_bytes(b"a\0b,c\n1,2\n")
    with pytest.raises(AnalysisError, match=r"must be a CSV"):
        read_files(tmp_path / "log.csv")


def test_remarks_say_what_was_left_out_and_what_was_not_found(tmp_path: Path) -> None:
    run = folder(tmp_path, log_csv="u,critic,loudness\n1,0.5,3\n")
    names = tmp_path / "names.yaml"
    names.write_text("iteration: u\nmetrics: {train/value_loss: critic, train/approx_kl: kl_mean}\n")
    remarks = read_files(run / "log.csv", names).remarks
    assert "columns not known and left out: loudness" in remarks
    assert "columns named by --names and not found: kl_mean" in remarks


def test_a_file_of_evaluations_is_told_by_its_name(tmp_path: Path) -> None:
    run = read_files(
        folder(tmp_path, train_csv="iteration,reward\n1,5\n2,6\n", Eval_csv="iteration,reward,action_allow\n2,9,0.5\n")
    )
    assert run.curve(RETURN).to_dict() == {1: 5.0, 2: 6.0}
    assert run.curve(metrics.EVAL_RETURN).to_dict() == {2: 9.0}
    assert list(run.family(metrics.GREEDY_PREFIX)) == ["allow"]


def test_a_counter_with_fractions_gives_way_to_one_without(tmp_path: Path) -> None:
    text = "{'reward': 1.5, 'episode': 16, 'epoch': 0.11}\n{'reward': 2.5, 'episode': 32, 'epoch': 0.12}\n"
    assert read_files(folder(tmp_path, log_txt=text) / "log.txt").curve(RETURN).to_dict() == {16: 1.5, 32: 2.5}


def test_episodes_that_end_at_any_number_are_no_iterations(tmp_path: Path) -> None:
    text = "steps,episodes,reward\n50000,52,1\n100000,96,2\n150000,121,3\n"
    run = read_files(folder(tmp_path, log_csv=text) / "log.csv")
    assert run.curve(RETURN).to_dict() == {1: 1, 2: 2, 3: 3}
    assert not [remark for remark in run.remarks if "resumed" in remark]


def test_an_iteration_in_two_rows_is_averaged_and_ends_with_the_last(tmp_path: Path) -> None:
    run = read_files(folder(tmp_path, log_csv="iteration,steps,reward\n1,100,1\n1,200,3\n2,300,5\n") / "log.csv")
    assert run.curve(RETURN).to_dict() == {1: 2, 2: 5}
    assert run.curve(ENV_STEPS).to_dict() == {1: 200, 2: 300}


def test_steps_of_each_iteration_alone_are_no_time(tmp_path: Path) -> None:
    text = "iteration,num_timesteps,reward\n1,900,1\n2,800,2\n3,950,3\n"
    run = read_files(folder(tmp_path, log_csv=text) / "log.csv")
    assert run.curve(RETURN).to_dict() == {1: 1, 2: 2, 3: 3}
    with pytest.raises(AnalysisError, match=r"total_timesteps in .* must not go back"):
        read_files(folder(tmp_path, log_csv=text.replace("num", "total")) / "log.csv")


def test_the_count_of_a_resumed_run_is_named_as_the_file_has_it(tmp_path: Path) -> None:
    run = read_files(folder(tmp_path, log_csv="iteration,reward\n860,1\n870,2\n") / "log.csv")
    assert "iterations are counted from 1; in the files they begin at 860, as of a resumed run" in run.remarks


def test_two_runs_in_one_text_are_not_to_be_sorted(tmp_path: Path) -> None:
    text = "".join(f"steps: {steps}\nreward: {steps}\n" for steps in (10, 20, 30, 5, 15))
    with pytest.raises(AnalysisError, match=r"got 5 after 30 in block 4; keep one run a file"):
        read_files(folder(tmp_path, log_txt=text) / "log.txt")
