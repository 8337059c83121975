"""A fault to plant: its forms, the worlds for it, and the rules whose finding names the cause."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unstuck.rl.data.types import FlowData
from unstuck.rl.learner import Learner

from benchmarks.causes import names_cause
from benchmarks.diagnosis.worlds import SMALL

TRIAGE = ("shuffled", "stream", "wide", "bursts")
QUICK = ("cartpole", *TRIAGE, *SMALL)
ALL = ("acrobot", *QUICK)
"""Names of worlds: those of flows, those that train in seconds, and all."""


@dataclass(frozen=True)
class Form:
    """Mild or strong form of a fault: settings to change, and bugs to plant into learner, environment or data.

    Attributes:
        settings: What is set otherwise, by dotted path; a run's records show it.
        learner: What is planted into learner or environment, in turn; no record shows it.
        data: What is planted into the flows.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    learner: tuple[Callable[[Learner], Learner], ...] = ()
    data: Callable[[FlowData], FlowData] | None = None


@dataclass(frozen=True)
class Fault:
    """A fault that the benchmark plants: worlds for the fault, a mild and a strong form, and rules that should fire.

    Attributes:
        name: Short.
        what: In words.
        rules: Rules, or labels of causes; any of these, ranked first, names the cause.
        why: Why these.
        worlds: Where it is planted.
        mild: The mild form.
        strong: The strong form.
    """

    name: str
    what: str
    rules: tuple[str, ...]
    why: str
    worlds: tuple[str, ...]
    mild: Form
    strong: Form

    @property
    def forms(self) -> Mapping[str, Form]:
        """Forms of the fault by name, `mild` and `strong`."""
        return {"mild": self.mild, "strong": self.strong}

    def is_named_by(self, rule: str) -> bool:
        """True if a rule's finding names the cause."""
        return names_cause(rule, self.rules)


def change_ppo(**settings: Any) -> Form:
    """Return a form of a fault that only changes PPO settings."""
    return Form({f"ppo.{name}": value for name, value in settings.items()})
