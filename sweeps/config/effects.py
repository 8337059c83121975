"""Find and refuse settings that nothing reads, given the chosen value of another setting."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from unstuck.analysis.overrides import format_literal
from unstuck.records.errors import SweepError
from unstuck.rl.config import TRIAGE
from unstuck.sweeps.config.settings import SweepConfig

CARTPOLE = "CartPole-v1"
"""Environment that always steps as lanes of our own; `env.vectorization` has no effect."""


@dataclass(frozen=True)
class Condition:
    """Rule that some settings have an effect only for certain values of another setting.

    Attributes:
        settings: Dotted names; a group's name stands for all of its settings.
        cause: Dotted name of the setting that decides.
        holds: Function of the cause's value: True if the settings are read.
        remedy: Choice that makes the settings read.

    Example:
        >>> condition = Condition(("data.path",), "data.source", lambda source: source != "synthetic", "take data=csv")
        >>> condition.is_about("data.path"), condition.is_about("data.label"), condition.holds("synthetic")
        (True, False, False)
    """

    settings: tuple[str, ...]
    cause: str
    holds: Callable[[Any], bool]
    remedy: str

    def is_about(self, key: str) -> bool:
        """Return True if the rule about ineffective settings concerns the setting with the name `key`."""
        return any(key == name or key.startswith(f"{name}.") for name in self.settings)


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _is_not(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value not in values


_TABLE = ("data.label", "data.benign", "data.drop", "data.decimal", "data.thousands")
_SYNTHETIC = ("data.num_flows", "data.num_features", "data.difficulty", "data.burst_length")
_TRIAGE = ("env.flows_per_episode", "env.reward_benign", "env.reward_threat")
_ASHA = ("scheduler.grace_iterations", "scheduler.reduction_factor", "scheduler.spared_share")
_STUCK = ("health.stuck_grace_iterations", "health.stuck_value_loss", "health.stuck_f1_margin")
_MLFLOW = ("tracking.mlflow_url", "tracking.mlflow_experiment")

CONDITIONS = (
    Condition(("data",), "env.id", _is(TRIAGE), "take env=triage"),
    Condition(("data.path",), "data.source", _is_not("synthetic"), "take data=csv or data=nsl_kdd"),
    Condition(_TABLE, "data.source", _is_not("synthetic", "nsl_kdd"), "take data=csv"),
    Condition(_SYNTHETIC, "data.source", _is_not("csv", "nsl_kdd"), "take data=synthetic"),
    Condition(_TRIAGE, "env.id", _is(TRIAGE), "take env=triage"),
    Condition(("env.eval_episodes",), "env.id", _is_not(TRIAGE), "name another env.id"),
    Condition(("env.vectorization",), "env.id", _is_not(TRIAGE, CARTPOLE), "name another env.id"),
    Condition(("trainer.make",), "trainer.name", _is("sb3"), "take trainer=sb3"),
    Condition(
        ("trainer.command", "trainer.flags", "trainer.patience_s"),
        "trainer.name",
        _is("command"),
        "take trainer=command",
    ),
    Condition(("script",), "trainer.name", _is_not("ppo"), "take trainer=command"),
    Condition(("space", "sweep.control"), "sampler.name", _is_not("points"), "take sampler=tpe"),
    Condition(("sampler.num_startup_trials",), "sampler.name", _is("tpe"), "take sampler=tpe"),
    Condition(_ASHA, "scheduler.name", _is("asha"), "take scheduler=asha"),
    Condition(("health.explosion_factor", *_STUCK), "health.enabled", _is(True), "take health=default"),
    Condition(_STUCK, "env.id", _is(TRIAGE), "take env=triage"),
    Condition(("arms", "unstick", "milestones"), "run", _is_not(None), "take experiment=unstick run=RUN"),
    Condition(_MLFLOW, "tracking.name", _is("mlflow"), "take tracking=mlflow"),
)


@dataclass(frozen=True)
class Idle:
    """Setting that the user changed, but that has no effect because of another setting's value.

    Attributes:
        setting: Dotted name of the setting.
        value: Value that was set.
        cause: Choice by which nothing reads the setting, as `data.source=synthetic`.
        condition: Condition under which the setting would be read.
    """

    setting: str
    value: Any
    cause: str
    condition: Condition

    def __str__(self) -> str:
        got = "" if isinstance(self.value, dict) else f", got {format_value(self.value)}"
        return f"{self.setting} has no effect with {self.cause}{got}"


def find_idle_settings(config: SweepConfig, keys: Collection[str]) -> list[Idle]:
    """List the settings that differ from the default, but have no effect because of another setting's value.

    Args:
        config: Whole configuration.
        keys: Dotted names of all settings.
    """
    default = SweepConfig()
    found: dict[str, Idle] = {}
    for condition in CONDITIONS:
        decides = attrgetter(condition.cause)(config)
        if condition.holds(decides):
            continue
        for key in filter(condition.is_about, keys):
            value = attrgetter(key)(config)
            if value != attrgetter(key)(default):
                found.setdefault(key, Idle(key, value, f"{condition.cause}={format_value(decides)}", condition))
    return list(found.values())


def select_given(idle: Sequence[Idle], given: Collection[str], in_file: Callable[[str], bool]) -> list[Idle]:
    """Select those settings without effect that the user set, on the command line or in an experiment's file.

    Settings of an experiment's file are left out if the command line itself makes the choice by which nothing reads the
    settings.

    Args:
        idle: Settings that nothing reads.
        given: Keys on the command line: settings, groups, and what lies below `space`.
        in_file: Function of a dotted name: True if the experiment's file sets the setting, by the options that it
            chooses.
    """
    return [one for one in idle if _is_given(one, given) or (not _is_chosen(one, given) and in_file(one.setting))]


def _is_given(one: Idle, given: Collection[str]) -> bool:
    return any(key == one.setting or key.startswith(f"{one.setting}.") for key in given)


def _is_chosen(one: Idle, given: Collection[str]) -> bool:
    """Return True if the user's command line sets the setting that makes another one ineffective."""
    cause = one.condition.cause
    return cause in given or cause.partition(".")[0] in given


def refuse_idle(idle: Sequence[Idle]) -> None:
    """Raise `SweepError` with a remedy for the first setting without effect; do nothing if there is none."""
    for one in idle:
        raise SweepError(f"{one}; {one.condition.remedy}, or leave {one.setting} out")


def format_value(value: Any) -> str:
    """Format a value as users type values on the command line, for a message.

    Example:
        >>> format_value(None), format_value(True), format_value((64, 64))
        ('null', 'true', '[64, 64]')
    """
    return format_literal(value, ", ")
