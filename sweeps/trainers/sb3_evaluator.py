"""Evaluate a model of Stable-Baselines3's by greedy episodes, in environments of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.policies import BaseModel, BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv, unwrap_vec_normalize
from unstuck.rl.envs.evaluate import STEP_CAP
from unstuck.sweeps.trainers.global_randomness import OwnRandomness
from unstuck.sweeps.trainers.members import MemberSpec
from unstuck.sweeps.trainers.sb3_model import make_model


class Sb3Evaluator:
    """Evaluator of one member (seed) by greedy episodes, in separate environments.

    Args:
        spec: The member; the environments are made as for training.
    """

    def __init__(self, spec: MemberSpec) -> None:
        self._seeds = spec.evaluation_seeds
        with OwnRandomness(self._seeds[0]).lend():
            env = make_model(spec.config, self._seeds[0]).ppo.get_env()
        if env is None:
            raise ValueError("the PPO of trainer.make must have an environment, got none; pass one")
        self._env, self._lanes = env, _wrap_lanes(env.unwrapped)

    def evaluate(self, model: PPO) -> float:
        """Play the same evaluation episodes at each call, in parallel environments; return the mean return."""
        normalizer, trained = unwrap_vec_normalize(self._env), model.get_vec_normalize_env()
        if normalizer is not None and trained is not None:
            normalizer.training = normalizer.norm_reward = False
            if normalizer.norm_obs:
                normalizer.obs_rms = trained.obs_rms
        returns: list[float] = []
        with _keep_evaluating(model.policy):
            for seed in self._seeds:
                if len(returns) < len(self._seeds):
                    returns += self._play(model, seed, len(self._seeds) - len(returns))
        return float(np.mean(returns))

    def _play(self, model: PPO, seed: int, most: int) -> list[float]:
        """Play one episode in each of the first `most` environments at most; return a list of the episodes' returns.

        A return is that of the lane's `Monitor` wrapper if there is one.
        """
        self._env.seed(seed)
        observations: Any = self._env.reset()
        returns, playing = np.zeros(self._env.num_envs), np.arange(self._env.num_envs) < most
        for unasked in self._lanes[most:]:
            unasked.rests = True
        for _ in range(STEP_CAP):
            actions, _ = model.predict(observations, deterministic=True)
            observations, rewards, dones, infos = self._env.step(actions)
            returns[playing] += rewards[playing]
            for lane in np.flatnonzero(playing & dones):
                returns[lane] = infos[lane].get("episode", {"r": returns[lane]})["r"]
                if self._lanes:
                    self._lanes[lane].rests = True
            playing &= ~dones
            if not playing.any():
                break
        return [float(one) for one in returns[:most]]


class _Lane(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Environment of one lane, which rests from the end of its last counted episode until its next reset by a seed.

    Attributes:
        rests: True if steps do nothing, and show the last observation again.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.rests = False
        self._seen: Any = None

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment, or do nothing if the lane rests."""
        if self.rests:
            return self._seen, 0.0, False, False, {}
        taken = self.env.step(action)
        self._seen = taken[0]
        return taken

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, which ends the rest, with the arguments given alone: not all resets take options."""
        self.rests = False
        self._seen, info = self.env.reset(**given)
        return self._seen, info


def _wrap_lanes(env: Any) -> list[_Lane]:
    """Make each environment of this process a lane that can rest; return the lanes, none for other processes'."""
    if not isinstance(env, DummyVecEnv):
        return []
    lanes = [_Lane(one) for one in env.envs]
    env.envs = [*lanes]
    return lanes


@contextmanager
def _keep_evaluating(policy: BasePolicy) -> Iterator[None]:
    """Put a policy in evaluation mode once, instead of at each step of an episode, which takes an eighth of a step."""
    if type(policy).set_training_mode is not BaseModel.set_training_mode or "set_training_mode" in vars(policy):
        yield
        return
    policy.set_training_mode(False)
    policy.set_training_mode = lambda mode: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        vars(policy).pop("set_training_mode")
