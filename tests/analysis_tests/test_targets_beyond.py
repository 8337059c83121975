"""Correct runs of our learner, in environments where its targets exceed what episodes return: no bug may be claimed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from unstuck.rl import metrics
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

ITERATIONS = 30


class Corridor(gym.Env[Any, int]):
    """Seven steps to the right, each costs 0.1, the last one pays 1: 0.4 in all, and more from anywhere further on."""

    observation_space = gym.spaces.Box(0, 1, (8,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self._place = 0
        return np.eye(8, dtype=np.float32)[0], {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._place = max(0, self._place + (1 if action == 1 else -1))
        at_goal = self._place == 7
        return np.eye(8, dtype=np.float32)[self._place], 1.0 if at_goal else -0.1, at_goal, False, {}


class CutOff(gym.Env[Any, int]):
    """Shows a side; each step on it pays 1; cut off after 20 steps, of the 100 that gamma 0.99 looks ahead."""

    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, **_: Any) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._show(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        paid, self._steps = float(action == self._side), self._steps + 1
        return self._show(), paid, False, self._steps == 20, {}

    def _show(self) -> Any:
        self._side = int(self.np_random.integers(2))
        return np.eye(2, dtype=np.float32)[self._side]


@pytest.fixture(autouse=True)
def worlds() -> Iterator[None]:
    gym.register("Corridor-v0", Corridor, max_episode_steps=200)  # type: ignore[arg-type]
    gym.register("CutOff-v0", CutOff)  # type: ignore[arg-type]
    yield
    for name in ("Corridor-v0", "CutOff-v0"):
        del gym.registry[name]


def train(env: str, **ppo: Any) -> pd.DataFrame:
    """What our learner logs there, by iteration."""
    small = {"num_envs": 4, "num_steps": 64, "minibatch_size": 128, "hidden_sizes": (32,)}
    config = PPOConfig(**{**small, "eval_every": 10, "lr": 0.01, **ppo})
    learner = make_learner(config, EnvConfig(id=env, eval_episodes=2), make_member_seeds(0, 3), make_evaluation_seed(0))
    rows: list[Mapping[str, float]] = [
        {name: float(np.mean(values)) for name, values in learner.iterate().items()} for _ in range(ITERATIONS)
    ]
    return pd.DataFrame(rows, index=pd.Index(range(1, ITERATIONS + 1), name="iteration"))


@pytest.mark.parametrize(
    ("env", "ppo", "is_beyond"),
    [
        ("FrozenLake-v1", {"gamma": 0.99, "normalize_returns": "running"}, None),  # by chance, early and late
        ("FrozenLake-v1", {"gamma": 0.95, "lr": 0.003, "normalize_returns": "running"}, None),
        ("Corridor-v0", {"gamma": 0.99}, True),
        ("CutOff-v0", {"gamma": 0.99, "normalize_returns": "running"}, True),
        ("CutOff-v0", {"gamma": 0.9}, False),
    ],
)
def test_a_correct_run_is_no_bug(
    env: str, ppo: dict[str, Any], is_beyond: bool | None, command: Any, tmp_path: Path
) -> None:
    table = train(env, **ppo)
    named = []
    for last in range(10, ITERATIONS + 1, 5):
        table.loc[:last].to_csv(tmp_path / "log.csv")
        settings = [f"env.id={env}", f"ppo.gamma={ppo['gamma']}", "ppo.num_iterations=30"]
        done = command.analysis("diagnose", "log.csv", *(word for setting in settings for word in ("--set", setting)))
        assert done.code == 0, done.err
        assert "A bug, not a setting" not in done.out, f"at iteration {last}"
        named.append("Targets exceed what episodes return" in done.out)
    late = table.iloc[-5:]
    if is_beyond is not None:
        assert (late[metrics.TARGET_MEAN] > 1.25 * late[metrics.TRAIN_RETURN]).all() == is_beyond  # as it is said of
        assert not named[-1]  # targets or not: the returns say that the run has learned
