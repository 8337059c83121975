"""One sweep from start to end: opens the records, lets Ray Tune run the trials, closes the records."""

import fcntl
import math
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from rl import metrics
from rl.config import TRIAGE
from rl.data import FlowData, load_flows
from rl.envs import make_vec
from sweeps.cluster import check_cluster, prepare_environment, ray_cluster
from sweeps.config import SweepConfig
from sweeps.driver import Driver
from sweeps.errors import SweepError, TrackingError
from sweeps.layout import config_file, sweep_folder, trials_folder
from sweeps.ledger import Ledger
from sweeps.outcome import Outcome
from sweeps.progress import Progress
from sweeps.provenance import provenance
from sweeps.schema import to_yaml
from sweeps.space import Space, search_space
from sweeps.stop import StopRequest
from sweeps.summary import show_summary, sqlite_url
from sweeps.tracking import REASON_TAG, Tracker, make_tracker

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_PLAIN_WIDTH = 140
"""Of the leaderboard in a file or a pipe, where nobody's screen is too narrow."""

BY_THE_USER = "stopped by the user"


def run_sweep(config: SweepConfig, command: Sequence[str]) -> int:
    """Run a sweep and print what came of it.

    Args:
        config: The composed configuration; its name is set.
        command: The arguments that it was composed from, for the command that reruns the best trial.

    Returns:
        The process's exit code: 0, or 130 after Ctrl-C.

    Raises:
        ConfigError, DataError, SweepError, TrackingError: What is wrong, before any worker starts.
    """
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
    _check_metric(config)
    space, points = _space_and_points(config)
    data = load_flows(config.data) if config.env.id == TRIAGE else None
    make_vec(config.env, [0], data, config.data.order).close()  # refuses what cannot be acted in
    slots = _slots(config)
    check_cluster(config.resources)
    num_trials = len(points) if config.sampler.name == "points" else config.sweep.num_trials or 0
    with StopRequest() as stop:
        ledger, tracker = _open_records(config)
        for point in points:
            ledger.enqueue(space.encode(point))
        console.print(f"Sweep {config.sweep.name}: {num_trials} trials x {config.sweep.seeds} seeds, {slots} at a time")
        with Progress(config, num_trials, console) as progress:
            driver = Driver(config, num_trials, space, ledger, tracker, progress)
            stop.last_resort = lambda: _abandon(driver, tracker, console)
            stopped = _run_trials(config, driver, slots, data, stop)
        _close(tracker, driver, stopped, console)
    show_summary(config, command, ledger.entries(), console)
    if driver.failure:
        raise driver.failure
    if stopped:
        console.print(f"The sweep ended early: {stopped}. What had run is on record.")
    return INTERRUPTED if stopped == BY_THE_USER else 0


def _check_metric(config: SweepConfig) -> None:
    known = (*metrics.EVAL,) if config.env.id == TRIAGE else (metrics.EVAL_RETURN,)
    if config.sweep.metric not in known:
        raise SweepError(
            f"sweep.metric must be one that {config.env.id} is evaluated by ({', '.join(known)}), "
            f"got {config.sweep.metric!r}"
        )
    if config.sweep.metric in (metrics.FALSE_POSITIVES, metrics.FALSE_NEGATIVES) and config.sweep.mode != "min":
        raise SweepError(f"sweep.mode must be min for {config.sweep.metric}, which counts errors, got max")


def _space_and_points(config: SweepConfig) -> tuple[Space, list[dict[str, Any]]]:
    """What is searched, and the points that are tried first (all of them, where points are all there is)."""
    space, points = search_space(config)
    if config.sampler.name != "points" and config.sweep.control:
        control = space.base(config)
        if not space.contains(control):
            raise SweepError(
                f"the control, trial 0, must lie inside the space, got {control}; widen the space, or set "
                "sweep.control=false"
            )
        points = [control, *(point for point in points if point != control)]
    for point in points:
        space.encode(point)  # refuses a value that its range does not hold
    return space, points[: config.sweep.num_trials]


def _slots(config: SweepConfig) -> int:
    """Trials that run at the same time."""
    cpus, each = config.resources.cpus or os.cpu_count() or 1, config.resources.cpus_per_trial
    if each > cpus:
        raise SweepError(f"resources.cpus_per_trial must not exceed the machine's cores = {cpus}, got {each}")
    return cpus // each


