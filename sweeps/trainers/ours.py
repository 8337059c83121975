"""Train by our own learner, which trains all members of a trial in one computation.

PyTorch is imported when a trainer is made, not before.
"""

from collections.abc import Callable

from unstuck.rl.config import PER_MEMBER
from unstuck.rl.data.types import FlowData
from unstuck.rl.envs import check_env, make_vec
from unstuck.rl.memory import learner_bytes
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.protocol import Trainer, TrainerKind, TrialSpec


def make_trainer(spec: TrialSpec) -> Trainer:
    """Make an untrained trainer by the built-in learner; equal arguments lead to equal results of training."""
    from unstuck.sweeps.trainers.learner_trainer import make_learner_trainer

    return make_learner_trainer(spec)


def check(config: SweepConfig, data: FlowData | None) -> None:
    """Raise `ConfigError` for an environment in which the learner cannot act, e.g. by the kind of its actions."""
    check_env(config.env, data)


def estimate_memory(config: SweepConfig, data: FlowData | None) -> Callable[[int], int]:
    """Return a function from number of members (seeds) to memory in bytes that the learner takes."""
    vector = make_vec(config.env, [0], data)
    vector.close()
    evaluated = len(data.validation) if data else config.env.eval_episodes
    return lambda members: learner_bytes(config.ppo, vector, members, evaluated)


PPO = TrainerKind(
    title="our learner",
    make=make_trainer,
    check=check,
    estimate_memory=estimate_memory,
    proves=PER_MEMBER,
)
