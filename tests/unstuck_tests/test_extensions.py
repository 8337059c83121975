"""Rules, judges, samplers and data sources of another package take part, and are refused in one line.

A rule and a judge in a real sweep, with Ray: sweeps_tests/run/test_sweep_joined.py.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

import optuna
import pytest
from unstuck.analysis.diagnosis.rules import RULES, load_rules
from unstuck.records import extensions
from unstuck.records.axis import ITERATION, Axis
from unstuck.records.errors import ExtensionError
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome
from unstuck.rl import config as rl_config
from unstuck.rl.config import DataConfig
from unstuck.rl.data import SOURCES
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config import settings
from unstuck.sweeps.config.find import find_sweep
from unstuck.sweeps.config.flows import load_sources
from unstuck.sweeps.config.settings import SamplerConfig, SweepConfig
from unstuck.sweeps.run.judges import JUDGES, load_judges, make_judges
from unstuck.sweeps.search.sampler import SAMPLERS, make_sampler
from unstuck.sweeps.stopping.live_trial import LiveTrial
from unstuck.sweeps.trackers import TRACKERS
from unstuck.sweeps.trainers.kinds import TRAINERS

import unstuck
from tests.analysis_tests.runs import healthy
from tests.conftest import Command

ROOT = Path(__file__).parents[2]
MODULE = """
import numpy as np
from optuna.samplers import RandomSampler
from unstuck.analysis.diagnosis.finding import Finding, Kind, Rule, Stage, Sureness
from unstuck.records.outcome import Outcome, Verdict
from unstuck.rl.data.raw import RawFlows

RULE = Rule("acme_rule", "Acme rule", Stage.SCALE, (), "acme",
            lambda run: Finding("acme says: look here", Kind.FAULT, Sureness.SURE))
FAILS = Rule("acme_rule", "Acme rule", Stage.SCALE, (), "acme", lambda run: 1 / 0)

class Stops:
    def judge(self, trial, period):
        return Verdict(Outcome.PRUNED, "acme: enough")

class StopsHighRates:
    def judge(self, trial, period):
        return Verdict(Outcome.PRUNED, "acme: enough") if trial.config.ppo.lr > 0.03 else None

class Fails:
    def judge(self, trial, period):
        return 1 / 0

class Completes:
    def judge(self, trial, period):
        return Verdict(Outcome.COMPLETED, "acme: enough")

def make_judge(config, axis):
    return Stops()

def make_lenient(config, axis):
    return StopsHighRates()

def make_failing(config, axis):
    return Fails()

def make_completing(config, axis):
    return Completes()

def make_none(config, axis):
    return None

def make_sampler(config, seed, number):
    return RandomSampler(seed=seed + number)

def read_flows(config):
    rng = np.random.default_rng(config.seed)
    threat = rng.random(1000) < 0.2
    return RawFlows({"size": rng.normal(size=1000) + threat, "rate": rng.normal(size=1000)}, {}, threat)
