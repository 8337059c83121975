import os
import re
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ReadonlyConfigError
from unstuck.records.errors import SweepError
from unstuck.rl.config import PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.schema import (
    check_keys,
    convert_value,
    from_yaml,
    nearest_setting,
    readable_errors,
    settings,
    to_config,
    to_yaml,
    twin,
)
from unstuck.sweeps.config.settings import HealthConfig, SamplerConfig, SweepConfig, TrackingConfig

CONF = Path(__file__).parents[3] / "conf"


def composed(*overrides: str, folder: Path = CONF) -> DictConfig:
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def refusal(*overrides: str, folder: Path = CONF) -> str:
    """The message, which is one line whatever it is about."""
    with pytest.raises((SweepError, ConfigError), match=r"^[^\n]+$") as caught, readable_errors():
        to_config(composed(*overrides, folder=folder))
    return str(caught.value)


def test_the_schema_has_the_fields_types_and_defaults_of_the_dataclasses() -> None:
    schema = OmegaConf.structured(twin(SweepConfig))
    assert OmegaConf.to_container(schema) == OmegaConf.to_container(OmegaConf.create(asdict(SweepConfig())))
    hidden_sizes = next(item for item in fields(twin(PPOConfig)) if item.name == "hidden_sizes")
    assert hidden_sizes.type == list[int]


def test_a_twin_can_be_composed_into_and_a_frozen_class_not() -> None:
    body = OmegaConf.structured(twin(HealthConfig))
    body.explosion_factor = 5
    assert body.explosion_factor == 5.0
    with pytest.raises(ReadonlyConfigError, match="Cannot change read-only config container"):
        OmegaConf.structured(HealthConfig).explosion_factor = 5


def test_a_twin_does_not_share_its_lists() -> None:
    twin(PPOConfig)().hidden_sizes.append(8)
    assert twin(PPOConfig)().hidden_sizes == [64, 64]


def test_a_twin_follows_a_new_field() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Grown(PPOConfig):
        layers: tuple[str, ...] = ("a",)
        limit: float | None = None

    body = OmegaConf.structured(twin(Grown))
    assert body.layers == ["a"]
    assert body.limit is None
    assert body.lr == PPOConfig().lr


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
def test_nearest(key: str, expected: str) -> None:
    assert nearest_setting(key) == expected


def test_the_composed_default_is_the_dataclass_default_but_for_the_space_and_the_paths() -> None:
    config = to_config(composed("sweep.name=a"))
    default = SweepConfig()
    expected = replace(default, sweep=replace(default.sweep, name="a", folder=os.path.abspath("runs")))
    assert replace(config, space={}) == expected
    assert config.ppo.hidden_sizes == (64, 64)


def test_values_are_typed_and_tuples() -> None:
    config = to_config(composed("ppo.value_coef=1", "ppo.hidden_sizes=[32]", "data.drop=[a,b]", "ppo.target_kl=0.02"))
    assert type(config.ppo.value_coef) is float
    assert config.ppo.hidden_sizes == (32,)
    assert config.data.drop == ("a", "b")
    assert config.ppo.target_kl == 0.02


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+new=1", "unknown setting new; did you mean"),
        ("+deep.er.lr=1", "unknown setting deep.er.lr; did you mean ppo.lr?"),
        ("++ppo.zzz=1", "unknown setting ppo.zzz; did you mean ppo.lr?"),
        ("+ppo.empty={}", "unknown setting ppo.empty; did you mean"),
        ("+data/x=1", "unknown setting data/x; did you mean data?"),
    ],
)
def test_keys_that_hydra_lets_through_are_refused(override: str, message: str) -> None:
    cfg = composed(override)  # the wrong variant: Hydra alone is content
    with pytest.raises(SweepError, match=r"^unknown setting") as caught:
        check_keys(cfg)
    assert str(caught.value).startswith(message)


