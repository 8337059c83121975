"""Notes on a sweep and on its trials, in Markdown, for Optuna's dashboard."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import shorten
from typing import Any

from unstuck.analysis.document import Commands, Paragraph
from unstuck.analysis.report.searched import format_percents, format_value, shorten_path
from unstuck.analysis.report.sweep import Findings, explain_other_importances
from unstuck.analysis.report.sweep_next import next_blocks
from unstuck.analysis.report.sweep_verdict import sweep_verdict
from unstuck.analysis.report.unstick import unstick_next_blocks
from unstuck.analysis.report.unstick_verdict import describe_arm, get_arm
from unstuck.analysis.report.verdict import state_verdict
from unstuck.analysis.sweep.importance import PER_SETTING
from unstuck.analysis.sweep.trials import Sweep, Trial, count_outcomes
from unstuck.analysis.words import format_uncertain, join_words, percent, pluralize
from unstuck.records.names import DIAGNOSIS
from unstuck.records.outcome import Outcome

MOST_WORDS = 140
"""Characters of a diagnosis in a note; the attribute `diagnosis` and the report have all of it."""

STORED_AS = {"pow2": "its exponent to the base 2", "one_minus_log": "1 minus the value"}
"""Number that the ledger stores instead of a setting's value, by the kind of range."""

FILED_AS_PRUNED: Mapping[str, str] = {
    Outcome.INFEASIBLE: "It could not run and does not count; Optuna files it as pruned, so that the sampler avoids it",
    Outcome.STUCK: "Optuna files it as pruned",
    Outcome.DIVERGED: "Optuna files it as pruned",
}
"""Sentence on outcomes for which Optuna's dashboard has no state."""


@dataclass(frozen=True)
class Link:
    """Name and address of a web page, for use in a note."""

    name: str
    url: str

    def __str__(self) -> str:
        """Return the link in Markdown."""
        return f"[{self.name}]({self.url})"


def format_study_note(found: Findings, report: str, links: Sequence[Link] = ()) -> str:
    """Return the text of the dashboard's note on a finished sweep: question, answer, certainty, next steps.

    Args:
        found: Data of the sweep's report.
        report: Path of the report.
        links: Pages of the sweep in MLflow.
    """
    sweep = found.sweep
    lines = {
        "Asked": _describe_question(sweep),
        "Came out": _describe_outcome(found),
        "How sure": _describe_sureness(sweep),
        "What mattered": _describe_importances(found),
        "Optuna's importance chart": explain_other_importances(found),
        "These pages": _explain_pages(sweep),
        "Go on": _find_next_command(found),
        "Read on": ", ".join([f"the report `{report}`", *map(str, links)]),
    }
    told = [f"- **{name}:** {text}" for name, text in lines.items() if text]
    return "\n".join([f"**{sweep_verdict(sweep, found.importances)}**", "", *told])


def _describe_question(sweep: Sweep) -> str:
    setting = sweep.settings.get
    if sweep.unstick:
        beside = f"{pluralize(max(0, len(sweep.unstick.arms) - 1), 'arm')} beside the untouched control"
        return f"which change fixes {sweep.unstick.branched_from}? {beside}, by {sweep.metric} in {setting('env.id')}."
    most = "highest" if sweep.sign > 0 else "lowest"
    size = f"{pluralize(len(sweep.feasible), 'trial')} of {pluralize(int(setting('sweep.seeds', 1)), 'seed')}, "
    size += f"{sweep.axis.describe_length(sweep.length)} each unless stopped"
    control = f"; trial {sweep.control.number} is the control, with nothing changed" if sweep.control else ""
    what = (
        f"which values of {join_words([f'`{path}`' for path in sweep.searched])} give"
        if sweep.searched
        else "what gives"
    )
    return (
        f"{what} the {most} {sweep.metric} in {setting('env.id')}? {size} (sampler {setting('sampler.name')}, "
        f"scheduler {setting('scheduler.name')}){control}."
    )


def _describe_outcome(found: Findings) -> str:
    sweep, best = found.sweep, found.sweep.best
    words = f"{join_words([f'{count} {outcome}' for outcome, count in count_outcomes(sweep.trials).items()])}."
    if best is None:
        return words
    settings = ", ".join(f"{shorten_path(path)} {format_value(value)}" for path, value in best.values.items())
    if sweep.unstick:
        settings = describe_arm(get_arm(sweep, best.number))
    words += f" Best, trial {best.number}" + (f": {settings}." if settings else ".")
    return f"{words} {state_verdict(found.diagnoses[best.number])}" if best.number in found.diagnoses else words


def _describe_sureness(sweep: Sweep) -> str:
    best = sweep.best
    if best is None:
        return ""
    if sweep.unstick:
        judged = "fresh repeats on what no arm saw have judged the arm; the sentences above are their verdict."
        return (
            judged if sweep.unstick.verdicts.last else "not yet; only a verdict by fresh repeats judges the best arm."
        )
    if sweep.judgement:
        return "fresh seeds and unseen data have judged the best trial; the sentence above is their verdict."
    return (
        f"not yet. The best of {pluralize(len(sweep.rank_trials()), 'noisy value')}, each over "
        f"{pluralize(max(1, len(best.seeds)), 'seed')}, is flattered by being chosen; only fresh seeds and unseen data "
        "judge it."
    )