"""
ALL = {
    "unstuck.rules": {"acme_rule": "acme_plugin:RULE"},
    "unstuck.judges": {"acme_judge": "acme_plugin:make_judge"},
    "unstuck.samplers": {"acme_sampler": "acme_plugin:make_sampler"},
    "unstuck.data_sources": {"acme_data": "acme_plugin:read_flows"},
}


def install(folder: Path, package: str, points: Mapping[str, Mapping[str, str]]) -> None:
    """Write what an installer would of a package that says these entry points."""
    (folder / "acme_plugin.py").write_text(MODULE)
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [
        line for group, names in points.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path for packages; nothing of it is left over."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    _forget()
    yield folder
    sys.modules.pop("acme_plugin", None)
    _forget()


def _forget() -> None:
    extensions.find_others.cache_clear()
    load_rules.cache_clear()


@pytest.mark.parametrize(
    ("group", "table"),
    [
        (extensions.RULES, {rule.name: rule for rule in RULES}),
        (extensions.JUDGES, JUDGES),
        (extensions.TRACKERS, TRACKERS),
        (extensions.SAMPLERS, SAMPLERS),
        (extensions.DATA_SOURCES, SOURCES),
        (extensions.TRAINERS, TRAINERS),
    ],
)
def test_our_tables_are_what_our_entry_points_say(group: str, table: Mapping[str, object]) -> None:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"][group]
    assert {name: EntryPoint(name, value, group).load() for name, value in said.items()} == dict(table)


def test_settings_know_the_names_of_the_tables() -> None:
    assert tuple(settings.SAMPLERS) == tuple(SAMPLERS)
    assert tuple(rl_config.SOURCES) == tuple(SOURCES)
    assert tuple(settings.TRAINERS) == tuple(TRAINERS)


def test_a_rule_of_another_package_takes_part_in_a_diagnosis(site: Path) -> None:
    install(site, "acme", ALL)
    found = unstuck.diagnose(healthy())
    assert found.findings[0].finding.headline == "acme says: look here"
    assert [rule.name for rule in load_rules()] == [*(rule.name for rule in RULES), "acme_rule"]


def test_a_rule_that_fails_is_named_with_its_package(site: Path) -> None:
    install(site, "acme", {"unstuck.rules": {"acme_rule": "acme_plugin:FAILS"}})
    with pytest.raises(unstuck.AnalysisError) as error:
        unstuck.diagnose(healthy())
    assert str(error.value) == "rule acme_rule of package acme failed: ZeroDivisionError: division by zero"


def test_a_rule_has_the_name_of_its_entry_point(site: Path) -> None:
    install(site, "acme", {"unstuck.rules": {"other": "acme_plugin:RULE"}})
    with pytest.raises(unstuck.AnalysisError, match=r"entry point, other, got acme_rule from package acme$"):
        load_rules()


def judge_by(factory: str, site: Path, is_control: bool = False) -> str | None:
    install(site, "acme", {"unstuck.judges": {"acme_judge": f"acme_plugin:{factory}"}})
    config = SweepConfig()
    judges = make_judges(config, Axis(ITERATION, 1, 200))
    trial, period = LiveTrial(1, config, is_control=is_control), [Record(20, 0, {})]
    assert [one.name for one in load_judges()][-2:] == ["acme_judge", "last_step"]
    assert len(judges) == (4 if factory == "make_none" else 5)
    verdict = judges[-2].judge(trial, period)
    return f"{verdict.outcome}: {verdict.reason}" if verdict else None


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("make_judge", "pruned: acme: enough"),
        ("make_failing", "crashed: judge acme_judge of package acme failed: ZeroDivisionError: division by zero"),
        ("make_none", None),
    ],
)
def test_a_judge_of_another_package_is_asked_before_the_last(factory: str, said: str | None, site: Path) -> None:
    assert judge_by(factory, site) == said


def test_a_judge_may_not_say_that_a_trial_has_completed(site: Path) -> None:
    said = judge_by("make_completing", site) or ""
    wanted = "crashed: judge acme_judge of package acme must return None or a Verdict of pruned, stuck, diverged, got "
    assert said.startswith(wanted)
    assert Outcome.COMPLETED.name in said


def test_no_judge_of_another_package_stops_the_control(site: Path) -> None:
    assert judge_by("make_judge", site, is_control=True) is None


def test_a_sampler_and_a_source_are_chosen_by_name(site: Path) -> None:
    with pytest.raises(ConfigError, match=r"sampler.name must be one of tpe, random, points, got 'acme_sampler'"):
        SamplerConfig(name="acme_sampler")
    install(site, "acme", ALL)
    _forget()
    assert isinstance(make_sampler(SamplerConfig(name="acme_sampler"), 0, 1), optuna.samplers.RandomSampler)
    flows = load_sources()["acme_data"](DataConfig(source="acme_data"))
    assert (list(flows.numbers), len(flows.threat)) == (["size", "rate"], 1000)
    with pytest.raises(ConfigError, match="must be one of synthetic, nsl_kdd, csv, acme_data, got 'acme'"):
        DataConfig(source="acme")


TINY = ("+experiment=quickstart", "sweep.name=tiny", "sweep.num_trials=2", "sweep.seeds=1", "ppo.num_iterations=4")
TINY += ("ppo.eval_every=1", "data.eval_flows=50", "tracking=none", "health=none", "scheduler=none", "resources.cpus=1")
ACME = ("sampler.name=acme_sampler", "data.source=acme_data")


def test_all_four_take_part_in_a_sweep(site: Path, command: Command, without_ray: None) -> None:
    install(site, "acme", ALL)
    _forget()
    done = command(*TINY, *ACME)
    assert done.code == 0, done.err
    assert " of 1,000 flows (acme_data)" in done.out
    control, other = Ledger.open_sweep(find_sweep("tiny", command.folder / "runs").reference).entries()
    assert (str(control.outcome), str(other.outcome)) == ("completed", "pruned")
    assert other.reason.startswith("acme: enough")
    assert "acme_rule" in json.dumps(control.notes)


@pytest.mark.parametrize(
    ("group", "name", "value", "message"),
    [
        ("unstuck.rules", "x", "acme_plugin:Stops", "x in unstuck.rules must be a Rule .*, got .* from package acme$"),
        ("unstuck.judges", "x", "acme_plugin:RULE", "x in unstuck.judges must be a function of .* from package acme$"),
        (
            "unstuck.judges",
            "asha",
            "acme_plugin:make_judge",
            "names in unstuck.judges must differ, got asha from package unstuck and from package acme; uninstall",
        ),
        (
            "unstuck.judges",
            "x",
            "acme_gone:make",
            "x in unstuck.judges cannot be imported from acme_gone:make of package acme: ModuleNotFoundError: No ",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    site: Path, group: str, name: str, value: str, message: str
) -> None:
    install(site, "acme", {group: {name: value}})
    with pytest.raises((ExtensionError, unstuck.AnalysisError), match=message) as error:
        load_rules() if group == "unstuck.rules" else load_judges()
    assert "\n" not in str(error.value)


def test_two_packages_may_not_bring_one_name(site: Path) -> None:
    for package in ("acme", "bolt"):
        install(site, package, {"unstuck.samplers": {"grid": "acme_plugin:make_sampler"}})
    with pytest.raises(ExtensionError, match="got grid from package acme and from package bolt; uninstall one"):
        make_sampler(SamplerConfig(name="grid"), 0, 0)
