"""Seeds in two groups: the gap between them, and whether the worse group has learned anything."""

import math
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Agreement, Kind, Sureness
from unstuck.analysis.diagnosis.rules import seeds_bimodal
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, changes, facts, first, found, kind, without
from tests.analysis_tests.runs import LENGTH, healthy

RULE = seeds_bimodal.RULE


def seeds(*values: float, **changed: Any) -> History:
    """A run whose seeds have these F1."""
    own = {f"f1/seed_{seed}": value for seed, value in enumerate(values)}
    return healthy(seeds=len(values), **own, **changed)


def earning(*values: float) -> History:
    """A run without F1, whose seeds have these greedy returns, and whose mean began at 0."""
    run = healthy(
        seeds=len(values),
        **{f"eval/episode_return/seed_{seed}": value for seed, value in enumerate(values)},
        **{"eval/episode_return": np.where(np.arange(LENGTH) < 10, 0.0, 500.0)},
    )
    return without(run, *(metrics.seed_metric(metrics.F1, seed) for seed in range(len(values))))


def test_seeds_in_two_groups_are_a_fault_where_there_are_five() -> None:
    finding = found(RULE, seeds(0.2, 0.9, 0.2, 0.9, 0.9))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.LIKELY, 100)
    assert finding.headline == "Seeds fall into two groups: 3 seeds near 0.9, 2 seeds near 0.2 (eval/f1)"
    assert facts(finding) == ["eval/f1 of each seed: seed 0 0.2, seed 2 0.2, seed 1 0.9, seed 3 0.9, seed 4 0.9"]
    assert finding.why == "5 seeds; the gap between the groups is 100 % of the distance"
    assert changes(finding) == [{"ppo.entropy_coef": [0.03]}]
    assert finding.seeds == Agreement((0, 2), (0, 1, 2, 3, 4), compared=True)  # those that have not learned
    assert (str(finding.seeds), finding.is_of_few_seeds) == ("in 2 of 5 seeds: 0 and 2", False)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (seeds(0.2, 0.9, 0.9, 0.9), Kind.SUSPECT),  # too few to be sure
        (seeds(0.2, 0.9, 0.9), Kind.SUSPECT),
        (seeds(0.2, 0.9), None),
        (seeds(0.2, 0.9, math.inf, 0.9), Kind.SUSPECT),  # of three that are numbers
        (seeds(0.2, 0.9, math.inf), None),
        (seeds(0.2, 0.2, 0.9, 0.9, 0.9), Kind.FAULT),
        (seeds(0.0, 0.2, 0.449, 0.9), Kind.SUSPECT),
        (seeds(0.0, 0.2, 0.46, 0.9), None),  # a gap below half of the distance: no two groups
        (seeds(0.3, 0.9, 0.9, 0.9, 0.9), Kind.FAULT),
        (seeds(0.31, 0.9, 0.9, 0.9, 0.9), None),  # 0.197 + 0.11: it has learned something
        (seeds(0.8, 0.9, 0.9), Kind.FINE),
        (seeds(0.2, 0.2, 0.41), Kind.SUSPECT),
        (seeds(0.2, 0.2, 0.39), Kind.FINE),  # apart by less than counts
        (seeds(0.5, 0.5, 0.5), Kind.FINE),
        (first(seeds(0.2, 0.2, 0.9, 0.9, 0.9), 50), Kind.SUSPECT),  # some may only be slow
        (first(seeds(0.2, 0.2, 0.9, 0.9, 0.9), 51), Kind.FAULT),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_seeds_that_agree_are_said_to() -> None:
    finding = found(RULE, seeds(0.8, 0.9, 0.9))
    assert (finding.headline, str(finding.seeds)) == ("3 seeds agree: eval/f1 0.8 to 0.9", "in 3 of 3 seeds")


def test_each_seed_stands_by_its_last_three_evaluations() -> None:
    late = np.where(np.arange(1, LENGTH + 1) > 70, 0.9, 0.2)
    assert kind(RULE, healthy(seeds=3, **{"f1/seed_0": late, "f1/seed_1": 0.9, "f1/seed_2": 0.9})) is Kind.FINE


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (earning(290.0, 1000.0, 1000.0), Kind.SUSPECT),
        (earning(310.0, 1000.0, 1000.0), None),  # it has gone 0.31 of the others' way
        (earning(-1000.0, 1000.0, 1000.0), Kind.SUSPECT),
        (earning(850.0, 1000.0, 1000.0), Kind.FINE),
        (earning(790.0, 1000.0, 1000.0), None),
    ],
)
def test_without_f1_the_returns_are_measured_from_their_start(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_returns_are_named() -> None:
    assert found(RULE, earning(0.0, 1000.0, 1000.0)).headline == (
        "Seeds fall into two groups: 2 seeds near 1,000, 1 seed near 0 (eval/episode_return)"
    )


@pytest.mark.parametrize(("weight", "arms"), [(0.009, [0.01, 0.03]), (0.01, [0.03]), (None, [0.01, 0.03])])
def test_more_exploration_is_tried(weight: float | None, arms: list[float]) -> None:
    finding = found(RULE, seeds(0.2, 0.9, 0.9, settings={"ppo.entropy_coef": weight}))
    assert changes(finding) == [{"ppo.entropy_coef": arms}]


def test_without_seeds_of_their_own_the_rule_is_blind() -> None:
    run = healthy(seeds=0)
    assert blind(RULE, run) == (("eval/f1/seed_<member>", "eval/episode_return/seed_<member>"),)
    assert ask(RULE, run) is None