def test_what_is_free_in_form_has_no_unknown_keys() -> None:
    check_keys(composed("+space.anything.goes=1", "sampler.points=[{any: {thing: 2}}]", "~space.ppo.lr"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ppo.lrr=1", "unknown setting ppo.lrr; did you mean ppo.lr?"),
        ("lr=1", "unknown setting lr; did you mean ppo.lr?"),
        ("data=nsl_kd", "data has no option nsl_kd; did you mean data=nsl_kdd? There are: csv, nsl_kdd, synthetic"),
        ("ppo.lr=abc", "ppo.lr must be a number, got abc"),
        ("ppo.num_envs=1e-3", "ppo.num_envs must be a whole number, got 0.001"),
        ("ppo.hidden_sizes=[1.5]", "ppo.hidden_sizes must be a list of whole numbers, got 1.5"),
        ("ppo.lr=[", "ppo.lr must be a number, got ["),
        ("lonely", "cannot read 'lonely'; write key=value"),
        ("data=5", "Config group override must be a string or a list"),
        ("experiment=quickstart", "Could not override 'experiment'."),
        ("space.ppo.gamma.log=[1,2]", "Could not override 'space.ppo.gamma.log'. To append to your config use +space"),
        ("ppo.lr=1,2", "Ambiguous value for argument 'ppo.lr=1,2'; write key=[a,b]"),
        ("ppo.lr=${nope}", "ppo.lr must be a number, got ${nope}, and there is no nope"),
        ("ppo.lr=???", "ppo.lr must be a number, got ???"),
        ("ppo.minibatch_size=48", "minibatch_size must divide num_envs * num_steps = 1024, got 48; try 32 or 64"),
        ("data=nsl_kdd", "data.path must name a file for data=nsl_kdd; add data.path=FILE"),
        ("sweep.name=a/b", "sweep.name must be 1 to 100 letters"),
    ],
)
def test_what_cannot_be_composed_is_one_line(override: str, message: str) -> None:
    assert refusal(override).startswith(message)


def test_a_mistyped_experiment_names_the_nearest_and_all() -> None:
    message = refusal("+experiment=quikstart")
    assert message.startswith("experiment has no option quikstart; did you mean +experiment=quickstart? There are: ")
    for file in (CONF / "experiment").glob("*.yaml"):
        assert file.stem in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# @package _global_\nppo: {lrr: 1}\n", "experiment/mine.yaml: unknown setting ppo.lrr; did you mean ppo.lr?"),
        ("# @package _global_\nppo: {lr: abc}\n", "experiment/mine.yaml: ppo.lr must be a number, got abc"),
        ("# @package _global_\nppo: {lr: 1\n", "while parsing a flow mapping in"),
        (
            "# @package _global_\nppo.lr: 1\n",
            "experiment/mine.yaml: ppo.lr must be nested in a file: {ppo: {lr: VALUE}}",
        ),
        (
            "# @package _global_\ndata: csv\n",
            "experiment/mine.yaml: data takes settings, got csv; an option is chosen by",
        ),
        ("# @package _global_\nppo: {lr: [1, 2]}\n", "experiment/mine.yaml: ppo.lr must be a number, got a list"),
        ("# @package _global_\nspace: {ppo: {lr: [1, 2]}}\n", "experiment/mine.yaml: space holds {ppo: {lr: {log: [l"),
        (
            "# @package _global_\ndefaults: [/data: csv]\n",
            "data is chosen twice; an option is chosen by 'override /data",
        ),
        ("ppo: {lr: 1}\n", "an experiment's file must have '# @package _global_' as its first line"),
        ("defaults: [{override /ppo: stuck_run}]\n", "an experiment's file must have '# @package _global_'"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    assert refusal(f"hydra.searchpath=[file://{tmp_path}]", "+experiment=mine").startswith(message)


def test_without_translation_the_message_has_no_hint() -> None:
    with pytest.raises(HydraException, match=r"Could not override 'ppo.lrr'") as caught:
        composed("ppo.lrr=1")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("experiment", "name"),
    [
        (None, "sweep-20260131-174505"),
        ("quickstart", "quickstart-20260131-174505"),
        ("mine/wide", "mine-wide-20260131-174505"),
        ("[a, b]", "a-b-20260131-174505"),
    ],
)
def test_a_sweep_without_a_name_is_named_after_experiment_and_time(experiment: str | None, name: str) -> None:
    config = to_config(composed(), experiment, datetime(2026, 1, 31, 17, 45, 5))
    assert re.fullmatch(name + "-[0-9a-f]{6}", str(config.sweep.name))


