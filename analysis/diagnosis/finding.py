"""What a diagnosis is made of. A rule looks at one run and returns a finding, or nothing.

A finding never names a cause without the test that tells it from its rivals, and always shows the numbers (DESIGN D9).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from analysis.diagnosis.signals import Signals


class Kind(StrEnum):
    """Attributes:
    FAULT: Something is wrong, and it hurts.
    SUSPECT: The symptom is there; what was recorded does not settle whether it is a fault.
    LIMIT: Nothing is wrong with the run: the task or its horizon allows no better.
    FINE: Looked at, with numbers, and in order.
    """

    FAULT = "fault"
    SUSPECT = "suspect"
    LIMIT = "limit"
    FINE = "fine"


class Stage(IntEnum):
    """In which order findings are looked at, causes before what follows from them (see `reference` of each rule).

    Tuning makes no sense while a bug is about, nor where the task allows no better; then come the scale of what is
    learned from, the size of steps, exploration, the critic; last, behaviour, which is mostly a consequence.
    """

    BUG = 0
    CEILING = 1
    SCALE = 2
    STEP = 3
    EXPLORATION = 4
    CRITIC = 5
    BEHAVIOUR = 6


class Support(StrEnum):
    """Attributes:
    SUPPORTED: The run's numbers speak for it.
    OPEN: Nothing that was recorded decides.
    RULED_OUT: The run's numbers speak against it.
    """

    SUPPORTED = "supported"
    OPEN = "open"
    RULED_OUT = "ruled out"


class Sureness(IntEnum):
    """How sure a finding is; `Finding.why` says why."""

    POSSIBLE = 1
    LIKELY = 2
    SURE = 3


@dataclass(frozen=True)
class Evidence:
    """A fact of the run.

    Attributes:
        text: In words, with its numbers.
        metrics: Where they come from.
        iterations: First and last one that it is about.
    """

    text: str
    metrics: tuple[str, ...] = ()
    iterations: tuple[int, int] | None = None


@dataclass(frozen=True)
class Cause:
    """What may be behind a finding.

    Attributes:
        what: The cause.
        test: What tells it from its rivals.
        support: What the run's own numbers say of it.
        why: These numbers; empty while it is open.
        change: Settings that would settle it beside a control, as in `Remedy`.
    """

    what: str
    test: str
    support: Support = Support.OPEN
    why: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Remedy:
    """A change to try, beside an untouched control.

    Attributes:
        change: Settings by dotted path, each a value or several to try in turn.
        why: In which direction, and why that should help.
        watch: What must be seen, by when, or the change has not helped.
    """

    change: Mapping[str, Any]
    why: str
    watch: str


@dataclass(frozen=True)
class Finding:
    """What one rule says about one run.

    Attributes:
        headline: One sentence, with the numbers that matter most.
        kind: What it is.
        sureness: How sure.
        why: Why so sure, or so unsure.
        evidence: What it rests on.
        causes: What may be behind it, each with its test.
        remedies: What to try.
        unsupported: Popular explanations that this run does not support, with what would.
        since: First iteration from which it could be said.
        missing: Metrics that were not recorded and would have told more.
    """

    headline: str
    kind: Kind
    sureness: Sureness
    why: str = ""
    evidence: tuple[Evidence, ...] = ()
    causes: tuple[Cause, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    unsupported: tuple[Cause, ...] = ()
    since: int | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong with a run.

    Attributes:
        name: Short, for programs; the file's name.
        title: For people.
        stage: When it is looked at.
        needs: Metrics without which it says nothing: of each group at least one.
        helps: Metrics that sharpen it.
        explains: Names of rules whose findings may follow from this one's.
        source: Where symptom and thresholds come from.
        examine: Looks at a run; None where the rule does not apply to it.
    """

    name: str
    title: str
    stage: Stage
    needs: tuple[tuple[str, ...], ...]
    source: str
    examine: Callable[[Signals], Finding | None]
    helps: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranked:
    """A finding in its place.

    Attributes:
        rule: Who found it.
        finding: What was found.
        follows_from: Names of rules whose findings, ranked above, may be its cause.
    """

    rule: Rule
    finding: Finding
    follows_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unexamined:
    """A rule that could not look, for want of metrics."""

    rule: Rule
    missing: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Diagnosis:
    """What all rules together say about a run.

    Attributes:
        signals: The run.
        findings: The most basic cause first; what is in order stands last.
        unexamined: Rules that could not look.
        questions: Metrics that were not recorded, each with what it would decide; the most wanted first.
    """

    signals: Signals
    findings: tuple[Ranked, ...]
    unexamined: tuple[Unexamined, ...]
    questions: Mapping[str, str] = field(default_factory=dict)

    def of(self, *kinds: Kind) -> Sequence[Ranked]:
        """The findings of these kinds, in their order."""
        return [ranked for ranked in self.findings if ranked.finding.kind in kinds]
