"""Tasks whose actions and best return are public: by the ids of Gymnasium."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A known task: number of discrete actions, and the largest return that an episode can have.

    Attributes:
        actions: Number of discrete actions; None for continuous ones.
        best: Return that no episode exceeds, reached by a perfect policy; None where there is none or it is not exact.
    """

    actions: int | None
    best: float | None = None


_TASKS = {
    "CartPole-v0": Task(2, 200.0),
    "CartPole-v1": Task(2, 500.0),
    "Acrobot-v1": Task(3),
    "MountainCar-v0": Task(3),
    "LunarLander-v[0-9]": Task(4),
    "InvertedPendulum-v[0-9]": Task(None, 1000.0),
    "(MountainCar|LunarLander)Continuous-v[0-9]": Task(None),
    "Pendulum-v[0-9]": Task(None),
    "BipedalWalker(Hardcore)?-v[0-9]": Task(None),
    "(Ant|HalfCheetah|Hopper|Humanoid(Standup)?|InvertedDoublePendulum|Reacher|Pusher|Swimmer|Walker2d)-v[0-9]": Task(
        None
    ),
}
"""By a pattern of ids; Gymnasium's documentation."""


def find_task(env_id: object) -> Task | None:
    """Return the known task with the given environment id; None if the id is unknown or not a text."""
    return next((task for ids, task in _TASKS.items() if re.fullmatch(ids, str(env_id))), None)
