"""Train one member by Stable-Baselines3's PPO; see `sweeps.trainers.members.MemberTrainer`.

Each iteration is one of `OnPolicyAlgorithm.learn`: a rollout and an update. Stable-Baselines3 draws from the process's
global generators, which each member is lent with a state of its own. `PPO.load` leaves settings of the saved model in
force; here a state is loaded into a model of the trial's own settings, and settings are set before each iteration.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import FloatSchedule, safe_mean
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
from unstuck.rl import metrics
from unstuck.rl.config import require
from unstuck.rl.machine import use_one_thread
from unstuck.rl.seeding import derive_child, derive_int
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.global_randomness import OwnRandomness
from unstuck.sweeps.trainers.members import MemberSpec, Settings
from unstuck.sweeps.trainers.object_state import UnsavableError, pack, unpack
from unstuck.sweeps.trainers.protocol import RANDOMNESS
from unstuck.sweeps.trainers.sb3_evaluator import Sb3Evaluator
from unstuck.sweeps.trainers.sb3_model import FIXED, find_differences, make_model

from unstuck.probe.sb3 import SB3Probe

_RUN, _LANES = range(2)
"""Purposes of a member's seed."""

_LINKS = ("venv", "env", "class_attributes", "results_writer")
"""Attributes of environments that link to others, or to files."""

_OF_THE_RUN = ("model", "parent", "locals", "globals", "logger", "training_env", "eval_env")
"""Attributes of callbacks that link to the run that the callback is called in."""

_COUNTS = ("num_timesteps", "_n_updates", "_episode_num")
_SEEN = ("_last_obs", "_last_original_obs", "_last_episode_starts")
_BUFFERS = ("ep_info_buffer", "ep_success_buffer")

_HEADS = {"policy_head": ("action_net.", "log_std"), "value_head": ("value_net.",)}
"""How the names of a head's parameters begin, by the part of a state."""


