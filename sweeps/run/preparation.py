"""Check a sweep before anything is on record, and compute what the sweep runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console
from unstuck.records.errors import SweepError
from unstuck.records.machine import Cores, count_granted_cores
from unstuck.rl import metrics
from unstuck.rl.config import TRIAGE
from unstuck.rl.data import FlowData
from unstuck.rl.machine import require_machine
from unstuck.rl.wording import find_nearest
from unstuck.sweeps.config.effects import Idle, format_value, refuse_idle
from unstuck.sweeps.config.flows import add_fingerprint, load_data
from unstuck.sweeps.config.identity import adopt_recorded_id
from unstuck.sweeps.config.settings import ResourcesConfig, SweepConfig
from unstuck.sweeps.ray_tune.cluster import join_cluster
from unstuck.sweeps.run.judges import load_judges
from unstuck.sweeps.run.points import Plan, plan_points
from unstuck.sweeps.search.kinds import Choice
from unstuck.sweeps.search.sampler import find_sampler
from unstuck.sweeps.search.space import Space, read_setting
from unstuck.sweeps.trackers import check_trackers
from unstuck.sweeps.trainers.kinds import explain_limit, explain_unreached, find_trainer
from unstuck.sweeps.unstick.adopt import adopt_recorded_unstick
from unstuck.sweeps.webhook import check_webhook
from unstuck.sweeps.worker.memory import require_memory

if TYPE_CHECKING:  # imported where first needed, since the analysis loads pandas
    from unstuck.sweeps.unstick.prepare import PreparedUnstick


@dataclass(frozen=True)
class PreparedSweep:
    """Settings, first configurations, data and cores of a sweep that has passed all checks.

    Attributes:
        config: Configuration of the sweep, without `resume` and `retry`.
        plan: Space, and points that are tried first.
        data: Flows to train on; None for an environment without.
        flows: Fingerprint of the flows.
        slots: Number of trials that run at the same time.
        granted: Cores that were granted.
        is_resume: True for a sweep that is on record already.
        is_retry: True to run crashed trials again.
        unstick: Run, diagnosis and arms of a new unstick; None for a sweep that searches, and for a resume.
    """

    config: SweepConfig
    plan: Plan
    data: FlowData | None
    flows: str | None
    slots: int
    granted: Cores
    is_resume: bool
    is_retry: bool
    unstick: "PreparedUnstick | None" = None


def prepare_sweep(config: SweepConfig, idle: Sequence[Idle], console: Console) -> PreparedSweep:
    """Check a sweep's settings, extensions, data, cores and memory; return a `PreparedSweep`, or raise an error.

    Nothing is recorded here.

    Args:
        config: The composed configuration; its name is set.
        idle: Settings of a sweep on record that nothing reads.
        console: Console to print notes on.

    Raises:
        ConfigError, DataError, SweepError: A check failed; the message says which and what to do.
    """
    is_resume, is_retry = config.resume is not None, config.retry is not None
    unstick = None
    if is_resume:
        config = adopt_recorded_id(adopt_recorded_unstick(config))
        _allow_idle(idle, config.format, console)
    elif config.run is not None:
        from unstuck.sweeps.unstick.prepare import prepare_unstick

        unstick = prepare_unstick(config)
        config = unstick.config
    _check_metric(config)
    load_judges()  # refuses what another package does wrong
    find_sampler(config.sampler.name)
    check_trackers(config.tracking.also)
    check_webhook()
    plan = plan_points(config)
    data, flows = load_data(plan.config)
    config = replace(add_fingerprint(plan.config, flows), resume=None, retry=None)
    require_limits(config, plan.space)
    find_trainer(config.trainer.name).check(config, data)
    granted = join_cluster(config.resources) or count_granted_cores()
    slots = _count_slots(config.resources, granted)
    if config.resources.ray_address is None:  # other machines of a cluster may have what the driver's machine lacks
        require_machine(config.ppo)
        require_memory(config, data, config.sweep.seeds, slots)
    return PreparedSweep(config, plan, data, flows, slots, granted, is_resume, is_retry, unstick)


def require_limits(config: SweepConfig, space: Space) -> None:
    """Raise `SweepError` for a setting, fixed or searched, that the configuration's trainer does not support.

    Args:
        config: Settings of the sweep.
        space: Search space of the sweep.
    """
    reasons, words = [], []
    kind = find_trainer(config.trainer.name)
    for path, allowed in kind.limits.items():
        if reason := explain_limit(config.trainer.name, path, read_setting(config, path)):
            reasons.append(reason)
            words.append(f"{path}={format_value(allowed[0])}")
        searched = space.kinds.get(path)
        for value in searched.options if isinstance(searched, Choice) else ():
            if reason := explain_limit(config.trainer.name, path, value):
                raise SweepError(f"{reason}; leave it out of the space")
    if config.env.id == TRIAGE and not kind.acts_on_flows:
        reasons.append(
            f"env.id must name a Gymnasium environment with trainer={config.trainer.name}, got {TRIAGE}, which needs "
            "flows"
        )
        words.append("env.id=CartPole-v1")
    if reasons:
        raise SweepError(f"{', and '.join(reasons)}; write {' '.join(words)}")
    for path in space.kinds:
        if reason := explain_unreached(config, path):
            raise SweepError(reason)


def _allow_idle(idle: Sequence[Idle], recorded: int, console: Console) -> None:
    """Print the settings without effect if a sweep of format 1 is resumed; raise an error for later formats."""
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
            f"write sweep.metric={find_nearest(metric, known)}"
        )
    sensible = "min" if metric in metrics.ERRORS else "max"
    if mode != sensible and config.format > 1:
        what = "which counts errors" if metric in metrics.ERRORS else "of which more is better"
        raise SweepError(f"sweep.mode must be {sensible} for {metric}, {what}, got {mode}")


def _count_slots(resources: ResourcesConfig, granted: Cores) -> int:
    """Compute how many trials can run at the same time on the granted cores."""
    for name in ("cpus", "cpus_per_trial"):
        asked = getattr(resources, name)
        if asked is not None and asked > granted.count:
            raise SweepError(
                f"resources.{name} must not exceed the cores that there are for this sweep, {granted}, got {asked}; "
                + ("leave it out to use them all" if name == "cpus" else "lower it")
            )
    return (resources.cpus or granted.count) // resources.cpus_per_trial
