"""Settings from what lies beside the curves: YAML, JSON, and the table that CleanRL logs."""

from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.names import CLEANRL, DIALECTS, PLAIN, SB3
from unstuck.analysis.history.settings import (
    flatten,
    is_sweep,
    parse_configuration,
    parse_literal,
    parse_table,
    read_settings,
    translate_comments,
    translate_settings,
)


def settings_file(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "ppo:\n  lr: 0.001\n  hidden_sizes: [4, 4]\nseed: 1\n"),
        ("a.yml", "{ppo: {lr: 0.001, hidden_sizes: [4, 4]}, seed: 1}"),
        ("a.json", '{"ppo": {"lr": 0.001, "hidden_sizes": [4, 4]}, "seed": 1}'),
    ],
)
def test_files_are_flattened(tmp_path: Path, name: str, text: str) -> None:
    settings, comments = read_settings(settings_file(tmp_path, name, text))
    assert settings == {"ppo.lr": 0.001, "ppo.hidden_sizes": [4, 4], "seed": 1}
    assert comments == {}


def test_comments_behind_settings_are_kept(tmp_path: Path) -> None:
    text = "lr: 3.0e-4  # as in the paper \n# alone\ngamma: 0.99\n  # below\nenv:\n  id: x # é\n"
    _, comments = read_settings(settings_file(tmp_path, "a.yaml", text))
    assert comments == {"lr": "as in the paper", "id": "é"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: [1", r"a\.yaml must be YAML: while parsing"),
        ("a.json", '{"a": }', r"a\.json must be JSON: Expecting value"),
        ("a.yaml", "- 1\n- 2", r"a\.yaml must hold settings by name, got list"),
        ("a.yaml", "", r"a\.yaml must hold settings by name, got NoneType"),
        ("a.yaml", "b: {" * 1_000, r"a\.yaml must be YAML: maximum recursion depth exceeded"),
        ("a.yaml", "a: !mine 3", r"a\.yaml must be YAML: could not determine a constructor"),
    ],
)
def test_what_holds_no_settings_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        read_settings(settings_file(tmp_path, name, text))


def test_rl_zoos_ordered_dictionaries_are_read(tmp_path: Path) -> None:
    text = "!!python/object/apply:collections.OrderedDict\n- - - gamma\n    - 0.9\n  - - policy\n    - MlpPolicy\n"
    assert read_settings(settings_file(tmp_path, "a.yml", text))[0] == {"gamma": 0.9, "policy": "MlpPolicy"}


def test_flattening_keeps_lists_and_what_is_empty() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": [1, {"e": 2}], "f": {}, 3: None}) == {
        "a.b.c": 1,
        "d": [1, {"e": 2}],
        "f": {},
        "3": None,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        ("1e-4", 1e-4),
        ("True", True),
        ("None", None),
        ("[1, 'a']", [1, "a"]),
        ("CartPole-v1", "CartPole-v1"),
        ("", ""),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
    ],
)
def test_literals(text: str, value: Any) -> None:
    found = parse_literal(text)
    assert found == value
    assert type(found) is type(value)


def test_cleanrls_table_of_settings() -> None:
    table = "|param|value|\n|-|-|\n|gamma|0.99|\n|env_id|CartPole-v1|\n|target_kl|None|\n|note|a | b|\nno row"
    assert parse_table(table) == {"gamma": 0.99, "env_id": "CartPole-v1", "target_kl": None, "note": "a | b"}


def test_a_configuration_of_ours_keeps_its_nesting_and_its_types() -> None:
    text = (
        "```yaml\nppo:\n  num_iterations: 6\n  shared_trunk: false\n  target_kl: null\n  hidden_sizes:\n  - 64\n"
        "  - 64\nunstick:\n  iterations: 50\ntrainer:\n  name: ppo\nbranch:\n  start: anew\nrun: null\n```"
    )
    assert parse_configuration(text) == {
        "ppo.num_iterations": 6,
        "ppo.shared_trunk": False,
        "ppo.target_kl": None,
        "ppo.hidden_sizes": (64, 64),
    }
    arm = text.replace("run: null", "run: stuck/7").replace("name: ppo", "name: sb3")
    assert {"branch.start": "anew", "trainer.name": "sb3"}.items() <= parse_configuration(arm).items()
    assert parse_configuration("|param|value|\n|-|-|\n|gamma|0.99|") == {}


