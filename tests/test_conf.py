import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from unstuck.analysis.sweep.pruning import LEAST
from unstuck.rl.config import TRIAGE
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.compose import to_config
from unstuck.sweeps.config.keys import settings
from unstuck.sweeps.config.setting_docs import list_setting_docs
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.kinds import Log
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.stopping.asha import Asha

from tests.composing import CONF, composed

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml") if file.stem != "unstick")
"""Experiments that search; an unstick has arms and no space (tests/sweeps_tests/unstick)."""

GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name not in ("__pycache__",))


def config_of(experiment: str, *overrides: str) -> SweepConfig:
    return to_config(composed(f"+experiment={experiment}", *overrides), experiment)


def read(path: Path) -> dict[str, Any]:
    body = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(body, dict)
    return {str(key): value for key, value in body.items()}


def chosen() -> dict[str, str]:
    """Option of each group in conf/config.yaml."""
    options = [item for item in read(CONF / "config.yaml")["defaults"] if isinstance(item, dict)]
    return {group: option for item in options for group, option in item.items() if not group.startswith("override")}


def leaves(body: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of a nested configuration by dotted key; lists are values."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        key = f"{prefix}{name}"
        found |= leaves(value, f"{key}.") if isinstance(value, dict) and value else {key: value}
    return found


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_the_schema_comes_first_and_the_settings_of_the_sweep_last() -> None:
    defaults = read(CONF / "config.yaml")["defaults"]
    assert (defaults[0], defaults[-1]) == ("schema", "_self_")


def test_every_group_fills_its_part_of_the_configuration() -> None:
    parts = {item.name for item in fields(SweepConfig)}
    own = {"sweep", "branch", "unstick", "run", "arms", "resume", "retry", "format", "id", "script"}
    assert set(GROUPS) == parts - own | {"experiment"}
    assert set(chosen()) == parts - own


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in ("space", "experiment")])
def test_the_default_option_equals_the_dataclass(group: str) -> None:
    default = getattr(SweepConfig(), group)
    body = read(CONF / group / f"{chosen()[group]}.yaml")
    assert body == {name: plain(getattr(default, name)) for name in body}


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in ("space", "experiment")])
def test_every_field_is_listed_by_an_option_with_a_comment(group: str) -> None:
    listed: set[str] = set()
    for file in (CONF / group).glob("*.yaml"):
        text = file.read_text()
        assert text.startswith("# "), f"{file} must say what it is"
        listed |= read(file).keys()
        if file.stem == chosen()[group]:
            assert all("  # " in line for line in text.splitlines()[1:]), f"{file} must comment every field"
    assert listed - {"defaults"} == {item.name for item in fields(getattr(SweepConfig(), group))}


def test_ppo_default_and_the_sweep_list_every_field() -> None:
    assert list(read(CONF / "ppo" / "default.yaml")) == [item.name for item in fields(SweepConfig().ppo)]
    for group in ("sweep", "unstick"):
        default = getattr(SweepConfig(), group)
        said = read(CONF / "config.yaml")[group]
        assert said == {item.name: plain(getattr(default, item.name)) for item in fields(default)}


def test_the_stuck_run_has_the_settings_on_record() -> None:
    ppo = to_config(composed("ppo=stuck_run")).ppo
    assert (ppo.value_coef, ppo.lr, ppo.entropy_coef) == (1.5, 3e-4, 0.05)
    assert (ppo.normalize_returns, ppo.normalize_advantage, ppo.shared_trunk) == ("batch", True, True)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_can_be_searched(name: str) -> None:
    config = config_of(name)
    space, points = build_space(config)
    assert space.contains(space.control_values(config)), "the control must be a point of the space"
    assert config.sweep.name is not None
    assert config.sweep.name.startswith(f"{name}-")
    assert all(space.contains(point) for point in points)
    assert len(points) == len(config.sampler.points)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_says_how_it_is_run(name: str) -> None:
    package, comment, what, *_ = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()
    assert package == "# @package _global_"  # Hydra reads it nowhere but above all other comments
    assert comment == f"# python sweep.py +experiment={name}"
    assert what.startswith("# ")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_holds_only_what_it_changes(name: str) -> None:
    body = read(CONF / "experiment" / f"{name}.yaml")
    options = {
        key.removeprefix("override /"): option
        for item in body.pop("defaults", [])
        if isinstance(item, dict)
        for key, option in item.items()
    }
    assert not options.items() & chosen().items()
    beneath = OmegaConf.to_container(composed(*(f"{group}={option}" for group, option in options.items())))
    assert isinstance(beneath, dict)
    before = leaves({str(key): value for key, value in beneath.items()})
    same = {key for key, value in leaves(body).items() if key in before and before[key] == value}
    assert same == set()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_pruned_no_sooner_than_it_is_measured(name: str) -> None:
    config = config_of(name)
    assert config.scheduler.grace_iterations % config.ppo.eval_every == 0
    assert config.scheduler.grace_iterations < config.ppo.num_iterations
    assert config.env.id != TRIAGE or config.health.stuck_grace_iterations < config.ppo.num_iterations


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_promises_what_pruning_cost_only_if_enough_trials_are_spared(name: str) -> None:
    """By draw, 2 of 48 were."""
    config = config_of(name)
    asha, trials = Asha(config), config.sweep.num_trials or 0
    spared = 1 + sum(asha.is_spared(number) for number in range(trials))  # and the control
    assert asha.rungs
    if config.scheduler.name == "asha":
        is_enough = spared > LEAST  # though one of them may be stuck
        assert is_enough == (trials >= 48)
        said = re.search(r"spares (\d+), too few to see what", (CONF / "experiment" / f"{name}.yaml").read_text())
        assert (said is None) == is_enough
        assert said is None or int(said[1]) == spared


