"""Find the run that an unstick branches: a trial of a sweep, a checkpoint's folder, or an MLflow run."""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unstuck.analysis.programs import module_program
from unstuck.records.errors import SweepError
from unstuck.records.files import checkpoint_file, config_file, trials_folder
from unstuck.records.ledger import Ledger
from unstuck.records.mlflow.runs import read_run_tags
from unstuck.records.names import SWEEP_TAG, TRIAL_TAG
from unstuck.rl.branch_point import BranchPoint, read_branch_point
from unstuck.rl.config import TRIAGE, PPOConfig
from unstuck.rl.errors import CheckpointError, ConfigError
from unstuck.sweeps.config.find import find_sweep, load_sweep
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.parse import build_space

_TRIAL = re.compile(r"(.+)/(\d+)")
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_FORMAT = 2
"""First format of records whose flows are split by the rules of new sweeps."""


@dataclass(frozen=True)
class ParentRun:
    """Stuck run to train further with changes: configuration, checkpoint, and where the run is recorded.

    Attributes:
        name: Name for people: `SWEEP/7`, or the path of a checkpoint without a sweep.
        config: Complete configuration of the run.
        checkpoint: The checkpoint's file, absolute.
        point: What the checkpoint says of the run.
        sweep: Name of the run's sweep; None for a checkpoint without a sweep.
        trial: Number of the run's trial; None for a checkpoint without a sweep.
        mlflow_run: Id of the run in MLflow; empty if MLflow does not have the run.
        reference: What `run=` must be to name the run again, from any folder.
    """

    name: str
    config: SweepConfig
    checkpoint: Path
    point: BranchPoint
    sweep: str | None = None
    trial: int | None = None
    mlflow_run: str = ""
    reference: str = ""

    def require_unchanged(self, copy: Path) -> None:
        """Raise `SweepError` if the copied checkpoint is later than the one read first: the run still trains."""
        now = read_branch_point(copy).iteration
        if now != self.point.iteration:
            raise SweepError(
                f"run must not train while it is branched, got {self.name}, which went on from iteration "
                f"{self.point.iteration} to {now}; wait until it has ended, or stop its sweep"
            )

    def to_json(self) -> dict[str, Any]:
        """Return what the Optuna study stores about the stuck run: name, sweep, trial, MLflow run, steps."""
        return {
            "name": self.name,
            "reference": self.reference,
            "sweep": self.sweep,
            "trial": self.trial,
            "mlflow_run": self.mlflow_run,
            "iteration": self.point.iteration,
            "env_steps": self.point.env_steps,
        }


def find_run(config: SweepConfig) -> ParentRun:
    """Find the stuck run that `config.run` names, with settings, checkpoint and records.

    Args:
        config: Composed configuration of the unstick; of a checkpoint without a sweep also environment and data.

    Raises:
        SweepError, ConfigError: There is no such run, or our learner did not train the run.
        CheckpointError: The run's checkpoint cannot be read.
    """
    run, folder = str(config.run), Path(config.sweep.folder)
    path = Path(run).expanduser().absolute()
    if path.exists() and not config_file(path).exists():
        file = path / checkpoint_file(path, 0).name if path.is_dir() else path
        place = _find_trial_of(file)
        if place is None and not file.exists():
            diagnose = shlex.join([*module_program("analysis"), "diagnose", run])
            raise SweepError(
                f"run must be a trial such as NAME/7, a checkpoint's folder or an MLflow run id, got {run!r}, which "
                f"holds no checkpoint to go on from; what a log tells is said by: {diagnose}"
            )
        return _load_trial(*place, config) if place else _load_lone(file, config)
    if _RUN_ID.fullmatch(run):
        tags = read_run_tags(config.reference, run)
        if SWEEP_TAG not in tags or TRIAL_TAG not in tags:
            which = "which is no trial of a sweep and so has no checkpoint" if tags else "which MLflow does not have"
            raise SweepError(f"run must be a trial such as NAME/7, got the MLflow run {run}, {which}; name a trial")
        found = _load_trial(tags[SWEEP_TAG], int(tags[TRIAL_TAG]), folder, config)
        if found.mlflow_run != run:
            raise SweepError(
                f"run must be of a sweep in {folder.absolute()}, got the MLflow run {run} of another sweep that is "
                f"named {tags[SWEEP_TAG]} as well; set sweep.folder to where its sweep lies"
            )
        return found
    if named := _TRIAL.fullmatch(run):
        return _load_trial(named[1], int(named[2]), folder, config)
    raise SweepError(
        f"run must be a trial such as NAME/7, a checkpoint's folder or an MLflow run id, got {run!r}; "
        + _list_sweeps(folder, run)
    )


