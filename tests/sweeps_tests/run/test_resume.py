"""What may differ when a sweep is gone on with, and what may not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from unstuck.records.entry import Entry
from unstuck.records.errors import SweepError
from unstuck.records.names import CONFIG, DATA, PROVENANCE
from unstuck.records.outcome import Outcome
from unstuck.rl.config import DataConfig
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SamplerConfig, SchedulerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.run.resume import find_differences, make_as_recorded_command

SPACE = {"ppo": {"lr": {"log": [1e-5, 1e-2]}, "gamma": {"choice": [0.9, 0.99]}}}
STUDY = StudyConfig(name="mine", folder="/runs")
CONFIG_BEFORE = SweepConfig(
    sweep=STUDY, space=SPACE, data=DataConfig(source="csv", path="/a.csv", label="l", benign=("b",))
)
NOW: Mapping[str, Any] = {DATA: "ab" * 32, PROVENANCE: {"git.commit": "1" * 40, "host.cpus": "2"}}


def entry(**values: Any) -> Entry:
    return Entry(3, Outcome.COMPLETED, "", values, 0.5, {}, {}, None, "COMPLETE")


def found(config: SweepConfig, now: Mapping[str, Any] = NOW, entries: tuple[Entry, ...] = ()) -> list[str]:
    """Differences from a sweep recorded as `CONFIG_BEFORE`."""
    return find_differences({**NOW, CONFIG: to_yaml(CONFIG_BEFORE)}, config, now, entries)


def changed(group: str, **values: Any) -> SweepConfig:
    return replace(CONFIG_BEFORE, **{group: replace(getattr(CONFIG_BEFORE, group), **values)})


def spaced(space: Mapping[str, Any]) -> SweepConfig:
    return replace(CONFIG_BEFORE, space={"ppo": {**SPACE["ppo"], **space}})


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(CONFIG_BEFORE, id="nothing"),
        pytest.param(changed("sweep", num_trials=96), id="more trials"),
        pytest.param(changed("sweep", max_hours=2.0), id="time budget"),
        pytest.param(changed("resources", cpus=7, max_failures=5), id="resources"),
        pytest.param(changed("tracking", name="none"), id="tracking"),
        pytest.param(changed("tracking", optuna_url="sqlite:////elsewhere/optuna.db"), id="a moved ledger"),
    ],
)
def test_how_far_and_on_what_needs_no_word(config: SweepConfig) -> None:
    assert found(config) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            replace(CONFIG_BEFORE, sampler=SamplerConfig(name="random")),
            "sampler.name was tpe, is now random: proposals are drawn by it from here on",
        ),
        (
            replace(CONFIG_BEFORE, scheduler=SchedulerConfig(name="none")),
            "scheduler.name was asha, is now none: no trial is stopped by comparison from here on; those that were "
            "stay so",
        ),
        (
            changed("scheduler", spared_share=0.2),
            "scheduler.spared_share was 0.1, is now 0.2: it decides who is spared at the rungs that are still to come",
        ),
        (
            changed("health", explosion_factor=50.0),
            "health.explosion_factor was 100.0, is now 50.0: trials are stopped by it from here on; those that have "
            "ended were not",
        ),
        (
            changed("health", enabled=False),
            "health.enabled was True, is now False: only numbers that are not finite end a trial from here on; those "
            "that ended stay so",
        ),
        (
            changed("sampler", num_startup_trials=5),
            "sampler.num_startup_trials was 10, is now 5: random draws end after so many trials, those on record "
            "included",
        ),
        (
            changed("sweep", control=False),
            "sweep.control was True, is now False: that has no effect: trial 0 is what it was, and no control is added",
        ),
        (changed("data", path="/b.csv"), "data.path was /a.csv, is now /b.csv: it holds the same flows"),
        (
            changed("ppo", lr=1e-3),
            "ppo.lr was 0.0003, is now 0.001: it is searched, so only the control differs, and the one on record had "
            "the former value; new points are completed by it",
        ),
        (
            spaced({"lr": {"log": [1e-6, 1e-2]}}),
            "the space was ppo.lr: Log(low=1e-05, high=0.01), ppo.gamma: Choice(options=(0.9, 0.99)), is now "
            "ppo.lr: Log(low=1e-06, high=0.01), ppo.gamma: Choice(options=(0.9, 0.99)): trials are drawn from it from "
            "here on",
        ),
    ],
)
def test_what_changes_the_rest_of_the_sweep_is_said(config: SweepConfig, said: str) -> None:
    assert found(config, entries=(entry(**{"ppo.lr": 1e-3, "ppo.gamma": 0.9}),)) == [said]


def test_the_line_that_resumes_a_sweep_as_recorded_shows_no_password() -> None:
    words = make_as_recorded_command(changed("tracking", optuna_url="postgresql://me:secret@host/db"))
    assert words[-2:] == ["tracking.optuna_url=postgresql://***@host/db", "resume=mine"]
    assert words[words.index("--config-path") + 1] == "/runs/mine"


def test_other_code_is_said_another_machine_is_not() -> None:
    now = {**NOW, PROVENANCE: {"git.commit": "2" * 40, "host.cpus": "64", "version.torch": "9"}}
    same = "the same configuration may give other numbers from here on"
    assert found(CONFIG_BEFORE, now) == [
        f"git.commit was {'1' * 40}, is now {'2' * 40}: {same}",
        f"version.torch was unknown, is now 9: {same}",
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed("sweep", metric="eval/recall"), "sweep.metric must be what the sweep was started with, eval/f1, got"),
        (changed("sweep", mode="min"), "sweep.mode must be"),
        (changed("sweep", seeds=7), "sweep.seeds must be what the sweep was started with, 4, got 7"),
        (changed("sweep", seed=1), "sweep.seed must be"),
        (changed("ppo", num_iterations=400), r"ppo.num_iterations must be .* 200, got 400: trials with another one do"),
        (
            changed("scheduler", grace_iterations=40),
            r"the scheduler's rungs must be .*, \(60,\), got \(40, 120\): resu",
        ),
        (changed("env", flows_per_episode=7), "env.flows_per_episode must be"),
        (changed("data", threat_share=0.2), "data.threat_share must be"),
        (spaced({"lr": {"float": [1e-5, 1e-2]}}), r"space.ppo.lr must be .* only bounds can be moved"),
        (spaced({"gamma": {"choice": [0.9, 0.95]}}), r"space.ppo.gamma must be .* only bounds can be moved"),
        (spaced({"value_coef": {"log": [0.1, 1.0]}}), "the space must be .* trials so far lack what is new in it"),
        (spaced({"lr": {"log": [1e-5, 1e-4]}}), "the space must be .*: trials so far must lie inside, and 3 do not"),
    ],
)
def test_what_would_mean_nothing_is_refused(config: SweepConfig, message: str) -> None:
    with pytest.raises(SweepError, match=f"{message}.*; start a new sweep, or resume this one as it was: "):
        found(config, entries=(entry(**{"ppo.lr": 1e-3, "ppo.gamma": 0.9}),))


def test_other_flows_are_refused_whatever_their_path() -> None:
    now = {**NOW, DATA: "cd" * 32}
    with pytest.raises(
        SweepError, match=r"the data \(/a.csv\) must be .*, fingerprint abababababab, got fingerprint cdcdc"
    ):
        found(CONFIG_BEFORE, now)
    with pytest.raises(SweepError, match=r"data.path must be what the sweep was started with, /a.csv, got /b.csv"):
        found(changed("data", path="/b.csv"), now)


def test_a_sweep_that_died_before_it_had_recorded_anything_is_begun() -> None:
    assert find_differences({}, CONFIG_BEFORE, NOW, ()) == []
