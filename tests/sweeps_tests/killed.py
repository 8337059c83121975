"""Processes that die between two writes to the ledger, as by kill -9, and what must not depend on that."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

WRITES = (
    *("create_new_trial", "set_trial_param", "set_trial_state_values", "set_trial_intermediate_value"),
    *("set_trial_user_attr", "set_trial_system_attr", "set_study_user_attr"),
)


class Killed(BaseException):
    """As good as kill -9: nobody handles it."""


@dataclass
class Killer:
    """Kills the process just before the write of this number, counted from 1, or calls `keep` before each write."""

    at: float = math.inf
    writes: int = 0
    keep: Callable[[], object] | None = None

    def __call__(self) -> None:
        self.writes += 1
        if self.keep:
            self.keep()
        if self.writes == self.at:
            raise Killed


def die_at_each_write(monkeypatch: pytest.MonkeyPatch, storage: type[BaseStorage]) -> Killer:
    killer = Killer()
    for name in WRITES:
        original = getattr(storage, name)

        def write(self: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            killer()
            return original(self, *args, **kwargs)

        monkeypatch.setattr(storage, name, write)
    return killer


def story(trial: FrozenTrial) -> dict[str, Any]:
    """What must not depend on accidents: all but the time that it took, and what the accident left."""
    attributes = {name: value for name, value in trial.user_attrs.items() if name not in ("resumed_from", "mlflow_run")}
    summary = {name: value for name, value in attributes.pop("summary", {}).items() if name != "final/seconds"}
    about = {"number": trial.number, "state": trial.state, "value": trial.value, "params": trial.params}
    return {**about, "curve": trial.intermediate_values, "attributes": attributes, "summary": summary}
