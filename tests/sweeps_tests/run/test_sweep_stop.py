"""What a signal does to a sweep whose Ray then fails, without Ray. With it: test_sweep.py, tests/chaos."""

from types import SimpleNamespace
from typing import Any

import pytest
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig
from unstuck.sweeps.ray_tune.stop import StopRequest
from unstuck.sweeps.run import sweep as run_module
from unstuck.sweeps.run.ending import End, Ended
from unstuck.sweeps.run.sweep import _run_trials


def trials_run(monkeypatch: pytest.MonkeyPatch, asked: bool) -> tuple[Ended, list[str]]:
    """Why the trials ended when Ray raised something of its own, and what their records say."""

    def tune(*_: Any) -> None:
        raise TimeoutError("There was timeout in removing the placement group")

    interrupted: list[str] = []
    driver: Any = SimpleNamespace(interrupt=interrupted.append, failure=None, is_finished=False)
    stop = StopRequest()
    if asked:
        stop.ask()
    monkeypatch.setattr(run_module, "tune_trials", tune)
    progress = SimpleNamespace(show_phase=lambda text: None)
    sweep: Any = SimpleNamespace(driver=driver, config=SweepConfig(sweep=StudyConfig(name="mine")), progress=progress)
    cluster: Any = SimpleNamespace(slots=2, stop=stop)
    plan: Any = SimpleNamespace(data=None)
    return _run_trials(plan, sweep, cluster), interrupted


def test_what_ray_raises_after_a_signal_is_the_users_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trials_run(monkeypatch, asked=True) == (Ended(End.BY_USER), ["stopped by the user"])


def test_what_ray_raises_by_itself_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimeoutError, match="placement group"):
        trials_run(monkeypatch, asked=False)
