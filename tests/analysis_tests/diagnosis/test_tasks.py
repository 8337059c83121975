"""Tasks whose actions and best return are public."""

import gymnasium
import pytest
from unstuck.analysis.diagnosis.tasks import Task, find_task


@pytest.mark.parametrize(
    ("env_id", "task"),
    [
        ("CartPole-v1", Task(2, 500.0)),
        ("LunarLander-v3", Task(4)),
        ("LunarLanderContinuous-v3", Task(None)),
        ("HalfCheetah-v5", Task(None)),
        ("InvertedPendulum-v4", Task(None, 1000.0)),
        ("My-CartPole-v1", None),
        ("CartPole-v12", None),
        (None, None),
        (["CartPole-v1"], None),
    ],
)
def test_a_task_is_known_by_its_whole_id(env_id: object, task: Task | None) -> None:
    assert find_task(env_id) == task


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"]
)
def test_what_is_said_of_a_task_is_so(env_id: str) -> None:
    task, env = find_task(env_id), gymnasium.make(env_id)
    assert task is not None
    discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    assert task.actions == (int(env.action_space.n) if discrete else None)  # type: ignore[attr-defined]
    assert task.best in (None, gymnasium.spec(env_id).max_episode_steps)
