"""Texts as terminals and spreadsheets leave them: code pages, colours, bars, decimal commas; and what is no text."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import ENV_STEPS, load
from unstuck.analysis.history.forms.texts import rewrite_commas, strip_terminal
from unstuck.rl import metrics

RETURN, VALUE = metrics.TRAIN_RETURN, metrics.VALUE_LOSS
LINES = "Update 1 | reward: 1.5 | value_loss: 8.0\nUpdate 2 | reward: 2.5 | value_loss: 4.0\n"


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be", "utf-8-sig", "cp1252"])
def test_texts_of_windows_are_read(tmp_path: Path, coding: str) -> None:
    """PowerShell's `>` writes UTF-16 with a mark, and older programs the code page of the country."""
    mark = "\ufeff" if coding == "utf-16-be" else ""
    text = f"{mark}Gerät: C:\\Läufe\\PPO_1\r\n" + LINES.replace("\n", "\r\n")
    (tmp_path / "log.txt").write_bytes(text.encode(coding))
    run = load(str(tmp_path / "log.txt"))
    assert run.curve(RETURN).to_dict() == {1: 1.5, 2: 2.5}
    assert run.curve(VALUE).to_dict() == {1: 8.0, 2: 4.0}


def test_a_pipe_may_bring_utf_16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LINES.encode("utf-16")), encoding="utf-8"))
    assert load("-").curve(RETURN).to_dict() == {1: 1.5, 2: 2.5}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\x89PNG\r\n"), encoding="utf-8"))
    with pytest.raises(AnalysisError, match="standard input must be a log, and is a picture"):
        load("-")


