"""What is tried first, and what a resume adds to it: Optuna's ledger, no trial is run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unstuck.records.errors import SweepError
from unstuck.records.files import config_file
from unstuck.records.outcome import Outcome, Verdict
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SamplerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.run.points import plan_points
from unstuck.sweeps.search.sampler import create_ledger

SPACE = {"ppo": {"lr": {"log": [1e-5, 1e-2]}, "gamma": {"float": [0.0, 0.99]}}}
CONTROL = {"ppo.lr": 3e-4, "ppo.gamma": 0.99}


class Sweep:
    """A sweep whose trials are asked for and end at once."""

    def __init__(self, folder: Path, *points: Mapping[str, Any], **study: Any) -> None:
        self.config = SweepConfig(
            sweep=StudyConfig(**{"name": "x", "folder": str(folder), "num_trials": 4, **study}),
            space=SPACE,
            sampler=SamplerConfig(name="random", points=tuple(map(dict, points))),
        )
        self.config.own_folder.mkdir(parents=True)
        url = f"sqlite:///{folder}/optuna.db"
        self.ledger = create_ledger(url, self.config.sweep, self.config.sampler, {})
        self._start(self.config)

    def _start(self, config: SweepConfig) -> list[str]:
        plan = plan_points(config)
        self.distributions = plan.space.distributions()
        said = plan.enqueue(self.ledger)
        config_file(config.own_folder).write_text(to_yaml(replace(plan.config, resume=None)))
        return said

    def resume(self, *points: Mapping[str, Any], num_trials: int = 4, **changed: Any) -> list[str]:
        """Go on with these points; returns what is said of them."""
        study = replace(self.config.sweep, num_trials=num_trials)
        sampler = replace(self.config.sampler, points=tuple(map(dict, points)))
        return self._start(replace(self.config, **{"resume": "x", "sweep": study, "sampler": sampler, **changed}))

    def run(self, count: int = 1) -> list[dict[str, Any]]:
        """Ask for so many trials, and end them."""
        found = []
        for _ in range(count):
            number, raw = self.ledger.ask(self.distributions)
            self.ledger.finish(number, Verdict(Outcome.COMPLETED, ""), 0.5)
            found.append(raw)
        return found


def test_a_new_sweep_tries_the_control_and_then_its_points(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"ppo": {"gamma": 0.0}}, {}, {"ppo": {"lr": 1e-3}})
    assert sweep.run(3) == [CONTROL, {**CONTROL, "ppo.gamma": 0.0}, {**CONTROL, "ppo.lr": 1e-3}]


def test_no_more_points_are_tried_than_there_are_trials_and_more_trials_try_the_rest(tmp_path: Path) -> None:
    points = ({"ppo": {"gamma": 0.0}}, {"ppo": {"gamma": 0.5}})
    sweep = Sweep(tmp_path, *points, num_trials=2)
    assert len(sweep.ledger.raw_parameters()) == 2
    assert sweep.resume(*points, num_trials=3) == []
    assert sweep.run(3)[2]["ppo.gamma"] == 0.5


def test_a_resume_tries_what_is_new_first_and_nothing_twice(tmp_path: Path) -> None:
    old, new = {"ppo": {"gamma": 0.0}}, ({"ppo": {"lr": 1e-3}}, {"ppo": {"lr": 2e-3}})
    sweep = Sweep(tmp_path, old)
    sweep.run(2)
    assert sweep.resume(old, *new) == ["2 new points are tried first"]
    assert sweep.resume(old, *new) == []  # on record by now
    assert [raw["ppo.lr"] for raw in sweep.run(2)] == [1e-3, 2e-3]
    assert len(sweep.ledger.raw_parameters()) == 4


def test_a_new_point_that_a_trial_holds_is_not_repeated(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    _, drawn = sweep.run(2)
    nested = {"ppo": {path.partition(".")[2]: value for path, value in drawn.items()}}
    assert sweep.resume(nested, {"ppo": {"gamma": 0.25}}) == [
        "1 new point is tried first",
        "1 new point is not tried again: trial 1 holds it",
    ]
    assert sweep.run()[0]["ppo.gamma"] == 0.25


def test_points_taken_out_or_moved_have_no_effect_and_that_is_said(tmp_path: Path) -> None:
    a, b, c = ({"ppo": {"gamma": gamma}} for gamma in (0.1, 0.2, 0.3))
    sweep = Sweep(tmp_path, a, b, c)
    assert sweep.resume(c, b) == [
        "1 point is no longer in sampler.points: that has no effect, since what was given before stays on record, "
        "tried or to be tried",
        "sampler.points has another order: that has no effect, since points are tried in the order in which they were "
        "given first",
    ]
    assert [raw["ppo.gamma"] for raw in sweep.run(4)] == [0.99, 0.1, 0.2, 0.3]


def test_new_points_without_room_are_named_with_the_number_of_trials_that_holds_them(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    sweep.run(3)
    said = sweep.resume({"ppo": {"gamma": 0.1}}, {"ppo": {"gamma": 0.2}}, {"ppo": {"gamma": 0.3}})
    assert said == [
        "1 new point is tried first",
        "2 new points are not tried, since sweep.num_trials=4 leaves no room; sweep.num_trials=6 does",
    ]
    assert sweep.resume({"ppo": {"gamma": 0.1}}, {"ppo": {"gamma": 0.2}}, num_trials=6) != []
    assert [raw["ppo.gamma"] for raw in sweep.run(3)] == [0.1, 0.2, 0.3]


def test_points_on_record_keep_the_base_that_completed_them(tmp_path: Path) -> None:
    old = {"ppo": {"gamma": 0.0}}
    sweep = Sweep(tmp_path, old)
    sweep.run(2)
    other = replace(sweep.config.ppo, lr=1e-3)
    assert sweep.resume(old, {"ppo": {"gamma": 0.5}}, ppo=other) == ["1 new point is tried first"]
    assert sweep.run() == [{"ppo.lr": 1e-3, "ppo.gamma": 0.5}]
    assert len(sweep.ledger.raw_parameters()) == 3  # neither another control nor the old point once more


def test_a_sweep_of_points_goes_on_with_more_of_them(tmp_path: Path) -> None:
    a, b = {"ppo": {"lr": 1e-3}}, {"ppo": {"gamma": 0.5}}
    points = SamplerConfig(name="points", points=({}, a, b))
    folder = StudyConfig(name="x", folder=str(tmp_path), num_trials=None)
    config = SweepConfig(sweep=folder, sampler=points)
    config.own_folder.mkdir(parents=True)
    config_file(config.own_folder).write_text(to_yaml(config))
    both = {"ppo": {"lr": 1e-3, "gamma": 0.5}}
    plan = plan_points(replace(config, resume="x", sampler=replace(points, points=(both, b, a))))
    assert plan.num_trials == 4
    assert plan.config.sampler.points == ({}, a, b, both)
    assert len(plan.without_effect) == 2


def test_a_new_point_outside_the_space_is_refused(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    with pytest.raises(SweepError, match=r"ppo\.lr must lie in .* of the space, got 0\.5; widen space\.ppo\.lr"):
        sweep.resume({"ppo": {"lr": 0.5}})
