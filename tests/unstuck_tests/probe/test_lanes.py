"""What environments tell of how episodes end and begin, and of how evaluations are wrapped."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from unstuck.analysis.history.known import EVALUATION_GREEDY, EVALUATION_NORMALISED
from unstuck.analysis.history.record import ENDS_TRUNCATED, STARTS_RESEEDED, TRUNCATED_EARLY, TRUNCATED_LENGTHS

pytest.importorskip("stable_baselines3", reason="it comes with the extra `sb3`")
from stable_baselines3.common.callbacks import CallbackList, EvalCallback, EveryNTimesteps
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from unstuck.probe.lanes import EpisodeEnds, read_evaluation


class Coins(gymnasium.Env[np.ndarray, int]):
    """A state that is drawn; an episode ends after three steps. Every reset sets the seed, or nothing is drawn."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, seed: int | None = None, draws: bool = True) -> None:
        self.own, self.draws, self.steps = seed, draws, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed if self.own is None else self.own)
        self.steps = 0
        return self._show(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        return self._show(), 0.0, False, self.steps == 3, {}

    def _show(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 1).astype(np.float32) if self.draws else np.zeros(1, np.float32)


def run(env: VecEnv, steps: int) -> dict[str, float]:
    ends = EpisodeEnds(env)
    env.seed(3)
    env.reset()
    for step in range(steps):
        _, _, dones, _ = env.step(np.zeros(env.num_envs, int))
        for lane in np.flatnonzero(dones).tolist():
            ends.add(step, lane, True)
    return ends.measure()


@pytest.mark.parametrize(("make", "share"), [(lambda: Coins(), 0.0), (lambda: Coins(seed=0), 1.0)])
def test_resets_that_set_the_seed_are_counted(make: Callable[[], Coins], share: float) -> None:
    env = VecNormalize(DummyVecEnv([make] * 2))
    assert run(env, 12)[STARTS_RESEEDED] == share


def test_an_environment_that_draws_nothing_is_left_in_peace() -> None:
    assert STARTS_RESEEDED not in run(DummyVecEnv([lambda: Coins(seed=0, draws=False)]), 12)


def test_a_time_limit_truncates_at_one_length() -> None:
    found = run(DummyVecEnv([Coins]), 12)
    assert (found[ENDS_TRUNCATED], found[TRUNCATED_LENGTHS], found[TRUNCATED_EARLY]) == (1, 1, 0)


def test_lengths_of_truncated_episodes_by_hand() -> None:
    ends = EpisodeEnds(None)
    for step, truncated in ((7, True), (10, True), (15, False), (17, True), (20, True), (25, True)):
        ends.add(step, 0, truncated)
    assert ends.measure() == {ENDS_TRUNCATED: 0.8, TRUNCATED_LENGTHS: 3, TRUNCATED_EARLY: 0.75}  # 3, 2, 3, 5
    ends.add(4, 1, True)
    assert ends.measure()[TRUNCATED_LENGTHS] == 3  # when the lane's first episode began is not known


def scaled(norm_obs: bool) -> VecNormalize:
    return VecNormalize(DummyVecEnv([Coins]), norm_obs=norm_obs, norm_reward=False, training=False)


def test_evaluations_that_do_not_scale_observations_as_training_does() -> None:
    training = scaled(True)
    forgets, scales = EvalCallback(scaled(False)), EvalCallback(scaled(True))
    assert read_evaluation(EveryNTimesteps(8, CallbackList([scales])), training) == {EVALUATION_NORMALISED: True}
    assert read_evaluation(CallbackList([scales, forgets]), training) == {EVALUATION_NORMALISED: False}
    assert read_evaluation(EvalCallback(DummyVecEnv([Coins])), training) == {EVALUATION_NORMALISED: False}
    assert read_evaluation(forgets, scaled(False)) == {}
    assert read_evaluation(forgets, None) == {}
    assert read_evaluation(None, training) == {}
    draws = EvalCallback(DummyVecEnv([Coins]), deterministic=False)
    assert read_evaluation(CallbackList([forgets, draws]), None) == {EVALUATION_GREEDY: False}
    assert read_evaluation(draws, training) == {EVALUATION_GREEDY: False, EVALUATION_NORMALISED: False}