class Sb3Member:
    """Trainer of one member (seed) by Stable-Baselines3's PPO.

    Attributes:
        model: The model that trains.
    """

    def __init__(self, spec: MemberSpec) -> None:
        self._spec = spec
        self._randomness = OwnRandomness(self._seed(_RUN))
        with self._randomness.lend():
            made = make_model(spec.config, self._seed(_RUN))
        self.model, self._own_callback = made.ppo, made.callback or CallbackList([])
        self._probe = SB3Probe(every=max(1, spec.budget.eval_every // spec.config.ppo.batch_size))
        # A list that holds the probe alone would only take time, at each step.
        self._callback = self._probe if made.callback is None else CallbackList([self._own_callback, self._probe])
        _require_fixed(self.model, spec.config)
        self._untrained = pack(self._list_parts())
        self._is_started = False
        self._evaluator: Sb3Evaluator | None = None

    def iterations(self, done: int) -> Iterator[Mapping[str, float]]:
        """Train with Stable-Baselines3; yield each iteration's metrics, by the names in `rl.metrics`."""
        last = self._spec.budget.iterations(self._spec.config.ppo.batch_size)
        for iteration in range(done + 1, last + 1):
            with use_one_thread(), self._randomness.lend():
                self._start(is_fresh=True)
                if not self._train():
                    return
                measured = self._measure()
                if iteration == last:
                    self._callback.on_training_end()
            if self._spec.evaluates_after(iteration):
                measured[metrics.EVAL_RETURN] = self._evaluate()
            yield measured

    def state(self) -> bytes:
        """Return as bytes all that the next iteration depends on: model, environments, random state, callbacks."""
        model = self.model
        lanes = _try_to_pack([_list_layers(self._env()), {name: getattr(model, name) for name in _SEEN}], _LINKS)
        parts = {
            "model": pack({name: getattr(model, name) for name in (*_COUNTS, *_BUFFERS)}),
            "parts": pack(self._list_parts()),
            "randomness": pack(self._randomness.state),
            "lanes": lanes,
            "callback": _try_to_pack(self._own_callback, _OF_THE_RUN),
            "probe": _try_to_pack(self._probe, _OF_THE_RUN),
        }
        return pack({name: np.frombuffer(part, dtype=np.uint8) for name, part in parts.items()})

    def load_state(self, state: bytes) -> bool:
        """Load a saved state, but keep the present settings; return True if training will continue bit for bit.

        Lanes that could not be saved, or are others by now, start anew from seeds of the member's own.

        Raises:
            ValueError: The state is of another trainer, or of networks of another shape.
        """
        parts = {name: part.tobytes() for name, part in unpack(state).items()}
        with use_one_thread(), self._randomness.lend():
            try:
                self._set_parts(unpack(parts["parts"]))
            except RuntimeError as error:  # torch's error for another shape
                raise ValueError(str(error).replace("\n", " ")) from error
            self._start(is_fresh=False)
            for name, value in unpack(parts["model"], {name: getattr(self.model, name) for name in _BUFFERS}).items():
                setattr(self.model, name, value)
            goes_on = self._load_lanes(parts["lanes"])
            goes_on &= _try_to_unpack(parts["callback"], self._own_callback)
            goes_on &= _try_to_unpack(parts["probe"], self._probe)
        self._randomness.state = unpack(parts["randomness"])
        return goes_on

    def apply(self, settings: Settings) -> None:
        """Write PPO settings into Stable-Baselines3's model, rollout buffer and optimiser, over the earlier values."""
        model = self.model
        model.learning_rate, model.lr_schedule = settings["lr"], FloatSchedule(settings["lr"])
        for group in model.policy.optimizer.param_groups:
            group["lr"] = settings["lr"]
            group |= {"eps": settings["adam_eps"]} if "eps" in group else {}
        clip_vf = settings["clip_range_vf"]
        model.clip_range = FloatSchedule(settings["clip_range"])
        model.clip_range_vf = None if clip_vf is None else FloatSchedule(clip_vf)
        for theirs, ours in _SET_ALONE.items():
            setattr(model, theirs, settings[ours])
        if model.rollout_buffer.buffer_size != settings["num_steps"]:
            model.n_steps = settings["num_steps"]
            model.rollout_buffer = _make_buffer(model)
        model.rollout_buffer.gamma, model.rollout_buffer.gae_lambda = settings["gamma"], settings["gae_lambda"]

    def effective(self) -> Mapping[str, float]:
        """Return the settings that the next update will use, read from where `collect_rollouts` and `train` read them.

        NaN for a setting of which two places hold different values.
        """
        model, buffer = self.model, self.model.rollout_buffer
        left = model._current_progress_remaining
        groups = model.policy.optimizer.param_groups
        clip_vf = model.clip_range_vf
        found: dict[str, list[float | None]] = {
            "lr": [model.lr_schedule(left), *(group["lr"] for group in groups)],
            "adam_eps": [group["eps"] for group in groups if "eps" in group],
            "gamma": [model.gamma, buffer.gamma],
            "gae_lambda": [model.gae_lambda, buffer.gae_lambda],
            "clip_range": [_call(model.clip_range, left)],
            "clip_range_vf": [None if clip_vf is None else _call(clip_vf, left)],
            "entropy_coef": [model.ent_coef],
            "value_coef": [model.vf_coef],
            "max_grad_norm": [model.max_grad_norm],
            "target_kl": [model.target_kl],
        }
        return {name: _join_alike(values) for name, values in found.items() if values}

    def reset(self, parts: Collection[str]) -> None:
        """Reset the named parts of a loaded state, such as the value head or Adam's moments, to untrained."""
        before = unpack(self._untrained)
        now = unpack(pack(self._list_parts()))
        for part in parts:
            for name in now["policy"]:
                if name.startswith(_HEADS.get(part, ())):
                    now["policy"][name] = before["policy"][name]
        now |= {name: before[name] for name in ("adam", "observation_normalizer", "return_normalizer") if name in parts}
        self._set_parts(now)
        if RANDOMNESS in parts:
            self._randomness = OwnRandomness(self._seed(_RUN))
            self._start_lanes(self._seed(_LANES))

    def _seed(self, purpose: int, number: int = 0) -> int:
        return derive_int(derive_child(derive_child(self._spec.seed, purpose), number))

    def _env(self) -> VecEnv:
        env = self.model.get_env()
        if env is None:
            raise ValueError("the PPO of trainer.make must have an environment, got none; pass one")
        return env

    def _start(self, is_fresh: bool) -> None:
        """Prepare the model for training, once, as `learn` does; if `is_fresh`, also reset the environments."""
        if self._is_started:
            return
        self._is_started = True
        model, budget = self.model, self._spec.budget
        if model.tensorboard_log is None and model.verbose == 0:
            model.set_logger(Logger(folder=None, output_formats=[]))  # else a folder would be made for each run
        model._setup_learn(budget.steps, self._callback, is_fresh)
        self._callback.on_training_start({"self": model, "total_timesteps": budget.steps}, {})

    def _train(self) -> bool:
        """Collect a rollout and update the model, as `learn` does; return False if a callback ends the training."""
        model = self.model
        if not model.collect_rollouts(self._env(), self._callback, model.rollout_buffer, n_rollout_steps=model.n_steps):
            return False
        model._update_current_progress_remaining(model.num_timesteps, model._total_timesteps)
        model.train()
        return True

    def _measure(self) -> dict[str, float]:
        """Return the iteration's metrics by our names, from the model's logger and our own measurements."""
        from unstuck.analysis.history.names import DIALECTS, translate_metrics  # late: it brings pandas

        model = self.model
        self._probe.end_iteration()
        episodes = model.ep_info_buffer or ()
        if episodes:
            model.logger.record("rollout/ep_rew_mean", safe_mean([one["r"] for one in episodes]))
            model.logger.record("rollout/ep_len_mean", safe_mean([one["l"] for one in episodes]))
        logged = dict(model.logger.name_to_value)
        model.logger.dump(step=model.num_timesteps)
        renamed = translate_metrics(logged, DIALECTS["sb3"])
        return {ours: times * float(logged[theirs]) for theirs, (ours, times) in renamed.items()} | self._probe.last

    def _evaluate(self) -> float:
        """Play the same greedy episodes each time, with the training's normalisers; return the mean return."""
        if self._evaluator is None:
            self._evaluator = Sb3Evaluator(self._spec)
        with use_one_thread():
            return self._evaluator.evaluate(self.model)

    def _list_parts(self) -> dict[str, Any]:
        """Return networks, Adam's moments and normalisers as plain values, by name of the part that can be reset."""
        normalizer = self.model.get_vec_normalize_env()
        return {
            "policy": dict(self.model.policy.state_dict()),
            "adam": self.model.policy.optimizer.state_dict()["state"],
            "observation_normalizer": _read_moments(getattr(normalizer, "obs_rms", None)),
            "return_normalizer": _read_moments(getattr(normalizer, "ret_rms", None)),
        }

    def _set_parts(self, parts: Mapping[str, Any]) -> None:
        policy, normalizer = self.model.policy, self.model.get_vec_normalize_env()
        policy.load_state_dict(parts["policy"])
        policy.optimizer.load_state_dict({**policy.optimizer.state_dict(), "state": parts["adam"]})
        _set_moments(getattr(normalizer, "obs_rms", None), parts["observation_normalizer"])
        _set_moments(getattr(normalizer, "ret_rms", None), parts["return_normalizer"])

    def _load_lanes(self, lanes: bytes) -> bool:
        """Restore environments and last observations from bytes; return False if they were reset instead."""
        env = self._env()
        env.reset()
        try:
            _, seen = unpack(lanes, [_list_layers(env), {}])
        except ValueError:
            self._start_lanes(self._seed(_LANES, self.model.num_timesteps))
            return False
        for name, value in seen.items():
            setattr(self.model, name, value)
        return True

    def _start_lanes(self, seed: int) -> None:
        model, env = self.model, self._env()
        env.seed(seed)
        model._last_obs = env.reset()  # type: ignore[assignment]
        model._last_episode_starts = np.ones(env.num_envs, dtype=bool)
        if (normalizer := model.get_vec_normalize_env()) is not None:
            model._last_original_obs = normalizer.get_original_obs()


_SET_ALONE = {
    "gamma": "gamma",
    "gae_lambda": "gae_lambda",
    "ent_coef": "entropy_coef",
    "vf_coef": "value_coef",
    "max_grad_norm": "max_grad_norm",
    "target_kl": "target_kl",
    "n_epochs": "num_epochs",
    "batch_size": "minibatch_size",
    "normalize_advantage": "normalize_advantage",
}
"""Attributes of a model that `train` and `collect_rollouts` read as they are, with our setting."""


def _require_fixed(model: PPO, config: SweepConfig) -> None:
    """Raise `ConfigError` if a model has other settings than asked for, of those that cannot be changed afterwards."""
    wrong = [one for one in find_differences(model, config.ppo) if one[0] in FIXED]
    told = "; ".join(f"ppo.{name} must be {format_value(meant)}, got {format_value(has)}" for name, meant, has in wrong)
    require(not wrong, f"{told} from {config.trainer.make}: only the making of a PPO sets it; let it pass settings on")


def _list_layers(env: VecEnv) -> list[Any]:
    """List the wrappers of a vector environment, and of each of its environments, from outside to inside.

    Raises:
        UnsavableError: The environments lie in other processes.
    """
    layers: list[Any] = []
    while isinstance(env, VecEnvWrapper):
        layers.append(env)
        env = env.venv
    if not isinstance(env, DummyVecEnv):
        raise UnsavableError(f"environments must be in this process, got {type(env).__name__}")
    for one in env.envs:
        layers.append([one])
        while isinstance(one, gymnasium.Wrapper):
            one = one.env
            layers[-1].append(one)
    return layers


def _try_to_pack(value: Any, skip: Collection[str]) -> bytes:
    """Convert a value to bytes by `pack`; return empty bytes for a value that cannot be saved."""
    try:
        return pack(value, skip)
    except UnsavableError:
        return b""


def _try_to_unpack(packed: bytes, into: Any) -> bool:
    try:
        unpack(packed, into)
    except ValueError:
        return False
    return True


def _read_moments(moments: Any) -> Any:
    """Return mean, variance and count of a `RunningMeanStd`, or of each in a dict; None if there is none."""
    if isinstance(moments, Mapping):
        return {name: _read_moments(one) for name, one in moments.items()}
    return None if moments is None else [np.copy(moments.mean), np.copy(moments.var), float(moments.count)]


def _set_moments(moments: Any, values: Any) -> None:
    """Set mean, variance and count of a `RunningMeanStd`, or of each in a dict; do nothing if one is None."""
    if isinstance(moments, Mapping):
        for name, one in moments.items():
            _set_moments(one, (values or {}).get(name))
    elif moments is not None and values is not None:
        moments.mean, moments.var, moments.count = values


def _make_buffer(model: PPO) -> RolloutBuffer:
    make: Any = model.rollout_buffer_class
    return make(  # type: ignore[no-any-return]
        model.n_steps,
        model.observation_space,
        model.action_space,
        device=model.device,
        gamma=model.gamma,
        gae_lambda=model.gae_lambda,
        n_envs=model.n_envs,
        **model.rollout_buffer_kwargs,
    )


def _call(schedule: Any, left: float) -> float:
    return float(schedule(left))


def _join_alike(values: Sequence[float | None]) -> float:
    """Return the value if all places hold the same one (infinity for None), or NaN if the places differ."""
    if any(value != values[0] for value in values):
        return math.nan
    return math.inf if values[0] is None else float(values[0])
