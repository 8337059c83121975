"""One sweep from start to end: opens the records, lets Ray Tune run the trials, closes the records."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from analysis.words import counted
from rl import metrics
from rl.config import TRIAGE
from rl.data import FlowData
from rl.envs import make_vec
from rl.machine import require_machine
from sweeps.asha import Asha
from sweeps.cluster import join_cluster, prepare_environment, ray_cluster
from sweeps.config import CRASHED, ResourcesConfig, SweepConfig, metric_meant
from sweeps.data import load_data, loaded, name_flows
from sweeps.driver import Driver
from sweeps.effects import Idle, refuse_idle
from sweeps.errors import LedgerError, StartupError, SweepError, TrackingError
from sweeps.layout import sweep_folder
from sweeps.ledger import Ledger
from sweeps.machine import Cores, granted_cores
from sweeps.memory import require_memory
from sweeps.outcome import Outcome
from sweeps.points import Plan, plan_points
from sweeps.progress import Progress
from sweeps.provenance import provenance
from sweeps.records import Records, as_recorded, open_records
from sweeps.reports import write_reports
from sweeps.stop import StopRequest
from sweeps.summary import NONE_COMPLETED, no_success, print_command, resume_command, show_summary
from sweeps.tracking import REASON_TAG, Tracker

FAILED = 1
"""Exit code where no trial completed, the ledger failed midway (what it lacks did not happen, and a resume runs it), or
Ray died."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_PLAIN_WIDTH = 140
"""Of the leaderboard in a file or a pipe, where nobody's screen is too narrow."""

BY_THE_USER = "stopped by the user"


def run_sweep(config: SweepConfig, command: Sequence[str], idle: Sequence[Idle] = ()) -> int:
    """Run a sweep and print what came of it.

    Args:
        config: The composed configuration; its name is set.
        command: The arguments that it was composed from, for the command that reruns the best trial.
        idle: Settings of a sweep on record that nothing reads.

    Returns:
        The process's exit code: 0, 1 if no trial completed, the ledger failed, the disk is full or Ray died, or 130
        after Ctrl-C.

    Raises:
        ConfigError, DataError, SweepError, TrackingError: What is wrong, before any worker starts.
    """
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
    if config.resume is not None:
        config = as_recorded(config)
        _allow_idle(idle, config.format, console)
    _check_metric(config)
    plan = plan_points(config)
    config, space = plan.config, plan.space
    data, flows = load_data(config)
    config = name_flows(config, flows)
    for line in loaded(data):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    make_vec(config.env, [0], data, config.data.order).close()  # refuses what cannot be acted in
    granted = join_cluster(config.resources) or granted_cores()
    slots = _slots(config.resources, granted)
    if config.resources.ray_address is None:  # on a cluster, other machines may have what this one lacks
        require_machine(config.ppo)
        require_memory(config, data, config.sweep.seeds, slots)
    num_trials = plan.num_trials
    resuming, retrying = config.resume is not None, config.retry is not None
    config = replace(config, resume=None, retry=None)
    with StopRequest() as stop:
        with open_records(config, flows, provenance(), resuming) as records:
            config, ledger, tracker = records.config, records.ledger, records.tracker
            if retrying:
                ledger.reopen_crashed()
            of_points = plan.enqueue(ledger)
            _announce(plan, replace(records, differences=[*records.differences, *of_points]), (slots, granted), console)
            try:
                with Progress(config, num_trials, console, space.axis(config)) as progress:
                    driver = Driver(config, num_trials, space, ledger, tracker, progress, records.reopen)
                    driver.catch_up()
                    stop.last_resort = lambda why: _abandon(config, command, driver, tracker, console, stop.asked, why)
                    stopped = "" if driver.is_finished else _run_trials(config, driver, slots, data, stop)
                    stop.stand_down()
                _close(tracker, driver, stopped, console)
                report = ""
                if stopped != BY_THE_USER and not isinstance(driver.failure, LedgerError):
                    console.print("Writing the report", highlight=False)
                    report = write_reports((config, space), ledger, tracker, lambda: stop.asked)
                stop.is_shielded = True  # what is left takes a moment
            except KeyboardInterrupt:  # again, while records were being closed: the resume closes them
                stop.is_shielded = True
                _say_how_to_resume(config, command, BY_THE_USER, console)
                return INTERRUPTED
        return _conclude(config, command, driver, stopped, ledger, report, console)


