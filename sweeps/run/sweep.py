"""Run one sweep from start to end: open the records, let Ray Tune run the trials, close the records."""

import math
import time
from collections.abc import Sequence

from rich.console import Console
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.words import pluralize
from unstuck.records.errors import LedgerError, LibraryError, StartupError, SweepError
from unstuck.records.outcome import Outcome
from unstuck.records.provenance import collect_provenance
from unstuck.rl.errors import CheckpointError
from unstuck.sweeps.config.effects import Idle
from unstuck.sweeps.config.flows import describe_data
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.explain.reports import write_reports
from unstuck.sweeps.mirror import MLFLOW, Outbox, Outboxes, RecordedTrials
from unstuck.sweeps.ray_tune.cluster import Cluster
from unstuck.sweeps.ray_tune.stop import StopRequest
from unstuck.sweeps.ray_tune.tuning import tune_trials
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.run.ending import End, Ended, OpenSweep
from unstuck.sweeps.run.opening import Records, open_records
from unstuck.sweeps.run.preparation import PreparedSweep, prepare_sweep
from unstuck.sweeps.screen.console import make_console
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.screen.summary import print_text
from unstuck.sweeps.stopping.asha import Asha
from unstuck.sweeps.trainers.kinds import find_trainer
from unstuck.sweeps.webhook import notify


def run_sweep(config: SweepConfig, command: Sequence[str], idle: Sequence[Idle] = ()) -> int:
    """Run a whole sweep: checks, trials, records, report and output; return the exit code of the process.

    Args:
        config: The composed configuration; its name is set.
        command: Words that the sweep was called with, for the command that reruns the best trial.
        idle: Settings of a sweep on record that nothing reads.

    Returns:
        Exit code of the process: 0, 1 if no trial completed, the ledger failed, the disk is full or Ray died, or 130
            after Ctrl-C.

    Raises:
        ConfigError, DataError, SweepError, TrackingError: A check failed, before any worker has started.
    """
    console = make_console()
    prepared = prepare_sweep(config, idle, console)
    with StopRequest() as stop, make_cluster(prepared, stop) as cluster:
        about = prepared.config, prepared.flows, collect_provenance(), prepared.is_resume, prepared.unstick
        with open_records(*about, meanwhile=cluster.begin) as records:
            stop.watch(records.config.own_folder)
            if prepared.is_retry:
                records.ledger.reopen_crashed()
            about_points = prepared.plan.enqueue(records.ledger)
            sweep = _open_sweep(prepared, records, command, console)
            _print_start(prepared, records, [*records.differences, *about_points], sweep)
            sweep.show_start(sweep.driver.num_trials, prepared.plan.space, records.ledger)
            try:
                with sweep.progress:
                    sweep.catch_up()
                    stop.arm_forced_exit(sweep.make_forced_exit(lambda: stop.is_asked))
                    ended = _run_trials(prepared, sweep, cluster)
                    stop.disarm_forced_exit()
                sweep.close(ended)
                ended = _judge_arms(prepared, sweep, ended, records, stop)
                report = _write_report(prepared, sweep, ended, records, stop)
            except KeyboardInterrupt:  # a second Ctrl-C, while records were being closed: the resume closes them
                stop.shield()
                sweep.say_how_to_resume(End.BY_USER.text)
                return End.BY_USER.exit_code
            except Exception as error:  # a fault of ours: whoever is far away learns of it too
                notify(f"Unstuck: sweep {config.sweep.name} broke: {type(error).__name__}: {error}")
                raise
            stop.shield()  # the rest takes a moment
            sweep.tell_webhook(ended, records.ledger, report)
        return sweep.conclude(ended, records.ledger, report)


def make_cluster(prepared: PreparedSweep, stop: StopRequest) -> Cluster:
    """Make the `Cluster` object for the Ray cluster that a prepared sweep will start, or has joined."""
    config, slots = prepared.config, prepared.slots
    # Ray starts a worker for each core, and imports are worth their time in those alone that get a trial.
    fills = config.resources.cpus_per_trial == 1 and prepared.plan.num_trials >= slots
    libraries = find_trainer(config.trainer.name).libraries if fills else ()
    return Cluster(config.resources, slots, config.own_folder, stop, libraries)


def _open_sweep(prepared: PreparedSweep, records: Records, command: Sequence[str], console: Console) -> OpenSweep:
    """Create the driver, the trackers and the display of a sweep with open records; return an `OpenSweep`."""
    config = records.config
    progress = Progress(config, prepared.plan.num_trials, console, prepared.plan.space.axis(config))
    trackers = {MLFLOW: records.tracker, **records.beside}

    def make_outbox(name: str) -> Outbox:
        """Make a tracker's outbox, which writes again what the tracker failed to write."""
        trials = RecordedTrials(config, prepared.plan.space, records.ledger, progress.warn, name)
        return Outbox(trackers[name], trials, lambda: records.reopen(trackers[name]), progress.warn, name)

    outbox = Outboxes(make_outbox(MLFLOW), [make_outbox(name) for name in records.beside])
    driver = Driver(config, prepared.plan.num_trials, prepared.plan.space, records.ledger, outbox, progress)
    return OpenSweep(config, command, driver, outbox, progress, console)


