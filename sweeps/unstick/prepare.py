"""Turn the setting `run` into the configuration of a sweep whose trials are the arms."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from unstuck.analysis.diagnosis import Diagnosis, diagnose
from unstuck.analysis.report.verdict import state_verdict
from unstuck.analysis.words import pluralize
from unstuck.records.errors import SweepError
from unstuck.records.measurement import Record
from unstuck.records.names import ARMS, PARENT_RUN, STAGES
from unstuck.records.unstick import StageRecord
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.settings import (
    ANEW,
    CHECKPOINT,
    BranchConfig,
    HealthConfig,
    SamplerConfig,
    SchedulerConfig,
    StudyConfig,
    SweepConfig,
)
from unstuck.sweeps.explain.diagnoses import make_history
from unstuck.sweeps.trainers.kinds import find_trainer
from unstuck.sweeps.unstick.arm import ArmRecord, describe_values
from unstuck.sweeps.unstick.arms import build_arms, combine_changes, explain_left_out
from unstuck.sweeps.unstick.find_run import ParentRun, find_run
from unstuck.sweeps.unstick.milestones import Milestone, describe_milestones, set_milestones
from unstuck.sweeps.unstick.stages import FEWEST, count_control_steps, fit_budget, make_first_stage, name_run

EVALUATIONS = 10
"""Evaluations of an arm, at least: an arm is much shorter than the run, and three evaluations make its value."""

_OWN_OF_THE_RUN = ("metric", "mode", "seeds", "seed")
"""Settings of `sweep` that an unstick has from the run."""


@dataclass(frozen=True)
class PreparedUnstick:
    """Unstick sweep that is ready to start: configuration, the stuck run, its diagnosis, and branches (arms).

    Attributes:
        config: Configuration of the sweep: the control's settings, the arms as points.
        run: Run that is branched.
        diagnosis: Diagnosis of the run at the checkpoint.
        arms: Arms of the first stage, the control first.
        stage: Record of the first stage.
        milestones: Milestones that arms are judged by.
    """

    config: SweepConfig
    run: ParentRun
    diagnosis: Diagnosis
    arms: tuple[ArmRecord, ...]
    stage: StageRecord
    milestones: tuple[Milestone, ...]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes to store in the Optuna study: the stuck run's branches, and where the run is recorded."""
        arms, stages = [arm.to_json() for arm in self.arms], [self.stage.to_json()]
        return {ARMS: arms, STAGES: stages, PARENT_RUN: self.run.to_json()}

    def describe(self) -> list[str]:
        """Describe in lines of text what will be tried on a stuck run: the run, the diagnosis, each branch."""
        run, (_, *others) = self.run, self.arms
        return [
            f"Branches {run.name} at iteration {run.point.iteration}: {state_verdict(self.diagnosis)}",
            "  arm 0: the control, nothing changed",
            *(f"  arm {number}: {describe_values(arm.values)} ({arm.why})" for number, arm in enumerate(others, 1)),
            f"  stage 1: {self.stage.why}",
            *(f"  {line}" for line in describe_milestones(self.milestones)),
        ]


def prepare_unstick(config: SweepConfig) -> PreparedUnstick:
    """Find the stuck run that `config.run` names, diagnose it, and plan the branches (arms) to train.

    Args:
        config: Composed configuration, whose `ppo`, `env` and `data` give way to the run's own.

    Raises:
        SweepError, ConfigError, CheckpointError: There is no such run, a setting is the run's, or an arm cannot run.
    """
    run = find_run(config)
    _refuse_settings_of_the_run(config, run)
    records = [Record.from_json(kept) for kept in run.point.history]
    diagnosis = diagnose(make_history(run.trial or 0, run.config, records, {}))
    control = _make_control(config, run)
    milestones = set_milestones(control, records)
    built = build_arms(control, diagnosis)
    arms = built[: _count_affordable(control, len(built))]
    stage = make_first_stage(control, name_run(run.to_json()), len(arms), len(built) - len(arms))
    if left_out := explain_left_out(control, diagnosis):
        stage = replace(stage, why=f"{stage.why}; left out is what cannot be trained: {left_out}")
    sampler = SamplerConfig(name="points", points=tuple(arm.to_point() for arm in arms))
    return PreparedUnstick(replace(control, sampler=sampler), run, diagnosis, tuple(arms), stage, milestones)


