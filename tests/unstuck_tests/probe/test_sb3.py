"""The callback of Stable-Baselines3: it measures what our learner measures, says it in their words, changes nothing."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
import torch
from unstuck.analysis.history.forms.saved_model import read_model
from unstuck.analysis.history.record import (
    COLUMNS_CONSTANT,
    EPISODE_LENGTH,
    EVAL_LENGTH,
    PARAMETER_NORM,
    PARAMETERS_UNMOVED,
    POLICY_STD,
)
from unstuck.rl import metrics
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

import unstuck

pytest.importorskip("stable_baselines3", reason="it comes with the extra `sb3`")
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from benchmarks import sb3
from tests.benchmarks_tests.test_sb3 import _layers, _ours_of, _Replay, _Tape

pytestmark = pytest.mark.timeout(60)

SMALL: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 2, "seed": 0, "device": "cpu"}


class Switches(gymnasium.Env[np.ndarray, np.ndarray]):
    """Two choices in an action: the first pays where the first column is above 0. Time runs out after 10 steps."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    action_space = gymnasium.spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.steps, self.shown = 0, self._draw()
        return self.shown, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward = float(action[0] == (self.shown[0] > 0))
        self.steps, self.shown = self.steps + 1, self._draw()
        return self.shown, reward, False, self.steps == 10, {}

    def _draw(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_it_measures_what_our_learner_measures(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same networks, rollouts and orders; episodes end after 15 steps, CartPole's before if the pole falls."""
    config = PPOConfig(
        num_iterations=3, num_envs=2, num_steps=96, minibatch_size=64, num_epochs=2, lr=1e-3, clip_range=0.05,
        eval_every=1,
    )  # fmt: skip
    theirs = PPO("MlpPolicy", sb3.lanes(env, 2, max_episode_steps=15), seed=0, device="cpu", **sb3.arguments(config))
    tape, found = _Tape(), list[dict[str, float]]()
    tape.record_orders(monkeypatch, config)
    probe = unstuck.SB3Probe(every=1, on_iteration=lambda measured: found.append(dict(measured)))
    theirs.learn(3 * config.batch_size, callback=[tape, probe])
    learner = make_learner(config, EnvConfig(id=env, eval_episodes=1), make_member_seeds(0, 1), make_evaluation_seed(0))
    for tower, layer, weights, biases in _layers(tape.before):
        our_weights, our_biases = _ours_of(learner, tower, layer, weights)
        our_weights.copy_(weights)
        our_biases[: len(biases)] = biases
    replay = _Replay(learner, tape, True)
    learner.shuffle_generators = [replay]
    monkeypatch.setattr(learner.rollout, "collect", replay.collect)
    compared = {*metrics.TRAIN, *metrics.CRITIC, *metrics.NETWORKS} - {metrics.TRAIN_RETURN}  # the replay has none
    for number, measured in enumerate(found):
        ours = {name: float(value[0]) for name, value in learner.iterate().items()}
        compared |= {name for name in ours if name.startswith(metrics.ACTION_PREFIX)}
        own = set(metrics.DYNAMICS) & ours.keys() & measured.keys() if number == 0 else set()
        assert number or {metrics.NEXT_BY_PAST, metrics.ACTION_SHOWN} <= own
        for name in compared | own:
            wide = name == metrics.UPDATE_NORM  # ours is a share of parameters of which some are never used
            assert measured[name] == pytest.approx(ours[name], rel=5e-3 if wide else 1e-4, abs=1e-6), name
    assert metrics.VALUE_FLOOR in compared
    assert len(found) == 3


def trained(probe: unstuck.SB3Probe | None) -> tuple[list[torch.Tensor], torch.Tensor]:
    model = PPO("MlpPolicy", "CartPole-v1", **SMALL)
    model.learn(256, callback=probe)
    assert "evaluate_actions" not in vars(model.policy)
    assert "get" not in vars(model.rollout_buffer)
    return list(model.policy.state_dict().values()), torch.get_rng_state()


def test_training_is_bit_for_bit_the_same() -> None:
    bare, probed = trained(None), trained(unstuck.SB3Probe(every=1))
    assert all(torch.equal(one, other) for one, other in zip(bare[0], probed[0], strict=True))
    assert torch.equal(bare[1], probed[1])


def make_env(monitored: bool, make: Callable[[], gymnasium.Env]) -> VecNormalize:
    return VecNormalize(DummyVecEnv([lambda: Monitor(make()) if monitored else make()] * 2))


@pytest.mark.parametrize("monitored", [True, False])
def test_normalised_environments_give_raw_returns_and_their_settings(tmp_path: Path, monitored: bool) -> None:
    env = make_env(monitored, lambda: gymnasium.make("Pendulum-v1", max_episode_steps=32))
    probe = unstuck.SB3Probe(tmp_path, settings={"ppo.hidden_sizes": [64, 64]})
    PPO("MlpPolicy", env, **SMALL).learn(256, callback=probe)
    assert probe.last[metrics.TRAIN_RETURN] < -50  # a step of Pendulum costs up to 16, a normalised one a few at most
    assert (EPISODE_LENGTH in probe.last) is monitored
    assert probe.last[POLICY_STD] == pytest.approx(1.0, abs=0.1)
    assert probe.last[metrics.RATIO_DEVIATION] < 1e-5
    settings = json.loads((tmp_path / "probe.json").read_text())
    expected = {
        "probe.program": "sb3", "env.id": "Pendulum-v1", "ppo.normalize_returns": "running",
        "ppo.normalize_observations": True, "ppo.lr": 3e-4, "ppo.lr_schedule": "constant", "ppo.num_iterations": 2,
        "ppo.hidden_sizes": [64, 64], "ppo.minibatch_size": 32, "ppo.value_coef": 0.5, "ppo.shared_trunk": False,
    }  # fmt: skip
    assert {name: settings[name] for name in expected} == expected


def test_actions_of_several_choices_are_logged_and_a_second_learn_goes_on(tmp_path: Path) -> None:
    probe = unstuck.SB3Probe(tmp_path)
    model = PPO("MlpPolicy", DummyVecEnv([Switches]), **SMALL)
    model.learn(128, callback=probe)
    model.learn(64, callback=probe, reset_num_timesteps=False)
    assert probe.last[metrics.action_metric("1.0")] + probe.last[metrics.action_metric("1.1")] < 1
    model.save(tmp_path / "model.zip")
    again = unstuck.SB3Probe(tmp_path)  # as after a restart of the script, from a checkpoint
    model.learn(64, callback=again, reset_num_timesteps=False)
    run = unstuck.load_run(tmp_path)
    assert run.last_iteration == 4
    assert run.table["env_steps"].tolist() == [64, 128, 192, 256]
    assert 3 < probe.last[metrics.TRAIN_RETURN] < 9  # of 10 steps; no Monitor, so the rewards were summed
    saved = read_model(tmp_path / "model.zip")
    assert saved.steps == 192
    told = {path: value for path, value in saved.settings.items() if path in run.settings}
    assert told == {path: run.settings[path] for path in told}
    assert {"ppo.gamma", "ppo.lr", "ppo.hidden_sizes", "ppo.optimizer", "ppo.num_steps", "ppo.num_envs"} <= told.keys()
    assert 0.3 < saved.ended[metrics.INPUT_RMS_MAX] < 1.2  # 0.58: drawn evenly from -1 to 1
    assert (saved.ended[COLUMNS_CONSTANT], saved.ended[PARAMETERS_UNMOVED]) == (0.0, 0.0)
    assert saved.ended[PARAMETER_NORM] == pytest.approx(saved.started[PARAMETER_NORM], rel=0.02)


class Bits(Switches):
    """As `Switches`, but for an action of two bits."""

    action_space = gymnasium.spaces.MultiBinary(2)


def test_bits_are_actions_as_well() -> None:
    probe = unstuck.SB3Probe(every=1)
    PPO("MlpPolicy", DummyVecEnv([Bits]), **SMALL).learn(128, callback=probe)
    assert probe.last[metrics.RATIO_DEVIATION] < 1e-5
    assert probe.last[metrics.ENTROPY] == pytest.approx(2 * np.log(2), abs=0.05)


@pytest.mark.parametrize("first", [True, False])
def test_evaluations_of_a_callback_are_logged_in_their_iterations(tmp_path: Path, first: bool) -> None:
    """64 steps an iteration, an evaluation every 96 steps: at 96, 192 and 288, so in the iterations 2, 3 and 5."""
    evaluates = EvalCallback(
        Monitor(gymnasium.make("CartPole-v1")), eval_freq=96, log_path=str(tmp_path), verbose=0, n_eval_episodes=2
    )
    probe = unstuck.SB3Probe(tmp_path / "run")
    model = PPO("MlpPolicy", "CartPole-v1", **SMALL)
    model.learn(320, callback=[evaluates, probe] if first else [probe, evaluates])
    with np.load(tmp_path / "evaluations.npz") as found:
        expected = found["results"].mean(axis=1).tolist()
    run = unstuck.load_run(tmp_path / "run")
    assert len(expected) == 3
    assert run.curve(metrics.EVAL_RETURN).to_dict() == pytest.approx(dict(zip((2, 3, 5), expected, strict=True)))
    with np.load(tmp_path / "evaluations.npz") as found:
        assert run.curve(EVAL_LENGTH).tolist() == pytest.approx(found["ep_lengths"].mean(axis=1).tolist())
    assert run.curve(metrics.VALUE_LOSS).index.tolist() == [1, 2, 3, 4, 5]
    assert model.logger.output_formats == []


def test_a_linear_schedule_is_recorded_and_followed() -> None:
    rates: list[float] = []
    probe = unstuck.SB3Probe(on_iteration=lambda found: rates.append(found[metrics.LR]))
    model = PPO("MlpPolicy", "CartPole-v1", learning_rate=lambda left: 0.01 * left, **SMALL)
    model.learn(128, callback=probe)
    assert rates == pytest.approx([0.005, 0.0])
    assert probe.probe is not None
    assert (probe.probe.settings["ppo.lr"], probe.probe.settings["ppo.lr_schedule"]) == (0.01, "linear")


def test_an_update_that_ends_before_its_step_is_followed_by_another() -> None:
    """`target_kl` ends the update between the evaluation of the second minibatch, whose gradient is wanted, and it."""
    callback = unstuck.SB3Probe(every=1)
    model = PPO("MlpPolicy", "CartPole-v1", target_kl=1e-9, **{**SMALL, "batch_size": 64})
    model.learn(3 * 64, callback=callback)
    assert callback.probe is not None
    assert (callback.probe.iteration, model._n_updates) == (3, 6)
    assert callback.last[metrics.GRAD_NORM_POLICY] > 0
    assert all(not one._backward_hooks for one in model.policy.parameters())


class PaddedSamples(NamedTuple):
    """Samples of sb3-contrib's recurrent buffer: sequences are filled up with rows where `mask` is 0."""

    observations: torch.Tensor
    actions: torch.Tensor
    old_values: torch.Tensor
    old_log_prob: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    mask: torch.Tensor


class PaddedBuffer(RolloutBuffer):
    """A buffer that adds as many rows as there are, which were never sampled."""

    def get(self, batch_size: int | None = None) -> Iterator[PaddedSamples]:  # type: ignore[override]
        for samples in super().get(batch_size):
            known = torch.ones_like(samples.old_log_prob)
            filled = samples._replace(old_log_prob=known * 5)
            rows = (torch.cat([one, other]) for one, other in zip(samples[:6], filled[:6], strict=True))
            yield PaddedSamples(*rows, mask=torch.cat([known, 0 * known]))


def test_rows_that_fill_sequences_up_are_no_ratios() -> None:
    callback = unstuck.SB3Probe(every=1_000)
    model = PPO("MlpPolicy", "CartPole-v1", rollout_buffer_class=PaddedBuffer, **SMALL)
    model.learn(2 * 64, callback=callback)
    assert callback.last[metrics.RATIO_DEVIATION] < 1e-5  # 0.99 with the rows that were never sampled


def test_a_policy_that_needs_more_than_observations_is_not_asked_and_that_is_said() -> None:
    class Masked(ActorCriticPolicy):
        def evaluate_actions(self, obs: Any, actions: Any, action_masks: Any = None) -> Any:
            return super().evaluate_actions(obs, actions)

    callback = unstuck.SB3Probe(every=1)
    with pytest.warns(UserWarning, match="evaluate_actions takes action_masks beside observations and actions"):
        PPO(Masked, "CartPole-v1", **SMALL).learn(64, callback=callback)
    assert metrics.GRAD_NORM_POLICY not in callback.last
    assert callback.last[metrics.RATIO_DEVIATION] < 1e-5


def test_another_learner_than_ppo_is_refused() -> None:
    with pytest.raises(TypeError, match=r"SB3Probe must be given to a PPO, got A2C"):
        A2C("MlpPolicy", "CartPole-v1", device="cpu").learn(10, callback=unstuck.SB3Probe())


def test_without_stable_baselines3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "unstuck.probe.sb3")
    monkeypatch.setitem(sys.modules, "stable_baselines3.common.callbacks", None)
    with pytest.raises(ImportError, match=r"unstuck.SB3Probe needs Stable-Baselines3, .* pip install 'unstuck\[sb3\]'"):
        _ = unstuck.SB3Probe


def test_a_diagnosis_speaks_their_words_of_settings_and_ours_of_metrics(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", "CartPole-v1", **{**SMALL, "learning_rate": 1e-9})
    model.learn(64 * 8, callback=unstuck.SB3Probe(tmp_path / "run"))
    run = unstuck.load_run(tmp_path / "run")
    assert (run.dialect, run.program) == ("unstuck", "sb3")
    assert run.read_as.startswith("Read as the log of unstuck.Probe in Stable-Baselines3: 8 iterations")
    found = unstuck.diagnose(run)
    frozen = next(one.finding for one in found.findings if one.rule.name in ("updates_too_small", "policy_frozen"))
    text = str(dataclasses.asdict(frozen))
    assert "learning_rate" in text or "n_epochs" in text
    assert "num_epochs" not in text
    assert "branch " not in text