def _judge_arms(prepared: PreparedSweep, sweep: OpenSweep, ended: Ended, records: Records, stop: StopRequest) -> Ended:
    """Compare the best branch of a stuck run with the unchanged one, after all have ended; return how the sweep ended.

    A sweep that searches has no verdict. One that fails costs the verdict alone: the arms are on record, and a resume
    tries again, as after a signal.
    """
    config = sweep.config
    if config.run is None or config.unstick.repeats == 0 or ended.end is not End.FINISHED or sweep.driver.failure:
        return ended
    from unstuck.sweeps.unstick.judgement import give_verdict  # late, since the analysis loads pandas
    from unstuck.sweeps.unstick.verdict import Means

    def say(text: str) -> None:
        print_text(text, sweep.console)

    means = Means(prepared.data, config.resources.cpus or prepared.granted.count, say, lambda: stop.is_asked)
    try:
        give_verdict(config, prepared.plan.space, records.ledger, means)
    except (AnalysisError, CheckpointError, SweepError) as error:
        say(f"warning: no verdict: {error}; resume={config.sweep.name} tries again")
    return Ended(End.BY_USER) if stop.is_asked else ended


def _write_report(prepared: PreparedSweep, sweep: OpenSweep, ended: Ended, records: Records, stop: StopRequest) -> str:
    """Write the reports and return the text to print; "" if the user stopped the sweep or the Optuna study fails."""
    if isinstance(sweep.driver.failure, LedgerError | LibraryError):
        return ""
    if ended.end is End.BY_USER:
        sweep.show_stop(ended, records.ledger)
        return ""
    sweep.console.print("Writing the report", highlight=False)
    space = prepared.plan.space
    return write_reports(sweep.config, space, records.ledger, records.tracker, lambda: stop.is_asked)


def _print_start(prepared: PreparedSweep, records: Records, differences: Sequence[str], sweep: OpenSweep) -> None:
    """Print what is going to run; for a resumed sweep also the trials so far and the changed settings."""
    config, plan, entries, console = records.config, prepared.plan, records.ledger.entries(), sweep.console
    for line in describe_data(prepared.data):
        print_text(line, console)
    for line in prepared.unstick.describe() if prepared.unstick else ():
        print_text(line, console)
    num_trials, granted = sweep.driver.num_trials, prepared.granted
    size = f"{pluralize(num_trials, 'trial')} x {pluralize(config.sweep.seeds, 'seed')}, {prepared.slots} at a time"
    size += f" on {granted}" if granted.limit else ""
    console.print(f"Sweep {config.sweep.name}: {size}", highlight=False)
    for difference in differences:
        console.print(f"  {difference}", markup=False, highlight=False)
    for stage in sweep.driver.stages if prepared.is_resume else ():
        print_text(f"  stage {stage.stage}: {stage.why}", console)
    axis = plan.space.axis(config)
    if config.scheduler.name == "asha" and not Asha(config, axis).rungs:
        text = (
            "  asha stops nobody: its first rung, "
            f"{axis.describe_step(config.scheduler.grace_iterations * axis.scale)}, does not "
            "lie before a trial's last three evaluations; lower scheduler.grace_iterations or ppo.eval_every"
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if text := plan.space.describe_long_rollouts(config):
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
    ended = sum(not entry.is_open and entry.outcome is not Outcome.INFEASIBLE for entry in entries)
    unfinished = [entry.number for entry in entries if entry.is_open]
    if unfinished:
        console.print(f"  {ended} trials have ended; trials {', '.join(map(str, unfinished))} go on", highlight=False)
    elif sweep.driver.is_finished:
        extend = "" if config.sampler.name == "points" else f" sweep.num_trials={2 * ended} extends the sweep."
        console.print(f"Nothing left to do: all {ended} trials have ended.{extend}", highlight=False)
    elif ended:
        console.print(f"  {ended} trials have ended, {num_trials - ended} are to come", highlight=False)


def _run_trials(prepared: PreparedSweep, sweep: OpenSweep, cluster: Cluster) -> Ended:
    """Run trials until none is left or the sweep has to end; record all ends; return how the sweep ended."""
    driver, hours, stop = sweep.driver, sweep.config.sweep.max_hours, cluster.stop
    deadline = time.monotonic() + hours * 3600 if hours is not None else math.inf
    ended = Ended(End.FAILED)
    if driver.is_finished:
        return Ended(End.FINISHED)

    def is_over() -> bool:
        failed = isinstance(
            driver.failure, LedgerError | LibraryError | StartupError
        )  # else running trials may run to their end
        return stop.is_asked or time.monotonic() >= deadline or failed

    sweep.progress.show_phase("starting Ray, whose processes train the trials")
    try:
        tune_trials(sweep.config, prepared.data, cluster, driver, is_over)
        ended = Ended(End.FINISHED) if driver.is_finished else _explain_end(driver, stop, hours)
    except SweepError as error:
        driver.failure, ended = error, Ended(End.FAILED, str(error))
    except KeyboardInterrupt:
        ended = Ended(End.BY_USER)
    except Exception:
        if not stop.is_asked:
            raise
        ended = Ended(End.BY_USER)  # Ray raises when workers end by a signal
    finally:
        stop.guard(driver.interrupt)(ended.reason)
    return ended


def _explain_end(driver: Driver, stop: StopRequest, hours: float | None) -> Ended:
    if driver.failure:
        return Ended(End.FAILED, str(driver.failure))
    return Ended(End.BY_USER) if stop.is_asked else Ended(End.TIME_UP, f"the time budget of {hours:g} h is used up")
