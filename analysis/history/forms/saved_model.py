"""Read a model that Stable-Baselines3 saved: settings of the training, and what weights and optimiser's state show.

Source: stable_baselines3/common/save_util.py (`save_to_zip_file`): `data` is JSON, with a pickle, which is never read,
beside each object's readable fields; `policy.pth` and `policy.optimizer.pth` are tensors.
"""

import io
import json
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.dialects.sb3 import SB3
from unstuck.analysis.history.record import COLUMNS_CONSTANT, PARAMETER_NORM, PARAMETERS_UNMOVED
from unstuck.analysis.history.settings import translate_settings
from unstuck.rl import metrics

if TYPE_CHECKING:
    from torch import Tensor

_OF_PPO = frozenset(("n_steps", "n_epochs", "gae_lambda", "clip_range", "num_timesteps"))
"""Fields that every PPO of Stable-Baselines3's has, and no other algorithm has all of."""

_SETTINGS = (
    *("gamma", "gae_lambda", "n_steps", "n_envs", "batch_size", "n_epochs", "ent_coef", "vf_coef", "max_grad_norm"),
    *("target_kl", "clip_range", "clip_range_vf", "normalize_advantage", "learning_rate", "seed"),
)
_PLANNED = ("_total_timesteps", "total_timesteps")
"""Field of the environment steps that were asked for, and the setting's name."""