def test_decimal_commas_are_read_where_no_commas_part_a_table(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("iteration;reward;value_loss\n1;-1,5;8,0\n2;2,25;1,5e-2\n3;3;nan\n")
    run = load(str(tmp_path / "log.csv"))
    assert run.curve(RETURN).to_dict() == {1: -1.5, 2: 2.25, 3: 3.0}
    assert run.curve(VALUE).to_dict() == {1: 8.0, 2: 0.015, 3: float("inf")}
    (tmp_path / "wrong.csv").write_text("iteration,reward\n1,5\n2,25\n")
    assert load(str(tmp_path / "wrong.csv")).curve(RETURN).to_dict() == {1: 5.0, 2: 25.0}


@pytest.mark.parametrize(
    ("text", "steps", "returns"),
    [
        ("step\treward\n8,192\t1.5\n16,384\t2\n1,048,576\t-3.25\n", [8192, 16384, 1048576], [1.5, 2.0, -3.25]),
        ("steps;reward\n1,024;1\n2,048;2\n", [1024, 2048], [1.0, 2.0]),
        ("steps;reward\n512;1,250\n1,024;2,5\n", [512, 1024], [1.25, 2.5]),
        ("steps;reward\n512;0,250\n1024;2,500\n", [512, 1024], [0.25, 2.5]),
        ("steps;reward;loss\n512;1,250;0,1\n1024;2,500;0,2\n", [512, 1024], [1.25, 2.5]),
        ('steps\treward\n"1,024"\t1,024.5\n"2,048"\t7.5\n', [1024, 2048], [1024.5, 7.5]),
    ],
)
def test_commas_part_thousands_or_decimals(tmp_path: Path, text: str, steps: list[float], returns: list[float]) -> None:
    (tmp_path / "log.csv").write_text(text)
    run = load(str(tmp_path / "log.csv"))
    assert run.curve(ENV_STEPS).tolist() == steps
    assert run.curve(RETURN).tolist() == returns


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[1;32mreward: 3\x1b[0m", "reward: 3"),
        ("reward: 2\x083", "reward: 3"),
        ("loss 5 % | done", "loss 5 % | done"),
        (" 40%|####    | 4/10 [00:01<00:02,  3.1it/s, loss=2, ret=7]", "step 4 | loss=2, ret=7"),
        ("Training: 100%|##| 10/10 [00:03<00:00, 3.0it/s]", "step 10 | Training"),
    ],
)
def test_what_a_terminal_alone_shows_is_left_out(text: str, left: str) -> None:
    assert strip_terminal(text) == left


def test_bars_of_tqdm_give_their_count_and_what_stands_behind(tmp_path: Path) -> None:
    bars = [f"\r{10 * i}%|{'#' * i}| {i}/10 [00:0{i}<00:09,  1.0it/s, reward={2 * i}.5]" for i in range(1, 9)]
    (tmp_path / "log.txt").write_text("".join(bars))
    run = load(str(tmp_path / "log.txt"))
    assert run.curve(RETURN).to_dict() == {i: 2 * i + 0.5 for i in range(1, 9)}


@pytest.mark.parametrize(("about", "shown"), [("Epoch {}: ", ", loss=2"), ("", "")])
def test_a_bar_for_each_epoch_counts_minibatches_and_not_steps(tmp_path: Path, about: str, shown: str) -> None:
    """Such a bar's count begins anew in each epoch."""
    lines = []
    for i in (1, 2, 3):
        lines += [f"\r{about.format(i)}{k}0%|##| {k}/10 [00:01<00:02, 3.1it/s{shown}]" for k in (0, 5)]
        lines += [f"\nIteration {i} reward: {i}.5 value_loss: {8 - i}\n"]
    (tmp_path / "log.txt").write_text("".join(lines))
    run = load(str(tmp_path / "log.txt"))
    assert run.curve(RETURN).to_dict() == {1: 1.5, 2: 2.5, 3: 3.5}
    assert run.curve(VALUE).to_dict() == {1: 7.0, 2: 6.0, 3: 5.0}
    assert ENV_STEPS not in run.table


def test_a_bar_whose_line_counts_by_itself_gives_no_steps() -> None:
    bar = "Update 7:  40%|####    | 4/10 [00:01<00:02,  3.1it/s, loss=2] saved"
    assert strip_terminal(bar) == "Update 7 | loss=2 | saved"


def test_frames_count_steps_with_a_dot_behind_the_number(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text(
        "Best reward updated: 8.1 -> 9.7\n" + "".join(f"Frame {i * 2560}. reward: {i}.25\n" for i in range(1, 5))
    )
    run = load(str(tmp_path / "out.txt"))
    assert run.curve(RETURN).tolist() == [1.25, 2.25, 3.25, 4.25]
    assert run.curve(ENV_STEPS).tolist() == [2560, 5120, 7680, 10240]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            pickle.dumps({"reward": [1.0]}),
            "is a pickle, which is not read: to load one can execute code; ",
        ),
        (b"\x93NUMPY\x01\x00", "is one array without names; save arrays by name, with numpy.savez"),
        (b"\x89HDF\r\n\x1a\n", "is HDF5; write its tables as CSV"),
        (b"PAR1\x15\x04", r"is Parquet; write it as CSV: pandas.read_parquet"),
        (b"FEA1\x00\x00\x00\x00", r"is Feather; write it as CSV: pandas.read_feather"),
        (b"ARROW1\x00\x00", r"is Feather; write it as CSV: pandas.read_feather"),
        (b"PK\x03\x04\x14\x00", "is an archive of another kind, such as a saved model"),
        (b"\x89PNG\r\n", "is a picture; name the file that the picture was drawn from"),
        (b"\xff\xfe\x00\xd8\x41\x00", "must be a CSV in UTF-8, and holds other bytes"),
        (b"reward \xe4\x00\x01", "must be a CSV in UTF-8, and holds other bytes"),
    ],
)
def test_what_is_no_text_is_refused_with_what_to_do(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "log.bin").write_bytes(data)
    with pytest.raises(AnalysisError, match=message):
        load(str(tmp_path / "log.bin"))


