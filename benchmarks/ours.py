"""Our PPO on one environment, all seeds at once, its training episodes recorded rollout by rollout."""

from collections.abc import Sequence

from numpy.random import SeedSequence
from unstuck.rl import metrics
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed

from benchmarks.curves import Returns


def train(
    env: str, config: PPOConfig, seeds: Sequence[SeedSequence], eval_episodes: int = 1
) -> tuple[list[Returns], list[float]]:
    """Train our PPO with one member for each seed; return the returns of training episodes and of greedy episodes.

    A member's numbers do not depend on who trains beside it.

    Returns:
        Each seed's training episodes, and the mean return of its greedy ones after the last iteration.
    """
    where = EnvConfig(id=env, eval_episodes=eval_episodes)
    learner = make_learner(config, where, seeds, make_evaluation_seed(0))
    runs: list[Returns] = [[] for _ in seeds]
    for _ in range(config.num_iterations):
        measured = learner.iterate()
        for run, ended in zip(runs, learner.rollout.episode_returns, strict=True):
            run.append(ended)
    return runs, measured[metrics.EVAL_RETURN].tolist()