def _conclude(
    config: SweepConfig,
    command: Sequence[str],
    driver: Driver,
    stopped: str,
    ledger: Ledger,
    report: str,
    console: Console,
) -> int:
    """Print what came of a sweep whose records are closed, and how to go on with it; returns the exit code."""
    if isinstance(driver.failure, LedgerError):
        _say_how_to_resume(config, command, str(driver.failure), console)
        return FAILED
    entries = ledger.entries()
    is_success = driver.completed > 0 or stopped == BY_THE_USER
    if isinstance(driver.failure, StartupError):
        _say(f"error: {driver.failure}", console)
    elif not is_success:
        _say(no_success(entries), console)
    show_summary(config, command, entries, report, console)
    if driver.failure and not isinstance(driver.failure, StartupError):
        raise driver.failure
    if stopped and not driver.failure:
        _say_how_to_resume(config, command, stopped, console)
    crashed = sum(entry.outcome is Outcome.CRASHED for entry in entries)
    if crashed:
        _say(f"Once its cause is mended, what crashed ({crashed}) can run again, under the same numbers:", console)
        print_command([*resume_command(config, command), f"retry={CRASHED}"], console)
    return INTERRUPTED if stopped == BY_THE_USER else 0 if is_success else FAILED


def _say_how_to_resume(config: SweepConfig, command: Sequence[str], why: str, console: Console) -> None:
    _say(f"The sweep ended early: {why}. What had run is on record. Go on with it:", console)
    print_command(resume_command(config, command), console)


