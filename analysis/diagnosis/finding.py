"""Parts of a diagnosis: a rule examines one run and returns a finding, or nothing.

A finding always shows the numbers, and never names a cause without the test that tells the cause from its rivals
(docs/design.md, D9).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from html import escape
from typing import Any

from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.words import join_words


class Kind(StrEnum):
    """Kinds of finding: fault, suspect (possible fault), limit of the task, or fine (all is well).

    Attributes:
        FAULT: Something is wrong, and the run suffers.
        SUSPECT: The symptom is there; the recorded metrics do not settle whether the run suffers.
        LIMIT: Nothing is wrong with the run: the task or the horizon allows no better result.
        FINE: Examined, with numbers, and in order.
    """

    FAULT = "fault"
    SUSPECT = "suspect"
    LIMIT = "limit"
    FINE = "fine"


class Stage(IntEnum):
    """Stages of a finding's topic, in the order of display: those of causes come before those of consequences.

    Bugs come first, since tuning makes no sense beside a bug; then limits of the task; then scales, the size of
    updates, exploration and the critic; behaviour comes last, as a consequence.
    """

    BUG = 0
    CEILING = 1
    SCALE = 2
    STEP = 3
    EXPLORATION = 4
    CRITIC = 5
    BEHAVIOUR = 6


class Support(StrEnum):
    """Answer of a run's metrics about a possible cause: supported, open or ruled out.

    Attributes:
        SUPPORTED: The run's numbers speak for the cause.
        OPEN: No recorded metric decides.
        RULED_OUT: The run's numbers speak against the cause.
    """

    SUPPORTED = "supported"
    OPEN = "open"
    RULED_OUT = "ruled out"


class Sureness(IntEnum):
    """Degrees of certainty of a finding; `Finding.why` gives the reason."""

    POSSIBLE = 1
    LIKELY = 2
    SURE = 3


class Ground(StrEnum):
    """Reason why a finding is a fault, which decides if the fault also holds for an unknown program and task.

    Attributes:
        PROOF: No correct PPO shows this in any environment, or nothing can be learned from the number (NaN).
        MEASURED: What networks, data or settings are was measured, and lies far from what any healthy run shows: a run
            that has learned would have learned more.
        STATE: The policy's state does harm on any task, unless the run learns all the same.
        PACE: The run has nothing to show yet; a fault only where the task's usual pace and the run's plan are known.
    """

    PROOF = "proof"
    MEASURED = "measured"
    STATE = "state"
    PACE = "pace"


@dataclass(frozen=True)
class Evidence:
    """Fact about a run as text, with the metrics and iterations that the fact was read from.

    Attributes:
        text: The fact in words, with its numbers.
        metrics: Metrics that the numbers come from.
        iterations: First and last iteration of the fact.
    """

    text: str
    metrics: tuple[str, ...] = ()
    iterations: tuple[int, int] | None = None


@dataclass(frozen=True)
class Cause:
    """Possible cause of a finding, with a test for the cause, and whether the run's metrics support the cause.

    Attributes:
        what: The cause in words.
        test: Test that tells the cause from its rivals.
        support: Verdict of the run's own numbers on the cause.
        why: Numbers behind the verdict; empty while the cause is open.
        change: Settings that would settle the cause beside a control, as in `Remedy`.

    Example:
        >>> Cause("lr too low", "branch with lr x3 beside a control", change={"ppo.lr": [1e-3]}).support.name
        'OPEN'
    """

    what: str
    test: str
    support: Support = Support.OPEN
    why: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Usual:
    """Place of a finding among the usual suspects of runs that learned nothing.

    Attributes:
        place: 1 of the likeliest.
        is_hinted: True if the run's own numbers speak for the suspect, or hint at it; False if they do not tell.
    """

    place: int
    is_hinted: bool


@dataclass(frozen=True)
class Remedy:
    """Settings to change in a new run beside an unchanged one, with a reason, and the effect to watch for.

    Attributes:
        change: Settings by dotted path, each a value or several values to try in turn.
        why: Direction of the change, and the reason why it should help.
        watch: Metric and deadline by which the change must show an effect.
    """

    change: Mapping[str, Any]
    why: str
    watch: str


@dataclass(frozen=True)
class Agreement:
    """Seeds of a trial in which a finding's evidence holds, among the seeds that were judged one by one.

    Attributes:
        holding: Numbers of the seeds in which the evidence stands.
        judged: Numbers of all seeds that could be judged.
        pooled: True if the evidence stands in the mean over the seeds, and not for one or a few of them alone.
        compared: True if the evidence is how the seeds differ from each other, so that few of them tell of the trial.
    """

    holding: tuple[int, ...]
    judged: tuple[int, ...]
    pooled: bool = False
    compared: bool = False

    @property
    def is_of_few(self) -> bool:
        """True if the evidence holds in half of the seeds or fewer, and not in the mean over all seeds."""
        return not self.pooled and not self.compared and 2 * len(self.holding) <= len(self.judged)

    @property
    def share(self) -> float:
        """Share of the judged seeds in which the evidence holds."""
        return len(self.holding) / len(self.judged)

    def __str__(self) -> str:
        """Return in words in which seeds the evidence holds: `in 3 of 3 seeds`, or `in 1 of 3 seeds: seed 2 alone`."""
        text = f"in {len(self.holding)} of {len(self.judged)} seeds"
        if len(self.holding) == len(self.judged):
            return text
        if self.pooled:
            return f"{text}, and in the mean over them"
        named = join_words([str(seed) for seed in self.holding])
        return f"{text}: seed {named} alone" if len(self.holding) == 1 else f"{text}: {named}"


@dataclass(frozen=True)
class Finding:
    """Result of one rule on one run: headline, kind (fault ... fine), certainty, evidence, causes and remedies.

    Attributes:
        headline: One sentence, with the numbers that matter most.
        kind: Fault, suspect, limit or fine.
        sureness: Certainty of the finding.
        why: Reason for the certainty.
        evidence: Facts that support the finding.
        causes: Possible causes, each with its test.
        remedies: Changes to try.
        unsupported: Popular explanations that the run does not support, with what would support them.
        since: First iteration at which the finding could be made.
        missing: Metrics that were not recorded and would have told more.
        ground: What makes the finding a fault.
        seeds: Seeds of the trial in which the evidence stands; None for a single seed, or where seeds were not judged
            one by one, since what the rule reads was recorded as means over seeds.
        usual: Place among the usual suspects, which stand behind what a rule has found itself; None: a rule's own.
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
    ground: Ground = Ground.STATE
    seeds: Agreement | None = None
    usual: Usual | None = None

    def without_changes(self) -> "Finding":
        """Return the finding without settings to change: no remedies, and no causes to test by a change."""
        causes, unsupported = (
            tuple(replace(cause, change={}) for cause in causes) for causes in (self.causes, self.unsupported)
        )
        return replace(self, causes=causes, unsupported=unsupported, remedies=())

    @property
    def is_of_few_seeds(self) -> bool:
        """True if the finding is about a few seeds of a trial, and not about the trial as a whole."""
        return self.seeds is not None and self.seeds.is_of_few

    def name_seeds(self, before: str = " (", after: str = ")") -> str:
        """Return in words in how many seeds the evidence holds, between two texts; empty if seeds were not judged."""
        return "" if self.seeds is None else f"{before}{self.seeds}{after}"


