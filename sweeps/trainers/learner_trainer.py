"""Train all members of a trial by our own learner, in one computation."""

from collections.abc import Collection, Sequence
from typing import Any

from unstuck.rl.branch import Part, carry_over
from unstuck.rl.budget import Budget
from unstuck.rl.checkpoint import Snapshot, load_snapshot, take_snapshot
from unstuck.rl.config import PPOConfig
from unstuck.rl.data.types import FlowData
from unstuck.rl.learner import Learner, Metrics
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.protocol import TrialSpec


class LearnerTrainer:
    """Trainer by the built-in PPO learner, which trains all members (seeds) of a trial in one computation.

    Attributes:
        learner: Learner that trains the members.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    @property
    def config(self) -> PPOConfig:
        """Settings of PPO that all members (seeds) share."""
        return self.learner.config

    @property
    def iteration(self) -> int:
        """Number of iterations trained since the trial's start."""
        return self.learner.iteration

    @property
    def last_iteration(self) -> int:
        """Number of the iteration with which the training is complete."""
        return self.learner.last_iteration

    @property
    def resumed_exactly(self) -> bool:
        """False if a resume could not be exact: environments started again, or device or library versions changed."""
        return self.learner.resumed_exactly

    def iterate(self) -> Metrics:
        """Train all members (seeds) for one iteration; return metrics by name, one value for each seed."""
        return self.learner.iterate()

    def read_effective(self) -> Metrics:
        """Return the settings of the next update by name, one value for each seed, as read back from the learner."""
        return self.learner.read_effective()

    def take_snapshot(self, history: Sequence[Any] | None = None) -> Snapshot:
        """Copy the learner's state to a snapshot (arrays and a header, ready to save), with a history of metrics."""
        return take_snapshot(self.learner, history)

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot (saved training state) of a learner of the same form."""
        load_snapshot(snapshot, self.learner)

    def branch(self, snapshot: Snapshot, reset: Collection[str] = (), fresh: bool = False) -> None:
        """Start from a snapshot (saved training state) of another run, counting iterations from 0 again."""
        carry_over(snapshot, self.learner, [Part(name) for name in reset], fresh)


def make_learner_trainer(spec: TrialSpec) -> LearnerTrainer:
    """Make an untrained trainer by the built-in learner; equal arguments lead to equal results of training."""
    config = spec.config
    return LearnerTrainer(
        make_learner(config.ppo, config.env, spec.seeds, spec.evaluation_seed, spec.data, budget=spec.budget)
    )


def make_trial_learner(config: SweepConfig, data: FlowData | None, budget: Budget | None = None) -> Learner:
    """Make an untrained learner for all seeds of a trial, for use without trainer or checkpoint.

    Args:
        config: Configuration of the trial.
        data: Flows to train on; None for an environment without.
        budget: Length of the trial in environment steps; None for the length in `config`.
    """
    seeds = make_member_seeds(config.sweep.seed, config.sweep.seeds)
    spec = TrialSpec(
        config, seeds, make_evaluation_seed(config.sweep.seed), data, budget or Budget.from_config(config.ppo)
    )
    return make_learner_trainer(spec).learner