_BROKEN = (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""Errors of files that are no archives, are encrypted, cut off or damaged."""

_OTHER = (KeyError, ValueError)
"""Errors of archives that have other parts."""

_LARGEST = 512 * 2**20
"""Bytes of a part of the file, unpacked, up to which the part is read."""

_LAYER = re.compile(r"mlp_extractor\.(policy|value|shared)_net\.\d+\.weight")
_FIRST = re.compile(r"mlp_extractor\.(?:policy|value|shared)_net\.0\.")
_HEADS = {"action_net.weight": 0.01, "value_net.weight": 1.0}
"""Gain of the orthogonal matrix that a head starts as (common/policies.py, `_build`); hidden layers have sqrt 2."""

_OF_POLICY = re.compile(r"mlp_extractor\.policy_net\.|action_net\.")
_HUGE, _FULL = 100.0, 20.0
"""Root mean square of an input from which units are asked whether they are saturated, and that of what a unit is given
from which its tanh is: of a normal number of this spread one value in twelve lies below 2.1, where tanh is 0.97."""

_SAME = 1e-4
"""Spread, relative to its mean, of the ratio of a column's gradients to the bias's, up to which the column is constant
in float32: the gradient of a weight is then the bias's gradient times the column's value, for each unit alike."""


class BrokenModelError(AnalysisError):
    """Error: a file with the name of a saved model is no archive, is encrypted, cut off or damaged."""


@dataclass(frozen=True)
class SavedModel:
    """Settings and state of a training that a saved model holds.

    Attributes:
        file: File of the model.
        steps: Environment steps done when the model was saved.
        settings: Settings by our names.
        rate: Learning rate in force when the model was saved; None if unknown.
        started: Metrics at the start of the training that follow from shapes and the usual initialisation, by name.
        ended: Metrics when the model was saved, by name.
        remark: What could not be read; empty if all was.
    """

    file: Path
    steps: int
    settings: Mapping[str, Any]
    rate: float | None = None
    started: Mapping[str, float] = field(default_factory=dict)
    ended: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""


def read_model(file: Path) -> SavedModel:
    """Read the settings and state of a PPO training from a model that Stable-Baselines3 saved.

    Raises:
        BrokenModelError: The file cannot be unpacked.
        AnalysisError: The file is no saved model, or another algorithm's.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            data = json.loads(_read_part(archive, "data"))
            tensors = {name: _read_part(archive, f"{name}.pth") for name in ("policy", "policy.optimizer")}
    except _BROKEN as error:
        raise BrokenModelError(f"{file} must be an archive that can be unpacked: {error}") from None
    except _OTHER as error:
        raise AnalysisError(f"{file} must be a model saved by Stable-Baselines3: {error}") from None
    if not isinstance(data, dict) or not data.keys() >= _OF_PPO or not isinstance(data["num_timesteps"], int):
        raise AnalysisError(f"{file} must be a model of PPO's, and is none")
    settings = _read_data(data)
    try:
        weights, optimiser = (_load_tensors(part) for part in tensors.values())
    except ImportError:
        weights, optimiser = {}, {}
        remark = "its weights and optimiser were not read, which needs torch"
    except Exception as error:  # torch raises what its pickle meets: a class that is not allowed, a broken part
        weights, optimiser = {}, {}
        remark = f"its weights and optimiser were not read: {str(error).partition(chr(10))[0][:100]}"
    else:
        remark = ""
    state = _State(weights, optimiser, data.get("policy_kwargs"))
    return SavedModel(
        file=file,
        steps=data["num_timesteps"],
        settings=settings | state.read_settings(),
        rate=state.rate,
        started=state.measure_start(),
        ended=state.measure_end(),
        remark=remark,
    )


def _read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > _LARGEST:
        raise ValueError(f"{name} has {size:,} bytes, more than {_LARGEST:,}")
    return archive.read(name)


def _load_tensors(part: bytes) -> dict[str, Any]:
    """Load a dictionary of tensors and numbers, without executing what a pickle may ask for."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.load(io.BytesIO(part), map_location="cpu", weights_only=True)
    return dict(loaded) if isinstance(loaded, Mapping) else {}


def _read_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in the JSON of a saved model by our names; objects that JSON cannot hold are left out."""
    plain = {name: data[name] for name in _SETTINGS if name in data and not isinstance(data[name], dict | list)}
    planned = data.get(_PLANNED[0])
    if isinstance(planned, int) and planned > 0:
        plain[_PLANNED[1]] = planned
    return translate_settings(plain, SB3)


class _State:
    """Weights and the optimiser's state of a saved model, and what they show.

    Args:
        weights: Tensors by the parameters' names.
        optimiser: State of the optimiser: `param_groups`, and `state` by the parameters' positions.
        options: What the policy was made with, as far as JSON holds it.
    """

    def __init__(self, weights: Mapping[str, Any], optimiser: Mapping[str, Any], options: object) -> None:
        self.weights: Mapping[str, Tensor] = {name: one for name, one in weights.items() if hasattr(one, "shape")}
        self.groups: Sequence[Mapping[str, Any]] = optimiser.get("param_groups") or []
        self.states: Mapping[int, Mapping[str, Any]] = optimiser.get("state") or {}
        self.options: Mapping[str, Any] = options if isinstance(options, Mapping) else {}

    @property
    def rate(self) -> float | None:
        """Learning rate of the first group of parameters; None if unknown."""
        return _read_number(self.groups[0], "lr") if self.groups else None

    def read_settings(self) -> dict[str, Any]:
        """Return settings of the networks and of the optimiser by our names."""
        found: dict[str, Any] = {}
        hidden = self._list_hidden("policy") or self._list_hidden("value")
        if hidden:
            found["ppo.hidden_sizes"] = hidden
        if not self.groups:
            return found
        group = self.groups[0]
        found["ppo.optimizer"] = name = self._name_optimiser(group)
        eps, decay = _read_number(group, "eps"), _read_number(group, "weight_decay")
        if eps is not None and name in ("Adam", "AdamW"):
            found["ppo.adam_eps"] = eps
        if decay:
            found["ppo.weight_decay"] = decay
        return found

    def measure_start(self) -> dict[str, float]:
        """Compute the norm of the parameters at the start; empty unless networks are plain and started orthogonal.

        An orthogonal matrix of gain g has the squared norm g² min(rows, columns); biases start as 0.
        """
        plain = all(_LAYER.fullmatch(name) or name in _HEADS or name.endswith(".bias") for name in self._trained)
        if not self._trained or not plain or self.options.get("ortho_init", True) is not True:
            return {}
        squares = (
            _HEADS.get(name, math.sqrt(2)) ** 2 * min(one.shape)
            for name, one in self._trained.items()
            if one.dim() == 2
        )
        return {PARAMETER_NORM: math.sqrt(math.fsum(squares))}

    def measure_end(self) -> dict[str, float]:
        """Compute metrics of the weights, and of what the optimiser's averages of gradients tell of the inputs."""
        found: dict[str, float] = {}
        if self._trained:
            norm = math.sqrt(math.fsum(one.double().square().sum().item() for one in self._trained.values()))
            found[PARAMETER_NORM] = norm if math.isfinite(norm) else math.inf
        names = self._name_states()
        if names:
            own = [name for name in names if _OF_POLICY.match(name)]
            still = sum(not names[name] or not names[name]["exp_avg_sq"].any().item() for name in own)
            found[PARAMETERS_UNMOVED] = still / len(own) if own else 0.0
        if names and not any(_read_number(group, "weight_decay") for group in self.groups):
            found |= _measure_inputs(names)  # a decay stands in the averages as well, with the gradients
            if found.get(metrics.INPUT_RMS_MAX, 0.0) > _HUGE and "activation_fn" not in self.options:
                found |= _measure_saturation(names, self.weights)
        return found

    @property
    def _trained(self) -> dict[str, "Tensor"]:
        """Weights of layers; the spread of actions, which has a scale of its own, is left out."""
        return {name: one for name, one in self.weights.items() if name != "log_std"}

    def _list_hidden(self, part: str) -> list[int]:
        layers = [
            (name, one)
            for name, one in self.weights.items()
            if (found := _LAYER.fullmatch(name)) and found[1] in ("shared", part)
        ]
        return [int(one.shape[0]) for _, one in layers]

    def _name_optimiser(self, group: Mapping[str, Any]) -> str:
        """Return the optimiser's name: from what the policy was made with, or else from its group's own settings."""
        made = re.search(r"(\w+)'>$", str(self.options.get("optimizer_class", "")))
        if made:
            return made[1]
        if "betas" in group:
            return "AdamW" if group.get("decoupled_weight_decay") else "Adam"
        return "RMSprop" if "alpha" in group else "SGD" if "momentum" in group else "unknown"

    def _name_states(self) -> dict[str, Mapping[str, Any]]:
        """Return Adam's state of each parameter by the parameter's name; empty if there is none, or names do not fit.

        The optimiser holds the parameters in the order of the weights. One without a state has never had a gradient.
        """
        places = [place for group in self.groups for place in group.get("params", ())]
        names = list(self.weights)
        if not self.states or len(places) != len(names):
            return {}
        found = {name: self.states.get(place, {}) for name, place in zip(names, places, strict=True)}
        fits = all(
            "exp_avg_sq" in state and state["exp_avg_sq"].shape == self.weights[name].shape
            for name, state in found.items()
            if state
        )
        return found if fits else {}


def _measure_inputs(states: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Measure the inputs' size, and the share of constant ones, in Adam's averages of squared gradients.

    The gradient of a weight is the unit's gradient times the input, and that of the bias is the unit's alone: the
    square root of their ratio is the input's root mean square.
    """
    squares, constant = [], []
    for name, state in states.items():
        bias = states.get(name.removesuffix("weight") + "bias", {})
        if not _FIRST.match(name) or not name.endswith("weight") or not state or not bias:
            continue
        own, alone = state["exp_avg_sq"].double(), bias["exp_avg_sq"].double()
        alive = alone > 0
        if not alive.any().item():
            continue
        ratios = own[alive] / alone[alive][:, None]
        squares.append(own.sum(0) / alone.sum())
        constant.append((ratios.std(0, correction=0) <= _SAME * ratios.mean(0)) & (int(alive.sum()) > 1))
    if not squares:
        return {}
    largest = max(one.max().item() for one in squares)
    still = constant[0]
    for one in constant[1:]:
        still = still & one if one.shape == still.shape else still
    return {metrics.INPUT_RMS_MAX: math.sqrt(largest), COLUMNS_CONSTANT: still.double().mean().item()}


def _measure_saturation(states: Mapping[str, Mapping[str, Any]], weights: Mapping[str, "Tensor"]) -> dict[str, float]:
    """Measure the share of the first layers' units whose tanh is nearly always beyond 0.97, by inputs and weights."""
    shares = []
    for name in states:
        bias = states.get(name.removesuffix("weight") + "bias", {})
        if not _FIRST.match(name) or not name.endswith("weight") or not states[name] or not bias:
            continue
        inputs = states[name]["exp_avg_sq"].double().sum(0) / bias["exp_avg_sq"].double().sum()
        sizes = (weights[name].double().square() @ inputs).sqrt()
        shares.append((sizes > _FULL).double().mean().item())
    return {metrics.SATURATED_SHARE: sum(shares) / len(shares)} if shares and all(map(math.isfinite, shares)) else {}


def _read_number(group: Mapping[str, Any], name: str) -> float | None:
    value = group.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