@dataclass(frozen=True)
class Blind:
    """Result of a rule that cannot judge a run: the metrics or settings that the rule lacks, and the reason.

    Attributes:
        missing: Groups of metrics or settings, one of each group would do.
        why: Reason in words, such as `the policy is continuous, and its spread was not recorded`.
    """

    missing: tuple[tuple[str, ...], ...]
    why: str = ""


@dataclass(frozen=True)
class Rule:
    """Check of a run for one kind of problem: a function that examines the run, and the metrics needed.

    Attributes:
        name: Short name for programs; equals the file's name.
        title: Title for people.
        stage: Place in the order of findings.
        needs: Groups of metrics; without at least one of each group the rule cannot judge.
        helps: Metrics that sharpen the finding.
        explains: Names of rules whose findings may follow from the rule's finding.
        source: Origin of symptom and thresholds.
        examine: Function that examines a run; returns None where nothing is to be said, `Blind` where the record does
            not allow a judgement.
        says: What the rule says of a run, in half a sentence.
        threshold: Numbers from which on the rule says so, in words.
        curable: False if no setting can cure what the rule finds, as a fault of the data or of the reward.
        describes: True if the rule describes a curve of returns and names no cause: what may explain the finding stands
            above, even a doubt.
    """

    name: str
    title: str
    stage: Stage
    needs: tuple[tuple[str, ...], ...]
    source: str
    examine: Callable[[Signals], Finding | Blind | None]
    helps: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    says: str = ""
    threshold: str = ""
    curable: bool = True
    describes: bool = False


