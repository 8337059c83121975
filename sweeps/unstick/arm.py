"""Define the record of an arm: what the arm changes, why, and what is carried over from where the arm starts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.settings import ANEW

START, PARENT, RESET = "branch.start", "branch.parent", "branch.reset"
"""Paths of the settings that say what an arm starts from."""


@dataclass(frozen=True)
class ArmRecord:
    """Record of an arm (branch of a stuck run): changed settings, reason, and which parts of the saved state are kept.

    Attributes:
        values: Settings that differ from the control, by dotted path, `branch.*` included.
        why: Reason for the arm.
        rule: Name of the rule of diagnosis that proposes the arm; empty for arms of other origin.
        watch: Metric and deadline by which the change must show an effect; empty where nobody said.
        stage: Stage of the unstick, from 1.
        carried: Sentences on what is carried over from the run and what starts anew.
    """

    values: Mapping[str, Any]
    why: str
    rule: str = ""
    watch: str = ""
    stage: int = 1
    carried: str = ""

    def to_json(self) -> dict[str, Any]:
        """Convert an arm (branch of a stuck run) to a dict to store in the Optuna study."""
        return {**asdict(self), "values": dict(self.values)}

    def to_point(self) -> dict[str, Any]:
        """Convert the changed settings of an arm (branch of a stuck run) to a nested dict."""
        point: dict[str, Any] = {}
        for path, value in self.values.items():
            group, _, name = path.partition(".")
            point.setdefault(group, {})[name] = list(value) if isinstance(value, tuple) else value
        return point


def describe_values(values: Mapping[str, Any]) -> str:
    """Describe the changed settings of an arm (branch of a stuck run) in words, for messages.

    Example:
        >>> describe_values({"ppo.lr": 0.001, "branch.start": "anew"}), describe_values({})
        ('lr 0.001, started anew', 'nothing changed')
        >>> describe_values({"ppo.gamma": 0.5, "branch.reset": ("value_head", "adam")})
        'gamma 0.5, value_head and adam reset'
    """
    words = [f"{path.rpartition('.')[2]} {format_value(v)}" for path, v in values.items() if path.startswith("ppo.")]
    if values.get(PARENT) is not None:
        words.append(f"from trial {values[PARENT]}")
    if values.get(RESET):
        words.append(f"{' and '.join(values[RESET])} reset")
    if values.get(START) == ANEW:
        words.append("started anew")
    return ", ".join(words) or "nothing changed"
