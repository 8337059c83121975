"""Commands to run after a sweep, each with its cost and what to watch for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.arms import list_arms
from unstuck.analysis.document import Commands, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.programs import module_program, sweep_program, sweep_words
from unstuck.analysis.report.arms import make_arms_command, quote_command, recorded_words
from unstuck.analysis.report.diagnosis import SHOWN, group_arms, name_changes, own_sweep_blocks, tabulate_arms
from unstuck.analysis.sweep.cost import estimate_training
from unstuck.analysis.sweep.trials import Sweep
from unstuck.analysis.words import join_words
from unstuck.records.outcome import Outcome

FEW = 10
"""Completed trials for each searched setting, below which a search has hardly begun."""

JUDGED_SEEDS = 8
"""Fresh seeds that `champion` trains each configuration on, unless told otherwise."""


@dataclass(frozen=True)
class Step:
    """Command to run after a sweep, with its purpose and cost.

    Attributes:
        name: Short name, for the milestones.
        text: What the command does, and what it costs; ends with a colon.
        watch: What must be seen for the step to have helped.
        command: The command, quoted for a shell; empty if there is none.
        before: Blocks between text and command, such as a table of changes.
        after: Blocks behind the command.
    """

    name: str
    text: str
    watch: str
    command: str
    before: tuple[Block, ...] = ()
    after: tuple[Block, ...] = ()


def next_blocks(sweep: Sweep, diagnoses: Mapping[int, Diagnosis], folder: Path) -> list[Block]:
    """Return report blocks on what to run next, most promising first, with what each run must achieve."""
    steps = list_steps(sweep, diagnoses, folder)
    if not steps:
        return []
    blocks: list[Block] = [Heading("What to run next")]
    for step in steps:
        blocks += [*([] if not step.text else [Paragraph(step.text)]), *step.before]
        blocks += [*([Commands((step.command,))] if step.command else []), *step.after]
    watched: dict[str, list[str]] = {}
    for step in steps:
        watched.setdefault(step.watch, []).append(step.name)
    rows = tuple((join_words(names, "or"), watch) for watch, names in watched.items() if watch)
    return [*blocks, Heading("Milestones"), Table("", ("after", "to be seen"), rows)]


def list_steps(sweep: Sweep, diagnoses: Mapping[int, Diagnosis], folder: Path) -> list[Step]:
    """List the commands to run after a sweep: test the best trial, try remedies, or search on."""
    return [*_judge(sweep, folder), *_try_arms(sweep, diagnoses, folder), *_search_on(sweep, folder)]


def _judge(sweep: Sweep, folder: Path) -> list[Step]:
    if not sweep.best or sweep.judgement:
        return []
    cost = estimate_training(sweep, 2 if sweep.control else 1, JUDGED_SEEDS)
    text = (
        f"Judge the best trial and the control on fresh seeds and on data that no trial saw, which costs about {cost}:"
    )
    watch = "a 95 % interval of the difference that is clear of 0; if it is not, more seeds tell, or nothing was gained"
    words = [*module_program("sweeps"), "champion", *sweep_words(sweep.name, folder)]
    return [Step("judging the best trial", text, watch, quote_command(words))]


def _search_on(sweep: Sweep, folder: Path) -> list[Step]:
    completed = len(sweep.rank_trials(Outcome.COMPLETED))
    if not sweep.searched or completed >= FEW * len(sweep.searched) or sweep.settings.get("sampler.name") == "points":
        return []
    more, recorded = 2 * len(sweep.feasible), recorded_words(sweep.settings, sweep.name, folder)
    cost = estimate_training(sweep, len(sweep.feasible))
    text = (
        f"Search on: {completed} completed trials for {len(sweep.searched)} settings are few. The sampler goes on from "
        f"what it has learned, for at most {cost} of trials, added up:"
    )
    words = [*sweep_program(), *recorded, f"resume={sweep.name}", f"sweep.num_trials={more}"]
    watch = "the best value risen by more than its seeds' spread"
    return [Step("searching on", text, watch, quote_command(words))]


def _try_arms(sweep: Sweep, diagnoses: Mapping[int, Diagnosis], folder: Path) -> list[Step]:
    """Return the command that tries changes to the best trial, or to the control if none completed."""
    trial = sweep.best or sweep.control
    if trial is None or trial.number not in diagnoses:
        return []
    diagnosis = diagnoses[trial.number]
    arms, run = list_arms(diagnosis), diagnosis.signals
    words = make_arms_command(run.history, arms, folder)
    apart = own_sweep_blocks(diagnosis, arms, folder)
    if not words and not apart:
        return []
    groups, program = group_arms(arms), run.history.program
    watches = [Step(name_changes(group, program), "", group[0].watch, "") for group in groups[:SHOWN]]
    tables = tabulate_arms(diagnosis, groups, "The most promising first", with_watch=False)
    text = f"Try what the diagnosis of trial {trial.number} proposes, each arm beside that trial unchanged:"
    command = quote_command(words) if words else ""
    return [Step("", text, "", command, tuple(tables[:1]), (*apart, *tables[1:])), *watches]
