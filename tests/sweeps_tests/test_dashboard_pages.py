"""What a person sees of a finished sweep on Optuna's dashboard, opened by the printed command; and one sentence."""

import re

import optuna
import pytest
from mlflow import MlflowClient
from optuna_dashboard import get_note
from unstuck.records.ledger import Ledger
from unstuck.records.mlflow.runs import read_runs
from unstuck.records.outcome import Outcome
from unstuck.sweeps.screen.summary import make_ui_commands

from tests.sweeps_tests.served import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def entries(finished_sweep):
    return Ledger.open_sweep(finished_sweep.config.reference).entries()


@pytest.fixture(scope="module")
def dashboard(finished_sweep, watch):
    with served(make_ui_commands(finished_sweep.config)[-1], watch) as address:
        yield f"{address}/dashboard"


@pytest.fixture(scope="module")
def sentence(finished_sweep):
    """Which setting mattered, and is the best better than the control: as it was printed."""
    return re.search(r"^Trial \d+ is the best of .*", finished_sweep.printed, re.M)[0]


def plain(page):
    return " ".join(page.locator("body").inner_text().split())


def test_the_study_is_listed_and_shows_our_pictures_beside_optunas(browser_page, dashboard, finished_sweep):
    browser_page.goto(f"{dashboard}/")
    browser_page.get_by_text(finished_sweep.name).first.click()
    for title in ("History", "Hyperparameter Importance", "Timeline"):
        browser_page.get_by_text(title, exact=True).last.wait_for()
    for title in (
        "Unstuck: eval/f1 of all trials; dotted, the rungs",
        "Unstuck: Who was stopped at which rung",
        "Unstuck: Settings against the objective",
    ):
        browser_page.get_by_text(title).wait_for()
    shown = plain(browser_page)
    assert "the control" in shown
    assert "stopped here" in shown
    drawn = browser_page.locator("[id='user-defined-plot:unstuck-settings'] .points path").count()
    assert drawn == 3 * finished_sweep.num_trials  # three settings are searched


def test_the_studys_note_begins_with_the_sentence_and_says_where_to_go_on(
    browser_page, dashboard, finished_sweep, sentence
):
    browser_page.goto(f"{dashboard}/studies/1/note")
    browser_page.get_by_text("Asked:").wait_for()
    shown = plain(browser_page)
    assert f"Note {sentence} Asked: which values of ppo.value_coef, ppo.lr and ppo.entropy_coef give" in shown
    assert "How sure: not yet." in shown
    assert "sweeps champion finished" in shown
    assert browser_page.get_by_text("runs/finished/report/report.html").is_visible()
    links = browser_page.locator("a[href*='workflowType=machine_learning']")
    assert links.all_inner_texts() == ["all trials in MLflow", "the best beside the control"]
    assert all(finished_sweep.config.id in link.get_attribute("href") for link in links.all())


def test_a_trials_note_shows_the_outcome_the_settings_and_a_link(browser_page, dashboard, entries):
    pruned = next(entry for entry in entries if entry.outcome is Outcome.PRUNED)
    browser_page.goto(f"{dashboard}/studies/1/trials?numbers={pruned.number}")
    browser_page.get_by_text("its run in MLflow").wait_for()
    shown = plain(browser_page)
    assert f"Trial {pruned.number} (trial_id={pruned.number + 1}) Pruned Note Pruned: {pruned.reason}; eval/f1" in shown
    assert "setting value unchanged ppo.value_coef" in shown
    link = browser_page.get_by_text("its run in MLflow").get_attribute("href")
    assert f"/runs/{pruned.run_id}?" in link


def test_terminal_report_mlflow_and_the_studys_note_say_one_sentence(finished_sweep, entries, sentence):
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
