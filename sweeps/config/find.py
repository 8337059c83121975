"""Find a sweep that has run, by name or by folder."""

import os
from dataclasses import replace
from pathlib import Path

from unstuck.records.errors import SweepError
from unstuck.records.files import config_file
from unstuck.records.redact import refuse_masked
from unstuck.sweeps.config.saved import from_yaml
from unstuck.sweeps.config.settings import SweepConfig, check_name


def find_sweep(name: str, folder: Path, optuna_url: str | None = None, mlflow_url: str | None = None) -> SweepConfig:
    """Read the configuration of a recorded sweep, found by name or folder; use the given database URLs, if any.

    Args:
        name: Name of the sweep, or its folder.
        folder: Folder of all sweeps, for a name.
        optuna_url: URL of the ledger, if it holds a password (which the sweep's folder does not keep).
        mlflow_url: URL of MLflow, if it holds a password.

    Raises:
        ConfigError: No sweep can have this name.
        SweepError: There is no such sweep; or a password is needed.
    """
    is_path = os.sep in name or (config_file(Path(name)).exists() and not config_file(folder / name).exists())
    if not is_path:
        check_name("a sweep's name", name)
    config = load_sweep((Path(name) if is_path else folder / name).absolute())
    tracking = replace(
        config.tracking,
        optuna_url=optuna_url or config.tracking.optuna_url,
        mlflow_url=mlflow_url or config.tracking.mlflow_url,
    )
    refuse_masked("--optuna-url", tracking.optuna_url)
    refuse_masked("--mlflow-url", tracking.mlflow_url)
    return replace(config, tracking=tracking)


def load_sweep(folder: Path) -> SweepConfig:
    """Read the configuration from a sweep's folder; set `sweep.folder` to the parent folder.

    Args:
        folder: Folder of the sweep, absolute.

    Raises:
        SweepError: The folder holds no sweep (the message lists the sweeps beside), or was renamed or copied beside the
            original, for whose records its own would be taken.
    """
    file = folder / "config.yaml"
    if not file.exists():
        beside = sorted(path.parent.name for path in folder.parent.glob("*/config.yaml"))
        raise SweepError(f"no sweep in {folder}; sweeps in {folder.parent}: {', '.join(beside) or 'none'}")
    try:
        config = from_yaml(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SweepError(f"{file} must be UTF-8 text, and holds other bytes; put the sweep's own file there") from error
    if config.sweep.name not in (None, folder.name):
        raise SweepError(
            f"a sweep's folder must keep the sweep's name, {config.sweep.name}, got {folder}; rename a folder that was "
            "renamed, and copy a sweep into another folder of sweeps, not beside itself"
        )
    return replace(config, sweep=replace(config.sweep, folder=str(folder.parent)))
