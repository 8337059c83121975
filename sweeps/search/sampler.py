"""Make samplers, which propose configurations: one sampler for each trial."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from unstuck.records import extensions
from unstuck.records.errors import ExtensionError
from unstuck.records.ledger import Ledger
from unstuck.rl.seeding import as_int
from unstuck.sweeps.config.settings import SamplerConfig, StudyConfig, SweepConfig

SamplerFactory = Callable[[SamplerConfig, int, int], BaseSampler]
"""Maker of the sampler of one trial, given the settings, the sweep's seed and the trial's number."""


def make_tpe(config: SamplerConfig, seed: int, number: int) -> BaseSampler:
    """Make a sampler that models which settings did well (Tree-structured Parzen Estimator)."""
    return TPESampler(n_startup_trials=config.num_startup_trials, seed=own_seed(seed, number))


def make_random(config: SamplerConfig, seed: int, number: int) -> BaseSampler:
    """Make a sampler that draws at random."""
    return RandomSampler(seed=own_seed(seed, number))


SAMPLERS: Mapping[str, SamplerFactory] = {"tpe": make_tpe, "random": make_random, "points": make_random}
"""Our samplers, by `sampler.name`."""


def own_seed(seed: int, number: int) -> int:
    """Derive the seed of a trial's sampler from the sweep's seed; a sweep that goes on draws nothing twice."""
    return as_int(np.random.SeedSequence(seed, spawn_key=(len("sampler"), number)))


def find_sampler(name: str) -> SamplerFactory:
    """Find the maker of the samplers that `sampler.name` names.

    Raises:
        ExtensionError: An entry point of `unstuck.samplers` cannot be used.
    """
    if name in SAMPLERS and not extensions.other_names(extensions.SAMPLERS):
        return SAMPLERS[name]
    wanted = "a function of SamplerConfig, seed and number that returns an Optuna sampler"
    found = extensions.load_extensions(extensions.SAMPLERS, SAMPLERS, callable, wanted)
    return next(one.value for one in found if one.name == name)


def make_sampler(config: SamplerConfig, seed: int, number: int) -> BaseSampler:
    """Make the sampler that proposes the trial of a number; every process makes the same one.

    Raises:
        ExtensionError: The sampler of another package cannot be used.
    """
    sampler = find_sampler(config.name)(config, seed, number)
    if not isinstance(sampler, BaseSampler):
        raise ExtensionError(f"sampler.name={config.name} must make a sampler of Optuna's, got {sampler!r:.100}")
    return sampler


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
