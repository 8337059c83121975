import dataclasses

import numpy as np
import pytest

from benchmarks import ours
from benchmarks.curves import Returns
from rl.config import PPOConfig
from rl.errors import ConfigError
from rl.seeding import evaluation_seed, member_seeds
from rl.training import make_learner

pytest.importorskip("stable_baselines3", reason="it comes with the extra `bench`")
from benchmarks import sb3

CONFIG = PPOConfig(num_iterations=10, num_envs=2, num_steps=32, minibatch_size=32, eval_every=10)


def _episodes(returns: Returns) -> int:
    return sum(map(len, returns))


@pytest.mark.slow  # its first optimiser step imports for seconds
@pytest.mark.timeout(60)
def test_both_sides_record_all_training_episodes_of_every_rollout() -> None:
    seeds = member_seeds(0, 2)
    config = dataclasses.replace(CONFIG, num_iterations=4, eval_every=4)
    theirs = sb3.train("CartPole-v1", config, seeds[0])
    (first, _), greedy = ours.train("CartPole-v1", config, seeds)
    for returns in (theirs, first):
        assert len(returns) == 4
        # A step of CartPole is worth 1, so returns are lengths: all steps but those of the two episodes under way.
        unfinished = 4 * 64 - sum(map(sum, returns))
        assert 0 <= unfinished < 128
        assert _episodes(returns) > 4
    assert len(greedy) == 2


@pytest.mark.parametrize("kind", ["constant", "linear"])
def test_both_sides_follow_the_same_schedule(kind: str) -> None:
    config = dataclasses.replace(CONFIG, lr_schedule=kind, clip_range_schedule=kind)
    learner = make_learner(config, ours.EnvConfig(id="CartPole-v1"), member_seeds(0, 1), evaluation_seed(0))
    schedule = sb3._schedule(config.lr, kind, config.num_iterations)
    for iteration in range(10):
        left = 1 - (iteration + 1) * config.batch_size / (10 * config.batch_size)  # its _current_progress_remaining
        np.testing.assert_allclose(learner.effective()["lr"], schedule(left), rtol=1e-6)
        learner.iterate()


def test_what_it_does_in_another_way_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ppo\.clip_range_vf must be None for a comparison.*got 0\.2"):
        sb3.settings(dataclasses.replace(CONFIG, clip_range_vf=0.2))
