import pytest
from unstuck.records.errors import SweepError
from unstuck.sweeps.config.keys import convert_value, find_nearest_setting, settings


def test_settings_are_dotted_keys_with_types() -> None:
    assert settings()["ppo.lr"] is float
    assert settings()["data.benign"] == tuple[str, ...]
    assert "space" in settings()
    assert "ppo" not in settings()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ppo.lrr", "ppo.lr"),
        ("ppo.zzz", "ppo.lr"),
        ("lr", "ppo.lr"),
        ("value_coeff", "ppo.value_coef"),
        ("train.gae_lambda", "ppo.gae_lambda"),
        ("sweep.seeed", "sweep.seed"),
        ("pppo", "ppo"),
        ("expriment", "experiment"),
    ],
)
def test_the_nearest_setting_is_found(key: str, expected: str) -> None:
    assert find_nearest_setting(key) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("ppo.lr", 1, 1.0),
        ("ppo.num_envs", 4, 4),
        ("ppo.target_kl", None, None),
        ("ppo.target_kl", 1, 1.0),
        ("ppo.hidden_sizes", [32, 32], (32, 32)),
        ("ppo.shared_trunk", True, True),
    ],
)
def test_a_value_is_converted_to_the_type_of_its_setting(key: str, value: object, expected: object) -> None:
    result = convert_value(key, value, "here")
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ppo.lr", True),
        ("ppo.lr", "1e-3"),
        ("ppo.lr", float("nan")),
        ("ppo.lr", None),
        ("ppo.num_envs", 4.0),
        ("ppo.num_envs", True),
        ("ppo.shared_trunk", 1),
        ("ppo.hidden_sizes", 32),
        ("ppo.hidden_sizes", [32.5]),
    ],
)
def test_conversion_refuses_another_type(key: str, value: object) -> None:
    with pytest.raises(SweepError, match=rf"^here must hold .* for {key}, got "):
        convert_value(key, value, "here")
