"""What Ray Tune hears from the driver when there is nothing to run: wait, or the end. No trial runs here."""

from types import SimpleNamespace
from typing import cast

from ray.tune.experiment import Trial
from ray.tune.search import ConcurrencyLimiter, Searcher, SearchGenerator
from unstuck.sweeps.ray_tune.hooks import FollowUpCallback, LedgerSearch


class Proposer:
    """A driver with nothing to propose, while others run or not."""

    def __init__(self) -> None:
        self.is_waiting = True

    def propose(self) -> None:
        return None


def test_tune_is_asked_to_wait_while_a_stage_may_follow_and_told_the_end_after() -> None:
    driver = Proposer()
    search = LedgerSearch(driver.propose, lambda: driver.is_waiting)
    generator = SearchGenerator(ConcurrencyLimiter(search, max_concurrent=2))  # as TuneConfig wraps a searcher
    assert search.suggest("a") is None
    assert generator.create_trial_if_possible({}) is None
    assert not generator._finished  # Tune goes on asking
    driver.is_waiting = False
    assert search.suggest("b") == Searcher.FINISHED
    assert generator.create_trial_if_possible({}) is None
    assert generator._finished  # and never asks again


def test_tune_would_never_ask_again_if_it_were_told_the_end_too_early() -> None:
    """The wrong variant: FINISHED while the arms of a stage run."""
    generator = SearchGenerator(LedgerSearch(lambda: None, lambda: False))
    generator.create_trial_if_possible({})
    assert generator._finished


def test_what_could_wait_is_recorded_once_a_free_worker_has_its_next_trial() -> None:
    recorded: list[int] = []
    callback = FollowUpCallback(lambda: recorded.append(step))
    for step, running in enumerate(
        [2, 2, 1, 2, 1, 1, 0]
    ):  # a trial ends in the steps 2, 4 and 6; none follows the second
        trials = [SimpleNamespace(status=Trial.RUNNING)] * running + [SimpleNamespace(status=Trial.TERMINATED)]
        callback.on_step_end(step, cast(list[Trial], trials))
    assert recorded == [0, 1, 3, 5]
