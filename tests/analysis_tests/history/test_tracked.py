"""MLflow's stores: which URLs are taken for one, before MLflow is asked."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.tracked import TrackedRuns, check_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/name",
        "postgresql+psycopg://host/name",
        "mysql+pymysql://host/name",
        "http://127.0.0.1:5000",
        "https://host/path",
    ],
)
def test_servers_and_databases_are_left_to_mlflow(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize("url", ["foo", "", "sqlite:///", "file:///tmp/mlruns", "postgres://host", "./mlruns"])
def test_what_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(AnalysisError, match="--mlflow-url must be sqlite:///FILE, a database such as"):
        check_url(url)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(AnalysisError) as refused:
        check_url("postgres://me:secret@host/name")
    assert "secret" not in str(refused.value)


def test_a_file_must_be_mlflows_and_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with pytest.raises(AnalysisError, match=r"MLflow's records must exist, got .*a\.db; name the folder"):
        TrackedRuns(f"sqlite:///{file}")
    assert not file.exists()
    file.write_text("no database at all, though there is a file")
    with pytest.raises(AnalysisError, match=r"must be a database that MLflow made, got .*a\.db, which is none"):
        check_url(f"sqlite:///{file}")
    file.unlink()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("CREATE TABLE notes (text)")
    with pytest.raises(AnalysisError, match="must be a database that MLflow made"):
        check_url(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as database, database:
        for table in ("experiments", "runs", "metrics"):
            database.execute(f"CREATE TABLE {table} (id)")
    check_url(f"sqlite:///{file}")
    check_url(f"sqlite:///{file}?timeout=5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db"]


def test_looking_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "odd name?.db"
    with pytest.raises(AnalysisError, match="must exist"):
        check_url(f"sqlite:///{file}")
    assert not list(tmp_path.iterdir())
