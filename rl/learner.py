"""A learner: P members, each a seed and a configuration, trained together and measured once per iteration."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import SeedSequence
from torch import Tensor

from rl import metrics, ppo
from rl.adam import Adam
from rl.config import PPOConfig, require
from rl.envs import Evaluator, LaneEnv
from rl.gae import generalized_advantages
from rl.networks import ActorCritic
from rl.normalize import ObservationNormalizer, ReturnNormalizer
from rl.ppo import Batch, Hyperparameters
from rl.rollout import Rollout
from rl.seeding import as_int, child

Metrics = dict[str, npt.NDArray[np.float64]]
"""By name, one value a member: float64 `[P]`."""

_INIT, _ACT, _SHUFFLE, _LANES = range(4)
"""What a member's seed is spent on."""


@dataclass(frozen=True)
class Member:
    """One seed of one configuration."""

    config: PPOConfig
    seed: SeedSequence

    def lane_seeds(self) -> list[int]:
        """Seeds of the member's lanes, one each."""
        lanes = child(self.seed, _LANES)
        return [as_int(child(lanes, lane)) for lane in range(self.config.num_envs)]

    def generator(self, purpose: int) -> np.random.Generator:
        """The member's own generator for one purpose."""
        return np.random.default_rng(child(self.seed, purpose))


