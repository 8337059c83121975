"""Train by our own learner, which trains all members of a trial in one computation."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from typing import Any

from unstuck.rl.branch import Part, carry_over
from unstuck.rl.budget import Budget
from unstuck.rl.checkpoint import Snapshot, load_snapshot, take_snapshot
from unstuck.rl.config import PPOConfig
from unstuck.rl.data.types import FlowData
from unstuck.rl.envs import check_env, make_vec
from unstuck.rl.learner import Learner, Metrics
from unstuck.rl.make_learner import make_learner
from unstuck.rl.memory import learner_bytes
from unstuck.rl.ppo import Hyperparameters
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.protocol import TrainerKind, TrialSpec


class LearnerTrainer:
    """Trainer by our own learner; see `sweeps.trainers.protocol.Trainer`.

    Attributes:
        learner: Learner that trains the members.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    @property
    def config(self) -> PPOConfig:
        """Settings of PPO that the members share."""
        return self.learner.config

    @property
    def iteration(self) -> int:
        """Iterations done, counted from where the trial starts."""
        return self.learner.iteration

    @property
    def last_iteration(self) -> int:
        """Iterations that use up the budget."""
        return self.learner.last_iteration

    @property
    def resumed_exactly(self) -> bool:
        """False once lanes had to start anew, or another device or libraries of other versions went on."""
        return self.learner.resumed_exactly

    def iterate(self) -> Metrics:
        """Train all members for one iteration; see `Learner.iterate`."""
        return self.learner.iterate()

    def read_effective(self) -> Metrics:
        """Return the settings of the next update; see `Learner.read_effective`."""
        return self.learner.read_effective()

    def take_snapshot(self, history: Sequence[Any] | None = None) -> Snapshot:
        """Copy the learner's state to a snapshot; see `rl.checkpoint`."""
        return take_snapshot(self.learner, history)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of such a learner; see `Trainer.restore`."""
        load_snapshot(snapshot, self.learner)

    def branch(self, snapshot: Snapshot, reset: Collection[str] = (), fresh: bool = False) -> None:
        """Go on from a snapshot of another run, at iteration 0; see `rl.branch.start_branch`."""
        carry_over(snapshot, self.learner, [Part(name) for name in reset], fresh)


def make_trainer(spec: TrialSpec) -> LearnerTrainer:
    """Make an untrained trainer by our own learner; equal arguments lead to equal results of training."""
    config = spec.config
    return LearnerTrainer(
        make_learner(config.ppo, config.env, spec.seeds, spec.evaluation_seed, spec.data, budget=spec.budget)
    )


def make_trial_learner(config: SweepConfig, data: FlowData | None, budget: Budget | None = None) -> Learner:
    """Make an untrained learner for all seeds of a trial, for use without trainer and checkpoint.

    Args:
        config: Configuration of the trial.
        data: Flows to train on; None for an environment without.
        budget: Length of the trial in environment steps; None for the length in `config`.
    """
    seeds = make_member_seeds(config.sweep.seed, config.sweep.seeds)
    spec = TrialSpec(
        config, seeds, make_evaluation_seed(config.sweep.seed), data, budget or Budget.from_config(config.ppo)
    )
    return make_trainer(spec).learner


def check(config: SweepConfig, data: FlowData | None) -> None:
    """Raise `ConfigError` for an environment that no learner can act in."""
    check_env(config.env, data)


def estimate_memory(config: SweepConfig, data: FlowData | None) -> Callable[[int], int]:
    """Return the function that estimates the bytes that a learner takes for a number of members."""
    vector = make_vec(config.env, [0], data)
    vector.close()
    evaluated = len(data.validation) if data else config.env.eval_episodes
    return lambda members: learner_bytes(config.ppo, vector, members, evaluated)


PPO = TrainerKind(
    title="our learner",
    make=make_trainer,
    check=check,
    estimate_memory=estimate_memory,
    proves=tuple(item.name for item in fields(Hyperparameters)),
)
