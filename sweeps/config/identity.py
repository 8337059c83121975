"""Give a sweep an id, and bring the records in line with the present place of the sweep's folder."""

import secrets
from contextlib import suppress
from dataclasses import replace

from unstuck.records.errors import SweepError, TrackingError
from unstuck.records.files import config_file, replace_text
from unstuck.records.ledger import Ledger
from unstuck.records.lock import hold_lock
from unstuck.records.mlflow.runs import settle_runs
from unstuck.records.names import COPY_OF, FORMAT, ID
from unstuck.records.urls import are_two_files
from unstuck.sweeps.config.saved import from_yaml, to_yaml
from unstuck.sweeps.config.settings import SweepConfig


def adopt_recorded_id(config: SweepConfig) -> SweepConfig:
    """Copy id and format from the sweep's saved `config.yaml` to a configuration; change nothing if it is missing."""
    file = config_file(config.own_folder)
    if not file.is_file():
        return config
    recorded = from_yaml(file.read_text())
    return replace(config, id=recorded.id, format=recorded.format)


def identify(config: SweepConfig, ledger: Ledger) -> SweepConfig:
    """Set the sweep's id in a configuration; write a new id to Optuna study and folder if there is none, or for a copy.

    A new id is needed if none is on record, or if the sweep is a copy that writes to the same MLflow as the original.

    Args:
        config: Configuration of the sweep, which this process has locked.
        ledger: Ledger of the sweep.

    Returns:
        Configuration with the sweep's id, new or old.

    Raises:
        SweepError: The sweep is a copy, and its original is in the same ledger.
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
    """Return True if a sweep's folder is a copy, and the original exists and writes to the same MLflow database.

    Raises:
        SweepError: Original and copy write to the same ledger.
    """
    original = _find_original(config)
    if original is None:
        return False
    one, other = config.reference, original.reference
    if config.tracking.optuna_url is not None and not are_two_files(one.ledger_url, other.ledger_url):
        raise SweepError(
            f"a sweep in a ledger of others must have one folder, got {config.own_folder} and {original.own_folder}; "
            "go on in the latter, or delete it"
        )
    tracking = config.tracking
    return (
        tracking.name == "mlflow"
        and tracking.mlflow_url is not None
        and not are_two_files(one.mlflow_url, other.mlflow_url)
    )


def _find_original(config: SweepConfig) -> SweepConfig | None:
    """Return the sweep that a sweep's folder was copied from, if both exist; None if the folder was only moved."""
    file = config_file(config.own_folder)
    if not file.is_file():
        return None
    said = from_yaml(file.read_text()).sweep
    there = config_file(replace(config, sweep=said).own_folder)
    if not there.is_file() or there.samefile(file):
        return None
    original = from_yaml(there.read_text())
    return replace(original, sweep=said) if original.id == config.id else None


def settle_records(config: SweepConfig) -> SweepConfig:
    """Update MLflow's artifact paths if a sweep's folder was moved; return the configuration with the sweep's id.

    A sweep without an id gets one; see `identify`.

    Raises:
        SweepError: The sweep has no id, and a process runs the sweep, or the ledger cannot be opened.
    """
    with suppress(TrackingError):
        settle_runs(config.reference)
    if config.id is not None:
        return config
    with hold_lock(config.own_folder):
        return identify(config, Ledger.open_sweep(config.reference))
