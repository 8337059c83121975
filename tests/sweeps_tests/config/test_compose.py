import os
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.compose import to_config
from unstuck.sweeps.config.settings import SweepConfig

from tests.composing import composed
from tests.conftest import Command


def test_the_composed_default_is_the_dataclass_default_but_for_the_space_and_the_paths() -> None:
    config = to_config(composed("sweep.name=a"))
    default = SweepConfig()
    expected = replace(default, sweep=replace(default.sweep, name="a", folder=os.path.abspath("runs")))
    assert replace(config, space={}) == expected
    assert config.ppo.hidden_sizes == (64, 64)


def test_values_are_typed_and_tuples() -> None:
    config = to_config(composed("ppo.value_coef=1", "ppo.hidden_sizes=[32]", "data.drop=[a,b]", "ppo.target_kl=0.02"))
    assert type(config.ppo.value_coef) is float
    assert config.ppo.hidden_sizes == (32,)
    assert config.data.drop == ("a", "b")
    assert config.ppo.target_kl == 0.02


@pytest.mark.parametrize(
    ("experiment", "name"),
    [
        (None, "sweep-20260131-174505"),
        ("quickstart", "quickstart-20260131-174505"),
        ("mine/wide", "mine-wide-20260131-174505"),
        ("[a, b]", "a-b-20260131-174505"),
    ],
)
def test_a_sweep_without_a_name_is_named_after_experiment_and_time(experiment: str | None, name: str) -> None:
    config = to_config(composed(), experiment, datetime(2026, 1, 31, 17, 45, 5))
    assert re.fullmatch(name + "-[0-9a-f]{6}", str(config.sweep.name))


def test_a_name_given_is_kept() -> None:
    assert to_config(composed("sweep.name=a"), "quickstart").sweep.name == "a"


def test_a_resumed_sweep_has_its_name() -> None:
    config = to_config(composed("resume=mine"))
    assert (config.resume, config.sweep.name) == ("mine", "mine")
    assert to_config(composed("resume=mine", "sweep.name=mine")) == config
    with pytest.raises(ConfigError, match=r"sweep\.name must be left out with resume=mine, which says it; got other"):
        to_config(composed("resume=mine", "sweep.name=other"))
    with pytest.raises(ConfigError, match=r"resume must be 1 to 100 letters"):
        to_config(composed("resume=../elsewhere"))


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = to_config(composed("data=nsl_kdd", "data.path=../flows.txt", "sweep.folder=out"))
    assert config.data.path == str(tmp_path.parent / "flows.txt")
    assert config.sweep.folder == str(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"^sweep\.folder must be a folder on this machine, got s3://bucket/runs$"):
        to_config(composed("sweep.folder=s3://bucket/runs"))


@pytest.mark.parametrize(
    ("own", "times"),
    [([], 1), (["--config-name=config"], 2), (["hydra.verbose=false"], 2)],
    ids=["settings alone", "an option", "a setting of Hydra's"],
)
def test_hydra_composes_once_and_to_the_same_configuration_as_by_itself(
    command: Command, monkeypatch: pytest.MonkeyPatch, own: list[str], times: int
) -> None:
    calls: list[int] = []
    configs: list[SweepConfig] = []
    load = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", lambda *a, **k: calls.append(1) or load(*a, **k))
    monkeypatch.setattr("unstuck.sweeps.run.sweep.run_sweep", lambda config, *_: configs.append(config) or 0)
    assert command("+experiment=quickstart", "sweep.name=x", "ppo.lr=1e-3", *own).code == 0
    assert len(calls) == times
    expected = to_config(composed("+experiment=quickstart", "sweep.name=x", "ppo.lr=1e-3"))
    assert replace(configs[0], sweep=expected.sweep) == expected
