"""A model that was saved beside a log: its settings and measurements, and when they are not this run's."""

import io
import json
import math
import pickle
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import load
from unstuck.analysis.history.forms.saved_model import read_model
from unstuck.analysis.history.record import COLUMNS_CONSTANT, PARAMETER_NORM, PARAMETERS_UNMOVED
from unstuck.rl import metrics

FUNCTION = {":type:": "<class 'function'>", ":serialized:": "gASVBAAAAAAAAACMAmhpLg=="}
DATA = {
    "policy_kwargs": {}, "num_timesteps": 1024, "_total_timesteps": 1000, "seed": 3, "learning_rate": 1e-3,
    "n_envs": 2, "n_steps": 64, "gamma": 0.5, "gae_lambda": 0.95, "ent_coef": 0.01, "vf_coef": 0.5,
    "max_grad_norm": 0.5, "batch_size": 32, "n_epochs": 4, "clip_range": FUNCTION, "clip_range_vf": None,
    "target_kl": None,
}  # fmt: skip
"""Settings as Stable-Baselines3 writes them: 8 rollouts of 128 steps."""

SHAPES = {
    "mlp_extractor.policy_net.0": (3, 2), "mlp_extractor.policy_net.2": (4, 3), "mlp_extractor.value_net.0": (5, 2),
    "action_net": (2, 4), "value_net": (1, 5),
}  # fmt: skip
ROWS = "time/iterations,time/total_timesteps,rollout/ep_rew_mean,train/value_loss,train/n_updates,train/learning_rate\n"
LOG = ROWS + "".join(f"{i},{128 * i},{i},0.5,{4 * i - 4},0.001\n" for i in range(1, 9))


def make_weights(fill: float = 1.0) -> dict[str, torch.Tensor]:
    weights = {}
    for name, shape in SHAPES.items():
        weights |= {f"{name}.weight": torch.full(shape, fill), f"{name}.bias": torch.zeros(shape[0])}
    return weights


def make_gradients() -> dict[str, torch.Tensor]:
    return {name: torch.ones_like(one) for name, one in make_weights().items()}


def make_optimiser(gradients: Mapping[str, torch.Tensor | None], **group: Any) -> dict[str, Any]:
    """State of Adam, from the average of each parameter's squared gradients; None where there never was one."""
    states = {
        place: {"step": torch.tensor(8.0), "exp_avg": torch.zeros_like(one), "exp_avg_sq": one}
        for place, one in enumerate(gradients.values())
        if one is not None
    }
    usual = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-5, "weight_decay": 0, "params": list(range(len(gradients)))}
    return {"state": states, "param_groups": [usual | group]}


def save_model(
    file: Path, weights: dict[str, Any] | None = None, optimiser: dict[str, Any] | None = None, **data: Any
) -> Path:
    weights = make_weights() if weights is None else weights
    parts = {"policy.pth": weights, "policy.optimizer.pth": optimiser or make_optimiser(make_gradients())}
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data", json.dumps(DATA | data))
        for name, part in parts.items():
            buffer = io.BytesIO()
            torch.save(part, buffer)
            archive.writestr(name, buffer.getvalue())
    return file


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "progress.csv").write_text(LOG)
    return tmp_path


def test_settings_and_plan_are_those_of_the_training(run: Path) -> None:
    save_model(run / "model.zip", optimiser=make_optimiser(make_gradients(), eps=1e-3, weight_decay=0.3))
    history = load(str(run))
    expected = {
        "ppo.gamma": 0.5, "ppo.lr": 1e-3, "ppo.num_envs": 2, "ppo.num_steps": 64, "ppo.minibatch_size": 32,
        "ppo.num_epochs": 4, "ppo.target_kl": None, "ppo.hidden_sizes": [3, 4], "ppo.optimizer": "Adam",
        "ppo.adam_eps": 1e-3, "ppo.weight_decay": 0.3, "total_timesteps": 1000, "seed": 3,
    }  # fmt: skip
    assert {path: history.settings[path] for path in expected} == expected
    assert "ppo.clip_range" not in history.settings  # a function, which only its pickle holds
    assert "settings are those that model.zip was trained with, saved after 1,024 steps" in history.remarks