def test_settings_are_translated_with_their_units() -> None:
    theirs = {"learning_rate": 1e-3, "vf_coef": 0.5, "norm_adv": True, "exp_name": "a"}
    assert translate_settings(theirs, CLEANRL) == {
        "ppo.lr": 1e-3,
        "ppo.value_coef": 0.25,
        "ppo.normalize_advantage": True,
        "exp_name": "a",
    }
    assert translate_settings({"vf_coef": 0.5, "return_normalization": True}, PLAIN) == {
        "ppo.value_coef": 0.5,
        "ppo.normalize_returns": True,
    }
    assert translate_settings({"vf_coef": True}, CLEANRL) == {"ppo.value_coef": True}  # a flag has no unit
    assert translate_settings({"vf_coef": "half"}, CLEANRL) == {"ppo.value_coef": "half"}


def test_rl_zoos_linear_schedules() -> None:
    assert translate_settings({"learning_rate": "lin_0.001", "clip_range": "lin_0.2"}, SB3) == {
        "ppo.lr": 0.001,
        "ppo.lr_schedule": "linear",
        "ppo.clip_range": 0.2,
    }
    assert translate_settings({"clip_range": "lin_0.2"}, SB3) == {"ppo.clip_range": 0.2}  # of the rate nothing is said
    assert translate_settings({"buffer_size": 3}, SB3) == {"buffer_size": 3}


def test_comments_go_by_our_names() -> None:
    assert translate_comments({"return_normalization": "a", "loudness": "b"}, PLAIN) == {
        "ppo.normalize_returns": "a",
        "loudness": "b",
    }


def test_a_sweeps_own_settings_are_told() -> None:
    assert is_sweep({"sweep.name": "a", "ppo.lr": 1, "env.id": "x", "data.source": "csv"})
    assert not is_sweep({"ppo.lr": 1, "env.id": "x"})
    assert not is_sweep({})


def test_lines_of_names_and_values_are_settings_as_ml_agents_logs_them() -> None:
    text = (
        "\ttrainer_type:\tppo\n\thyperparameters:\t\n\t  learning_rate:\t0.0003\n\t  learning_rate_schedule:\tlinear\n"
    )
    settings = translate_settings(parse_table(text), DIALECTS["mlagents"])
    assert settings == {"trainer_type": "ppo", "ppo.lr": 3e-4, "ppo.lr_schedule": "linear"}


@pytest.mark.parametrize(("value", "schedule"), [(True, "linear"), (False, "constant")])
def test_whether_the_rate_is_annealed_is_a_schedule(value: bool, schedule: str) -> None:
    assert translate_settings({"anneal_lr": value}, CLEANRL) == {"ppo.lr_schedule": schedule}


def test_settings_within_groups_are_found_by_their_last_part() -> None:
    nested = {"algorithm.gamma": 0.9, "learning_rate.value": 1e-3, "policy.depth": 2, "sweep.seed": 1}
    assert translate_settings(nested, PLAIN) == {
        "ppo.gamma": 0.9,
        "ppo.lr": 1e-3,
        "policy.depth": 2,
        "sweep.seed": 1,
    }


