"""Commands to run after a sweep, each with what to watch for."""

from collections.abc import Mapping
from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.arms import list_arms
from unstuck.analysis.document import Commands, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.programs import module_program, sweep_program, sweep_words
from unstuck.analysis.report.arms import describe_change, make_arms_command, quote_command, recorded_words
from unstuck.analysis.report.diagnosis import own_sweep_blocks
from unstuck.analysis.sweep.trials import Sweep
from unstuck.records.outcome import Outcome

FEW = 10
"""Completed trials for each searched setting, below which a search has hardly begun."""


def next_blocks(sweep: Sweep, diagnoses: Mapping[int, Diagnosis], folder: Path) -> list[Block]:
    """Return report blocks on what to run next: judge the best trial, try remedies, or search on."""
    blocks: list[Block] = [Heading("What to run next")]
    if sweep.best and not sweep.judgement:
        blocks += [
            Paragraph(
                "Judge the best trial and the control on fresh seeds and on data that no trial saw. Watch for a 95 % "
                "interval of the difference that is clear of 0; if it is not, more seeds or nothing gained:"
            ),
            Commands((quote_command([*module_program("sweeps"), "champion", *sweep_words(sweep.name, folder)]),)),
        ]
    blocks += _arms(sweep, diagnoses, folder)
    completed = len(sweep.rank_trials(Outcome.COMPLETED))
    if sweep.searched and completed < FEW * len(sweep.searched) and sweep.settings.get("sampler.name") != "points":
        more, recorded = 2 * len(sweep.feasible), recorded_words(sweep.settings, sweep.name, folder)
        blocks += [
            Paragraph(
                f"Search on: {completed} completed trials for {len(sweep.searched)} settings are few. The sampler goes "
                "on from what it has learned. Watch for the best value to rise by more than its seeds' spread:"
            ),
            Commands(
                (quote_command([*sweep_program(), *recorded, f"resume={sweep.name}", f"sweep.num_trials={more}"]),)
            ),
        ]
    return blocks if len(blocks) > 1 else []


def _arms(sweep: Sweep, diagnoses: Mapping[int, Diagnosis], folder: Path) -> list[Block]:
    """Return report blocks on changes to try with the best trial, or with the control if no trial completed."""
    trial = sweep.best or sweep.control
    if trial is None or trial.number not in diagnoses:
        return []
    diagnosis = diagnoses[trial.number]
    arms = list_arms(diagnosis)
    words = make_arms_command(diagnosis.signals.history, arms, folder)
    apart = own_sweep_blocks(diagnosis, arms, folder)
    if not words and not apart:
        return []
    rows = tuple((describe_change(arm.change), arm.why, arm.watch) for arm in arms)
    return [
        Paragraph(f"Try what the diagnosis of trial {trial.number} proposes, each arm beside that trial unchanged:"),
        Table("", ("change", "why", "watch for"), rows),
        *([Commands((quote_command(words),))] if words else []),
        *apart,
    ]
