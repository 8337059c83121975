"""Training scripts as data: what a person writes around Stable-Baselines3's PPO."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
from stable_baselines3 import PPO

Wrap = Callable[[gymnasium.Env[Any, Any]], gymnasium.Env[Any, Any]]


@dataclass(frozen=True)
class Script:
    """Training script of one environment: settings of PPO, wrappers, normalisation, evaluation.

    Attributes:
        steps: Environment steps in all.
        ppo: Arguments for `PPO`.
        envs: Environments trained on at a time.
        normalised: What `VecNormalize` scales, of `observations` and `rewards`.
        evaluates: True if `EvalCallback` evaluates the policy ten times in the run.
        forgets_normaliser: True if evaluations see observations that are not normalised.
        seen: Wrappers of observations and actions, the innermost first: in training, in evaluations and for the score.
        paid: Wrappers of rewards and ends, outside of the former: in training and in evaluations.
        training: Wrappers of rewards, ends and resets outside of both: in training alone.
        unwatched: Wrappers outside of `Monitor`, which logs what is inside: in training alone.
        plants: Changes to the model before training.
    """

    steps: int
    ppo: Mapping[str, Any]
    envs: int = 8
    normalised: tuple[str, ...] = ()
    evaluates: bool = True
    forgets_normaliser: bool = False
    seen: tuple[Wrap, ...] = ()
    paid: tuple[Wrap, ...] = ()
    training: tuple[Wrap, ...] = ()
    unwatched: tuple[Wrap, ...] = ()
    plants: tuple[Callable[[PPO], None], ...] = ()

    def changed(self, change: "Change") -> "Script":
        """Return a copy of the script with a change: settings of PPO are added to those that are there."""
        return replace(self, **{**change.script, "ppo": {**self.ppo, **change.ppo}})

    def describe(self) -> str:
        """Return all that the script's runs depend on as text: the fields, and the code of wrappers and plants."""
        planted = (*self.seen, *self.paid, *self.training, *self.unwatched, *self.plants)
        return "\n".join([repr(self), *(inspect.getsource(type(one)) for one in planted)])


@dataclass(frozen=True)
class Change:
    """Change of a script: other arguments of `PPO`, and other fields of the script.

    Attributes:
        ppo: Arguments of `PPO` to add or replace.
        script: Fields of `Script` to replace.
    """

    ppo: Mapping[str, Any] = field(default_factory=dict)
    script: Mapping[str, Any] = field(default_factory=dict)


def ppo(**arguments: Any) -> Change:
    """Return a change of PPO's arguments alone."""
    return Change(ppo=arguments)


def script(**fields: Any) -> Change:
    """Return a change of the script's fields alone."""
    return Change(script=fields)
