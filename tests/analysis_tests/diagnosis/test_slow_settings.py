"""Settings and schedules that make steps too small: both sides of each bound, in runs that learned nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Finding, Ground, Kind
from unstuck.analysis.diagnosis.rules.updates_too_small import RULE
from unstuck.analysis.history import History
from unstuck.analysis.history.record import FINISHED

from tests.analysis_tests.diagnosis.asking import ask, changes, first, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere
from tests.analysis_tests.runs import LENGTH

FLAT = 22 + np.sin(7.0 * TURN)


def unmeasured(returns: Any = FLAT, kl: float | None = None, **settings: Any) -> History:
    """A run of another program at usual settings but these, without KL unless it is given."""
    usual = {"ppo.lr": 3e-4, "ppo.adam_eps": 1e-5, "ppo.optimizer": "Adam"}
    named = usual | {name if name == FINISHED else f"ppo.{name}": value for name, value in settings.items()}
    run = elsewhere(returns, approx_kl=kl, lr=None, settings=named)
    return replace(run, dialect="sb3")


@pytest.mark.parametrize(
    ("run", "remedy"),
    [
        (unmeasured(lr=1e-5), {"ppo.lr": 3e-4}),
        (unmeasured(lr=3e-6), {"ppo.lr": 3e-4}),
        (unmeasured(lr=1.1e-5), None),
        (unmeasured(lr=1e-5, returns=np.linspace(0, 100, LENGTH)), None),  # it learns
        (unmeasured(lr=1e-5, kl=2e-3), None),  # updates do move the policy
        (unmeasured(lr=1e-5, kl=9e-4), {"ppo.lr": 3e-4}),
        (unmeasured(lr=1e-5, kl=0.0), None),  # another rule's: the policy stands still
        (unmeasured(adam_eps=1e-3), {"ppo.adam_eps": 1e-5}),
        (unmeasured(adam_eps=9e-4), None),
        (unmeasured(optimizer="SGD", lr=3e-4), {"ppo.optimizer": "Adam"}),
        (unmeasured(optimizer="SGD", lr=0.01), None),
        (first(unmeasured(lr=1e-5), 24), None),
        (first(unmeasured(lr=1e-5, finished=True), 24), {"ppo.lr": 3e-4}),  # stopped early
    ],
)
def test_settings_alone_tell_in_a_run_that_learned_nothing(run: History, remedy: dict[str, Any] | None) -> None:
    finding = ask(RULE, run)
    assert isinstance(finding, Finding) is (remedy is not None)
    if isinstance(finding, Finding):
        assert (finding.kind, finding.ground) == (Kind.FAULT, Ground.PACE)
        assert changes(finding)[0] == remedy


def scheduled(reaches_end: int, returns: Any = FLAT) -> History:
    """A run of another program whose rate falls on a line to 0 at an iteration, and whose updates bring nothing."""
    rates = 1e-3 * np.clip(1 - TURN / reaches_end, 0, 1)
    return replace(elsewhere(returns, approx_kl=1e-5, lr=rates), dialect="sb3")


def test_a_schedule_that_ends_long_before_the_run_is_named() -> None:
    """In the third draw of strangers three runs at a rate of 0 for 95 % of their time were told nothing."""
    finding = found(RULE, scheduled(5))
    assert finding.headline == "Updates are too small: the learning rate fell from 0.0008 to 0 by iteration 5"
    assert (finding.kind, changes(finding)) == (Kind.FAULT, [{"ppo.lr_schedule": "constant"}])
    learned = np.minimum(4.0 * TURN, 100.0)
    assert kind(RULE, scheduled(27, returns=learned)) is None  # learned in time, and three quarters less one are left
    assert found(RULE, scheduled(26, returns=learned)).ground is Ground.MEASURED
    assert kind(RULE, scheduled(LENGTH)) is None
    assert kind(RULE, scheduled(LENGTH // 2 + 5)) is None


def test_a_rate_is_named_beside_the_usual_ones() -> None:
    finding = found(RULE, unmeasured(lr=3e-6))
    assert finding.headline == "Updates are too small: a learning rate of 3e-06"
    assert finding.why.startswith("1e-5 to 1e-2 is usual with Adam, most often 3e-4; the run has nothing to show")