def _count_affordable(control: SweepConfig, num_arms: int) -> int:
    """Count how many branches of a stuck run the budget can train; raise an error for fewer than two.

    Raises:
        SweepError: The budget is too small.
    """
    size = count_control_steps(control)
    fitting, fewest = fit_budget(control, [size] * num_arms), min(FEWEST, num_arms)
    if fitting < fewest:
        raise SweepError(
            f"unstick.max_env_steps must be at least {fewest * size:,}, for {pluralize(fewest, 'arm')} of "
            f"{pluralize(control.sweep.seeds, 'member')}, got {control.unstick.max_env_steps}; raise the budget, or "
            "lower unstick.iterations"
        )
    return fitting


def _make_control(config: SweepConfig, run: ParentRun) -> SweepConfig:
    """Make the configuration of the control: the stuck run's own, for `unstick.iterations` more iterations."""
    own, iterations = run.config, config.unstick.iterations
    often = min(own.ppo.eval_every, max(1, iterations // EVALUATIONS))
    ppo = replace(own.ppo, num_iterations=iterations, eval_every=often)
    study = replace(config.sweep, num_trials=None, **{name: getattr(own.sweep, name) for name in _OWN_OF_THE_RUN})
    keeps_state = find_trainer(own.trainer.name).keeps_state
    control = replace(
        config,
        sweep=study,
        env=own.env,
        data=own.data,
        ppo=ppo,
        trainer=own.trainer,
        script=own.script,
        space={},
        branch=BranchConfig(start=CHECKPOINT if keeps_state else ANEW),
        # A later stage goes on from the last state of the best arm.
        unstick=config.unstick if keeps_state else replace(config.unstick, stages=1),
    )
    combined: dict[str, Any] = {}
    for path, value in combine_changes(control).items():
        group, _, name = path.partition(".")
        combined.setdefault(group, {})[name] = value
    if control.unstick.stages > 1 and not control.unstick.escalation and combined:
        control = replace(control, unstick=replace(control.unstick, escalation=(combined,)))
    return control


def _refuse_settings_of_the_run(config: SweepConfig, run: ParentRun) -> None:
    """Raise `SweepError` for a setting on the command line that the stuck run itself fixes, or that is unused."""
    groups: list[tuple[str, Any, Any]] = [
        ("sampler", config.sampler, SamplerConfig()),
        ("scheduler", config.scheduler, SchedulerConfig(name="none")),
        ("health", config.health, HealthConfig(enabled=False)),
    ]
    for name, given, expected in groups:
        if given != expected:
            raise SweepError(
                f"{name} must be left out with run={config.run}: all arms run to their end, or they would not compare"
            )
    default, lone = SweepConfig(), run.sweep is None
    for group in ("ppo",) if lone else ("ppo", "env", "data", "trainer"):
        for item in fields(getattr(config, group)):
            path, given = f"{group}.{item.name}", getattr(getattr(config, group), item.name)
            known = (getattr(getattr(default, group), item.name), getattr(getattr(run.config, group), item.name))
            if given not in known and path != "data.path":
                raise _own_setting_error(path, given, config)
    for name in () if lone else _OWN_OF_THE_RUN:
        given = getattr(config.sweep, name)
        if given not in (getattr(StudyConfig(), name), getattr(run.config.sweep, name)):
            raise _own_setting_error(f"sweep.{name}", given, config)


def _own_setting_error(path: str, given: Any, config: SweepConfig) -> SweepError:
    group, _, name = path.partition(".")
    remedy = f"; write arms=[{{{group}: {{{name}: {format_value(given)}}}}}]" if group == "ppo" else ""
    return SweepError(
        f"{path} must be left out with run={config.run}, whose own setting holds, got {format_value(given)}{remedy}"
    )
