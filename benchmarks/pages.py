"""Measure how long the two UIs take to show a sweep of 50 trials, and take the docs' pictures of a real sweep.

    make bench-pages
    make bench-pages ARGS="--sweep NAME --pictures docs/images"

The trials of the first are written by the sweep's own driver, with made-up numbers: no training. A page is there when
its content can be read, in a browser that has never seen it, from a server with one worker.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table
from unstuck.records.entry import Entry, find_best
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.mlflow.links import make_comparison_link, make_run_link, make_sweep_link
from unstuck.records.mlflow.runs import find_experiment
from unstuck.records.names import CONTROL
from unstuck.records.outcome import Outcome
from unstuck.rl import metrics
from unstuck.sweeps.config.find import load_sweep
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SchedulerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.explain.reports import write_reports
from unstuck.sweeps.mirror import describe_sweep, make_tracker
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.screen.summary import make_ui_commands
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.sampler import create_ledger

from benchmarks.browser import find_browser, open_browser, serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

TRIALS, SEEDS, ITERATIONS, EVAL_EVERY = 50, 3, 60, 4
SPACE = {"ppo": {"lr": {"log": [1e-5, 1e-2]}, "value_coef": {"log": [0.05, 5.0]}, "entropy_coef": {"log": [1e-4, 0.1]}}}
ACTIONS = ("allow", "block", "quarantine", "alert")
SIZE = {"width": 1600, "height": 840}
DRAWN_MS = 8000
"""Charts are drawn after their data is there."""
PATIENCE_MS = 120_000


class Page(NamedTuple):
    """One web page to open: the picture's name, the address, a text to wait for, and if to scroll to the text."""

    name: str
    link: str
    reads: str
    is_at_top: bool = False


def measure(iteration: int, trial: int, lr: float) -> dict[str, float]:
    """Return invented metrics of one iteration, with a value for each metric that the learner records."""
    quality = 1 / (1 + abs(math.log10(lr) + 3.5))
    grown = quality * (1 - math.exp(-iteration / 20)) + 0.02 * math.sin(iteration + trial)
    measured = {name: 1 - grown for name in metrics.TRAIN} | {metrics.action_metric(name): 0.25 for name in ACTIONS}
    names = [metrics.VALUE_LOSS]
    if iteration % EVAL_EVERY == 0:
        evaluated = (*metrics.CRITIC, *metrics.NETWORKS, *metrics.EVAL, *metrics.TRIVIAL, metrics.F1_TRAIN)
        measured |= {name: grown for name in evaluated} | {metrics.F1_FLAG_NONE: 0.0}
        measured |= {metrics.greedy_metric(name): 0.25 for name in ACTIONS}
        names += [metrics.F1, metrics.EVAL_RETURN]
    seeds = {
        metrics.seed_metric(name, seed): measured[name] + 0.03 * (seed - 1) for name in names for seed in range(SEEDS)
    }
    return measured | seeds


def write_sweep(folder: Path) -> SweepConfig:
    """Write a sweep of invented trials to disk, using the driver, ledger, tracker and report of a real sweep."""
    study = StudyConfig(name="fifty", folder=str(folder), seeds=SEEDS, num_trials=TRIALS)
    config = SweepConfig(sweep=study, space=SPACE, scheduler=SchedulerConfig(grace_iterations=12), id="fifty")
    config = SweepConfig(**{**vars(config), "ppo": type(config.ppo)(num_iterations=ITERATIONS, eval_every=EVAL_EVERY)})
    config.own_folder.mkdir(parents=True)
    (config.own_folder / "config.yaml").write_text(to_yaml(config))
    space, _ = build_space(config)
    about = {"id": "fifty", "format": config.format, "config": to_yaml(config)}
    ledger = create_ledger(config.reference.ledger_url, config.sweep, config.sampler, about)
    tracker = make_tracker(config.tracking, folder)
    tracker.start_sweep(describe_sweep(config), to_yaml(config), {})
    quiet = Console(file=open(os.devnull, "w"))  # noqa: SIM115
    driver = Driver(config, TRIALS, space, ledger, tracker, Progress(config, TRIALS, quiet, space.axis(config)))
    ledger.enqueue(space.encode(space.control_values(config)))
    while assignment := driver.propose():
        run_trial(driver, assignment.number, assignment.config.ppo.lr)
    tracker.end_sweep(Outcome.COMPLETED, {})
    write_reports(config, space, ledger, tracker, lambda: False)
    return config


def run_trial(driver: Driver, number: int, lr: float) -> None:
    """Deliver a trial's invented iterations to the driver, one evaluation period at a time, until the trial ends."""
    start_ms = time.time_ns() // 1_000_000
    for last in range(EVAL_EVERY, ITERATIONS + 1, EVAL_EVERY):
        steps = range(last - EVAL_EVERY + 1, last + 1)
        if driver.judge(number, [Record(step, start_ms + step, measure(step, number, lr)) for step in steps]):
            return


