"""Which pages `unstuck ui` serves and links, and what it says of servers; on a real sweep: test_sweep_pages.py."""

import os
import sys
import time
from pathlib import Path

import pytest
from unstuck.records.errors import SweepError
from unstuck.records.ledger import Ledger
from unstuck.records.mlflow.links import LOCAL_SERVER
from unstuck.sweeps.catalog.pages import HOST, Page, find_port, plan_folder_pages, plan_sweep_pages, serve_pages

from tests.conftest import Command
from tests.sweeps_tests.watch import descendants


def test_a_server_that_ends_is_told_with_its_reason_and_the_others_end_too() -> None:
    lasting = Page(
        "lasting", f"http://{HOST}:{find_port(0)}", {}, [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    told = "import sys; print('cannot reach postgresql://me:secret@db/runs'); sys.exit(3)"
    broken = Page("broken", f"http://{HOST}:{find_port(0)}", {}, [sys.executable, "-c", told])
    before = set(descendants(os.getpid()))
    message = r"broken must go on, and ended with 3: cannot reach postgresql://\*\*\*@db/runs"
    with pytest.raises(SweepError, match=message), serve_pages([broken, lasting]):
        pass
    deadline = time.monotonic() + 5
    while set(descendants(os.getpid())) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(descendants(os.getpid())) - before == set()


def test_no_password_stands_in_a_servers_command(old_sweeps: Path) -> None:
    url = "postgresql://me:secret@db/runs"
    pages = plan_folder_pages(old_sweeps / "runs", url, url)
    assert [page.title for page in pages] == ["MLflow", "Optuna dashboard"]
    assert not any("secret" in word for page in pages for word in page.command)
    assert all(url in page.variables.values() for page in pages)


def test_a_server_that_runs_elsewhere_is_linked_and_not_started(old_sweeps: Path) -> None:
    mlflow, dashboard = plan_folder_pages(old_sweeps / "runs", None, "http://me:secret@there:5000")
    assert (mlflow.command, dict(mlflow.links)) == (
        (),
        {"all experiments": "http://there:5000/#/experiments?workflowType=machine_learning"},
    )
    assert dashboard.command


def test_a_taken_port_is_left_to_whoever_has_it() -> None:
    import socket

    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert find_port(port) not in (0, port)
    assert find_port(port) == port


def test_the_links_are_those_of_reports_where_the_ports_are_free(ended: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unstuck.sweeps.catalog import pages
    from unstuck.sweeps.config.find import load_sweep

    monkeypatch.setattr(pages, "find_port", lambda wanted: wanted)
    mlflow, dashboard = plan_sweep_pages(load_sweep(ended))
    assert mlflow.address == LOCAL_SERVER
    assert list(mlflow.links) == ["all trials, best first", "best trials and control"]
    path = Ledger.open_sweep(load_sweep(ended).reference).dashboard_path
    assert dict(dashboard.links) == {"trials": f"http://127.0.0.1:8080{path}"}


def test_a_folder_in_which_nothing_has_run_has_no_pages(command: Command) -> None:
    done = command.unstuck("ui")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("unstuck ui: error: --folder must be a folder in which sweeps have run, got runs,")
