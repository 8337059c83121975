"""Rollouts: all lanes of all members step in one vector environment, and the update reads the buffers.

Buffers stay in main memory with the environments, on whichever device the networks are. A step then costs one transfer
there and one back, and the update one transfer of the whole rollout.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from unstuck.rl.config import PPOConfig
from unstuck.rl.distributions import Distribution
from unstuck.rl.envs import LaneEnv
from unstuck.rl.networks import ActorCritic
from unstuck.rl.normalize import ObservationNormalizer

_CHUNK = 16
"""Final observations are valued in chunks of equal rows: a member's chunk has one shape, however the neighbours'
episodes end, and so one rounding."""


@dataclass(frozen=True)
class Steps:
    """Steps of a rollout as tensors on one device: observations, actions, rewards and others."""

    raw_observations: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor


class Rollout:
    """Storage of a rollout: T steps in each of N parallel environments of P members (seeds).

    Attributes:
        raw_observations: float32 `[P, T + 1, N, F]`, as the environment gave them; the last row follows the rollout.
        actions: int64 or float32 `[P, T, N, *action_shape]`.
        rewards: float32 `[P, T, N]`, reward after acting at t.
        terminated: bool `[P, T, N]`.
        truncated: bool `[P, T, N]`.
        episode_returns: For each member the undiscounted returns of the episodes that ended in this rollout.
        episode_lengths: The same for the steps of these episodes.
        running_lengths: Steps so far of the current episode of each lane, int64 `[P, N]`.
    """

    def __init__(self, num_members: int, config: PPOConfig, num_features: int, distribution: Distribution) -> None:
        shape = (num_members, config.num_steps, config.num_envs)
        self.raw_observations = torch.zeros(num_members, config.num_steps + 1, config.num_envs, num_features)
        self.actions = torch.zeros(*shape, *distribution.action_shape, dtype=distribution.action_dtype)
        self.rewards = torch.zeros(shape)
        self.terminated = torch.zeros(shape, dtype=torch.bool)
        self.truncated = torch.zeros(shape, dtype=torch.bool)
        self.episode_returns: list[list[float]] = [[] for _ in range(num_members)]
        self.episode_lengths: list[list[int]] = [[] for _ in range(num_members)]
        self.running_lengths = np.zeros((num_members, config.num_envs), np.int64)
        self._running_returns = np.zeros((num_members, config.num_envs))
        self._finals: list[list[tuple[int, int, npt.NDArray[np.float32]]]] = [[] for _ in range(num_members)]

    def to_device(self, device: torch.device) -> Steps:
        """Return the rollout's steps as tensors on a device; on the CPU without copying."""
        return Steps(**{field.name: getattr(self, field.name).to(device) for field in fields(Steps)})

    def state(self) -> dict[str, Tensor]:
        """Return the tensors, by name and uncopied, from which the next rollout continues.

        Returns:
            `observations` `[P, N, F]`, and `running_returns` `[P, N]`: the undiscounted return so far of the current
            episode of each lane, float64.
        """
        return {
            "observations": self.raw_observations[:, -1],
            "running_returns": torch.from_numpy(self._running_returns),
        }

    @torch.inference_mode()
    def collect(
        self,
        env: LaneEnv,
        networks: ActorCritic,
        normalizer: ObservationNormalizer | None,
        generators: Sequence[np.random.Generator],
    ) -> None:
        """Act for T steps in all environments and record the steps, continuing from the last rollout.

        Args:
            env: Environment of P * N lanes; the lanes of a member are neighbours.
            networks: The policy that acts.
            normalizer: Normaliser of observations; None to use raw observations.
            generators: Generators of the members, one each, that draw the actions.
        """
        members, steps, lanes = self.rewards.shape
        distribution = networks.distribution
        device = networks.parameters.device
        noise = torch.stack([distribution.noise(generator, (steps, lanes)) for generator in generators]).to(device)
        # numpy, since torch takes longer to find its way to a few numbers than to copy them.
        shown, taken, earned = (buffer.numpy() for buffer in (self.raw_observations, self.actions, self.rewards))
        shown[:, 0] = shown[:, -1]
        self.terminated.zero_()
        self.truncated.zero_()
        self.episode_returns, self.episode_lengths = [[] for _ in range(members)], [[] for _ in range(members)]
        self._finals = [[] for _ in range(members)]
        for t, (observations, draw) in enumerate(
            zip(self.raw_observations.unbind(1)[:-1], noise.unbind(1), strict=True)
        ):
            inputs = observations.to(device)
            inputs = normalizer(inputs) if normalizer else inputs
            actions = distribution.sample(networks.policy(inputs), draw).cpu().numpy()
            observed, rewards, terminated, truncated, infos = env.step(
                actions.reshape(members * lanes, *actions.shape[2:])
            )
            rewards = np.asarray(rewards, dtype=np.float32).reshape(members, lanes)
            taken[:, t], earned[:, t] = actions, rewards
            shown[:, t + 1] = observed.reshape(members, lanes, -1)
            self._running_returns += rewards
            self.running_lengths += 1
            if terminated.any() or truncated.any():
                self._end_episodes(t, terminated, truncated, infos["final_obs"])

    def _end_episodes(
        self,
        t: int,
        terminated: npt.NDArray[np.bool_],
        truncated: npt.NDArray[np.bool_],
        final_observations: npt.NDArray[np.float32],
    ) -> None:
        members, _, lanes = self.rewards.shape
        self.terminated[:, t] = torch.from_numpy(terminated).view(members, lanes)
        self.truncated[:, t] = torch.from_numpy(truncated & ~terminated).view(members, lanes)
        for index in np.flatnonzero(terminated | truncated):
            member, lane = divmod(int(index), lanes)
            self.episode_returns[member].append(float(self._running_returns[member, lane]))
            self.episode_lengths[member].append(int(self.running_lengths[member, lane]))
            self._running_returns[member, lane], self.running_lengths[member, lane] = 0.0, 0
            if not terminated[index]:
                self._finals[member].append((t, lane, final_observations[index].copy()))

    @torch.inference_mode()
    def final_values(self, networks: ActorCritic, normalizer: ObservationNormalizer | None) -> Tensor:
        """Compute the value of the last observation of episodes that a time limit ended; 0 for other steps.

        Returns `[P, T, N]`.
        """
        members, steps, lanes = self.rewards.shape
        values = torch.zeros(members, steps, lanes)
        for start in range(0, max(map(len, self._finals)), _CHUNK):
            chunk = torch.zeros(members, _CHUNK, self.raw_observations.shape[-1])
            for member, finals in enumerate(self._finals):
                for row, (_, _, final) in enumerate(finals[start : start + _CHUNK]):
                    chunk[member, row] = torch.from_numpy(final)
            chunk = chunk.to(networks.parameters.device)
            _, predicted = networks(normalizer(chunk) if normalizer else chunk)
            predicted = predicted.cpu()
            for member, finals in enumerate(self._finals):
                for row, (t, lane, _) in enumerate(finals[start : start + _CHUNK]):
                    values[member, t, lane] = predicted[member, row]
        return values
