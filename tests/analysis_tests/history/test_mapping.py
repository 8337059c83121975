"""The mapping file: what its parts become, and each mistake by its own message."""

from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.mapping import read_mapping
from unstuck.analysis.history.names import Dialect


def read(folder: Path, text: str, name: str = "names.yaml") -> tuple[Dialect, dict[str, Any]]:
    file = folder / name
    file.write_text(text)
    return read_mapping(file)


def test_all_parts(tmp_path: Path) -> None:
    dialect, settings = read(
        tmp_path,
        "iteration: update\nenv_steps: global_step\n"
        "metrics:\n  train/value_loss: {column: critic/mse, times: 2}\n  train/approx_kl: kl\n"
        "settings: {ppo.gamma: 0.9, ppo: {lr: 0.001}}\n",
    )
    assert (dialect.iteration, dialect.env_steps) == (("update",), ("global_step",))
    assert dialect.metrics == {"critic/mse": ("train/value_loss", 2.0), "kl": ("train/approx_kl", 1.0)}
    assert dialect.title == "named by names.yaml"
    assert settings == {"ppo.gamma": 0.9, "ppo.lr": 0.001}


def test_every_part_may_be_left_out(tmp_path: Path) -> None:
    dialect, settings = read(tmp_path, '{"metrics": {"train/lr": "rate"}}', "names.json")
    assert (dialect.iteration, dialect.env_steps, settings) == ((), (), {})
    assert dialect.metrics == {"rate": ("train/lr", 1.0)}


def test_families_and_seeds_can_be_named(tmp_path: Path) -> None:
    dialect, _ = read(tmp_path, "metrics: {train/action/allow: a, eval/f1/seed_0: b}")
    assert dialect.metrics == {"a": ("train/action/allow", 1.0), "b": ("eval/f1/seed_0", 1.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics: {train/valu_loss: x}", "unknown metric train/valu_loss; did you mean train/value_loss"),
        ("metrics: {train/value_loss: {times: 2}}", "train/value_loss must name its column, got {times: 2} alone"),
        ("metrics: {train/value_loss: {column: x, times: two}}", "must be a name, or {column: name, times: number}"),
        ("metrics: {train/value_loss: 3}", "must be a name, or {column: name, times: number}, got train/value_loss: 3"),
        (
            "metrics: {train/episode_return: r, eval/episode_return: r}",
            "a column can be one metric, got r as train/episode_return and as eval/episode_return",
        ),
        ("columns: {a: b}", "may hold iteration, env_steps, metrics, settings, got 'columns'"),
        ("iteration: 3", "iteration must be the name of a column, got iteration: 3"),
        ("env_steps: {a: b}", "env_steps must be the name of a column, got env_steps.a: 'b'"),
        ("metrics: value_loss", "metrics must hold values by name, got 'value_loss'"),
        ("settings: {ppo.gama: 0.9}", "no setting that a diagnosis reads is called 'ppo.gama'; did you mean ppo.gamma"),
        ("settings: {ppo.gamma: high}", "ppo.gamma must be "),
        ("[1", "--names: .*names.yaml must be YAML"),
    ],
)
def test_each_mistake_has_its_message(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnalysisError, match=message.replace("{", r"\{").replace("?", r"\?")):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"--names must be a file that can be read, got .*nothing.yaml: No such"):
        read_mapping(tmp_path / "nothing.yaml")