def test_the_user_counts_before_the_model_and_the_model_before_a_file(run: Path) -> None:
    save_model(run / "model.zip")
    (run / "config.yml").write_text("gamma: 0.99\nvf_coef: 0.25\n")
    history = load(str(run))
    assert history.setting("ppo.gamma") == 0.5
    against = "model.zip was trained with gamma 0.5 (0.99 in a file of settings), value_coef 0.5 (0.25 in a file of"
    assert any(remark.startswith(against) for remark in history.remarks)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"num_timesteps": 5000}, "saved after 5,000 steps, and the log ends at 1,024"),
        ({"n_steps": 50}, "its rollouts have 100 steps, and those of the log 128"),
        ({"n_steps": 128}, "its rollouts have 256 steps, and those of the log 128"),
        ({"n_epochs": 10}, "it makes 10 epochs of a rollout, and the log 4"),
        ({"learning_rate": 3e-4}, "its learning rate is 0.0003, and the log's 0.001"),
    ],
)
def test_a_model_of_another_run_gives_nothing(run: Path, data: dict[str, Any], reason: str) -> None:
    save_model(run / "old.zip", **data)
    history = load(str(run))
    assert "ppo.gamma" not in history.settings
    assert f"no settings were taken from old.zip ({reason})" in history.remarks


def test_models_that_differ_give_nothing(run: Path) -> None:
    save_model(run / "one.zip", num_timesteps=512)
    save_model(run / "two.zip", gamma=0.9)
    history = load(str(run))
    assert "ppo.gamma" not in history.settings
    assert "no settings were taken from two.zip and one.zip, which differ in theirs" in history.remarks


def test_the_last_of_several_models_counts(run: Path) -> None:
    (run / "checkpoints").mkdir()
    save_model(run / "checkpoints" / "rl_model_512_steps.zip", num_timesteps=512)
    save_model(run / "model.zip")
    assert any("model.zip was trained with" in remark for remark in load(str(run)).remarks)


def test_other_archives_and_algorithms_are_passed_over(run: Path) -> None:
    with zipfile.ZipFile(run / "code.zip", "w") as archive:
        archive.writestr("train.py", "print()")
    save_model(run / "unknown.zip", num_timesteps={":serialized:": "gASVBAAAAAAAAACMAmhpLg=="})
    with zipfile.ZipFile(run / "dqn.zip", "w") as archive:
        archive.writestr("data", json.dumps({"gamma": 0.5, "num_timesteps": 1024, "buffer_size": 10}))
        archive.writestr("policy.pth", b"")
        archive.writestr("policy.optimizer.pth", b"")
    history = load(str(run))
    assert "ppo.gamma" not in history.settings
    assert not any(".zip" in remark for remark in history.remarks)
    with pytest.raises(AnalysisError, match=r"dqn\.zip must be a model of PPO's, and is none"):
        read_model(run / "dqn.zip")


