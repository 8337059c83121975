"""Run the trials by Ray Tune: place them, hand results to the driver, stop trials with a verdict."""

from collections.abc import Callable

from rl.data import FlowData
from sweeps.cluster import prepare_environment, ray_cluster
from sweeps.config import SweepConfig
from sweeps.driver import Driver
from sweeps.layout import sweep_folder
from sweeps.stop import StopRequest


def tune_trials(
    config: SweepConfig,
    data: FlowData | None,
    slots: int,
    driver: Driver,
    stop: StopRequest,
    is_over: Callable[[], bool],
) -> None:
    """Let Ray Tune run trials until none is left, or until `is_over`.

    Args:
        config: The sweep.
        data: Flows to train on; None for an environment without.
        slots: Trials that run at the same time.
        driver: Proposes, judges and records the trials.
        stop: Stop request of the sweep, whose signal handlers Ray replaces.
        is_over: True when all trials have to end at once.

    Raises:
        SweepError: Ray does not start.
    """
    prepare_environment(config.resources)
    from ray import tune

    from sweeps.callback import CrashCallback
    from sweeps.scheduler import EndStopper, JudgingScheduler
    from sweeps.search import LedgerSearch
    from sweeps.trainable import TrialTrainable

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
