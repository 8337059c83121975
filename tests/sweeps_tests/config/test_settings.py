"""What a name may reach: a folder of its own below `sweep.folder`, and modules that are no results."""

import sys
from pathlib import Path

import pytest
from unstuck.rl.config import EnvConfig
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.find import find_sweep
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig

OUTSIDE = ["../x", "a/b", "..", ".", "/tmp/x", "a\\b", "a\n", "", "-a", "~", "a" * 101, "a\0b"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^sweep\.name must be 1 to 100 letters, digits, '\.', '_' or '-'"):
        StudyConfig(name=name)


@pytest.mark.parametrize("name", [name for name in OUTSIDE if "/" not in name])
def test_nor_can_one_that_is_looked_up(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^a sweep's name must be 1 to 100 letters"):
        find_sweep(name, tmp_path)


@pytest.mark.parametrize("name", ["a", "quickstart-20260131-174500", "a..b", "0", "a" * 100])
def test_names(name: str, tmp_path: Path) -> None:
    config = SweepConfig(sweep=StudyConfig(name=name, folder=str(tmp_path)))
    assert config.own_folder.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize("name", ["mlflow.db", "optuna.db", "mlflow-artifacts"])
def test_a_name_is_not_that_of_everybodys_records(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^sweep\.name must not be mlflow\.db, optuna\.db, mlflow-artifacts, "):
        StudyConfig(name=name)


@pytest.mark.parametrize(
    "env_id", ["../x:Foo-v0", "/tmp/x:Foo-v0", ".x:Foo-v0", ":Foo-v0", "a b:Foo-v0", "a:b:Foo-v0", "a:"]
)
def test_an_environment_is_no_path(env_id: str) -> None:
    with pytest.raises(ConfigError, match=r"^env\.id must be an id, or module:id with a module that Python can import"):
        EnvConfig(id=env_id)


@pytest.mark.parametrize("module", ["runs.mine.evil", "runs", "runs.mine", "evil", "mine.evil"])
def test_no_module_is_imported_from_the_results(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    (runs / "mine").mkdir(parents=True)
    for file in (runs / "mine" / "evil.py", runs / "evil.py"):
        file.write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    for place in (runs, tmp_path):
        monkeypatch.syspath_prepend(place)
    with pytest.raises(ConfigError, match=r"^env\.id must not name a module in sweep\.folder, which holds results"):
        SweepConfig(sweep=StudyConfig(folder=str(runs)), env=EnvConfig(id=f"{module}:Foo-v0"))
    SweepConfig(sweep=StudyConfig(folder=str(tmp_path / "other")), env=EnvConfig(id=f"{module}:Foo-v0"))
    assert not (tmp_path / "imported").exists()
    assert module not in sys.modules


@pytest.mark.parametrize("env_id", ["CartPole-v1", "ALE/Pong-v5", "gymnasium.envs:CartPole-v1", "nowhere:Foo-v0"])
def test_environments(env_id: str) -> None:
    assert SweepConfig(env=EnvConfig(id=env_id)).env.id == env_id
