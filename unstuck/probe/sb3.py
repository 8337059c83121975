"""The probe as a callback of Stable-Baselines3's PPO: one argument of `learn`, with any policy and vector environment.

Needs the extra `sb3`.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete
from torch import Tensor

from unstuck.analysis.history.record import POLICY_STD
from unstuck.probe.loop import Probe
from unstuck.probe.measuring import Evaluate
from unstuck.probe.options import list_other_arguments, warn_not_asked
from unstuck.probe.wrapper_watch import WrapperWatch
from unstuck.rl import metrics

try:
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import KVWriter
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
    from stable_baselines3.common.vec_env import VecEnv, VecNormalize

    from unstuck.probe.lanes import EpisodeEnds, list_environments, read_evaluation
    from unstuck.probe.sb3_settings import read_settings
    from unstuck.probe.sb3_tap import UpdateTap
except ImportError as error:
    raise ImportError(
        "unstuck.SB3Probe needs Stable-Baselines3, which is not installed; pip install 'unstuck[sb3]'"
    ) from error

_LOGGED = {
    "train/policy_gradient_loss": (metrics.POLICY_LOSS, 1.0),
    "train/value_loss": (metrics.VALUE_LOSS, 1.0),
    "train/entropy_loss": (metrics.ENTROPY, -1.0),
    "train/clip_fraction": (metrics.CLIP_FRACTION, 1.0),
    "train/std": (POLICY_STD, 1.0),
}
"""What `PPO.train` logs as means over all minibatches, with our name and the factor to our sign. Its KL is the last
epoch's alone, so the probe measures the KL."""

_EVALUATED, _EVALUATED_LENGTH = "eval/mean_reward", "eval/mean_ep_length"
"""What `EvalCallback` logs, and dumps at once: mean return and length of its episodes."""


