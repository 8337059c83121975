import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

from benchmarks import ours

pytest.importorskip("stable_baselines3", reason="it comes with the extra `bench`")
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from benchmarks import sb3

CONFIG = PPOConfig(num_iterations=4, num_envs=2, num_steps=32, minibatch_size=32, eval_every=4)


class _Tape(BaseCallback):
    """Rollouts of theirs, step by step, the orders of their samples, and the networks before the first update."""

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[list[dict[str, Any]]] = []
        self.orders: list[np.ndarray] = []
        self.before: dict[str, torch.Tensor] = {}

    def _on_training_start(self) -> None:
        self.before = {name: tensor.clone() for name, tensor in self.model.policy.state_dict().items()}

    def _on_rollout_start(self) -> None:
        self.rollouts.append([])

    def _on_step(self) -> bool:
        kept = ("obs_tensor", "actions", "rewards", "dones", "infos", "new_obs")
        # Copies: to the rewards of truncated episodes it adds the value of what would have followed.
        self.rollouts[-1].append({name: np.array(np.asarray(self.locals[name])) for name in kept})
        return True

    def record_orders(self, monkeypatch: pytest.MonkeyPatch, config: PPOConfig) -> None:
        """Keep every order that they draw, as one of our samples: theirs lie lane by lane, ours step by step."""
        draw = np.random.permutation

        def drawn(count: int) -> np.ndarray:
            order = draw(count)
            lane, step = np.divmod(order, config.num_steps)
            self.orders.append(step * config.num_envs + lane)
            return order

        monkeypatch.setattr(np.random, "permutation", drawn)


def _layers(state: dict[str, torch.Tensor]) -> list[tuple[int, int, torch.Tensor, torch.Tensor]]:
    """Their layers as ours: tower, layer, weights `[in, out]` and biases."""
    names = [
        ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2", "action_net"),
        ("mlp_extractor.value_net.0", "mlp_extractor.value_net.2", "value_net"),
    ]
    return [
        (tower, layer, state[f"{name}.weight"].T, state[f"{name}.bias"])
        for tower, layers in enumerate(names)
        for layer, name in enumerate(layers)
    ]


