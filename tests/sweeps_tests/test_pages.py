"""The dashboard, opened by the command that a sweep prints, in a real browser."""

import pytest
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome
from unstuck.records.tracker import SweepHeader
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig
from unstuck.sweeps.mirror import make_tracker
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.summary import make_ui_commands
from unstuck.sweeps.search.parse import parse_space
from unstuck.sweeps.search.sampler import create_ledger

from tests.sweeps_tests.served import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class _Silent:
    def show_start(self, *_):
        pass

    show_evaluation = show_end = warn = show_notes = recall = show_start


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Records of a small sweep, written by the driver itself; only the numbers are made up."""
    folder = tmp_path_factory.mktemp("pages")
    config = SweepConfig(
        sweep=StudyConfig(name="shown", folder=str(folder), seeds=1),
        space={"ppo": {"lr": {"log": [1e-5, 1e-2]}}},
    )
    ledger = create_ledger(config.reference.ledger_url, config.sweep, config.sampler, {})
    tracker = make_tracker(config.tracking, folder)
    tracker.start_sweep(SweepHeader("shown", "shown", 3, "eval/f1", "max"), "", {})
    driver = Driver(config, 4, parse_space(config.space, config), ledger, tracker, _Silent())
    for trial in range(4):
        assignment = driver.propose()
        for iteration in range(20, 201, 20):
            value = iteration / 400 + trial / 10
            measured = {"eval/f1": value, "eval/f1/seed_0": value, "eval/episode_return": 0.0, "train/value_loss": 0.5}
            if driver.receive(assignment.number, [Record(iteration, 1_700_000_000_000 + iteration, measured)]):
                break
    tracker.end_sweep(Outcome.COMPLETED, {})
    return config


def test_optuna_dashboard_shows_the_study(browser_page, config, watch):
    with served(make_ui_commands(config)[1], watch) as address:
        browser_page.goto(f"{address}/dashboard/studies/1")
        browser_page.get_by_text("shown (id=1)").first.wait_for()
        browser_page.get_by_text("Hyperparameter Importance").first.wait_for()