def _list_sweeps(folder: Path, run: str) -> str:
    sweeps = sorted(file.parent.name for file in folder.glob("*/config.yaml"))
    name = Path(run).name if Path(run).absolute().parent == folder.absolute() else run
    if name in sweeps:
        return f"name one of the sweep's trials: run={name}/0"
    return f"sweeps in {folder}: {', '.join(sweeps) or 'none'}"


def _find_trial_of(file: Path) -> tuple[str, int, Path] | None:
    """Find sweep name, trial number and the sweeps' folder of a checkpoint in a sweep's folder; None elsewhere."""
    own, name = file.parent.parent.parent, file.parent.name
    if not config_file(own).is_file() or file.parent.parent != trials_folder(own) or not name.isdigit():
        return None
    return own.name, int(name), own.parent


def _load_trial(sweep: str, number: int, folder: Path, config: SweepConfig) -> ParentRun:
    """Load a recorded trial as the stuck run; use the caller's `data.path` if the network flows were moved."""
    own = find_sweep(sweep, folder, *_find_urls(sweep, folder, config))
    if own.format < _FORMAT and own.env.id == TRIAGE:
        raise SweepError(
            f"run must be of a sweep of format {_FORMAT} or later, got {sweep}/{number} of format {own.format}: "
            "its flows were split by other rules; run it again as a new sweep"
        )
    entries = {entry.number: entry for entry in Ledger.open_sweep(own.reference).entries()}
    if number not in entries:
        numbers = ", ".join(map(str, entries)) or "none"
        raise SweepError(f"run must name a trial of {sweep}, got {number}; there are: {numbers}")
    space, _ = build_space(own)
    trial = space.apply(own, entries[number].values)
    if config.data.path is not None:
        trial = replace(trial, data=replace(trial.data, path=config.data.path))
    file = checkpoint_file(own.own_folder, number)
    if not file.exists():
        outcome = entries[number].outcome or "running"
        raise SweepError(f"run must have a checkpoint, got {sweep}/{number} ({outcome}), which has none: {file}")
    name = f"{own.sweep.name}/{number}"
    point, run_id = read_branch_point(file), entries[number].run_id
    is_beside = folder.absolute() == Path(config.sweep.folder).absolute()
    return ParentRun(name, trial, file, point, own.sweep.name, number, run_id, name if is_beside else str(file))


def _find_urls(sweep: str, folder: Path, config: SweepConfig) -> tuple[str | None, str | None]:
    """Return the present URLs of Optuna's and MLflow's database, each None unless the run's sweep has its own."""
    own = load_sweep((folder / sweep).absolute()).tracking
    mine = config.tracking
    return mine.optuna_url if own.optuna_url else None, mine.mlflow_url if own.mlflow_url else None


def _load_lone(file: Path, config: SweepConfig) -> ParentRun:
    """Load a checkpoint outside any sweep as the stuck run: PPO's settings from the file, others from `config`."""
    point = read_branch_point(file)
    if any(one != point.configs[0] for one in point.configs):
        raise CheckpointError(f"{file} must hold members with the same settings, got several; branch a run of one")
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in point.configs[0].items()}
    try:
        ppo = PPOConfig(**settings)
    except TypeError as error:
        raise ConfigError(f"{file} must hold the settings of this version, got others ({error})") from error
    study = replace(config.sweep, seeds=point.members)
    return ParentRun(str(file.parent), replace(config, ppo=ppo, sweep=study), file, point, reference=str(file))