def _ours_of(learner: Learner, tower: int, layer: int, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Views of our weights and biases in the place of theirs; the value is the last column in use."""
    rows, columns = weights.shape
    outputs = learner.networks.distribution.num_outputs
    where = slice(outputs, outputs + 1) if (tower, layer) == (1, 2) else slice(columns)
    return learner.networks._weights[layer][tower][:rows, where], learner.networks._biases[layer][tower][0, where]


class _Replay:
    """Gives our learner what they did, in place of its rollouts and of its generator of orders."""

    def __init__(self, learner: Learner, tape: _Tape, truncation: bool) -> None:
        self.learner, self.truncation = learner, truncation
        self.rollouts, self.orders = iter(tape.rollouts), iter(tape.orders)

    def permutation(self, _: int) -> np.ndarray:
        return next(self.orders)

    def collect(self, *_: object) -> None:
        """Fill the rollout; without truncation every end counts as a termination."""
        rollout = self.learner.rollout
        rollout._finals = [[]]
        for t, step in enumerate(next(self.rollouts)):
            rollout.raw_observations[0, t] = torch.from_numpy(step["obs_tensor"])
            rollout.raw_observations[0, t + 1] = torch.from_numpy(step["new_obs"])
            rollout.actions[0, t] = torch.from_numpy(step["actions"])
            rollout.rewards[0, t] = torch.from_numpy(step["rewards"])
            truncated = np.array([info["TimeLimit.truncated"] and self.truncation for info in step["infos"]])
            nothing = np.zeros_like(step["new_obs"][0])
            finals = np.stack([info.get("terminal_observation", nothing) for info in step["infos"]])
            rollout._end_episodes(t, step["dones"] & ~truncated, truncated, finals)


def _differences(env: str, monkeypatch: pytest.MonkeyPatch, truncation: bool = True) -> tuple[float, float]:
    """Train both on rollouts of theirs; returns how far the networks are apart at last, and the least a layer moved."""
    config = PPOConfig(
        num_iterations=4,
        num_envs=2,
        num_steps=64,
        minibatch_size=32,
        num_epochs=3,
        lr=1e-3,
        lr_schedule="linear",
        clip_range=0.05,
        clip_range_schedule="linear",
        eval_every=4,
    )
    theirs = PPO("MlpPolicy", sb3.lanes(env, 2, max_episode_steps=15), seed=0, device="cpu", **sb3.arguments(config))
    tape = _Tape()
    tape.record_orders(monkeypatch, config)
    theirs.learn(4 * config.batch_size, callback=tape)
    learner = make_learner(config, EnvConfig(id=env, eval_episodes=1), make_member_seeds(0, 1), make_evaluation_seed(0))
    for tower, layer, weights, biases in _layers(tape.before):
        our_weights, our_biases = _ours_of(learner, tower, layer, weights)
        our_weights.copy_(weights)
        our_biases[: len(biases)] = biases
    replay = _Replay(learner, tape, truncation)
    learner.shuffle_generators = [replay]
    monkeypatch.setattr(learner.rollout, "collect", replay.collect)
    for _ in range(4):
        learner.iterate()

    after, difference, moved = theirs.policy.state_dict(), 0.0, float("inf")
    for (tower, layer, weights, biases), (_, _, before, _) in zip(_layers(after), _layers(tape.before), strict=True):
        our_weights, our_biases = _ours_of(learner, tower, layer, weights)
        apart = (our_weights - weights).abs().max(), (our_biases[: len(biases)] - biases).abs().max()
        difference = max(difference, *map(float, apart))
        moved = min(moved, float((weights - before).abs().max()))
    if "log_std" in after:
        difference = max(difference, float((learner.networks._biases[-1][0, 0, 1] - after["log_std"]).abs().max()))
    return difference, moved


@pytest.mark.slow  # its first optimiser step imports for seconds
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_both_sides_learn_the_same_from_the_same_rollouts(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same networks; episodes of 15 steps end by truncation, and in CartPole by termination too."""
    difference, moved = _differences(env, monkeypatch)
    assert moved > 1e-3
    assert difference < 1e-5


@pytest.mark.slow
def test_truncation_taken_for_termination_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    difference, _ = _differences("Pendulum-v1", monkeypatch, truncation=False)
    assert difference > 1e-3


@pytest.mark.slow
def test_both_sides_record_all_training_episodes_of_every_rollout() -> None:
    seeds = make_member_seeds(0, 2)
    theirs = sb3.train("CartPole-v1", CONFIG, seeds[0])
    (first, _), greedy = ours.train("CartPole-v1", CONFIG, seeds)
    for returns in (theirs, first):
        assert len(returns) == 4
        # A step of CartPole is worth 1, so returns are lengths: all steps but those of the two episodes under way.
        unfinished = 4 * 64 - sum(map(sum, returns))
        assert 0 <= unfinished < 128
        assert sum(map(len, returns)) > 4
    assert len(greedy) == 2


@pytest.mark.parametrize("kind", ["constant", "linear"])
def test_both_sides_follow_the_same_schedule(kind: str) -> None:
    config = dataclasses.replace(CONFIG, lr_schedule=kind, clip_range_schedule=kind)
    learner = make_learner(config, EnvConfig(id="CartPole-v1"), make_member_seeds(0, 1), make_evaluation_seed(0))
    asked = sb3.arguments(config)
    for iteration in range(4):
        left = 1 - (iteration + 1) / 4  # its _current_progress_remaining
        np.testing.assert_allclose(learner.read_effective()["lr"], asked["learning_rate"](left), rtol=1e-6)
        np.testing.assert_allclose(learner.read_effective()["clip_range"], asked["clip_range"](left), rtol=1e-6)
        learner.iterate()


def test_what_it_does_in_another_way_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ppo\.clip_range_vf must be None for a comparison.*got 0\.2"):
        sb3.settings(dataclasses.replace(CONFIG, clip_range_vf=0.2))
