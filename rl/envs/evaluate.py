"""Greedy evaluation: the performance of policies without exploration, all on the same flows or episodes."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from unstuck.rl import metrics
from unstuck.rl.config import TRIAGE, EnvConfig
from unstuck.rl.data.types import Flows
from unstuck.rl.envs.confusion import RANDOM_FLAG_SHARE, Confusion, count_confusion, f1, f1_at_random, precision, recall
from unstuck.rl.envs.gym import LaneEnv, make_gym_vec
from unstuck.rl.envs.spaces import Actions
from unstuck.rl.envs.triage import make_reward_table
from unstuck.rl.errors import ConfigError

Act = Callable[[npt.NDArray[np.float32]], Actions]
Results = dict[str, npt.NDArray[np.float64]]
STEP_CAP = 10_000
"""Steps after which an episode is cut off in an environment without a time limit."""


class Evaluator(Protocol):
    """Protocol of an evaluator, which tests the policies of all members (seeds) with greedy actions."""

    def evaluate(self, act: Act, num_members: int) -> Results:
        """Test the policies of all members (seeds) with greedy actions; return metrics by name, a value for each.

        Args:
            act: Greedy actions `[P, B, *action_shape]` for observations float32 `[P, B, F]`.
            num_members: P.

        Returns:
            A value for each member, float64 `[P]`, under names from `rl.metrics`.
        """


def make_evaluator(
    env: EnvConfig, flows: Flows | None, seeds: Sequence[int], trained_on: Flows | None = None
) -> Evaluator:
    """Make the evaluator for an environment: judge network flows for triage, play whole episodes for any other.

    Args:
        env: The environment.
        flows: Triage: the part to judge, all of it.
        seeds: Other environments: one for each of `env.eval_episodes` episodes; the same for every member.
        trained_on: Triage: flows of the training part, to tell learning from memorising; None: not compared.

    Raises:
        ConfigError: Triage has no flows, the seeds are not one an episode, or the environment is not supported.
    """
    if env.id != TRIAGE:
        return EpisodeEvaluator(env, seeds)
    if flows is None:
        raise ConfigError(f"{TRIAGE} needs flows to be evaluated on, got none; pass a part of rl.data.load_flows(...)")
    return TriageEvaluator(env, flows, trained_on)


class TriageEvaluator:
    """Evaluator for triage: each member (seed) judges the same network flows; any action but allow is a flag."""

    def __init__(self, env: EnvConfig, flows: Flows, trained_on: Flows | None) -> None:
        """Store the network flows to judge, some training flows to compare with, and settings of `env`."""
        self._flows, self._trained_on = flows, trained_on
        self._flows_per_episode = env.flows_per_episode
        self._rewards = make_reward_table(env)
        self._trivial = {
            metrics.F1_FLAG_ALL: f1_at_random(flows.threat, 1.0),
            metrics.F1_FLAG_NONE: f1_at_random(flows.threat, 0.0),
            metrics.F1_RANDOM: f1_at_random(flows.threat, RANDOM_FLAG_SHARE),
        }

    def evaluate(self, act: Act, num_members: int) -> Results:
        """Let each member (seed) judge all network flows; return metrics by name, such as F1, counts and return.

        The return is the mean reward of a flow times flows per episode.
        """
        threat = self._flows.threat
        actions, counts = _judged(act, self._flows, num_members)
        rewards = self._rewards[threat.astype(np.int64), actions]
        results = {
            metrics.F1: f1(counts),
            metrics.PRECISION: precision(counts),
            metrics.RECALL: recall(counts),
            metrics.TRUE_POSITIVES: counts.tp,
            metrics.TRUE_NEGATIVES: counts.tn,
            metrics.FALSE_POSITIVES: counts.fp,
            metrics.FALSE_NEGATIVES: counts.fn,
            metrics.EVAL_RETURN: rewards.mean(axis=1) * self._flows_per_episode,
            **{name: np.full(num_members, value) for name, value in self._trivial.items()},
            **{metrics.greedy_metric(name): (actions == i).mean(axis=1) for i, name in enumerate(metrics.ACTIONS)},
        }
        if self._trained_on is not None:
            results[metrics.F1_TRAIN] = f1(_judged(act, self._trained_on, num_members)[1])
        return results


def _judged(act: Act, flows: Flows, num_members: int) -> tuple[Actions, Confusion]:
    """Let each member (seed) judge all network flows; return the actions and the confusion counts.

    The actions are int64 `[P, n]`.
    """
    actions = act(np.tile(flows.features, (num_members, 1, 1)))
    if actions.shape != (num_members, len(flows)):
        raise ValueError(f"act must return actions of shape {(num_members, len(flows))}, got {actions.shape}")
    return actions, count_confusion(actions != metrics.ACTIONS.index("allow"), flows.threat)


class EpisodeEvaluator:
    """Evaluator that plays the same `env.eval_episodes` episodes with each member (seed), in parallel."""

    def __init__(self, env: EnvConfig, seeds: Sequence[int]) -> None:
        """Store the environment's settings and one seed for each of `env.eval_episodes` episodes."""
        if len(seeds) != env.eval_episodes:
            raise ConfigError(
                f"one seed for each of env.eval_episodes = {env.eval_episodes} is needed, got {len(seeds)}"
            )
        self._id, self._vectorization = env.id, env.vectorization
        self._seeds = [int(seed) for seed in seeds]
        self._lanes: LaneEnv | None = None

    def evaluate(self, act: Act, num_members: int) -> Results:
        """Play all evaluation episodes with each member (seed); return mean returns, as metrics by name.

        An episode ends by the environment's rules, or after `STEP_CAP` steps.
        """
        lanes = self._make(num_members)
        observations, _ = lanes.reset(seed=self._seeds * num_members)
        returns = np.zeros(lanes.num_envs)
        playing = np.ones(lanes.num_envs, dtype=np.bool_)
        for _ in range(STEP_CAP):
            actions = act(observations.reshape(num_members, len(self._seeds), -1))
            observations, rewards, terminated, truncated, _ = lanes.step(
                actions.reshape(lanes.num_envs, *actions.shape[2:])
            )
            returns[playing] += rewards[playing]  # a lane's later episodes do not count
            playing &= ~(terminated | truncated)
            if not playing.any():
                break
        return {metrics.EVAL_RETURN: returns.reshape(num_members, -1).mean(axis=1)}

    def _make(self, num_members: int) -> LaneEnv:
        """Return the evaluation's environments; make them at the first call only, since that can be slow."""
        if self._lanes is None or self._lanes.num_envs != num_members * len(self._seeds):
            self._lanes = make_gym_vec(self._id, num_members * len(self._seeds), self._vectorization)
        return self._lanes
