"""MLflow's pages as a person sees them who follows what a real sweep prints."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from unstuck.records.entry import Entry
from unstuck.records.ledger import Ledger
from unstuck.records.mlflow.links import LOCAL_SERVER, make_run_link
from unstuck.records.mlflow.runs import read_runs
from unstuck.records.outcome import Outcome

from tests.sweeps_tests.conftest import FinishedSweep, Watch
from tests.sweeps_tests.served import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SEARCHED = ["ppo.value_coef", "ppo.lr", "ppo.entropy_coef"]
PATIENCE_MS = 60_000


def link_of(sweep: FinishedSweep, title: str) -> str:
    """The link that was printed under a title."""
    (found,) = re.findall(rf"^    {title}: (\S+)$", sweep.printed, re.M)
    return str(found)


@pytest.fixture(scope="module")
def server(finished_sweep: FinishedSweep, watch: Watch) -> Iterator[str]:
    """MLflow, started by the printed command."""
    (line,) = [line for line in finished_sweep.printed.splitlines() if " ui --backend-store-uri " in line]
    with served(shlex.split(line), watch) as address:
        yield address


@pytest.fixture
def page(browser_page: "Page") -> "Page":
    browser_page.set_default_timeout(PATIENCE_MS)
    return browser_page


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
