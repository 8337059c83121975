"""Give a sweep its id, and bring its records in line with where its folder lies."""

import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from unstuck.records.errors import SweepError, TrackingError
from unstuck.records.files import config_file, replace_text
from unstuck.records.ledger import Ledger
from unstuck.records.lock import hold_lock
from unstuck.records.mlflow.runs import settle_runs
from unstuck.records.names import COPY_OF, FORMAT, ID
from unstuck.sweeps.config.schema import from_yaml, to_yaml
from unstuck.sweeps.config.settings import SweepConfig


def adopt_recorded_id(config: SweepConfig) -> SweepConfig:
    """A sweep with the id and the format that its folder says; as it is, where the folder says nothing."""
    file = config_file(config.own_folder)
    if not file.is_file():
        return config
    recorded = from_yaml(file.read_text())
    return replace(config, id=recorded.id, format=recorded.format)


def identify(config: SweepConfig, ledger: Ledger) -> SweepConfig:
    """Give a sweep an id of its own, in its ledger and its folder, if it has none or shares its original's in MLflow.

    Args:
        config: The sweep's, which this process has locked.
        ledger: The sweep's.

    Returns:
        The sweep with its id, which it may have had.

    Raises:
        SweepError: It is a copy, and its original is in the same ledger.
    """
    recorded, former = ledger.attributes.get(ID), config.id
    if _is_shared(config):
        recorded = None
    elif recorded is not None and recorded == former:
        return config
    config = replace(config, id=recorded or secrets.token_hex(16))
    ledger.describe({FORMAT: config.format, ID: config.id, COPY_OF: former})
    file = config_file(config.own_folder)
    if file.is_file():
        said = from_yaml(file.read_text())
        here = replace(said.sweep, folder=config.sweep.folder)
        replace_text(file, to_yaml(replace(said, id=config.id, sweep=here)))
    return config


def _is_shared(config: SweepConfig) -> bool:
    """Whether a sweep's folder is a copy, made by hand, whose original is there and writes to the same MLflow.

    Raises:
        SweepError: To the same ledger, too.
    """
    original = _original(config)
    if original and config.tracking.optuna_url is not None:
        raise SweepError(
            f"a sweep in a ledger of others must have one folder, got {config.own_folder} and {original}; go on in "
            "the latter, or delete it"
        )
    return original is not None and config.tracking.name == "mlflow" and config.tracking.mlflow_url is not None


def _original(config: SweepConfig) -> Path | None:
    """The folder that a sweep's folder is a copy of, if that is still there; None of one that was moved."""
    file = config_file(config.own_folder)
    if not file.is_file():
        return None
    original = replace(config, sweep=from_yaml(file.read_text()).sweep)
    there = config_file(original.own_folder)
    if not there.is_file() or there.samefile(file) or adopt_recorded_id(original).id != config.id:
        return None
    return there.parent


def settle_records(config: SweepConfig) -> SweepConfig:
    """Bring a sweep's records in line with where its folder lies, and give it an id if it has none: see `identify`.

    Raises:
        SweepError: It has no id, and a process runs it, or its ledger cannot be opened.
    """
    with suppress(TrackingError):
        settle_runs(config.reference)
    if config.id is not None:
        return config
    with hold_lock(config.own_folder):
        return identify(config, Ledger.open_sweep(config.reference))
