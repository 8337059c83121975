"""Make samplers, which propose configurations: one sampler for each trial."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from unstuck.records.ledger import Ledger
from unstuck.rl.seeding import as_int
from unstuck.sweeps.config.settings import SamplerConfig, StudyConfig, SweepConfig


def make_sampler(config: SamplerConfig, seed: int, number: int) -> BaseSampler:
    """Make the sampler that proposes the trial of a number; every process makes the same one."""
    own_seed = as_int(np.random.SeedSequence(seed, spawn_key=(len("sampler"), number)))
    if config.name == "tpe":
        return TPESampler(n_startup_trials=config.num_startup_trials, seed=own_seed)
    return RandomSampler(seed=own_seed)


def sampler_maker(sampler: SamplerConfig, seed: int) -> Callable[[int], BaseSampler]:
    """Return the function that makes a trial's sampler, given the trial's number."""
    return partial(make_sampler, sampler, seed)


def create_ledger(url: str, sweep: StudyConfig, sampler: SamplerConfig, attributes: Mapping[str, Any]) -> Ledger:
    """Make the ledger of a new sweep, with the sampler that the settings name; see `Ledger.create`."""
    objective = (sweep.metric, sweep.mode)
    return Ledger.create(url, str(sweep.name), objective, attributes, sampler_maker(sampler, sweep.seed))


def reopen_ledger(config: SweepConfig) -> Ledger:
    """Open the ledger of a sweep that goes on, with the sampler that the settings name; see `Ledger.open_sweep`."""
    return Ledger.open_sweep(config.reference, sampler_maker(config.sampler, config.sweep.seed))
