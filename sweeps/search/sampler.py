"""Make samplers, which propose configurations: one sampler for each trial."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from unstuck.records import extensions
from unstuck.records.errors import ExtensionError
from unstuck.records.ledger import Ledger
from unstuck.rl.seeding import derive_int
from unstuck.sweeps.config.settings import SamplerConfig, StudyConfig, SweepConfig

SamplerFactory = Callable[[SamplerConfig, int, int], BaseSampler]
"""Maker of the sampler of one trial, given the settings, the sweep's seed and the trial's number."""


def make_tpe(config: SamplerConfig, seed: int, number: int) -> BaseSampler:
    """Make Optuna's TPE sampler for one trial, which prefers settings near those of good trials.

    TPE: Tree-structured Parzen Estimator.
    """
    return TPESampler(n_startup_trials=config.num_startup_trials, seed=derive_seed(seed, number))


def make_random(config: SamplerConfig, seed: int, number: int) -> BaseSampler:
    """Make Optuna's random sampler for one trial, which draws each setting regardless of earlier trials."""
    return RandomSampler(seed=derive_seed(seed, number))


SAMPLERS: Mapping[str, SamplerFactory] = {"tpe": make_tpe, "random": make_random, "points": make_random}
"""Our samplers, by `sampler.name`."""


def derive_seed(seed: int, number: int) -> int:
    """Derive the random seed of one trial's sampler from the sweep's seed and the trial's number.

    A sweep that goes on draws nothing twice.
    """
    return derive_int(np.random.SeedSequence(seed, spawn_key=(len("sampler"), number)))


def find_sampler(name: str) -> SamplerFactory:
    """Return the function that makes samplers of the given name, built-in or from another package.

    Raises:
        ExtensionError: An entry point of `unstuck.samplers` cannot be used.
    """
    if name in SAMPLERS and not extensions.list_other_names(extensions.SAMPLERS):
        return SAMPLERS[name]
    wanted = "a function of SamplerConfig, seed and number that returns an Optuna sampler"
    found = extensions.load_extensions(extensions.SAMPLERS, SAMPLERS, callable, wanted)
    return next(one.value for one in found if one.name == name)


def make_sampler(config: SamplerConfig, seed: int, number: int) -> BaseSampler:
    """Make the Optuna sampler for the trial with the given number; equal arguments give equal samplers.

    Raises:
        ExtensionError: The sampler of another package cannot be used.
    """
    sampler = find_sampler(config.name)(config, seed, number)
    if not isinstance(sampler, BaseSampler):
        raise ExtensionError(f"sampler.name={config.name} must make a sampler of Optuna's, got {sampler!r:.100}")
    return sampler


def make_sampler_factory(sampler: SamplerConfig, seed: int) -> Callable[[int], BaseSampler]:
    """Return a function that makes the Optuna sampler for a given trial number."""
    return partial(make_sampler, sampler, seed)


def create_ledger(url: str, sweep: StudyConfig, sampler: SamplerConfig, attributes: Mapping[str, Any]) -> Ledger:
    """Create the ledger (Optuna study) of a new sweep, with a sampler and with attributes to store."""
    make = make_sampler_factory(sampler, sweep.seed)
    return Ledger.create(url, str(sweep.name), sweep.metric, sweep.mode, attributes, make)


def reopen_ledger(config: SweepConfig) -> Ledger:
    """Open the ledger (Optuna study) of a recorded sweep, with a sampler for further trials."""
    return Ledger.open_sweep(config.reference, make_sampler_factory(config.sampler, config.sweep.seed))
