"""Which study a report reads: that of the sweep in the folder, by the rules by which a resume finds it."""

from pathlib import Path

import optuna
import pytest
import yaml
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.sweep.importance import read_sweep
from unstuck.records.names import CONFIG, COPY_OF, FORMAT, ID


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a study of each kind, named after how it came about."""
    folder = tmp_path_factory.mktemp("runs")
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    studies = {"whole": {ID: "a" * 32}, "copied": {ID: "c" * 32, COPY_OF: "a" * 32}, "other": {ID: "b" * 32}}
    for name, attributes in studies.items():
        study = optuna.create_study(storage=storage, study_name=name)
        for key, value in {**attributes, FORMAT: 2, CONFIG: f"sweep: {{metric: {name}}}"}.items():
            study.set_user_attr(key, value)
    return folder


def plant(runs: Path, name: str, sweep_id: str) -> None:
    (runs / name).mkdir(exist_ok=True)
    (runs / name / "config.yaml").write_text(yaml.safe_dump({"id": sweep_id, "format": 2}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whole", "copied"])  # the process died while it gave a copy an id of its own
def test_a_sweep_is_found_by_its_id(runs: Path, name: str) -> None:
    plant(runs, name, "a" * 32)
    assert read_sweep(name, runs).settings == {"sweep.metric": name}


@pytest.mark.slow
def test_another_sweep_of_the_name_is_not_taken_for_it(runs: Path) -> None:
    plant(runs, "other", "a" * 32)
    with pytest.raises(AnalysisError, match=f"must hold the sweep 'other' with the id {'a' * 32}.*check --optuna-url"):
        read_sweep("other", runs)


@pytest.mark.slow
def test_without_a_folder_the_name_decides(runs: Path) -> None:
    elsewhere, url = runs / "elsewhere", f"sqlite:///{runs / 'optuna.db'}"
    assert read_sweep("whole", elsewhere, url).settings == {"sweep.metric": "whole"}
    with pytest.raises(AnalysisError, match=r"no sweep named 'none'; there are: copied, other, whole"):
        read_sweep("none", elsewhere, url)


def test_a_missing_ledger_is_not_made_and_the_remedy_is_an_option(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"must be a database that exists, got .*optuna\.db; check --folder$"):
        read_sweep("mine", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_that_is_no_ledger_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_text("not a database, and long enough to be read as one" * 50)
    with pytest.raises(AnalysisError, match=r"^--optuna-url must be a database of optuna's own that can be .*$"):
        read_sweep("mine", tmp_path)
