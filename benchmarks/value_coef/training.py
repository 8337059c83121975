"""Arms side by side: configurations that differ per member, each with the same seeds, in one learner."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from unstuck.rl.adam import BETA2, Adam
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.envs import Evaluator, LaneEnv, make_evaluator, make_vec
from unstuck.rl.envs.evaluate import Act, Results
from unstuck.rl.learner import Learner, Member
from unstuck.rl.metrics import ACTIONS
from unstuck.rl.seeding import make_member_seeds

from benchmarks.value_coef.optimisers import Apart, Optimiser, Recorder

Array = npt.NDArray[np.float64]
History = dict[str, Array]
"""By the names of `rl.metrics`, float64 `[iterations, arms, seeds]`; NaN where an iteration did not measure it."""

PROGRESS = Console(stderr=True)

NEVER = 10**9
"""An iteration that is not reached."""

NO_CLIP = 1e30
"""A `max_grad_norm` that no gradient reaches."""


@dataclass(frozen=True)
class Scale:
    """Size of the study.

    Attributes:
        seeds: Seeds in each arm.
        few: The same, where seeds differ little.
        iterations: Iterations of a training.
        num_steps: Steps of a rollout.
        num_epochs: Times that an update takes the rollout.
        evaluations: Evaluations of a training.
    """

    seeds: int
    few: int
    iterations: int
    num_steps: int = PPOConfig.num_steps
    num_epochs: int = PPOConfig.num_epochs
    evaluations: int = 10

    def config(self, **settings: Any) -> PPOConfig:
        """Make a PPO configuration: defaults changed by the study's size, then by `settings`."""
        often = self.iterations // self.evaluations
        size = {"num_iterations": self.iterations, "eval_every": often}
        size |= {"num_steps": self.num_steps, "num_epochs": self.num_epochs}
        return PPOConfig(**{**size, **settings})


@dataclass(frozen=True)
class Arm:
    """One configuration to train, optionally with a clip for each network and a factor on the critic's learning rate.

    Attributes:
        config: Arms of one learner may differ in what may differ per member.
        network_clip: Clips each network's gradient by itself; `config.max_grad_norm` clips them jointly.
        critic_lr: Times lr, for the critic alone.
    """

    config: PPOConfig
    network_clip: float = math.inf
    critic_lr: float = 1.0


@dataclass(frozen=True)
class Scene:
    """Environment to train arms in: a function that makes a number of lanes, an evaluator, and action names."""

    lanes: Callable[[int], LaneEnv]
    evaluator: Evaluator
    actions: Sequence[str]


class Unjudged:
    """Evaluator that evaluates nothing, for studies where the policy's score does not matter."""

    def evaluate(self, act: Act, num_members: int) -> Results:
        """Return an empty dictionary, without running the policy."""
        return {}


@cache
def triage() -> Scene:
    """Return the scene of flow triage on default synthetic flows, evaluated on the validation part of the flows."""
    data, env = load_flows(DataConfig()), EnvConfig()
    return Scene(lambda lanes: make_vec(env, range(lanes), data), make_evaluator(env, data.validation, ()), ACTIONS)


def cartpole() -> Scene:
    """Return the scene of CartPole-v1, without evaluation: training returns are the score."""
    env = EnvConfig(id="CartPole-v1")
    return Scene(lambda lanes: make_vec(env, range(lanes), None), Unjudged(), ("left", "right"))


def side_by_side(
    arms: Sequence[Arm], seeds: int, scene: Scene, optimiser: Callable[[Tensor, Tensor], Optimiser] = Adam
) -> Learner:
    """Make one learner that trains all arms on the same seeds; separate networks get the optimiser `Apart`."""
    members = [Member(arm.config, seed) for arm in arms for seed in make_member_seeds(0, seeds)]
    lanes = scene.lanes(sum(member.config.num_envs for member in members))
    learner = Learner(members, lanes, scene.evaluator, scene.actions)
    learner.adam = optimiser(learner.networks.parameters, learner.hyper.adam_eps)
    if not arms[0].config.shared_trunk:
        apart = [(arm.network_clip, arm.critic_lr) for arm in arms for _ in range(seeds)]
        learner.adam = Apart(learner.adam, *torch.tensor(apart).split(1, dim=1))
    return learner


def train(learner: Learner, iterations: int, title: str) -> History:
    """Train a learner for some iterations; return each metric as an array `[iterations, arms, seeds]`."""
    hidden = not PROGRESS.is_terminal
    measured = [learner.iterate() for _ in track(range(iterations), title, console=PROGRESS, disable=hidden)]
    seeds = len({member.seed.spawn_key for member in learner.members})
    nothing = np.full(len(learner.members), np.nan)
    return {
        name: np.stack([one.get(name, nothing) for one in measured]).reshape(iterations, -1, seeds)
        for name in measured[-1]
    }


@contextmanager
def float64() -> Iterator[None]:
    """Make new networks, optimisers, rollouts and losses inside the `with` block use float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def gradients(learner: Learner) -> tuple[Tensor, Tensor]:
    """Return the next update's gradients of policy loss and unweighted value loss, without changing the learner.

    The next iteration is run twice without moving anything, with value_coef 0 and 1, and taken back.

    Returns:
        Each `[P, n]`, the mean over the minibatches.
    """
    before, hyper, optimiser = learner.state(), learner.hyper, learner.adam
    means = []
    for value_coef in (0.0, 1.0):
        recorder = Recorder(optimiser)
        learner.adam = recorder
        learner.hyper = dataclasses.replace(
            hyper,
            value_coef=torch.full_like(hyper.value_coef, value_coef),
            max_grad_norm=torch.full_like(hyper.max_grad_norm, NO_CLIP),
        )
        learner.iterate()
        means.append(torch.stack(recorder.gradients).mean(0))
        learner.load_state(*before)
    learner.adam, learner.hyper = optimiser, hyper
    return means[0], means[1] - means[0]


def by_arm(members: Tensor, arms: Sequence[Arm]) -> Tensor:
    """Reshape a tensor of members `[P, ...]` to `[arms, seeds, ...]`."""
    return members.unflatten(0, (len(arms), -1))


def gradient_sizes(learner: Learner) -> Tensor:
    """Return Adam's root mean square of recent gradients, `[P, n]` (member, parameter), before epsilon is added."""
    state = learner.adam.state()
    return (state["exp_avg_sq"] / (1 - BETA2 ** state["steps"])).sqrt().to(state["exp_avg_sq"].dtype)


def late(history: Array) -> Array:
    """Average a metric `[iterations, arms, seeds]` over the last quarter of the iterations; return `[arms, seeds]`."""
    return history[len(history) * 3 // 4 :].mean(0)
