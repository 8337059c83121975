"""Reports as a person reads them in a browser: on a desk, on a phone and on paper, offline."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.document.html import to_html
from unstuck.analysis.report.compare import comparison_document
from unstuck.analysis.report.run import run_document
from unstuck.analysis.side_by_side import compare_runs

from tests.analysis_tests.report.test_unstick import FOUR, made, milestone, reading, report
from tests.analysis_tests.runs import healthy, untaught
from tests.sweeps_tests.conftest import FinishedSweep

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SCREENS = 3 * 900
"""Pixels of three screens, after which the details must have folded away."""

FIRST_FOLD = "document.querySelector('main > details:has(> summary > h2)').getBoundingClientRect().top"

BAD = {"approx_kl": 0.2, "clip_fraction": 0.5, "entropy": 0.01, "explained_variance_mc": -0.5}


@pytest.fixture(scope="module")
def pages(finished_sweep: FinishedSweep, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each kind: a real sweep, a run of ours, one with many faults, an unstick, a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    ill = diagnose(untaught(**BAD, settings={"ppo.lr": 6e-3, "ppo.gamma": 0.9999, "ppo.num_epochs": 40}))
    passed = [replace(one, milestones=(milestone(1, 0.4, True),)) for one in FOUR]
    documents = {
        "run": run_document(diagnose(healthy()), folder),
        "ill": run_document(ill, folder),
        "unstick": report(made(*passed, readings=(reading(),)), before=ill),
        "comparison": comparison_document(compare_runs([diagnose(untaught()), diagnose(healthy())])),
    }
    for name, document in documents.items():
        (folder / f"{name}.html").write_text(to_html(document))
    found = {name: folder / f"{name}.html" for name in documents}
    return {"sweep": finished_sweep.config.own_folder / "report" / "report.html", **found}


KINDS = ("sweep", "run", "ill", "unstick", "comparison")


DESK, PHONE = {"width": 1280, "height": 900}, {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def watched(browser: "Browser") -> "Iterator[tuple[Page, list[str]]]":
    """A page of a browser without a network, and what console and network say; a new one takes half a second."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    yield page, said
    context.close()


@pytest.fixture
def desk(watched: "tuple[Page, list[str]]") -> "Iterator[Page]":
    """A page of 1280 x 900, which fails on what the console or the network says."""
    page, said = watched
    page.goto("about:blank")
    page.set_viewport_size(DESK)
    page.emulate_media(media="screen", color_scheme="light")
    said.clear()
    yield page
    assert said == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_verdict_its_picture_and_the_contents_stand_first_and_details_fold_away(
    desk: "Page", pages: dict[str, Path], kind: str
) -> None:
    desk.goto(pages[kind].as_uri())
    first_fold = desk.evaluate(FIRST_FOLD)
    assert first_fold <= SCREENS
    places = "name => document.querySelector(name).getBoundingClientRect().bottom"
    assert desk.evaluate(places, "p.lead") < desk.evaluate(places, "nav") < desk.evaluate(places, "figure") < 900
    assert desk.locator("details[open]").count() == 0
    levels = [int(tag[1]) for tag in desk.eval_on_selector_all("h1, h2, h3", "all => all.map(one => one.tagName)")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert desk.evaluate("[...document.querySelectorAll('svg')].every(one => one.querySelector('desc').textContent)")


@pytest.mark.parametrize("kind", KINDS)
def test_each_link_of_the_contents_leads_to_its_part_and_opens_what_is_folded(
    desk: "Page", pages: dict[str, Path], kind: str
) -> None:
    desk.goto(pages[kind].as_uri())
    links = desk.locator("nav a")
    titles = links.all_inner_texts()
    headings = desk.locator("h2").all_inner_texts()
    assert titles == headings
    assert len(titles) >= 4
    for place, title in enumerate(titles):
        links.nth(place).click()
        heading = desk.locator("h2").nth(place)
        box = heading.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 900, title  # in sight
        target = desk.locator(f"[id='{desk.evaluate('decodeURIComponent(location.hash.slice(1))')}']")
        assert target.is_visible(), title
    folded = desk.locator("main > details:has(> summary > h2)")
    assert all(folded.evaluate_all("all => all.map(one => one.open)"))
    assert folded.count() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_phone_scrolls_figures_and_tables_in_their_own_box_and_never_the_page(
    desk: "Page", pages: dict[str, Path], kind: str
) -> None:
    desk.set_viewport_size(PHONE)
    desk.goto(pages[kind].as_uri())
    desk.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert desk.evaluate("document.documentElement.scrollWidth") == 400
    boxes = desk.evaluate("[...document.querySelectorAll('.scroll')].map(one => [one.clientWidth, one.scrollWidth])")
    assert all(inner <= 400 for inner, _ in boxes)
    assert any(whole > inner for inner, whole in boxes)
    assert desk.evaluate("[...document.querySelectorAll('.scroll')].every(one => one.tabIndex === 0)")


def test_what_is_folded_is_found_by_the_browsers_search_and_printed(desk: "Page", pages: dict[str, Path]) -> None:
    desk.goto(pages["ill"].as_uri())
    hidden = desk.locator("main > details table td").first
    assert not hidden.is_visible()
    desk.emulate_media(media="print")
    shown = "one => one.checkVisibility({contentVisibilityAuto: true, visibilityProperty: true})"
    assert hidden.evaluate(shown)
    assert desk.locator("nav").is_hidden()
    desk.emulate_media(media="screen")
    words = "How the run was read"
    desk.goto("about:blank")
    desk.goto(f"{pages['ill'].as_uri()}#:~:text=Read%20from%20a%20table")  # as a search does: it opens what holds them
    desk.wait_for_function("document.querySelectorAll('main > details[open]').length === 1")
    assert desk.locator("main > details[open] > summary").inner_text() == words


def test_a_dark_page_is_dark(desk: "Page", pages: dict[str, Path]) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    desk.goto(pages["run"].as_uri())
    assert desk.evaluate(color) != "rgb(20, 24, 28)"
    desk.emulate_media(color_scheme="dark")
    assert desk.evaluate(color) == "rgb(20, 24, 28)"


def test_the_owners_run_is_told_in_three_screens(desk: "Page", stuck_run: Path, tmp_path: Path) -> None:
    """The document that the report is modelled on: what works, what is wrong, evidence, causes, fixes, milestones."""
    from unstuck.analysis.history import Stores, load

    page = tmp_path / "page.html"
    page.write_text(to_html(run_document(diagnose(load(str(stuck_run), Stores(tmp_path))), tmp_path)))
    desk.goto(page.as_uri())
    assert desk.evaluate(FIRST_FOLD) <= SCREENS
    titles = desk.locator("main > h2").all_inner_texts()
    assert [title.partition(" of the first")[0] for title in titles] == [
        *("What works", "What is wrong", "The evidence", "What may be behind it", "What to do next"),
        *("Expected against actual", "Milestones"),
    ]