@dataclass(frozen=True)
class Ranked:
    """Finding together with the rule that made it, and the rules whose findings may be its cause.

    Attributes:
        rule: Rule that made the finding.
        finding: The finding.
        follows_from: Names of rules whose findings, ranked above, may be the cause.
    """

    rule: Rule
    finding: Finding
    follows_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unexamined:
    """Rule that could not judge a run, with the metrics or settings that the run did not record, and the reason."""

    rule: Rule
    missing: tuple[tuple[str, ...], ...]
    why: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Result of all rules on one run: findings, rules that could not judge, and metrics worth logging next time.

    Attributes:
        signals: The run.
        findings: Findings, the most basic cause first; checks that are fine stand last.
        unexamined: Rules that could not judge.
        questions: Metrics that were not recorded, each with what it would decide; the most wanted first.
    """

    signals: Signals
    findings: tuple[Ranked, ...]
    unexamined: tuple[Unexamined, ...]
    questions: Mapping[str, str] = field(default_factory=dict)

    def select_findings(self, *kinds: Kind) -> Sequence[Ranked]:
        """Return the findings of the given kinds (fault, suspect, limit, fine), most basic causes first."""
        return [ranked for ranked in self.findings if ranked.finding.kind in kinds]

    def __str__(self) -> str:
        """Return the diagnosis as text: a line for each finding, and a line that names rules that could not judge."""
        lines = [
            f"{one.finding.kind} ({one.finding.sureness.name.lower()}{one.finding.name_seeds(', ', '')}): "
            f"{one.finding.headline}"
            for one in self.findings
        ]
        if self.unexamined:
            lines.append(
                f"not judged, since metrics are missing: {', '.join(one.rule.name for one in self.unexamined)}"
            )
        return "\n".join([f"{self.signals.history.name}:", *lines])

    def _repr_html_(self) -> str:
        """Return the diagnosis as HTML for a notebook: findings, for problems with evidence, causes and changes."""
        rows = "".join(_format_row(ranked) for ranked in self.findings)
        blind = ", ".join(one.rule.title for one in self.unexamined)
        last = f"<p>Not judged, since metrics are missing: {escape(blind)}.</p>" if blind else ""
        head = "<tr><th>finding</th><th>sure?</th><th>with the numbers</th></tr>"
        return f"<h3>{escape(self.signals.history.name)}</h3><table>{head}{rows}</table>{last}"


def _format_row(ranked: Ranked) -> str:
    """Format a finding as a row of an HTML table, with evidence, causes and remedies hidden until clicked."""
    finding = ranked.finding
    told = [one.text for one in finding.evidence]
    told += [f"Cause, {one.support}: {one.what}. Test: {one.test}" for one in finding.causes]
    told += [
        f"Try {', '.join(f'{path}={value}' for path, value in one.change.items())}: {one.why}"
        for one in finding.remedies
    ]
    items = "".join(f"<li>{escape(text)}</li>" for text in told)
    more = f"<details><summary>evidence, causes, what to try</summary><ul>{items}</ul></details>" if items else ""
    is_fine = finding.kind is Kind.FINE
    style = "text-align: left; vertical-align: top" + ("; opacity: 0.6" if is_fine else "")
    sureness = finding.sureness.name.lower() + finding.name_seeds(", ", "")
    cells = (f"{finding.kind}: {ranked.rule.title}", sureness, finding.headline)
    first, second, third = (escape(text) for text in cells)
    return (
        f'<tr style="{style}"><td>{first}</td><td>{second}</td>'
        f'<td style="text-align: left">{third}{"" if is_fine else more}</td></tr>'
    )