def find_winner(config: SweepConfig) -> Entry:
    """Return the best completed trial of a sweep from the ledger."""
    winner = find_best(Ledger.open_sweep(config.reference).entries(), config.sweep.mode)
    if winner is None:
        raise RuntimeError(f"a trial of {config.sweep.name} must have completed")
    return winner


def list_mlflow_pages(config: SweepConfig, server: str) -> Iterator[Page]:
    """Yield MLflow's pages of a sweep: table, comparison and charts of the trials, and the best trial's run."""
    experiment, sweep = find_experiment(config.reference), str(config.id)
    if experiment is None:
        raise RuntimeError(f"MLflow must hold the sweep {config.sweep.name}")
    yield Page("mlflow-table", make_sweep_link(server, experiment, sweep), f"{config.sweep.name}/0000 {CONTROL}")
    yield Page("mlflow-comparison", make_comparison_link(server, experiment, sweep), "objective/value")
    yield Page(
        "mlflow-charts", f"{make_sweep_link(server, experiment, sweep)}&compareRunsMode=CHART", "objective/value_spread"
    )
    yield Page("mlflow-run", make_run_link(server, experiment, find_winner(config).run_id), "objective/value")


def find_study_id(config: SweepConfig, server: str) -> int:
    """Return the id by which the dashboard at `server` shows a sweep's study, from the dashboard's list of studies."""
    name = Ledger.open_sweep(config.reference).name
    with urlopen(f"{server}/api/studies", timeout=PATIENCE_MS / 1000) as answer:
        studies = json.load(answer)["study_summaries"]
    return next(int(study["study_id"]) for study in studies if study["study_name"] == name)


def list_dashboard_pages(config: SweepConfig, server: str) -> Iterator[Page]:
    """Yield the Optuna dashboard's pages of a sweep: charts, pictures, the sweep's note, and the best trial."""
    study = f"{server}/dashboard/studies/{find_study_id(config, server)}"
    winner = find_winner(config)
    yield Page("dashboard-study", study, "Hyperparameter Importance")
    yield Page("dashboard-pictures", study, "Unstuck: ", is_at_top=True)
    yield Page("dashboard-note", f"{study}/note", "How sure:")
    yield Page("dashboard-trial", f"{study}/trials?numbers={winner.number}", "its run in MLflow")


def open_page(browser: "Browser", page: Page, pictures: Path | None) -> float:
    """Open a page in a fresh browser context; return the seconds until the page's text can be read."""
    context = browser.new_context(viewport=SIZE)
    try:
        tab = context.new_page()
        started = time.perf_counter()
        tab.goto(page.link)
        tab.get_by_text(page.reads).first.wait_for(timeout=PATIENCE_MS)
        seconds = time.perf_counter() - started
        if page.is_at_top:
            scroll_to(tab, page.reads)
        if pictures:
            take_picture(tab, pictures / f"{page.name}.png")
        return seconds
    finally:
        context.close()


def scroll_to(tab: "Tab", text: str) -> None:
    """Scroll the page so that a text is at the top, below the dashboard's bar."""
    tab.wait_for_timeout(DRAWN_MS)
    tab.get_by_text(text).first.evaluate("title => title.scrollIntoView({block: 'start'})")
    tab.mouse.wheel(0, -100)


def take_picture(tab: "Tab", file: Path) -> None:
    """Save a picture of the page to a file, with MLflow's assistant panel closed."""
    for name in ("mlflow.assistant.chat_panel.close",):
        close = tab.locator(f"[data-component-id='{name}']")
        if close.count():
            close.first.click()
    tab.wait_for_timeout(DRAWN_MS)
    tab.screenshot(path=file)


def main() -> None:
    """Write or read a sweep, open each web page of the sweep, and print the seconds that each page takes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sweep", help="a sweep on record; without: 50 made-up trials")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="folder of all sweeps, with --sweep")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the pages")
    asked = parser.parse_args()
    browser_file = find_browser()
    if browser_file is None:
        parser.error("needs Chromium; Debian and Ubuntu: apt-get install chromium")
    table = Table("page", "seconds to its content")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = load_sweep(asked.folder / asked.sweep) if asked.sweep else write_sweep(folder)
        browser = stack.enter_context(open_browser(browser_file))
        mlflow, dashboard = make_ui_commands(config)
        with serve(mlflow, os.environ) as (server, _):
            for page in list_mlflow_pages(config, server):
                table.add_row(page.name, f"{open_page(browser, page, asked.pictures):.1f}")
        with serve(dashboard, os.environ) as (server, _):
            for page in list_dashboard_pages(config, server):
                table.add_row(page.name, f"{open_page(browser, page, asked.pictures):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