def test_the_budgets() -> None:
    quick, full, horizon, cartpole = map(config_of, ("quickstart", "ppo_coefficients", "horizon", "cartpole"))
    assert (quick.sweep.num_trials, quick.sweep.seeds, quick.ppo.num_iterations) == (12, 3, 30)
    for config in (full, horizon):
        assert (config.sweep.num_trials, config.sweep.seeds, config.ppo.num_iterations) == (48, 4, 200)
        assert (config.sampler.name, config.scheduler.name) == ("tpe", "asha")
    assert (cartpole.sweep.num_trials, cartpole.sweep.seeds, cartpole.ppo.num_iterations) == (24, 4, 60)
    assert (cartpole.env.id, cartpole.sweep.metric) == ("CartPole-v1", "eval/episode_return")


def test_the_unstick_needs_a_run_and_has_arms_instead_of_a_space() -> None:
    with pytest.raises(ConfigError, match=r"^run must name the run to branch, got none; add run=SWEEP/7 for trial"):
        config_of("unstick")
    config = config_of("unstick", "run=s/7")
    assert (config.run, config.arms, config.space) == ("s/7", ("prescribed", "single_changes"), {})
    assert (config.milestones.name, config.scheduler.name, config.health.enabled) == ("improved", "none", False)


def test_the_ranges_hold_the_run_and_its_fixes_well_inside() -> None:
    space, _ = build_space(config_of("ppo_coefficients"))
    for path, values in {
        "ppo.value_coef": (1.5, 3.0, 5.0),
        "ppo.lr": (3e-4, 5e-4, 1e-3),
        "ppo.entropy_coef": (0.05, 0.01, 0.02),
    }.items():
        kind = space.kinds[path]
        assert type(kind) is Log
        assert all(2 * kind.low <= value <= kind.high / 2 for value in values)


def test_the_horizon_reaches_zero() -> None:
    space, _ = build_space(config_of("horizon"))
    assert set(space.paths) == {"ppo.value_coef", "ppo.lr", "ppo.entropy_coef", "ppo.gamma", "ppo.gae_lambda"}
    assert space.kinds["ppo.gamma"].contains(0.0)


def test_the_owners_options_change_one_thing_each_beside_a_control() -> None:
    config = config_of("owner_options")
    space, points = build_space(config)
    control = space.control_values(config)
    changes = [{path: value for path, value in point.items() if value != control[path]} for point in points]
    assert changes == [
        {},
        {"ppo.value_coef": 3.0},
        {"ppo.value_coef": 5.0},
        {"ppo.lr": 5e-4},
        {"ppo.lr": 1e-3},
        {"ppo.entropy_coef": 0.01},
        {"ppo.entropy_coef": 0.02},
        {"ppo.value_coef": 5.0, "ppo.lr": 5e-4, "ppo.entropy_coef": 0.02},
    ]
    assert (config.scheduler.name, config.health.enabled) == ("none", False)


def test_the_line_overrides_an_experiment() -> None:
    config = config_of(
        "ppo_coefficients",
        "data=nsl_kdd",
        "data.path=/flows.txt",
        "ppo.num_steps=256",
        "sweep.num_trials=20",
        "sweep.seeds=5",
        "sweep.name=a",
        "sweep.max_hours=1",
        "resources.cpus=1",
        "space.ppo.lr.log=[1e-4,1e-3]",
        "+space.ppo.gamma.choice=[0.0,0.5]",
        "~space.ppo.entropy_coef",
    )
    assert (config.data.source, config.data.path, config.ppo.num_steps) == ("nsl_kdd", "/flows.txt", 256)
    assert (config.sweep.num_trials, config.sweep.seeds, config.sweep.name) == (20, 5, "a")
    assert (config.sweep.max_hours, config.resources.cpus) == (1.0, 1)
    space, _ = build_space(config)
    assert space.paths == ("ppo.value_coef", "ppo.lr", "ppo.gamma")
    assert space.kinds["ppo.lr"] == Log(1e-4, 1e-3)


def test_every_setting_has_a_meaning() -> None:
    assert [key for key, one in list_setting_docs().items() if not one.meaning] == []
    assert list(list_setting_docs()) == list(settings())


def test_every_number_has_a_typical_range() -> None:
    numbers = [path for path, kind in settings().items() if kind in (int, float, int | None, float | None)]
    assert [
        path
        for path in numbers
        if path != "format" and not re.search(r"; [\d<].*(to|or more)", list_setting_docs()[path].meaning)
    ] == []


def test_the_page_lists_every_group_and_option() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for group in GROUPS:
        row = re.search(rf"^\| `{group}` \| (.*) \|$", text, re.M)
        assert row is not None, f"the page must list the group {group}"
        for file in (CONF / group).glob("*.yaml"):
            assert f"`{file.stem}`" in row[1]
