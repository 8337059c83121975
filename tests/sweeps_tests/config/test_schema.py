from dataclasses import asdict, dataclass, fields

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError
from unstuck.rl.config import PPOConfig
from unstuck.sweeps.config.schema import make_mutable
from unstuck.sweeps.config.settings import HealthConfig, SweepConfig


def test_the_schema_has_the_fields_types_and_defaults_of_the_dataclasses() -> None:
    schema = OmegaConf.structured(make_mutable(SweepConfig))
    assert OmegaConf.to_container(schema) == OmegaConf.to_container(OmegaConf.create(asdict(SweepConfig())))
    hidden_sizes = next(item for item in fields(make_mutable(PPOConfig)) if item.name == "hidden_sizes")
    assert hidden_sizes.type == list[int]


def test_a_mutable_copy_can_be_composed_into_and_a_frozen_class_not() -> None:
    body = OmegaConf.structured(make_mutable(HealthConfig))
    body.explosion_factor = 5
    assert body.explosion_factor == 5.0
    with pytest.raises(ReadonlyConfigError, match="Cannot change read-only config container"):
        OmegaConf.structured(HealthConfig).explosion_factor = 5


def test_a_mutable_copy_does_not_share_its_lists() -> None:
    make_mutable(PPOConfig)().hidden_sizes.append(8)
    assert make_mutable(PPOConfig)().hidden_sizes == [64, 64]


def test_a_mutable_copy_follows_a_new_field() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Grown(PPOConfig):
        layers: tuple[str, ...] = ("a",)
        limit: float | None = None

    body = OmegaConf.structured(make_mutable(Grown))
    assert body.layers == ["a"]
    assert body.limit is None
    assert body.lr == PPOConfig().lr
