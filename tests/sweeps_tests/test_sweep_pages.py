"""Pages on a finished sweep as a person sees them: MLflow and Optuna's dashboard, served by `unstuck ui`.

The links are those that the sweep printed.
"""

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import optuna
import psutil
import pytest
from mlflow import MlflowClient
from optuna_dashboard import _cli, get_note
from unstuck.records.entry import Entry
from unstuck.records.ledger import Ledger
from unstuck.records.mlflow.connection import NO_TELEMETRY
from unstuck.records.mlflow.links import LOCAL_SERVER, make_run_link
from unstuck.records.mlflow.runs import read_runs
from unstuck.records.outcome import Outcome
from unstuck.sweeps.catalog.pages import HOST

from tests.sweeps_tests.conftest import FinishedSweep
from tests.sweeps_tests.real import ROOT
from tests.sweeps_tests.watch import Watch, descendants

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SEARCHED = ["ppo.value_coef", "ppo.lr", "ppo.entropy_coef"]
PATIENCE_MS = 60_000
SMALL: "ViewportSize" = {"width": 1500, "height": 800}
WIDE: "ViewportSize" = {"width": 2200, "height": 1200}
"""Sizes of the page: what is drawn costs by its size, and the table leaves out columns that it has no room for."""


def link_of(sweep: FinishedSweep, title: str) -> str:
    """The link that was printed under a title."""
    (found,) = re.findall(rf"^    {title}: (\S+)$", sweep.printed, re.M)
    return str(found)


@dataclass(frozen=True)
class Opened:
    """What `unstuck ui` has opened.

    Attributes:
        process: The command, which runs.
        links: Links that it printed: a table, a chart, and the study.
    """

    process: "subprocess.Popen[str]"
    links: tuple[str, str, str]

    @property
    def mlflow(self) -> str:
        """Address of MLflow."""
        return self.links[0].partition("/#")[0]

    @property
    def dashboard(self) -> str:
        """Address of Optuna's dashboard."""
        return self.links[2].partition("/dashboard/")[0]

    def end(self) -> str:
        """End it by Ctrl-C; returns what it has printed since the links."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=60)[0]


@pytest.fixture(scope="module")
def opened(finished_sweep: FinishedSweep, watch: Watch) -> Iterator[Opened]:
    """Both programs, started by `unstuck ui`."""
    environment = dict(watch.environment)
    environment.pop("MLFLOW_DISABLE_TELEMETRY", None)  # the command says so itself
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "unstuck"), "ui", finished_sweep.name, "--no-browser"],
        cwd=finished_sweep.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = []
    try:
        for line in process.stdout:
            printed.append(line)
            if line.startswith("Ctrl-C"):
                break
        table, chart, study = re.findall(r": (http://127\.0\.0\.1:\S+)$", "".join(printed), re.M)
        opened = Opened(process, (table, chart, study))
        yield opened
        if process.poll() is None:
            opened.end()
    finally:
        process.kill()


@pytest.fixture(scope="module")
def server(opened: Opened) -> str:
    """Address of MLflow."""
    return opened.mlflow


@pytest.fixture(scope="module")
def dashboard(opened: Opened) -> str:
    """Address of the dashboard's pages."""
    return f"{opened.dashboard}/dashboard"