def test_a_name_given_is_kept() -> None:
    assert to_config(composed("sweep.name=a"), "quickstart").sweep.name == "a"


def test_a_resumed_sweep_has_its_name() -> None:
    config = to_config(composed("resume=mine"))
    assert (config.resume, config.sweep.name) == ("mine", "mine")
    assert to_config(composed("resume=mine", "sweep.name=mine")) == config
    with pytest.raises(ConfigError, match=r"sweep\.name must be left out with resume=mine, which says it; got other"):
        to_config(composed("resume=mine", "sweep.name=other"))
    with pytest.raises(ConfigError, match=r"resume must be 1 to 100 letters"):
        to_config(composed("resume=../elsewhere"))


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = to_config(composed("data=nsl_kdd", "data.path=../flows.txt", "sweep.folder=out"))
    assert config.data.path == str(tmp_path.parent / "flows.txt")
    assert config.sweep.folder == str(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"^sweep\.folder must be a folder on this machine, got s3://bucket/runs$"):
        to_config(composed("sweep.folder=s3://bucket/runs"))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("+experiment=owner_options",),
        ("+experiment=cartpole", "ppo.lr=1e-05", "ppo.hidden_sizes=[8,8]", "tracking.mlflow_experiment='1e3'"),
        ("data=csv", "data.path=a b.csv", "data.label='yes'", "data.benign=['no', '0']", "sweep.name='007'"),
    ],
)
def test_yaml_reads_back_to_the_same_configuration(overrides: tuple[str, ...]) -> None:
    config = to_config(composed(*overrides))
    read = OmegaConf.merge(OmegaConf.structured(twin(SweepConfig)), OmegaConf.create(to_yaml(config)))
    assert isinstance(read, DictConfig)
    assert to_config(read) == config


@pytest.mark.parametrize("password", ["s3cret", "it's s3cret " * 9, 's3cret"é\\', "s3c%20ret@x:/y"])
def test_yaml_holds_no_password(password: str) -> None:
    url = f"postgresql://me:{password}@db/runs?sslpassword={password}"
    written = to_yaml(SweepConfig(tracking=TrackingConfig(mlflow_url=url, optuna_url=url)))
    assert "s3c" not in written
    assert OmegaConf.create(written).tracking.optuna_url.startswith("postgresql://***")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {label: '${oc.env:HOME}'}", r"^data\.label must not hold '\$\{', which reads as a reference"),
        ("sampler: {points: [{ppo: {lr: '${ppo.gamma}'}}]}", r"^sampler\.points\.0\.ppo\.lr must not hold '\$\{'"),
        ("data: {label: 'a${'}", r"^a sweep's config\.yaml must be YAML"),
        ("data: {label: !!python/object/apply:os.system ['true']}", r"^a sweep's config\.yaml must be YAML"),
        ("sweep: {name: ../x}", r"^sweep\.name must be 1 to 100 letters"),
    ],
)
def test_yaml_that_refers_to_anything_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_yaml(text)


def test_yaml_of_what_could_not_be_a_configuration() -> None:
    config = SweepConfig()
    written = OmegaConf.create(to_yaml(config, {"ppo.minibatch_size": 48, "ppo.hidden_sizes": (8,)}))
    assert (written.ppo.minibatch_size, list(written.ppo.hidden_sizes)) == (48, [8])
    assert to_yaml(config, {}) == to_yaml(config)


def test_yaml_keeps_the_points() -> None:
    config = SweepConfig(sampler=SamplerConfig(name="points", points=({}, {"ppo": {"hidden_sizes": [8]}})))
    assert OmegaConf.create(to_yaml(config)).sampler.points == [{}, {"ppo": {"hidden_sizes": [8]}}]


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
def test_typed(key: str, value: object, expected: object) -> None:
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
def test_typed_refuses_another_type(key: str, value: object) -> None:
    with pytest.raises(SweepError, match=rf"^here must hold .* for {key}, got "):
        convert_value(key, value, "here")