def _describe_importances(found: Findings) -> str:
    if not found.importances:
        return ""
    shares = [
        f"{shorten_path(one.path)} {percent(one.ped_anova)} ({format_percents(one.ped_range)})"
        for one in found.importances
    ]
    words = (
        f"{', '.join(shares)}: PED-ANOVA of {found.importance_at}, median and middle 80 % over draws of two thirds of "
        f"{pluralize(found.importance_trials, 'trial')}"
    )
    least = PER_SETTING * len(found.importances)
    return (
        f"{words}; to tell {pluralize(len(shares), 'setting')} apart takes about {least}."
        if (found.importance_trials < least)
        else f"{words}."
    )


def _explain_pages(sweep: Sweep) -> str:
    """Explain in words how the dashboard's own pages may mislead a reader."""
    others = [name for name in count_outcomes(sweep.trials) if name in FILED_AS_PRUNED]
    texts = []
    if others:
        texts.append(
            f"Optuna files {join_words(others)} trials as pruned; the attribute `outcome` and the notes tell them apart"
        )
    stored = [
        f"of `{path}` {STORED_AS[kind]}" for path in sweep.searched if (kind := _find_kind(sweep, path)) in STORED_AS
    ]
    if stored:
        texts.append(
            f"Optuna's charts plot what is stored, {join_words(stored)}; notes, and the pictures by Unstuck, the values"
        )
    if any(trial.outcome == Outcome.PRUNED for trial in sweep.trials):
        texts.append("of a pruned trial they show the last evaluation, notes the mean of the last three")
    return f"{'; '.join(texts)}." if texts else ""


def _find_kind(sweep: Sweep, path: str) -> str:
    """Return the kind of search range of a setting, such as `log`; empty if values come from a list of points."""
    prefix = f"space.{path}."
    return next((name.removeprefix(prefix) for name in sweep.settings if name.startswith(prefix)), "")


def _find_next_command(found: Findings) -> str:
    """Return the first command to run after the sweep, with the purpose, as text."""
    unstick = found.sweep.unstick
    blocks = unstick_next_blocks(found, unstick) if unstick else next_blocks(found.sweep, found.diagnoses, found.folder)
    for before, block in pairwise(blocks):
        if isinstance(before, Paragraph) and isinstance(block, Commands):
            return f"{before.text} `{block.lines[0]}`"
    return ""


def format_trial_note(sweep: Sweep, trial: Trial, links: Sequence[Link] = ()) -> str:
    """Return the text of the dashboard's note on a trial: outcome, reason, diagnosis, links, settings.

    Args:
        sweep: Sweep of the trial.
        trial: The trial.
        links: Pages of the trial in MLflow.
    """
    lines = [
        _describe_result(sweep, trial),
        FILED_AS_PRUNED.get(str(trial.outcome), ""),
        f"The control: {'its settings are the unchanged ones' if trial.values else 'nothing is changed'}"
        if trial is sweep.control
        else "",
        *_describe_arm(sweep, trial),
        f"Diagnosis: {shorten(trial.notes[DIAGNOSIS], MOST_WORDS, placeholder=' …')}"
        if DIAGNOSIS in trial.notes
        else "",
        ", ".join(map(str, links)),
    ]
    head, *rest = [line for line in lines if line]
    parts = [f"**{head}**", "\n".join(f"- {line}" for line in rest), "\n".join(_tabulate_settings(sweep, trial))]
    return "\n\n".join(filter(None, parts))


def _describe_arm(sweep: Sweep, trial: Trial) -> list[str]:
    """Return lines of text on a stuck run's branch: why tried, what is kept, which bounds it passed.

    A trial that is no arm, since its sweep branches no run, has no lines.
    """
    if sweep.unstick is None:
        return []
    arm = get_arm(sweep, trial.number)
    milestones = "; ".join(one.describe() for one in trial.milestones)
    return [
        f"Why: {arm.why}" if arm.why else "",
        arm.carried,
        f"Milestones: {milestones}" if milestones else "",
    ]


def _describe_result(sweep: Sweep, trial: Trial) -> str:
    """Describe in words a trial's outcome, final value and rank among all trials."""
    words = f"{trial.outcome or 'running'}"
    if trial.reason and trial.outcome != Outcome.COMPLETED:
        words += f": {trial.reason}"
    if trial.value is not None and math.isfinite(trial.value):
        spread = trial.estimate.spread if trial.estimate else None
        words += f"; {sweep.metric} {format_uncertain(trial.value, spread)}"
        words += f" over {pluralize(len(trial.seeds), 'seed')}" if trial.seeds else ""
    completed = [other.number for other in sweep.rank_trials(Outcome.COMPLETED)]
    place = ""
    if trial.number in completed:
        place = f", number {completed.index(trial.number) + 1} of {len(completed)} that completed"
    return f"{words[:1].upper()}{words[1:]}{place}"


def _tabulate_settings(sweep: Sweep, trial: Trial) -> list[str]:
    """Return a Markdown table of a trial's and the control's settings, with Optuna's number where different."""
    if not trial.values:
        return []
    differs = any(_format_stored(trial, path) for path in trial.values)
    rows = [
        [
            f"`{path}`",
            format_value(value),
            format_value(sweep.settings.get(path)),
            *([_format_stored(trial, path)] * differs),
        ]
        for path, value in trial.values.items()
    ]
    header = ["setting", "value", "unchanged", *(["stored, in Optuna's charts"] * differs)]
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _format_stored(trial: Trial, path: str) -> str:
    """Format the number that Optuna stores for a setting, or return "" if it equals the setting's value."""
    raw: Any = trial.raw.get(path)
    value = trial.values[path]
    return format_value(raw) if isinstance(raw, float | int) and not isinstance(value, bool) and raw != value else ""