def _open_records(config: SweepConfig) -> tuple[Ledger, Tracker]:
    """Make the sweep's folder, its study and its parent run; all of them or none."""
    folder = sweep_folder(config)
    if folder.exists():
        raise SweepError(f"sweep.name must be new, got {config.sweep.name!r}: {folder} exists; choose another name")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent):
            folder.mkdir()
            try:
                return _make_records(config, folder)
            except (SweepError, TrackingError):
                shutil.rmtree(folder)  # or the name would be taken by a sweep that never was
                raise
    except OSError as error:
        raise SweepError(
            f"sweep.folder must be a folder that can be written to, got {config.sweep.folder}: {error.strerror}"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Sweeps that start at once make the databases' tables one after the other, since two at once fail."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_records(config: SweepConfig, folder: Path) -> tuple[Ledger, Tracker]:
    yaml = to_yaml(config)
    ledger = Ledger.create(
        config.tracking.optuna_url or sqlite_url(config, "optuna"), config.sweep, config.sampler, {"config": yaml}
    )
    tracker = make_tracker(config.tracking, folder.parent)
    try:
        tracker.start_sweep(str(config.sweep.name), yaml, provenance())
    except TrackingError:
        ledger.discard()
        raise
    trials_folder(folder).mkdir()
    config_file(folder).write_text(yaml)
    return ledger, tracker


def _close(tracker: Tracker, driver: Driver, stopped: str, console: Console) -> None:
    outcome = Outcome.CRASHED if driver.failure else Outcome.INTERRUPTED if stopped else Outcome.COMPLETED
    reason = str(driver.failure or stopped)
    try:
        tracker.end_sweep(outcome, {REASON_TAG: reason} if reason else {}, [])
    except TrackingError as error:
        console.print(f"warning: {error}", markup=False)


def _abandon(driver: Driver, tracker: Tracker, console: Console) -> None:
    """Close the records and leave, without waiting for Ray."""
    driver.interrupt(BY_THE_USER)
    _close(tracker, driver, BY_THE_USER, console)
    console.show_cursor(True)
    console.print(f"The sweep ended early: {BY_THE_USER}, and Ray no longer answered. What had run is on record.")
    os._exit(INTERRUPTED)


def _run_trials(config: SweepConfig, driver: Driver, slots: int, data: FlowData | None, stop: StopRequest) -> str:
    """Run trials until none is left; returns why it ended earlier, if it did. None is left open on record."""
    stopped = "the driver failed"
    hours = config.sweep.max_hours
    deadline = time.monotonic() + hours * 3600 if hours is not None else math.inf
    try:
        _tune(config, driver, slots, data, stop, deadline)
        stopped = ""
        if not driver.is_finished:
            stopped = BY_THE_USER if stop.asked else f"the time budget of {hours:g} h is used up"
    except SweepError as error:
        driver.failure, stopped = error, str(error)
    except KeyboardInterrupt:
        stopped = BY_THE_USER
    finally:
        driver.interrupt(stopped)
    return stopped


def _tune(
    config: SweepConfig, driver: Driver, slots: int, data: FlowData | None, stop: StopRequest, deadline: float
) -> None:
    """Let Ray Tune run trials until none is left, somebody says stop, or the time is up."""
    prepare_environment(config.resources)
    from ray import tune

    from sweeps.callback import CrashCallback
    from sweeps.scheduler import EndStopper, JudgingScheduler
    from sweeps.search import LedgerSearch
    from sweeps.trainable import TrialTrainable

    def is_over() -> bool:
        return stop.asked or time.monotonic() >= deadline

    search = LedgerSearch(driver.propose)
    with ray_cluster(config.resources, slots) as scratch:
        stop.rearm()
        if is_over():
            return
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(TrialTrainable, data=data), {"cpu": config.resources.cpus_per_trial}
            ),
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=JudgingScheduler(driver.receive, search.numbers),
                num_samples=-1,
                max_concurrent_trials=slots,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name=config.sweep.name,
                storage_path=scratch,
                verbose=0,
                stop=EndStopper(is_over),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=config.resources.max_failures),
                callbacks=[CrashCallback(driver.crash, search.numbers)],
            ),
        )
        tuner.fit()
