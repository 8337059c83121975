"""Judge a sweep's best trial without the search's luck: on fresh seeds, by flows that no trial has seen.

A sweep picks its best trial out of many noisy values, so the best value is too good. Here the best configuration and
the control are trained again on seeds of another block, and read the test part once (docs/design.md, D8).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from unstuck.analysis.comparison import advise_more_seeds, describe_difference, judge_difference
from unstuck.analysis.statistics import Estimate, estimate_over_seeds
from unstuck.analysis.sweep.judgements import (
    Judgement,
    Judgements,
    add_judgement,
    read_judgements,
    warn_of_repeated_reading,
)
from unstuck.analysis.sweep.readings import format_time
from unstuck.analysis.words import pluralize
from unstuck.records.entry import Entry, find_best
from unstuck.records.errors import SweepError
from unstuck.records.ledger import Ledger
from unstuck.records.outcome import Outcome
from unstuck.rl.budget import Budget
from unstuck.rl.data import FlowData
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.flows import describe_data, load_same_data
from unstuck.sweeps.config.identity import settle_records
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.trainers.kinds import find_trainer
from unstuck.sweeps.trainers.protocol import TrialSpec
from unstuck.sweeps.worker.memory import require_memory
from unstuck.sweeps.worker.training import train_to_end


def judge_champion(config: SweepConfig, seeds: int, trial: int | None = None) -> Judgements:
    """Train a sweep's best trial and the control (unchanged settings) on fresh seeds; add the results to a file.

    Prints the progress.

    Args:
        config: Configuration of the sweep; see `find_sweep`.
        seeds: Number of fresh members of each.
        trial: Number of a trial to judge instead of the best completed one.

    Returns:
        Judgements of the sweep, the new one last.

    Raises:
        AnalysisError: Earlier judgements cannot be read.
        DataError: The flows cannot be read.
        SweepError: There is no such trial, or none completed, or the flows are not those that the trial was run on.
    """
    if config.run is not None:
        raise SweepError(
            f"champion must be of a sweep whose trials train from their start, got {config.sweep.name}, which branches "
            f"{config.run}; an unstick judges its best arm by itself: see {config.own_folder / 'report'}"
        )
    report = config.own_folder / "report"
    ledger = Ledger.open_sweep(settle_records(config).reference)
    entries = ledger.entries()
    entry = _find_entry(entries, trial, config.sweep.mode)
    space, _ = build_space(config)
    data, fingerprint = load_same_data(config, ledger.attributes)
    require_memory(config, data, seeds, setting="--seeds")
    for line in [*describe_data(data), *_warn_of_earlier(read_judgements(report), entry)]:
        print(line, flush=True)
    print(f"training trial {entry.number} on {pluralize(seeds, 'fresh seed')}", flush=True)
    champion = _train(space.apply(config, entry.values), data, seeds, space.budget(config))
    control: Sequence[float] = ()
    if _has_control(entries, space, config) and dict(entry.values) != space.control_values(config):
        print(f"training the control on the same {pluralize(seeds, 'fresh seed')}", flush=True)
        control = _train(config, data, seeds)
    judgement = Judgement(
        trial=entry.number,
        searched=entry.value or 0.0,
        champion=tuple(champion),
        control=tuple(control),
        values=dict(entry.values),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=fingerprint,
    )
    return add_judgement(report, judgement)


def _warn_of_earlier(judgements: Judgements, entry: Entry) -> list[str]:
    """Return a line that warns that the test data was used before, by earlier champion commands; else none."""
    before = [
        f"trial {one.trial} on {pluralize(len(one.champion), 'seed')} ({format_time(one.at)})"
        for one in judgements.readings
    ]
    if not before:
        return []
    again = ", of this trial again" if any(one.trial == entry.number for one in judgements.readings) else ""
    return [f"reading {len(before) + 1} of the test part{again}; so far: {', '.join(before)}"]


def _has_control(entries: Sequence[Entry], space: Space, config: SweepConfig) -> bool:
    """Return True if the sweep trained the control, which is the configuration with no searched setting changed."""
    unmarked = config.format == 1  # when no trial was on record as the control
    return any(
        entry.is_control or (unmarked and dict(entry.values) == space.control_values(config)) for entry in entries
    )


def _find_entry(entries: list[Entry], number: int | None, mode: str) -> Entry:
    completed = [entry for entry in entries if entry.outcome is Outcome.COMPLETED]
    if not completed:
        raise SweepError("a champion must have completed, and no trial of this sweep did")
    if number is None:
        return find_best(entries, mode) or completed[0]
    for entry in completed:
        if entry.number == number:
            return entry
    numbers = ", ".join(str(entry.number) for entry in completed)
    raise SweepError(f"--trial must name a completed trial, got {number}; completed: {numbers}")


def _train(config: SweepConfig, data: FlowData | None, seeds: int, budget: Budget | None = None) -> list[float]:
    """Train a configuration on fresh seeds; return each seed's final value on test data (mean of evaluations)."""
    spec = TrialSpec(
        config,
        make_member_seeds(config.sweep.seed, seeds, block="test"),
        make_evaluation_seed(config.sweep.seed, block="test evaluation"),
        replace(data, validation=data.test) if data else None,
        budget or Budget.from_config(config.ppo),
    )
    return train_to_end(find_trainer(config.trainer.name).make(spec), config.sweep.metric)


def describe_champion(judgements: Judgements, metric: str, mode: str) -> list[str]:
    """Describe in lines of text the last training on fresh seeds: is the best trial better than the control?"""
    last = judgements.readings[-1]
    value = _format_estimate(last.estimate)
    lines = [f"trial {last.trial}: {metric} {value}, by unseen data (the search had said {last.searched:.4f})"]
    found = judgements.difference(last)
    if found:
        lines.append(f"control: {metric} {_format_estimate(estimate_over_seeds(last.control))}")
        verdict = f"trial {last.trial} {judge_difference(found, 1 if mode == 'max' else -1)}"
        lines.append(
            "; ".join(
                filter(
                    None, [f"difference: {describe_difference(found, 4, metric)}: {verdict}", advise_more_seeds(found)]
                )
            )
        )
    return [*lines, *filter(None, [warn_of_repeated_reading(judgements)])]


def _format_estimate(estimate: Estimate) -> str:
    spread = "" if estimate.spread is None else f" ± {estimate.spread:.4f}"
    return f"{estimate.mean:.4f}{spread} over {pluralize(len(estimate.values), 'fresh seed')}"
