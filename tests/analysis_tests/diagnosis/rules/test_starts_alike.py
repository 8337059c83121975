"""Starts that are all alike: where the rule fires, and where it must not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind, Support
from unstuck.analysis.diagnosis.rules import starts_alike
from unstuck.analysis.history import record
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import cause, found, is_blind, kind
from tests.analysis_tests.diagnosis.probed import RISEN
from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH


def test_starts_that_are_alike_and_evaluations_that_are_worse() -> None:
    run = elsewhere(RISEN, more={record.START_REPEATS: 0.99, "eval/episode_return": RISEN * 0.4})
    assert kind(starts_alike.RULE, run) is Kind.FAULT
    as_good = elsewhere(RISEN, more={record.START_REPEATS: 0.99, "eval/episode_return": RISEN})
    assert kind(starts_alike.RULE, as_good) is None  # a task with one start
    circling = elsewhere(RISEN, more={record.START_REPEATS: 0.99, "eval/episode_return": 10.0})
    assert kind(starts_alike.RULE, circling) is None  # a greedy policy that goes the same circle each time
    coarse = {record.START_REPEATS: 0.99, "train/observation_repeats": 0.96}
    assert kind(starts_alike.RULE, elsewhere(RISEN, more={**coarse, "eval/episode_return": RISEN * 0.4})) is None
    met = {record.START_REPEATS: 0.99, metrics.STARTS_UNSEEN: 0.0}  # as where few starts are there to meet
    assert kind(starts_alike.RULE, elsewhere(RISEN, more={**met, "eval/episode_return": RISEN * 0.4})) is None
    varied = elsewhere(RISEN, more={record.START_REPEATS: 0.1, "eval/episode_return": RISEN * 0.4})
    assert kind(starts_alike.RULE, varied) is None


def test_evaluations_that_begin_as_training_never_does() -> None:
    alike = {record.START_REPEATS: 0.99, "train/observation_repeats": 0.96, "eval/start_scale": 1.0}
    others = {**alike, "eval/starts_unseen": 0.6, "eval/episode_return": RISEN}
    finding = found(starts_alike.RULE, elsewhere(RISEN, more=others))
    assert (finding.kind, finding.ground) == (Kind.FAULT, Ground.MEASURED)
    assert finding.headline.endswith("60 % of the evaluation's episodes begin as none of these")
    for healthy in ({"eval/starts_unseen": 0.4}, {record.START_REPEATS: 0.85}, {"eval/start_scale": 0.2}):
        assert kind(starts_alike.RULE, elsewhere(RISEN, more={**others, **healthy})) is None


@pytest.mark.parametrize(
    ("alike", "unseen", "expected"),
    [
        (0.86, 1.0, Kind.FAULT),  # eight lanes with one seed: of 256 episodes an eighth begins as none before
        (0.86, 0.8, None),  # one of five begins as one of training's
        (0.79, 1.0, None),
        (0.9, 0.6, Kind.FAULT),
    ],
)
def test_lanes_with_one_seed_begin_less_alike_than_one_lane(alike: float, unseen: float, expected: Kind | None) -> None:
    more = {record.START_REPEATS: alike, metrics.STARTS_UNSEEN: unseen, metrics.START_SCALE: 1.0}
    assert kind(starts_alike.RULE, elsewhere(RISEN, more={**more, metrics.EVAL_RETURN: RISEN})) is expected


def test_resets_that_set_the_seed_need_no_evaluation() -> None:
    alike = {record.START_REPEATS: 0.97}
    finding = found(starts_alike.RULE, elsewhere(RISEN, more={**alike, record.STARTS_RESEEDED: 1.0}))
    assert finding.headline.startswith("Every episode of training begins with one seed: after 100 % of the resets")
    assert (finding.kind, finding.ground) == (Kind.SUSPECT, Ground.MEASURED)
    assert "a task may have one start by design, which no number of training tells" in finding.why
    assert is_blind(starts_alike.RULE, elsewhere(RISEN, more={**alike, record.STARTS_RESEEDED: 0.89}))
    assert is_blind(starts_alike.RULE, elsewhere(RISEN, more=alike))  # a task with one start, or not


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({metrics.STARTS_ALIKE: 0.89}, Kind.FAULT),
        ({metrics.STARTS_ALIKE: 0.9}, Kind.SUSPECT),  # evaluations begin alike as well: the task has one start
        ({metrics.EVAL_RETURN: RISEN * 0.4}, Kind.FAULT),
        ({metrics.EVAL_RETURN: RISEN}, Kind.SUSPECT),
    ],
)
def test_design_and_fault_are_parted_by_what_evaluations_meet(more: dict[str, Any], expected: Kind) -> None:
    run = elsewhere(RISEN, more={record.STARTS_RESEEDED: 1.0, **more})
    finding = found(starts_alike.RULE, run)
    assert finding.kind is expected
    by_design = cause(finding, "an environment that sets its own seed")
    assert by_design.support is (Support.RULED_OUT if expected is Kind.FAULT else Support.OPEN)


@pytest.mark.parametrize(("missed", "expected"), [(0.15, Kind.SUSPECT), (0.14, None)])
def test_evaluation_episodes_that_go_worse_than_any_of_training_are_a_doubt(
    missed: float, expected: Kind | None
) -> None:
    run = elsewhere(RISEN, more={record.EVAL_MISSED: missed, metrics.EVAL_RETURN: RISEN})
    assert kind(starts_alike.RULE, run) is expected
    if expected:
        assert cause(found(starts_alike.RULE, run), "a greedy policy that fails").support is Support.OPEN


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        (25.6, Kind.FAULT),  # five greedy episodes that are one and the same would last a whole number of steps
        (np.where(np.arange(LENGTH) % 2, 25.6, 25.0), Kind.FAULT),
        (np.where(np.arange(LENGTH) % 3, 25.0, 25.6), Kind.SUSPECT),
        (25.0, Kind.SUSPECT),
    ],
)
def test_greedy_episodes_of_one_evaluation_that_differ_do_not_begin_as_training_s_do(
    lengths: Any, expected: Kind
) -> None:
    more = {record.STARTS_RESEEDED: 1.0, metrics.EVAL_RETURN: RISEN, record.EVAL_LENGTH: lengths}
    run = replace(elsewhere(RISEN, more=more), dialect="sb3")
    assert kind(starts_alike.RULE, run) is expected
    drawn = replace(run, dialect="cleanrl")  # whose evaluations may draw their actions
    assert kind(starts_alike.RULE, drawn) is Kind.SUSPECT
    asked = replace(run, settings={**run.settings, "eval.deterministic": False})
    assert kind(starts_alike.RULE, asked) is Kind.SUSPECT
