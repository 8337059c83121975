"""Run the trials by Ray Tune: place trials, hand results to the driver, stop trials with a verdict."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from unstuck.records.measurement import Record
from unstuck.records.outcome import Verdict
from unstuck.rl.data import FlowData
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.ray_tune.cluster import Cluster
from unstuck.sweeps.worker.assignment import Assignment


class TrialDriver(Protocol):
    """Interface of the driver, which proposes trials for Ray Tune to run, judges the results and records everything."""

    def propose(self) -> Assignment | None:
        """Return the next trial to run, as an `Assignment` for a worker process; None if there is none now."""

    @property
    def is_waiting(self) -> bool:
        """True if trials run now, and more trials may be proposed after the running ones have ended."""

    def judge(self, number: int, records: Sequence[Record], notes: Mapping[str, str] | None = None) -> Verdict | None:
        """Judge a trial's new iterations from a worker; return outcome and reason if it ends, else None."""

    def follow_up(self) -> None:
        """Record what a judgement does not need, after the worker was told to go on."""

    def crash(self, number: int, error: str) -> None:
        """Record a trial as crashed with the error text, after the worker raised an error or died too often."""


def tune_trials(
    config: SweepConfig,
    data: FlowData | None,
    cluster: Cluster,
    driver: TrialDriver,
    is_over: Callable[[], bool],
) -> None:
    """Run trials with Ray Tune until the driver proposes no more, or until `is_over` returns True; then end Ray.

    Args:
        config: Settings of the sweep.
        data: Flows to train on; None for an environment without.
        cluster: Ray of the sweep, started already or not.
        driver: Driver that proposes, judges and records the trials.
        is_over: Function that returns True when all trials have to end at once.

    Raises:
        SweepError: Ray does not start.
    """
    cluster.begin()
    from ray import tune
    from unstuck.sweeps.ray_tune.hooks import (
        CrashCallback,
        EndStopper,
        FollowUpCallback,
        JudgingScheduler,
        LedgerSearch,
    )
    from unstuck.sweeps.ray_tune.ray_internals import leave_out_usage, use_started_workers
    from unstuck.sweeps.worker.trainable import TrialTrainable

    leave_out_usage()
    if config.resources.ray_address is None:
        use_started_workers()
    stop = cluster.stop
    search = LedgerSearch(stop.guard(driver.propose), lambda: driver.is_waiting)
    with cluster:
        scratch = cluster.wait()
        stop.rearm()
        if is_over():
            return
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(TrialTrainable, data=data), {"cpu": config.resources.cpus_per_trial}
            ),
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=JudgingScheduler(stop.guard(driver.judge), search.numbers),
                num_samples=-1,
                max_concurrent_trials=cluster.slots,
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
                callbacks=[
                    CrashCallback(stop.guard(driver.crash), search.numbers),
                    FollowUpCallback(stop.guard(driver.follow_up)),
                ],
            ),
        )
        tuner.fit()