def test_arrays_by_name_are_columns_and_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "log.npz", reward=np.array([1.0, 2.0]), value_loss=[4.0, 3.0], states=np.ones((2, 3)))
    run = load(str(tmp_path / "log.npz"))
    assert run.curve(RETURN).to_dict() == {1: 1.0, 2: 2.0}
    assert run.curve(VALUE).to_dict() == {1: 4.0, 2: 3.0}
    np.savez(tmp_path / "objects.npz", reward=np.array([{"a": 1}], dtype=object))
    with pytest.raises(AnalysisError, match=r"must hold columns of numbers \(shape \(n,\)\), and holds none; "):
        load(str(tmp_path / "objects.npz"))


def test_arrays_that_are_damaged_or_have_no_names_are_refused_in_a_line(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    np.savez_compressed(tmp_path / "cut.npz", reward=np.arange(200.0))
    data = bytearray((tmp_path / "cut.npz").read_bytes())
    data[60:120] = bytes(60)
    (tmp_path / "cut.npz").write_bytes(data)
    for name, reason in (("one", "the file is one array without names"), ("cut", ".+")):
        words = rf"{name}.npz must be arrays by name, as numpy.savez writes them: {reason}; write the run as a CSV$"
        with pytest.raises(AnalysisError, match=words):
            load(str(tmp_path / f"{name}.npz"))


def test_outputs_of_a_notebook_without_data_are_passed_over(tmp_path: Path) -> None:
    outputs = [{"data": None}, {"data": {"text/plain": None}}, {"text": LINES.splitlines(keepends=True)}]
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": [{"outputs": None}, {"outputs": outputs}]}))
    assert load(str(tmp_path / "train.ipynb")).curve(RETURN).to_dict() == {1: 1.5, 2: 2.5}
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": [None, "train"]}))
    with pytest.raises(AnalysisError, match="must hold the printed log of a training in its outputs, and holds none"):
        load(str(tmp_path / "train.ipynb"))


@pytest.mark.parametrize("name", ["PAR1", "FEA1", "ARROW1"])
def test_a_column_may_be_named_as_a_form_begins(tmp_path: Path, name: str) -> None:
    (tmp_path / "log.csv").write_text(f"{name},iteration,reward\n0.5,1,1.5\n0.5,2,2.5\n")
    assert load(str(tmp_path / "log.csv")).curve(RETURN).to_dict() == {1: 1.5, 2: 2.5}


TABLE = "iteration,reward,value_loss\n1,1.5,8\n2,2.5,4\n3,3.5,2\n"


@pytest.mark.parametrize(
    "data",
    [
        TABLE.replace("\n", "\r").encode(),
        ("sep=;\r\n" + TABLE.replace(",", ";").replace(".", ",")).encode(),
        ("sep=,\n" + TABLE).encode(),
        TABLE.encode() + b"\0" * 64,
        TABLE.replace("1.5", '"1,5"').replace("2.5", '"2,5"').replace("3.5", '"3,5"').encode(),
        TABLE.replace("8\n", "8,\n").replace("4\n", "4,\n").replace("2\n", "2,\n").encode(),
        (TABLE + "4,5.5,1\n").encode("utf-16")[:-11],
        (TABLE + "9" * 400 + ",,\n").encode(),
    ],
    ids=["old Mac", "Excel's hint", "hint of commas", "zero bytes", "quoted", "ends of rows", "cut UTF-16", "digits"],
)
def test_tables_that_other_programs_wrote_or_cut_are_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(data)
    run = load(str(tmp_path / "log.csv"))
    assert list(run.curve(RETURN).iloc[:3]) == [1.5, 2.5, 3.5]
    assert list(run.curve(VALUE).iloc[:3]) == [8.0, 4.0, 2.0]


def test_an_empty_last_cell_is_no_delimiter_behind_the_row(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("iteration,reward,value_loss,entropy\n1,1.5,8,\n2,2.5,4,\n")
    run = load(str(tmp_path / "log.csv"))
    assert run.curve(RETURN).to_dict() == {1: 1.5, 2: 2.5}
    assert run.curve(VALUE).to_dict() == {1: 8.0, 2: 4.0}


def test_decimal_commas_of_printed_text_are_read(tmp_path: Path) -> None:
    """Cut at the comma, returns of 15,7 and 16,4 were 15 and 16."""
    lines = [f"12:00:0{i},123 INFO iter {i} | reward: {i}5,7 | value_loss: 0,{i}25" for i in (1, 2, 3)]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    run = load(str(tmp_path / "log.txt"))
    assert run.curve(RETURN).to_dict() == {1: 15.7, 2: 25.7, 3: 35.7}
    assert run.curve(VALUE).to_dict() == {1: 0.125, 2: 0.225, 3: 0.325}


def test_commas_of_three_digits_behind_a_0_are_decimal(tmp_path: Path) -> None:
    """No thousands begin with 0: a loss of 0,125 was read as 0, and a return of 15,725 as 15 or as 15725."""
    lines = [f"iter {i} | reward: {i}5,725 | value_loss: 0,{i}25" for i in (1, 2, 3)]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    run = load(str(tmp_path / "log.txt"))
    assert run.curve(RETURN).to_dict() == {1: 15.725, 2: 25.725, 3: 35.725}
    assert run.curve(VALUE).to_dict() == {1: 0.125, 2: 0.225, 3: 0.325}


@pytest.mark.parametrize("returns", ["{i}5", "{i}5.0"])
def test_commas_of_thousands_part_no_pairs_of_printed_text(tmp_path: Path, returns: str) -> None:
    """2,048 steps were read as 2."""
    text = f"iter {{i}}, timesteps: {{i}},048, reward: {returns}, layers: [128,256]"
    (tmp_path / "log.txt").write_text("\n".join(text.format(i=i) for i in (1, 2, 3)))
    run = load(str(tmp_path / "log.txt"))
    assert run.curve(ENV_STEPS).to_dict() == {1: 1048.0, 2: 2048.0, 3: 3048.0}
    assert run.curve(RETURN).to_dict() == {1: 15.0, 2: 25.0, 3: 35.0}


@pytest.mark.parametrize(
    "text",
    [
        "Step 1,024 | reward 5\nStep 2,048 | reward 6",
        "step 10 | reward 1,024.5 | loss 0.1",
        "12:00:01,123 reward 5",
        "layers 64,64,1 | shape (3,4) | reward 5",
    ],
)
def test_other_commas_of_printed_text_stay(text: str) -> None:
    assert rewrite_commas(text) == text


@pytest.mark.parametrize("form", ["log", "jsonl", "json"])
def test_losses_that_are_no_number_count_in_every_form(tmp_path: Path, form: str) -> None:
    """As in a table: a loss of NaN is a broken one, and a return of NaN says that no episode ended."""
    returns, losses = [np.nan, 2.0, 2.0], [8.0, 8.0, np.nan]
    rows = [{"iteration": i, "reward": returns[i - 1], "value_loss": losses[i - 1]} for i in (1, 2, 3)]
    text = {
        "log": "\n".join(" | ".join(f"{name}: {value}" for name, value in row.items()) for row in rows),
        "jsonl": "\n".join(map(json.dumps, rows)),
        "json": json.dumps(rows),
    }[form]
    (tmp_path / f"run.{form}").write_text(text)
    run = load(str(tmp_path / f"run.{form}"))
    assert run.curve(VALUE).to_dict() == {1: 8.0, 2: 8.0, 3: np.inf}
    assert run.curve(RETURN).to_dict() == {2: 2.0, 3: 2.0}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", "[" * 100_000 + "]" * 100_000),
        ("deep.jsonl", ('{"a":' * 3_000 + "1" + "}" * 3_000 + "\n") * 3),
        ("line.log", "x" * 300_000 + "\n" + TABLE),
    ],
)
def test_what_no_program_logs_is_refused_in_a_line_and_in_time(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AnalysisError, match="must"):
        load(str(tmp_path / name))


def test_a_place_that_is_neither_file_nor_folder_is_named() -> None:
    with pytest.raises(AnalysisError, match="/dev/null must be a file or a folder, and is neither; pipe what it gives"):
        load("/dev/null")
