import pytest
from omegaconf import DictConfig, OmegaConf
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.compose import to_config
from unstuck.sweeps.config.saved import from_yaml, to_yaml
from unstuck.sweeps.config.schema import make_mutable
from unstuck.sweeps.config.settings import SamplerConfig, SweepConfig, TrackingConfig

from tests.composing import composed


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
    read = OmegaConf.merge(OmegaConf.structured(make_mutable(SweepConfig)), OmegaConf.create(to_yaml(config)))
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
        ("data: {label: 'a${'}", r"^data\.label must not hold '\$\{'"),
        ("data: {label: a, label: b}", r"^a sweep's config\.yaml must be YAML"),
        ("- data", r"^a sweep's config\.yaml must hold settings by group"),
        ("data: {label: !!python/object/apply:os.system ['true']}", r"^a sweep's config\.yaml must be YAML"),
        ("sweep: {name: ../x}", r"^sweep\.name must be 1 to 100 letters"),
        ("? [data, label]\n: a", r"^a sweep's config\.yaml must be YAML"),
        ("sweep: {seeds: !!int x}", r"^a sweep's config\.yaml must be YAML"),
        ("data: &data {label: {x: *data}}", r"^a sweep's config\.yaml must hold settings as the sweep wrote them"),
        ("script: &own {a: *own}", r"^a sweep's config\.yaml must hold settings as the sweep wrote them"),
    ],
)
def test_yaml_that_refers_to_anything_or_holds_something_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_yaml(text)


def test_values_are_read_as_omegaconf_reads_them() -> None:
    """From files that an older release wrote by it, or that somebody has changed by hand."""
    numbers = ["1e-5", "-2.5E3", "1.", "1_000", "1_000e2", ".inf", "-.inf", "0x1F"]
    others = ["2024-05-01", "12:30", "yes", "off", "~", "1e3x"]
    text = f"script: {{{', '.join(f'a{n}: {value}' for n, value in enumerate(numbers + others))}, b: '1e-5'}}"
    assert from_yaml(text).script == OmegaConf.create(text).script
    assert from_yaml(text).script["a0"] == 1e-5


@pytest.mark.parametrize("text", ["", " \n", "# settings\n", "---\n"])
def test_yaml_without_settings_is_that_of_the_first_format_with_defaults(text: str) -> None:
    assert from_yaml(text) == from_yaml("format: 1")


def test_yaml_of_what_could_not_be_a_configuration() -> None:
    config = SweepConfig()
    written = OmegaConf.create(to_yaml(config, {"ppo.minibatch_size": 48, "ppo.hidden_sizes": (8,)}))
    assert (written.ppo.minibatch_size, list(written.ppo.hidden_sizes)) == (48, [8])
    assert to_yaml(config, {}) == to_yaml(config)


def test_yaml_keeps_the_points() -> None:
    config = SweepConfig(sampler=SamplerConfig(name="points", points=({}, {"ppo": {"hidden_sizes": [8]}})))
    assert OmegaConf.create(to_yaml(config)).sampler.points == [{}, {"ppo": {"hidden_sizes": [8]}}]