def make_broken(run: Path, how: str) -> None:
    """Write a `model.zip` that is a pointer of Git's large files, was cut off, or has lost bytes in its middle."""
    whole = save_model(run / "model.zip").read_bytes()
    if how == "damaged":
        with zipfile.ZipFile(run / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data", json.dumps(DATA))
        damaged = bytearray((run / "model.zip").read_bytes())
        damaged[60:90] = bytes(30)
        whole = bytes(damaged)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (run / "model.zip").write_bytes({"pointer": pointer, "cut": whole[:200], "damaged": whole}[how])


@pytest.mark.parametrize("how", ["pointer", "cut", "damaged"])
def test_a_model_that_cannot_be_unpacked_is_said(run: Path, how: str) -> None:
    make_broken(run, how)
    history = load(str(run))
    assert "ppo.gamma" not in history.settings
    (told,) = [remark for remark in history.remarks if "model.zip" in remark]
    assert told.startswith("no settings were taken from model.zip (must be an archive that can be unpacked: ")


def test_without_torch_a_models_settings_are_read_and_the_rest_is_said(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is None cannot be imported."""
    save_model(run / "model.zip")
    monkeypatch.setitem(sys.modules, "torch", None)
    history = load(str(run))
    assert (history.setting("ppo.gamma"), history.setting("ppo.num_epochs")) == (0.5, 4)
    assert "ppo.optimizer" not in history.settings
    assert not history.has(PARAMETER_NORM)
    assert "model.zip: its weights and optimiser were not read, which needs torch" in history.remarks


def test_no_code_of_a_model_is_executed(run: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.write_text, (run / "executed", "")

    save_model(run / "model.zip")
    with zipfile.ZipFile(run / "model.zip") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(run / "model.zip", "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, pickle.dumps(Trap()) if name == "policy.pth" else part)
    history = load(str(run))
    assert history.setting("ppo.gamma") == 0.5
    assert any("its weights and optimiser were not read" in remark for remark in history.remarks)
    assert not (run / "executed").exists()


def test_the_norm_of_the_start_follows_from_the_shapes(run: Path) -> None:
    save_model(run / "model.zip", make_weights(0.5))
    norm = load(str(run)).curve(PARAMETER_NORM)
    started = 2 * 2 + 2 * 3 + 2 * 2 + 0.01**2 * 2 + 1  # gain² min(rows, columns) of each matrix
    numbers = 6 + 12 + 10 + 8 + 5
    assert norm.to_dict() == pytest.approx({1: math.sqrt(started), 8: math.sqrt(0.25 * numbers)})


def test_the_norm_of_another_start_is_unknown(run: Path) -> None:
    save_model(run / "model.zip", policy_kwargs={":type:": "<class 'dict'>", "ortho_init": False})
    assert list(load(str(run)).curve(PARAMETER_NORM).index) == [8]


def test_parameters_without_a_gradient_are_counted(run: Path) -> None:
    gradients: dict[str, torch.Tensor | None] = dict(make_gradients())
    gradients["mlp_extractor.policy_net.0.weight"] = None
    gradients["mlp_extractor.policy_net.0.bias"] = torch.zeros(3)
    gradients["value_net.bias"] = None  # the critic's own
    save_model(run / "model.zip", optimiser=make_optimiser(gradients))
    assert load(str(run)).curve(PARAMETERS_UNMOVED).to_dict() == {8: pytest.approx(2 / 6)}


def test_inputs_are_measured_in_adams_averages(run: Path) -> None:
    """Units with gradients 1, 2, 3; the first input is 5 throughout, and the second has a size of about 2."""
    gradients = make_gradients()
    for net, units in (("policy_net", 3), ("value_net", 5)):
        own = torch.arange(1.0, units + 1) ** 2
        wobble = torch.linspace(0.9, 1.1, units)
        gradients[f"mlp_extractor.{net}.0.bias"] = own
        gradients[f"mlp_extractor.{net}.0.weight"] = torch.stack([25 * own, 4 * own * wobble], 1)
    save_model(run / "model.zip", optimiser=make_optimiser(gradients))
    history = load(str(run))
    assert history.curve(metrics.INPUT_RMS_MAX).to_dict() == {8: pytest.approx(5.0)}
    assert history.curve(COLUMNS_CONSTANT).to_dict() == {8: 0.5}
    save_model(run / "model.zip", optimiser=make_optimiser(gradients, weight_decay=0.3))  # which adds to gradients
    assert not load(str(run)).has(metrics.INPUT_RMS_MAX)


@pytest.mark.parametrize(
    ("size", "options", "share"),
    [
        (300.0, {}, 5 / 6),  # one of the policy's three units has a weight of 0.01, and is given 3
        (99.0, {}, None),  # so large inputs are another matter where units were not asked
        (300.0, {"activation_fn": {":type:": "<class 'type'>"}}, None),  # a rectifier has no end to be at
    ],
)
def test_units_are_saturated_by_inputs_that_are_huge(
    run: Path, size: float, options: dict[str, Any], share: float | None
) -> None:
    gradients, weights = make_gradients(), make_weights()
    for net, units in (("policy_net", 3), ("value_net", 5)):
        gradients[f"mlp_extractor.{net}.0.weight"] = torch.tensor([[size**2, 0.0]] * units)
    weights["mlp_extractor.policy_net.0.weight"][0] = 0.01
    save_model(run / "model.zip", weights, make_optimiser(gradients), policy_kwargs=options)
    told = load(str(run)).curve(metrics.SATURATED_SHARE).to_dict()
    assert told == ({} if share is None else {8: pytest.approx(share)})


def test_plain_gradient_descent_is_told_by_its_group(run: Path) -> None:
    group = {"lr": 1e-3, "momentum": 0, "weight_decay": 0, "params": list(range(10))}
    save_model(run / "model.zip", optimiser={"state": {}, "param_groups": [group]})
    history = load(str(run))
    assert history.setting("ppo.optimizer") == "SGD"
    assert "ppo.adam_eps" not in history.settings
    assert not history.has(PARAMETERS_UNMOVED)


def test_numbers_that_are_not_finite_are_kept_as_such(run: Path) -> None:
    save_model(run / "model.zip", make_weights(math.nan))
    assert math.isinf(load(str(run)).curve(PARAMETER_NORM)[8])


def test_a_model_elsewhere_counts_by_the_name_of_the_log(tmp_path: Path) -> None:
    for name in ("logs/PPO_1", "models"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "logs/PPO_1/progress.csv").write_text(LOG)
    save_model(tmp_path / "models/PPO_2.zip")
    assert "ppo.gamma" not in load(str(tmp_path / "logs/PPO_1")).settings
    save_model(tmp_path / "models/PPO_1.zip")
    assert load(str(tmp_path / "logs/PPO_1")).setting("ppo.gamma") == 0.5