class Learner:
    """Trains members side by side in one batched computation; none of them notices the others.

    Args:
        members: Their settings may differ in `Hyperparameters` alone: shapes and switches are shared.
        env: Has `len(members) * num_envs` lanes, a member's lanes side by side. The learner resets it.
        evaluator: Judges the greedy policies every `eval_every` iterations.
        actions: Names of the actions, for the metrics of their shares.

    Attributes:
        iteration: Iterations done.
    """

    def __init__(self, members: Sequence[Member], env: LaneEnv, evaluator: Evaluator, actions: Sequence[str]) -> None:
        self.members, self.env, self.evaluator, self.actions = list(members), env, evaluator, tuple(actions)
        self.config = _shared_config([member.config for member in members])
        self.hyper = Hyperparameters.of([member.config for member in members])
        self.iteration = 0
        count, features = len(self.members), int(np.prod(env.single_observation_space.shape or (1,)))
        self.networks = ActorCritic(
            features,
            len(self.actions),
            self.config.hidden_sizes,
            self.config.shared_trunk,
            [member.generator(_INIT) for member in members],
        )
        self.adam = Adam(self.networks.parameters, self.hyper.adam_eps)
        self.observation_normalizer = (
            ObservationNormalizer(count, features) if self.config.normalize_observations else None
        )
        self.return_normalizer = ReturnNormalizer(self.config.normalize_returns, count)
        self.act_generators = [member.generator(_ACT) for member in members]
        self.shuffle_generators = [member.generator(_SHUFFLE) for member in members]
        self.rollout = Rollout(count, self.config.num_steps, self.config.num_envs, features)
        self._last_returns: list[float | None] = [None] * count
        seeds = [seed for member in members for seed in member.lane_seeds()]
        first, _ = env.reset(seed=seeds)
        self.rollout.raw_observations[:, -1] = torch.from_numpy(first).view(count, self.config.num_envs, -1)

    def iterate(self) -> Metrics:
        """One iteration: a rollout, its update, and an evaluation if one is due.

        Returns:
            The metrics of `rl.metrics` that apply, one value a member. `train/episode_return` is absent until every
            member has ended an episode, `eval/` metrics are there in evaluation iterations only.
        """
        lr = self._scheduled_lr()
        self.rollout.collect(self.env, self.networks, self.observation_normalizer, self.act_generators)
        batch, explained_variance = self._batch()
        measured = ppo.update(self.networks, self.adam, batch, self.hyper, self.config, lr, self.shuffle_generators)
        if self.observation_normalizer:
            self.observation_normalizer.moments.update(self.rollout.raw_observations[:, :-1].flatten(1, 2))
        self.iteration += 1
        result = {name: value.double().numpy() for name, value in measured.items()}
        result[metrics.EXPLAINED_VARIANCE] = explained_variance.double().numpy()
        result[metrics.LR] = lr[:, 0].double().numpy()
        result |= self._rollout_metrics()
        if self.iteration % self.config.eval_every == 0 or self.iteration == self.config.num_iterations:
            result |= self.evaluator.evaluate(self.greedy_actions, len(self.members))
        return result

    @torch.inference_mode()
    def greedy_actions(self, observations: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """The most probable actions, int64 `[P, B]`, for raw observations, float32 `[P, B, F]`."""
        inputs = torch.from_numpy(np.ascontiguousarray(observations))
        if self.observation_normalizer:
            inputs = self.observation_normalizer(inputs)
        actions: npt.NDArray[np.int64] = self.networks.logits(inputs).argmax(-1).numpy()
        return actions

    def _scheduled_lr(self) -> Tensor:
        if self.config.lr_schedule == "constant":
            return self.hyper.lr
        return self.hyper.lr * (1 - self.iteration / self.config.num_iterations)

    @torch.no_grad()
    def _batch(self) -> tuple[Batch, Tensor]:
        """The rollout with advantages and targets, and the explained variance of the critic that acted, `[P]`."""
        rollout, normalizer = self.rollout, self.observation_normalizer
        members, steps, lanes = rollout.actions.shape
        flat = rollout.raw_observations.flatten(1, 2)
        inputs = normalizer(flat) if normalizer else flat
        logits, predictions = self.networks(inputs)
        values = self.return_normalizer.to_returns(predictions).view(members, steps + 1, lanes)
        finals = self.return_normalizer.to_returns(rollout.final_values(self.networks, normalizer).flatten(1))
        next_values = torch.where(rollout.truncated, finals.view(members, steps, lanes), values[:, 1:])
        values = values[:, :-1]
        advantages = generalized_advantages(
            rollout.rewards,
            values,
            next_values,
            rollout.terminated,
            rollout.truncated,
            (self.hyper.gamma, self.hyper.gae_lambda),
        )
        returns = (advantages + values).flatten(1)
        self.return_normalizer.update(returns)
        samples = steps * lanes
        actions = rollout.actions.flatten(1)
        log_probs = torch.log_softmax(logits[:, :samples], dim=-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        batch = Batch(
            observations=inputs[:, :samples],
            actions=actions,
            log_probs=log_probs,
            advantages=advantages.flatten(1),
            targets=self.return_normalizer.to_targets(returns),
            predictions=predictions[:, :samples],
        )
        return batch, _explained_variance(values.flatten(1), returns)

    def _rollout_metrics(self) -> Metrics:
        result: Metrics = {}
        for index, name in enumerate(self.actions):
            result[metrics.action_metric(name)] = (self.rollout.actions == index).double().mean((1, 2)).numpy()
        for member, returns in enumerate(self.rollout.episode_returns):
            if returns:
                self._last_returns[member] = float(np.mean(returns))
        if all(value is not None for value in self._last_returns):
            result[metrics.TRAIN_RETURN] = np.array(self._last_returns, dtype=np.float64)
        return result


def _shared_config(configs: Sequence[PPOConfig]) -> PPOConfig:
    """The settings that members share; refuses those that differ in shape or switch."""
    own = {field.name for field in fields(Hyperparameters)}
    first = configs[0]
    for field in fields(PPOConfig):
        values = {getattr(config, field.name) for config in configs}
        require(
            field.name in own or len(values) == 1,
            f"ppo.{field.name} must be the same for all members of a learner, got {sorted(map(str, values))}; "
            "train them in learners of their own",
        )
    return first


def _explained_variance(predictions: Tensor, returns: Tensor) -> Tensor:
    """1 - Var(returns - predictions) / Var(returns) over `[P, B]`; 0 where the returns are constant."""
    variance = returns.var(-1, correction=0)
    unexplained = (returns - predictions).var(-1, correction=0)
    return torch.where(variance > 0, 1 - unexplained / variance, torch.zeros_like(variance))