def test_curiosity_has_settings_of_its_own() -> None:
    behavior = {
        "hyperparameters": {"learning_rate": 1e-5, "beta": 0.01},
        "network_settings": {"hidden_units": 256, "num_layers": 3, "normalize": False},
        "reward_signals": {
            "extrinsic": {"gamma": 0.5, "strength": 1.0, "network_settings": {"hidden_units": 128, "num_layers": 2}},
            "curiosity": {"gamma": 0.99, "learning_rate": 3e-4},
        },
    }
    ours = translate_settings(flatten({"behaviors": {"Walker": behavior}}), DIALECTS["mlagents"])
    assert (ours["ppo.gamma"], ours["ppo.lr"], ours["ppo.entropy_coef"]) == (0.5, 1e-5, 0.01)
    assert ours["ppo.hidden_sizes"] == [256, 256, 256]
    assert ours["ppo.normalize_observations"] is False
    assert ours["behaviors.Walker.reward_signals.curiosity.learning_rate"] == 3e-4


@pytest.mark.parametrize(
    ("program", "settings", "sizes"),
    [
        ("rsl_rl", {"policy.actor_hidden_dims": [512, 256]}, [512, 256]),
        ("rl_games", {"params.network.mlp.units": [256, 128]}, [256, 128]),
        ("rllib", {"model.fcnet_hiddens": [1, 1]}, [1, 1]),
        ("plain", {"hidden_sizes": (64, 64)}, [64, 64]),
        ("sb3", {"policy_kwargs.net_arch": [{"pi": [64]}]}, None),
        ("rl_games", {"params.network.rnn.units": 256}, None),
    ],
)
def test_sizes_of_layers_are_lists_of_numbers(program: str, settings: dict[str, Any], sizes: list[int] | None) -> None:
    ours = translate_settings(settings, DIALECTS[program])
    assert ours.get("ppo.hidden_sizes") == sizes
    assert sizes or ours == settings


def test_numbers_without_a_dot_and_values_with_tags_of_python_are_read(tmp_path: Path) -> None:
    """YAML 1.1 takes 3e-4 for a text; Isaac Lab writes tuples and slices with a tag, which is never executed."""
    file = tmp_path / "agent.yaml"
    file.write_text(
        "lr: 3e-4\ngamma: 99E-2\nname: 1e5x\nsize: !!python/tuple\n- 1\n- 2\n"
        "where: !!python/object/apply:builtins.slice\n- null\n- 3\nkind: !!python/name:os.system ''\n"
        "run: !!python/object/apply:os.getcwd []\n"
    )
    settings, _ = read_settings(file)
    assert (settings["lr"], settings["gamma"], settings["name"]) == (3e-4, 0.99, "1e5x")
    assert (settings["size"], settings["where"], settings["kind"]) == ([1, 2], [None, 3], "")
    assert settings["run"] == []


@pytest.mark.parametrize(
    ("settings", "clip"),
    [
        ({"clip_range": 0.2, "experiment.policy_noclip": True}, None),
        ({"clip_range": 0.2, "experiment.policy_noclip": False}, 0.2),
        ({"eps_clip": 0.2, "use_ppo_clip": False}, None),
        ({"eps_clip": 0.2, "use_ppo_clip": True}, 0.2),
        ({"eps_clip": 0.2, "use_clip": False}, 0.2),  # may be of gradients
    ],
)
def test_a_clip_that_is_switched_off_has_no_range(settings: dict[str, Any], clip: float | None) -> None:
    assert translate_settings(settings, PLAIN)["ppo.clip_range"] == clip


def test_ml_agents_buffer_is_a_rollout_and_own_scripts_count_epochs_alike() -> None:
    mlagents = DIALECTS["mlagents"]
    assert translate_settings({"hyperparameters.buffer_size": 1000}, mlagents) == {"ppo.num_steps": 1000}
    pooled = {"hyperparameters.buffer_size": 1000, "env_settings.num_envs": 8}
    assert translate_settings(pooled, mlagents) == {"ppo.num_steps": 125, "ppo.num_envs": 8}
    assert translate_settings({"num_steps": 1000, "num_envs": 8}, PLAIN)["ppo.num_steps"] == 1000
    assert translate_settings({"train.ppo.optim_epochs": 4}, PLAIN) == {"ppo.num_epochs": 4}
    assert translate_settings({"K_epochs": 4}, PLAIN) == {"ppo.num_epochs": 4}