@pytest.fixture(scope="module")
def seen(browser: "Browser") -> "Iterator[Page]":
    """One page for all tests: a new one reads and compiles the programs of both sites again, ten seconds of a core."""
    context = browser.new_context(viewport=SMALL, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()


@pytest.fixture
def page(seen: "Page") -> "Iterator[Page]":
    """A page of a browser that keeps nothing of the sites: what a person sees who follows a link."""
    yield seen
    seen.evaluate("localStorage.clear(); sessionStorage.clear()")
    seen.context.clear_cookies()
    seen.goto("about:blank")
    seen.set_viewport_size(SMALL)


@pytest.fixture(scope="module")
def entries(finished_sweep: FinishedSweep) -> list[Entry]:
    """The trials in the ledger, the best first."""
    found = Ledger.open_sweep(finished_sweep.config.reference).entries()
    return sorted(found, key=lambda entry: -(entry.value or 0.0))


def follow(page: "Page", link: str, server: str) -> None:
    """Opens a printed link, whose server is the one that `mlflow ui` starts without a port."""
    assert link.startswith(f"{LOCAL_SERVER}/#/")
    page.goto(link.replace(LOCAL_SERVER, server))


def shown(page: "Page", selector: str, along: str) -> list[str]:
    """What stands in elements of the page, from the top down or from left to right (`along`: y or x)."""
    texts = """elements => elements.map(element => {
        const box = element.getBoundingClientRect();
        return [box.x, box.y, box.width, (element.querySelector("a") || element).innerText.trim()];
    })"""
    found = [
        (x if along == "x" else y, text) for x, y, width, text in page.eval_on_selector_all(selector, texts) if width
    ]
    return [text for _, text in sorted(found) if text]


def cells(page: "Page", column: str) -> list[str]:
    """What stands in a column of the table, from the top down."""
    return shown(page, f"[role=gridcell][col-id='{column}']", "y")


def run_name(entry: Entry) -> str:
    name = f"finished/{entry.number:04d}" + (" control" if entry.is_control else "")
    return name if entry.outcome is Outcome.COMPLETED else f"{name} {entry.outcome}"


def lines(page: "Page") -> list[str]:
    """What can be read on the page, line by line."""
    return [line.strip() for line in page.inner_text("body").splitlines() if line.strip()]


def opens_model_training(page: "Page") -> bool:
    """Whether the menu beside the page is that of model training, not that of language models."""
    return "Models" in lines(page) and "Judges" not in lines(page)


def test_the_printed_link_opens_all_trials_best_first(
    page: "Page", server: str, finished_sweep: FinishedSweep, entries: list[Entry]
) -> None:
    page.set_viewport_size(WIDE)
    follow(page, link_of(finished_sweep, "all trials, best first"), server)
    page.get_by_text("finished/0000 control").first.wait_for()
    assert opens_model_training(page)
    assert page.get_by_text(f"{len(entries)} matching runs").is_visible()
    columns = ["Run Name", "Created", "outcome", "objective/value", "objective/value_spread", *SEARCHED, "diagnosis"]
    assert [text for text in shown(page, "[role=columnheader][col-id]", "x") if text in columns] == columns
    assert cells(page, "attributes.`Run Name`") == [run_name(entry) for entry in entries]
    assert cells(page, "tags.`outcome`") == [str(entry.outcome) for entry in entries]
    values = [float(text) for text in cells(page, "metrics.`objective/value`")]
    assert values == pytest.approx([entry.value for entry in entries])
    assert {entry.outcome for entry in entries} >= {Outcome.COMPLETED, Outcome.PRUNED}


def test_the_printed_comparison_shows_what_was_searched_and_the_objective_alone(
    page: "Page", server: str, finished_sweep: FinishedSweep, entries: list[Entry]
) -> None:
    follow(page, link_of(finished_sweep, "best trials and control"), server)
    page.get_by_text("objective/value", exact=True).wait_for()  # the last axis
    assert opens_model_training(page)
    assert [line for line in lines(page) if re.match("(ppo|objective|progress|rules)[./]", line)] == [
        *SEARCHED,
        "objective/value",
    ]
    assert {line for line in lines(page) if line.startswith("best trials and control")}
    assert not {"objective", "progress", "rules"} & set(lines(page))  # no section of other charts
    chosen = [entry for entry in entries if entry.outcome is Outcome.COMPLETED][:5]
    control = [entry for entry in entries if entry.is_control and entry not in chosen]
    assert shown(page, "[role=gridcell] a", "y") == [run_name(entry) for entry in (*chosen, *control)]


def test_a_run_lists_the_objective_first_and_what_the_rules_read_last(
    page: "Page", server: str, finished_sweep: FinishedSweep, entries: list[Entry]
) -> None:
    page.goto(make_run_link(server, "1", entries[0].run_id))
    page.get_by_text("objective/value", exact=True).first.wait_for()
    assert opens_model_training(page)
    text = page.inner_text("body")
    listed = re.findall(r"^((?:objective|progress|rules|train|eval|effective|final)/\S+)$", text, re.M)
    assert listed[:2] == ["objective/value", "objective/value_spread"]
    assert listed == sorted(listed)
    assert {name.partition("/")[0] for name in listed} == {"objective", "progress", "rules"}
    page.get_by_role("tab", name="Model metrics").click()
    page.get_by_text("value_spread", exact=True).first.wait_for()
    sections = [line for line, after in pairwise(lines(page)) if re.fullmatch(r"\(\d+\)", after)]
    assert sections[:3] == ["objective", "progress", "rules"]
    assert sections[3:] in ([], ["Model metrics"])  # MLflow's own, for metrics without a group: empty


def test_the_sweeps_own_run_carries_its_figures_and_its_source(
    page: "Page", server: str, finished_sweep: FinishedSweep
) -> None:
    (own,) = [run for run in read_runs(finished_sweep.config.reference, ()) if run.trial is None]
    page.goto(f"{server}/#/experiments/1/runs/{own.id}")
    page.get_by_text("sweep/best", exact=True).first.wait_for()
    assert not opens_model_training(page)  # what a link without our parameter does
    page.goto(make_run_link(server, "1", own.id))
    page.get_by_text("sweep/best", exact=True).first.wait_for()
    assert opens_model_training(page)
    text = page.inner_text("body")
    listed = set(re.findall(r"^sweep/(\S+)$", text, re.M))
    assert {"best", "control", "trials_completed", "trials_pruned", "env_steps", "seconds"} <= listed
    assert "is the best of 8 trials" in text
    assert "sweep.py" in text.partition("Source")[2][:200]


@pytest.fixture(scope="module")
def sentence(finished_sweep: FinishedSweep) -> str:
    """Which setting mattered, and is the best better than the control: as it was printed."""
    (found,) = re.findall(r"^Trial \d+ is the best of .*", finished_sweep.printed, re.M)
    return str(found)


def plain(page: "Page") -> str:
    """What can be read on the page, in one line."""
    return " ".join(page.locator("body").inner_text().split())


def test_the_study_is_listed_and_shows_our_pictures_beside_optunas(
    page: "Page", dashboard: str, finished_sweep: FinishedSweep
) -> None:
    page.goto(f"{dashboard}/")
    page.get_by_text(finished_sweep.name).first.click()
    for title in ("History", "Hyperparameter Importance", "Timeline"):
        page.get_by_text(title, exact=True).last.wait_for()
    for title in (
        "Unstuck: eval/f1 of all trials; dotted, the rungs",
        "Unstuck: Who was stopped at which rung",
        "Unstuck: Settings against the objective",
    ):
        page.get_by_text(title).wait_for()
    shown = plain(page)
    assert "the control" in shown
    assert "stopped here" in shown
    drawn = page.locator("[id='user-defined-plot:unstuck-settings'] .points path").count()
    assert drawn == 3 * finished_sweep.num_trials  # three settings are searched


def test_the_studys_note_begins_with_the_sentence_and_says_where_to_go_on(
    page: "Page", dashboard: str, finished_sweep: FinishedSweep, sentence: str
) -> None:
    page.goto(f"{dashboard}/studies/1/note")
    page.get_by_text("Asked:").wait_for()
    shown = plain(page)
    assert f"Note {sentence} Asked: which values of ppo.value_coef, ppo.lr and ppo.entropy_coef give" in shown
    assert "How sure: not yet." in shown
    assert "sweeps champion finished" in shown
    assert page.get_by_text("runs/finished/report/report.html").is_visible()
    links = page.locator("a[href*='workflowType=machine_learning']")
    assert links.all_inner_texts() == ["all trials in MLflow", "the best beside the control"]
    assert all(str(finished_sweep.config.id) in str(link.get_attribute("href")) for link in links.all())


def test_a_trials_note_shows_the_outcome_the_settings_and_a_link(
    page: "Page", dashboard: str, entries: list[Entry]
) -> None:
    pruned = next(entry for entry in entries if entry.outcome is Outcome.PRUNED)
    page.goto(f"{dashboard}/studies/1/trials?numbers={pruned.number}")
    page.get_by_text("its run in MLflow").wait_for()
    shown = plain(page)
    assert f"Trial {pruned.number} (trial_id={pruned.number + 1}) Pruned Note Pruned: {pruned.reason}; eval/f1" in shown
    assert "setting value unchanged ppo.value_coef" in shown
    link = page.get_by_text("its run in MLflow").get_attribute("href")
    assert f"/runs/{pruned.run_id}?" in str(link)


def test_terminal_report_mlflow_and_the_studys_note_say_one_sentence(
    finished_sweep: FinishedSweep, sentence: str
) -> None:
    """Which setting mattered, and whether the best beats the control."""
    assert "which setting matters" in sentence
    assert "against the control" in sentence
    config = finished_sweep.config
    (parent,) = (run for run in read_runs(config.reference, ()) if run.trial is None)
    described = MlflowClient(config.reference.mlflow_url).get_run(parent.id).data.tags["mlflow.note.content"]
    note = get_note(optuna.load_study(study_name=finished_sweep.name, storage=config.reference.ledger_url))
    report = (finished_sweep.own_folder / "report/report.md").read_text()
    for text in (described, note, report):
        assert sentence in text


def test_the_printed_commands_serve_the_same_on_loopback(
    finished_sweep: FinishedSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As both programs read their words."""
    (line,) = [line for line in finished_sweep.printed.splitlines() if " ui --backend-store-uri " in line]
    said, program, *words = shlex.split(line)
    assert dict([said.split("=")]) == NO_TELEMETRY
    assert Path(program).name == "mlflow"
    from mlflow.cli import cli

    name, command, rest = cli.resolve_command(click.Context(cli), words)
    assert command is not None
    read = command.make_context(name, rest).params
    assert (read["host"], read["backend_store_uri"]) == (HOST, finished_sweep.config.reference.mlflow_url)

    (line,) = [line for line in finished_sweep.printed.splitlines() if line.strip().startswith("optuna-dashboard ")]
    served: list[tuple[Any, ...]] = []
    for way in ("run_wsgiref", "run_gunicorn"):
        monkeypatch.setattr(_cli, way, lambda _, *where: served.append(where))
    monkeypatch.setattr(
        _cli, "get_storage", lambda url, **_: served.append((url,)) or optuna.storages.InMemoryStorage()
    )
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    _cli.main()
    (url,), (host, *_) = served
    assert (url, host) == (finished_sweep.config.reference.ledger_url, HOST)


def fetch(address: str, sent: dict[str, object] | None = None) -> str:
    """What a server answers."""
    body = None if sent is None else json.dumps(sent).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())


def test_both_listen_on_loopback_alone_tell_nobody_and_end_with_ctrl_c(
    opened: Opened, finished_sweep: FinishedSweep, watch: Watch
) -> None:
    """The last test here: it ends both."""
    table, chart, study = opened.links
    assert "/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=" in table
    assert "compareRunsMode=CHART" in chart
    assert "<title>MLflow</title>" in fetch(opened.mlflow)
    runs = json.loads(fetch(f"{opened.mlflow}/api/2.0/mlflow/runs/search", {"experiment_ids": ["1"]}))["runs"]
    assert len(runs) == finished_sweep.num_trials + 1
    assert "<title>" in fetch(study)
    number = study.rpartition("/")[2]
    assert json.loads(fetch(f"{opened.dashboard}/api/studies/{number}"))["name"] == finished_sweep.name
    assert set().union(*watch.listening(opened.process.pid).values()) == {HOST}
    family = [psutil.Process(one) for one in descendants(opened.process.pid)]
    assert len(family) >= 3
    rest = opened.end()
    assert (opened.process.returncode, rest) == (0, "\nEnded\n")
    assert [one for one in family if one.is_running()] == []
    assert watch.talked_to() == set()
