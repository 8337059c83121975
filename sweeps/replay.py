"""A trial's run in MLflow, from what the ledger and the checkpoint have of it: as it is first opened, and again."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from rl.budget import Budget
from rl.errors import ConfigError
from sweeps.config import SweepConfig
from sweeps.ledger import Entry
from sweeps.outcome import Verdict
from sweeps.record import Record
from sweeps.schema import to_yaml
from sweeps.space import Space
from sweeps.tracking import Tracker, flatten


def open_run(
    tracker: Tracker, number: int, values: Mapping[str, Any], config: SweepConfig, budget: Budget | None
) -> str:
    """Open a trial's run, or reopen it; returns its id.

    Args:
        tracker: The sweep's.
        number: The trial's.
        values: What the sampler chose.
        config: The trial's configuration; the sweep's, if it cannot have one of its own.
        budget: What trials share in a sweep that counts environment steps.
    """
    tags = {"seeds": str(config.sweep.seeds), "seed": str(config.sweep.seed)}
    return tracker.start_trial(
        number, values, recorded_settings(config, budget), tags, to_yaml(config, values)
    )  # infeasible ones included


def recorded_settings(config: SweepConfig, budget: Budget | None = None) -> dict[str, Any]:
    """What is written down of a trial's configuration, by dotted path.

    Where there is a budget in environment steps, `budget.env_steps` says it, and that MLflow's steps are such.
    """
    settings = flatten({group: asdict(getattr(config, group)) for group in ("ppo", "env", "data")})
    if budget is None:
        return settings
    return {**settings, "budget.env_steps": budget.steps, "budget.eval_every": budget.eval_every}


def write_run(
    tracker: Tracker,
    sweep: tuple[SweepConfig, Space],
    entry: Entry,
    records: Sequence[Record],
    verdict: Verdict | None,
) -> str:
    """Write all that there is of a trial; what its run has already is not written twice. Returns the run's id.

    Args:
        tracker: The sweep's.
        sweep: Its configuration, and what it searches.
        entry: What the ledger has of the trial.
        records: Its iterations.
        verdict: How it ended; None leaves the run open.
    """
    config, space = sweep
    budget = space.budget(config)
    with suppress(ConfigError):  # an infeasible trial has no configuration of its own
        config = space.apply(config, entry.values)
    run = open_run(tracker, entry.number, entry.values, config, budget)
    tracker.log(entry.number, records)
    if entry.notes:
        tracker.tag_trial(entry.number, entry.notes)
    if verdict:
        tracker.end_trial(entry.number, verdict, {} if entry.is_open else entry.summary)
    return run
