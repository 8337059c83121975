"""A fault that people make in scripts: worlds where it is planted, and the answers that name the cause."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.causes import names_cause
from benchmarks.strangers.script import Change


@dataclass(frozen=True)
class Fault:
    """A fault of a script: worlds, what is changed in each, and the answers that count as right.

    Attributes:
        name: Short.
        what: In words.
        answers: Rules or labels; any of these, ranked first, names the cause.
        ours: The fault of `benchmarks.diagnosis.faults` that is of the same kind; empty if none is.
        planted: The change, by world.
    """

    name: str
    what: str
    answers: tuple[str, ...]
    ours: str
    planted: Mapping[str, Change]

    def is_named_by(self, rule: str) -> bool:
        """True if a rule's finding names the cause."""
        return names_cause(rule, self.answers)


def plant_in(change: Change, *worlds: str) -> dict[str, Change]:
    """Return the same change for several worlds, by world."""
    return dict.fromkeys(worlds, change)
