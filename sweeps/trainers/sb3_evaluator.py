"""Evaluate a model of Stable-Baselines3's by greedy episodes, in environments of their own."""

from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import unwrap_vec_normalize
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
        self._env = env

    def evaluate(self, model: PPO) -> float:
        """Play the same evaluation episodes at each call, in parallel environments; return the mean return."""
        normalizer, trained = unwrap_vec_normalize(self._env), model.get_vec_normalize_env()
        if normalizer is not None and trained is not None:
            normalizer.training = normalizer.norm_reward = False
            if normalizer.norm_obs:
                normalizer.obs_rms = trained.obs_rms
        returns: list[float] = []
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
        for _ in range(STEP_CAP):
            actions, _ = model.predict(observations, deterministic=True)
            observations, rewards, dones, infos = self._env.step(actions)
            returns[playing] += rewards[playing]
            for lane in np.flatnonzero(playing & dones):
                returns[lane] = infos[lane].get("episode", {"r": returns[lane]})["r"]
            playing &= ~dones
            if not playing.any():
                break
        return [float(one) for one in returns[:most]]