def _say(text: str, console: Console) -> None:
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def _announce(plan: Plan, records: Records, at_once: tuple[int, Cores], console: Console) -> None:
    """Say what is about to be run; of a sweep that goes on, what there is already, and what differs."""
    config, num_trials, entries = plan.config, plan.num_trials, records.ledger.entries()
    slots, granted = at_once
    size = f"{counted(num_trials, 'trial')} x {counted(config.sweep.seeds, 'seed')}, {slots} at a time"
    size += f" on {granted}" if granted.limit else ""
    console.print(f"Sweep {config.sweep.name}: {size}", highlight=False)
    for difference in records.differences:
        console.print(f"  {difference}", markup=False, highlight=False)
    axis = plan.space.axis(config)
    if config.scheduler.name == "asha" and not Asha(config, axis).rungs:
        text = (
            f"  asha stops nobody: its first rung, {axis.at(config.scheduler.grace_iterations * axis.scale)}, does not "
            "lie before a trial's last three evaluations; lower scheduler.grace_iterations or ppo.eval_every"
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if text := plan.space.about_rollouts(config):
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
    ended = sum(not entry.is_open and entry.outcome is not Outcome.INFEASIBLE for entry in entries)
    unfinished = [entry.number for entry in entries if entry.is_open]
    if unfinished:
        console.print(f"  {ended} trials have ended; trials {', '.join(map(str, unfinished))} go on", highlight=False)
    elif ended >= num_trials:
        extend = "" if config.sampler.name == "points" else f" sweep.num_trials={2 * ended} extends the sweep."
        console.print(f"Nothing left to do: all {ended} trials have ended.{extend}", highlight=False)
    elif ended:
        console.print(f"  {ended} trials have ended, {num_trials - ended} are to come", highlight=False)


def _allow_idle(idle: Sequence[Idle], recorded: int, console: Console) -> None:
    """Say what nothing reads in a sweep that was started before that was refused."""
    if recorded > 1:
        refuse_idle(idle)
    for one in idle:
        console.print(f"note: {one}; the sweep goes on without it", markup=False, highlight=False)


def _check_metric(config: SweepConfig) -> None:
    metric, mode = config.sweep.metric, config.sweep.mode
    known = (*metrics.EVAL,) if config.env.id == TRIAGE else (metrics.EVAL_RETURN,)
    if metric not in known:
        raise SweepError(
            f"sweep.metric must be one that {config.env.id} is evaluated by ({', '.join(known)}), got {metric!r}; "
            f"write sweep.metric={metric_meant(metric) if metric_meant(metric) in known else known[0]}"
        )
    sensible = "min" if metric in metrics.ERRORS else "max"
    if mode != sensible and config.format > 1:
        what = "which counts errors" if metric in metrics.ERRORS else "of which more is better"
        raise SweepError(f"sweep.mode must be {sensible} for {metric}, {what}, got {mode}")


def _slots(resources: ResourcesConfig, granted: Cores) -> int:
    """Trials that run at the same time."""
    for name in ("cpus", "cpus_per_trial"):
        asked = getattr(resources, name)
        if asked is not None and asked > granted.count:
            raise SweepError(
                f"resources.{name} must not exceed the cores that there are for this sweep, {granted}, got {asked}; "
                + ("leave it out to use them all" if name == "cpus" else "lower it")
            )
    return (resources.cpus or granted.count) // resources.cpus_per_trial


def _close(tracker: Tracker, driver: Driver, stopped: str, console: Console) -> None:
    """End the parent run, and say what MLflow lacks, if it does not come back."""
    lacking = ", ".join(map(str, sorted(driver.catch_up())))
    if lacking:
        text = (
            f"warning: MLflow lacks trials {lacking}, or has them in part; a resume, or the audit's --repair, adds it"
        )
        console.print(text, markup=False, highlight=False)
    reason = str(driver.failure or stopped) or ("" if driver.completed else NONE_COMPLETED)
    if isinstance(driver.failure, LedgerError) or (stopped and not driver.failure):
        outcome = Outcome.INTERRUPTED
    else:
        outcome = Outcome.CRASHED if reason else Outcome.COMPLETED
    try:
        tracker.end_sweep(outcome, {REASON_TAG: reason} if reason else {})
    except TrackingError as error:
        console.print(f"warning: {error}", markup=False)


def _abandon(
    config: SweepConfig,
    command: Sequence[str],
    driver: Driver,
    tracker: Tracker,
    console: Console,
    by_the_user: bool,
    why: str,
) -> None:
    """Close the records and leave, without waiting for Ray."""
    stopped = BY_THE_USER if by_the_user else why
    driver.interrupt(stopped)
    _close(tracker, driver, stopped, console)
    console.show_cursor(True)
    _say_how_to_resume(config, command, f"{BY_THE_USER}, and {why}" if by_the_user else why, console)
    os._exit(INTERRUPTED if by_the_user else FAILED)


def _run_trials(config: SweepConfig, driver: Driver, slots: int, data: FlowData | None, stop: StopRequest) -> str:
    """Run trials until none is left; returns why it ended earlier, if it did. None is left open on record."""
    stopped = "the driver failed"
    hours = config.sweep.max_hours
    deadline = time.monotonic() + hours * 3600 if hours is not None else math.inf
    try:
        _tune(config, driver, slots, data, stop, deadline)
        stopped = "" if driver.is_finished else _why(driver, stop, hours)
    except SweepError as error:
        driver.failure, stopped = error, str(error)
    except KeyboardInterrupt:
        stopped = BY_THE_USER
    except Exception:
        if not stop.asked:
            raise
        stopped = BY_THE_USER  # what Ray makes of its workers' ends
    finally:
        stop.guarded(driver.interrupt)(stopped)
    return stopped


def _why(driver: Driver, stop: StopRequest, hours: float | None) -> str:
    if driver.failure:
        return str(driver.failure)
    return BY_THE_USER if stop.asked else f"the time budget of {hours:g} h is used up"


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
        failed = isinstance(driver.failure, LedgerError | StartupError)  # else what runs may run to its end
        return stop.asked or time.monotonic() >= deadline or failed

    search = LedgerSearch(stop.guarded(driver.propose))
    with ray_cluster(config.resources, slots, sweep_folder(config), stop) as scratch:
        stop.rearm()
        if is_over():
            return
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(TrialTrainable, data=data), {"cpu": config.resources.cpus_per_trial}
            ),
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=JudgingScheduler(stop.guarded(driver.receive), search.numbers),
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
                callbacks=[CrashCallback(stop.guarded(driver.crash), search.numbers)],
            ),
        )
        tuner.fit()