class SB3Probe(BaseCallback):
    """Callback for Stable-Baselines3's PPO that logs metrics for the diagnosis.

    Args:
        folder: Folder of the run, which `unstuck diagnose FOLDER` reads; None to log nothing.
        settings: Settings that the model does not know, by its names or by our paths.
        every: Iterations from one look at networks and critic to the next; None: some 6,144 samples, later 12,288.
        on_iteration: Called with the metrics of each iteration.

    Attributes:
        probe: The probe; None before training starts.
        last: Metrics of the last iteration that ended, by name.

    Example:
        >>> from stable_baselines3 import PPO
        >>> callback = SB3Probe()
        >>> _ = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, device="cpu").learn(64, callback=callback)
        >>> callback.probe.iteration, callback.last["train/ratio_deviation"] < 1e-5
        (2, True)
    """

    NOT_SAVED: ClassVar = ("_tap",)
    """Attributes that are no part of a saved state: links to the model."""

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        every: int | None = None,
        on_iteration: Callable[[Mapping[str, float]], None] | None = None,
    ) -> None:
        super().__init__()
        self.probe: Probe | None = None
        self.last: dict[str, float] = {}
        self._folder = Path(folder) if folder is not None else None
        self._settings, self._every, self._on_iteration = dict(settings or {}), every, on_iteration
        self._episodes: _Episodes | None = None
        self._ends: EpisodeEnds | None = None
        self._watch: WrapperWatch | None = None
        self._tap: UpdateTap | None = None
        self._raw: _RawObservations | None = None
        self._evaluations = _Evaluations()
        self._updates = False  # true between a rollout and the end of its update

    def _on_training_start(self) -> None:
        model = self._on_policy_model()
        samples = model.n_steps * model.n_envs
        if self.probe is None:
            done = self.num_timesteps // samples
            planned = {"ppo.num_iterations": -(-self.locals["total_timesteps"] // samples)}
            judged = read_evaluation(self.locals.get("callback"), model.get_vec_normalize_env())
            self.probe = Probe(
                self._folder,
                model.policy,
                {**read_settings(model), **judged, **planned, **self._settings},
                program="sb3",
                optimizer=model.policy.optimizer,
                evaluate=_make_evaluate(model),
                actions=model.action_space,
                every=self._every,
                iterations_done=done or None,
            )
        if self._episodes is None:
            self._episodes = _Episodes(model.get_env(), model.get_vec_normalize_env())
        if self._ends is None or self.num_timesteps == 0:
            self._ends = EpisodeEnds(model.get_env())
        if self._watch is None:
            self._watch = WrapperWatch(list_environments(model.get_env()))
        normaliser = model.get_vec_normalize_env()
        self._raw = _RawObservations(normaliser) if normaliser is not None and normaliser.norm_obs else None
        self._tap = UpdateTap(model, self.probe)
        if self._evaluations not in self.logger.output_formats:  # a training that was broken off may have left them
            self.logger.output_formats.append(self._evaluations)

    def _on_rollout_start(self) -> None:
        self.end_iteration()
        model = self._on_policy_model()
        if self._tap is not None and self.probe is not None and not self._tap.is_of(model):
            self._tap.remove()
            self._tap = UpdateTap(model, self.probe)
        if self._episodes is not None:
            self._episodes.start()
        if self._raw is not None:
            self._raw.start()

    def _on_step(self) -> bool:
        if self._raw is not None:
            self._raw.add()
        ended = True in self.locals["dones"].tolist()
        if self._episodes is not None and (self._episodes.sums or ended):
            self._episodes.add(self._on_policy_model().rollout_buffer.pos, self.locals)
        if self._ends is not None and ended:
            step = self.num_timesteps // len(self.locals["dones"])
            for lane in np.flatnonzero(self.locals["dones"]).tolist():
                self._ends.add(step, lane, bool(self.locals["infos"][lane].get("TimeLimit.truncated", False)))
        return True

    def _on_rollout_end(self) -> None:
        model, (probe, episodes) = self._on_policy_model(), self._started()
        buffer = model.rollout_buffer
        probe.rollout(
            obs=buffer.observations,
            raw_obs=self._raw.read(buffer.observations) if self._raw is not None else None,
            actions=buffer.actions.squeeze(-1) if isinstance(model.action_space, Discrete) else buffer.actions,
            logprobs=buffer.log_probs,
            rewards=episodes.raw_rewards(buffer.rewards),
            dones=buffer.episode_starts,
            next_done=self.locals["dones"],
            values=buffer.values,
            advantages=buffer.advantages,
            returns=buffer.returns,
        )
        self._updates = True

    def _on_training_end(self) -> None:
        self.end_iteration()
        if self._watch is not None:
            self._watch.stop()
        if self._tap is not None:
            self._tap.remove()
            self._tap = None
            if self._evaluations in self.logger.output_formats:
                self.logger.output_formats.remove(self._evaluations)

    def end_iteration(self) -> None:
        """Finish the iteration whose update is done: write its metrics, also those in Stable-Baselines3's logger."""
        if not self._updates:
            return
        self._updates = False
        if self._tap is not None:
            self._tap.forget()
        (probe, episodes), logged = self._started(), self.logger.name_to_value
        found = {ours: sign * float(logged[name]) for name, (ours, sign) in _LOGGED.items() if name in logged}
        found |= self._ends.measure() if self._ends is not None else {}
        found |= self._watch.measure() if self._watch is not None else {}
        self.last = probe.end_iteration(
            env_steps=self.num_timesteps,
            episode_returns=episodes.returns,
            episode_lengths=episodes.lengths,
            eval_return=logged.get(_EVALUATED, self._evaluations.last.get(_EVALUATED)),
            eval_length=logged.get(_EVALUATED_LENGTH, self._evaluations.last.get(_EVALUATED_LENGTH)),
            measured=found,
        )
        self._evaluations.last = {}
        if self._on_iteration:
            self._on_iteration(self.last)

    def _started(self) -> "tuple[Probe, _Episodes]":
        if self.probe is None or self._episodes is None:
            raise ValueError("SB3Probe must be given to learn, as callback=SB3Probe(...), got called without training")
        return self.probe, self._episodes

    def _on_policy_model(self) -> OnPolicyAlgorithm:
        if not isinstance(self.model, OnPolicyAlgorithm) or not hasattr(self.model, "n_epochs"):
            raise TypeError(f"SB3Probe must be given to a PPO, got {type(self.model).__name__}; leave it out elsewhere")
        return self.model


class _Evaluations(KVWriter):
    """Logger output that keeps the last evaluation, since `EvalCallback` empties the logger at once.

    Attributes:
        last: Mean return and length of the last evaluation; empty if there was none since the last iteration ended.
    """

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Store an evaluation, if the logged values hold one."""
        if _EVALUATED in key_values:
            names = (_EVALUATED, _EVALUATED_LENGTH)
            self.last = {name: float(key_values[name]) for name in names if name in key_values}

    def close(self) -> None:
        """Do nothing: there is no file to close."""


class _Episodes:
    """Episodes that ended in a rollout, and rewards that Stable-Baselines3 changed because a time limit ended them.

    Attributes:
        returns: Undiscounted returns of raw rewards; None where nothing but the rollout's rewards tells them.
        lengths: Steps of the episodes, where a Monitor counts them.
        cut: Rewards as the environment gave them where time ran out, by step and lane.
    """

    NOT_SAVED: ClassVar = ("_normaliser",)

    def __init__(self, env: VecEnv | None, normaliser: VecNormalize | None) -> None:
        self._monitored = env is not None and all(env.env_is_wrapped(Monitor))
        self._normaliser = None if self._monitored else normaliser
        self._running: npt.NDArray[np.float64] = np.zeros(env.num_envs if env is not None else 0)
        self.start()

    @property
    def sums(self) -> bool:
        """True if `add` needs every step, to sum raw rewards; False if only steps that end an episode."""
        return self._normaliser is not None

    def start(self) -> None:
        """Start recording a new rollout; unfinished episodes continue."""
        self.returns: list[float] | None = [] if self._monitored or self._normaliser else None
        self.lengths: list[float] = []
        self.cut: list[tuple[int, int, float]] = []

    def add(self, number: int, step: Mapping[str, Any]) -> None:
        """Add one step of a rollout: its number, and the local variables of Stable-Baselines3's loop."""
        if self._normaliser is not None:
            self._running += self._normaliser.get_original_reward()
        for lane in np.flatnonzero(step["dones"]):
            info = step["infos"][lane]
            if info.get("TimeLimit.truncated", False):
                self.cut.append((number, int(lane), float(step["rewards"][lane])))
            if self.returns is not None and "episode" in info:
                self.returns.append(float(info["episode"]["r"]))
                self.lengths.append(float(info["episode"]["l"]))
            elif self.returns is not None:
                self.returns.append(float(self._running[lane]))
            self._running[lane] = 0.0

    def raw_rewards(self, rewards: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return a buffer's rewards without the values that Stable-Baselines3 added at time limits."""
        raw = rewards.copy()
        for step, lane, reward in self.cut:
            raw[step, lane] = reward
        return raw


class _RawObservations:
    """Recorder of a rollout's observations before `VecNormalize` scales them."""

    NOT_SAVED: ClassVar = ("_normaliser",)

    def __init__(self, normaliser: VecNormalize) -> None:
        self._normaliser = normaliser
        self._seen: list[Any] = []

    def start(self) -> None:
        """Start recording a rollout, with the raw observation before its first action."""
        self._seen = [self._normaliser.get_original_obs()]

    def add(self) -> None:
        """Record the raw observation after one step of a rollout."""
        self._seen.append(self._normaliser.get_original_obs())

    def read(self, scaled: Any) -> npt.NDArray[np.float32] | None:
        """Return the rollout's raw observations in the scaled ones' shape; None if the shapes do not match."""
        if isinstance(scaled, dict) or any(isinstance(one, dict) for one in self._seen[:1]):
            return None
        raw = np.stack(self._seen[:-1]).astype(np.float32) if len(self._seen) > 1 else np.zeros(0, np.float32)
        return raw if raw.shape == scaled.shape else None


def _make_evaluate(model: OnPolicyAlgorithm) -> Evaluate | None:
    """Return a function that evaluates actions; None for a policy that needs more than observations and actions."""
    ask = model.policy.evaluate_actions
    if others := list_other_arguments(ask):
        warn_not_asked("evaluate_actions", others)
        return None

    def evaluate(observations: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if isinstance(observations, Mapping):
            observations = {name: part.to(model.device) for name, part in observations.items()}
        else:
            observations = observations.to(model.device)
        if not isinstance(model.action_space, Discrete):
            actions = actions.float()  # as PPO.train does: bits are stored as int8, which torch's Bernoulli refuses
        values, log_probs, entropies = ask(observations, actions.to(model.device))
        return log_probs, -log_probs if entropies is None else entropies, values

    return evaluate
