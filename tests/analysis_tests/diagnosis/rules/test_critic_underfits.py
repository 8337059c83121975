"""The critic underfits: beside a regression, above its floor, and worse than a constant."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support
from unstuck.analysis.diagnosis.rules import critic_underfits
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, is_quiet, kind, unset
from tests.analysis_tests.elsewhere import TURN, elsewhere
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = critic_underfits.RULE
RAW = {"ppo.normalize_returns": "none"}


def missed(critic: Any = 0.0, probe: Any = 0.6, excess: float = 0.5, made: Any = untaught, **changed: Any) -> History:
    """A run whose critic explains less than a regression does, and whose loss lies above its floor."""
    columns = {
        "explained_variance_mc": critic,
        "explained_variance_mc_probe": probe,
        "value_loss_excess": excess,
        "explained_variance": 0.0,
    }
    return made(**{**columns, **changed})


def worse(explained: float = -0.6, made: Any = untaught, **changed: Any) -> History:
    return made(explained_variance=explained, **changed)


def test_returns_that_could_be_foreseen_and_are_not_are_a_fault_of_a_run_that_learns_nothing() -> None:
    finding = found(RULE, missed())
    assert finding.kind is Kind.FAULT
    assert finding.headline == (
        "The critic underfits: it explains 0 of the variance of Monte Carlo returns, and a regression from the same "
        "observations 0.6"
    )
    assert facts(finding) == [
        "train/explained_variance_mc 0 over iterations 80 to 100",
        "train/explained_variance_mc_probe 0.6 over iterations 80 to 100",
        "train/value_loss_excess 0.5 over iterations 80 to 100",
        "train/explained_variance 0 over iterations 76 to 100",
    ]
    assert finding.why == "50 % of the targets' variance lies above the floor; the run has nothing to show for it"
    assert finding.missing == ()
    assert changes(finding) == [{"ppo.shared_trunk": False}, {"ppo.lr": 9e-4}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (missed(made=healthy), Kind.SUSPECT),
        (missed(probe=0.21), Kind.FAULT),
        (missed(probe=0.19), None),
        (missed(probe=0.11), None),
        (missed(probe=0.09), Kind.FINE),
        (missed(excess=0.16), Kind.FAULT),
        (missed(excess=0.14), None),
        (missed(critic=0.29), Kind.FAULT),
        (missed(critic=0.31), Kind.SUSPECT),  # it sees half of what there is to see
        (first(missed(), 25), None),
        (first(missed(), 26), Kind.SUSPECT),  # two evaluations do not tell where F1 is going
        (missed(excess=16.0, target_std=10.0, settings=RAW), Kind.FAULT),  # of a variance of 100
        (missed(excess=14.0, target_std=10.0, settings=RAW), None),
        (missed(critic=0.5, made=healthy), Kind.FINE),
        (missed(probe=0.63, made=healthy), Kind.FAULT),  # it has seen nothing of what is plain for half of the run
        (missed(probe=0.61, made=healthy), Kind.SUSPECT),
        (missed(probe=0.7, critic=0.22, made=healthy), Kind.SUSPECT),
        (missed(probe=0.7, critic=0.2, made=healthy), Kind.FAULT),
        (first(missed(probe=0.7, made=healthy), 29), Kind.SUSPECT),
    ],
)
def test_its_borders_beside_a_regression(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(("critic", "expected"), [(0.1, Kind.FAULT), (0.5, Kind.SUSPECT)])
def test_the_critic_is_compared_in_the_rollouts_that_the_regression_saw(critic: float, expected: Kind) -> None:
    """Of ten evaluations every third has a regression, whose number the next two repeat beside other rollouts."""
    made, number = np.isin(TURN, (10, 40, 70, 100)), np.minimum((TURN - 10) // 30, 3)
    run = missed(probe=0.8 + 0.01 * number, critic=np.where(made, critic, 0.0), made=healthy)
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(
    ("changed", "fires"),
    [
        ({}, True),
        ({"regression": 0.18}, False),  # 0.171 on average, of the seven from iteration 30 on
        ({"critic": np.where(TURN % 20 == 0, 0.1, -0.1)}, True),
        ({"critic": np.where(TURN % 20 == 0, 0.2, -0.2)}, False),  # now better than a constant, and now worse
        ({"explained_variance": 0.06}, False),
        ({"regression": np.where(TURN < 70, 0.25, 0.24)}, False),  # two regressions, of which one counts
    ],
)
def test_a_critic_that_says_one_number_whatever_it_sees(changed: dict[str, Any], fires: bool) -> None:
    """An evaluation every ten iterations, each with a regression of its own, in a run that learns."""
    more = dict(changed)
    own = more.pop("regression", 0.25)
    varied = own if isinstance(own, np.ndarray) else own + 0.001 * (TURN // 10) - 0.0165
    run = missed(probe=varied, made=healthy, **more)
    assert (kind(RULE, run) is Kind.FAULT) is fires


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (worse(-0.21), Kind.FAULT),
        (worse(-0.19), Kind.FINE),
        (worse(made=healthy), Kind.SUSPECT),
        (worse(made=healthy, value_loss=1.9), Kind.FAULT),  # far above that of a constant, whatever the score
        (worse(made=healthy, value_loss=1.7), Kind.SUSPECT),
        (worse(made=healthy, value_loss=1.9e6, settings=RAW), Kind.SUSPECT),
        (worse(made=healthy, value_loss=1.9, settings=RAW), Kind.FINE),  # 1.4 off returns of 700: nothing to explain
        (first(worse(made=healthy, value_loss=1.9), 9), Kind.FAULT),
        (first(worse(made=healthy, value_loss=1.9), 8), None),
        (first(worse(made=healthy, value_loss=1.7), 25), Kind.FINE),
        (first(worse(made=healthy, value_loss=1.7), 26), Kind.SUSPECT),
    ],
)
def test_its_borders_beside_a_constant(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(
    ("explained", "dialect", "length", "expected"),
    [
        (0.04, "sb3", 100, Kind.SUSPECT),
        (0.06, "sb3", 100, Kind.FINE),
        (0.04, "sb3", 10, Kind.SUSPECT),
        (0.04, "sb3", 9, None),  # a critic takes a while
        (-0.1, "plain", 100, Kind.SUSPECT),
        (0.04, "unstuck", 100, Kind.FINE),  # there the regression tells whether there is anything to explain
    ],
)
def test_a_critic_of_others_that_long_explains_nothing_is_a_question(
    explained: float, dialect: str, length: int, expected: Kind | None
) -> None:
    run = healthy(explained_variance=explained, value_loss=1e6, settings=RAW)
    run = first(replace(run, dialect=dialect), length)
    assert kind(RULE, run) is expected
    if expected is Kind.SUSPECT:
        finding = found(RULE, run)
        assert finding.headline.startswith("The critic explains nothing: train/explained_variance ")
        assert finding.causes[0].what.startswith("returns that nothing observed foretells")


def test_one_that_is_worse_than_a_constant_says_by_how_much() -> None:
    assert found(RULE, worse()).headline == (
        "The critic is worse than a constant: train/explained_variance -0.6 over iterations 76 to 100"
    )


def test_what_is_in_order_says_both_shares() -> None:
    assert found(RULE, missed(critic=0.55, made=healthy)).headline == (
        "the critic explains 0.55 of the variance of Monte Carlo returns, a regression 0.6"
    )


@pytest.mark.parametrize(
    ("beginning", "run", "support", "why"),
    [
        ("the critic's move", missed(settings={"ppo.clip_range_vf": 0.2}), Support.SUPPORTED, "clip_range_vf 0.2"),
        ("the critic's move", missed(), Support.RULED_OUT, "it is off"),
        ("the critic's move", unset(missed(), "ppo.clip_range_vf"), Support.OPEN, ""),
        ("targets in a scale", missed(), Support.RULED_OUT, "returns are normalised"),
        (
            "targets in a scale",
            missed(excess=50.0, target_std=10.1, settings=RAW),
            Support.SUPPORTED,
            "targets have a spread of 10.1",
        ),
        (
            "targets in a scale",
            missed(excess=50.0, target_std=9.9, settings=RAW),
            Support.OPEN,
            "targets have a spread of 9.9",
        ),
        (
            "targets in a scale",
            missed(target_std=0.09, settings=RAW),
            Support.SUPPORTED,
            "targets have a spread of 0.09",
        ),
        ("targets in a scale", missed(target_std=None, settings=RAW), Support.OPEN, ""),
        ("too few or too small steps", missed(settings={"ppo.lr": 0.9e-4}), Support.SUPPORTED, "lr 9e-05"),
        ("too few or too small steps", missed(settings={"ppo.lr": 1e-4}), Support.OPEN, "lr 0.0001"),
        ("too few or too small steps", unset(missed(lr=None), "ppo.lr"), Support.OPEN, ""),
        (
            "a trunk that serves",
            missed(settings={"ppo.value_coef": 0.09}),
            Support.SUPPORTED,
            "value_coef 0.09, shared_trunk True",
        ),
        (
            "a trunk that serves",
            missed(settings={"ppo.value_coef": 0.1}),
            Support.OPEN,
            "value_coef 0.1, shared_trunk True",
        ),
        (
            "a trunk that serves",
            missed(settings={"ppo.value_coef": 0.09, "ppo.shared_trunk": False}),
            Support.RULED_OUT,
            "value_coef 0.09, shared_trunk False",
        ),
        ("a trunk that serves", missed(settings={"ppo.value_coef": 0.0}), Support.SUPPORTED, "value_coef 0, shared"),
        ("a trunk that serves", unset(missed(), "ppo.shared_trunk", "ppo.value_coef"), Support.OPEN, ""),
        ("targets that are not returns", missed(), Support.OPEN, ""),
    ],
)
def test_its_causes(beginning: str, run: History, support: Support, why: str) -> None:
    suspect = cause(found(RULE, run), beginning)
    assert suspect.support is support
    assert suspect.why.startswith(why)
    assert bool(suspect.why) == bool(why)


def test_its_remedies_undo_what_holds_the_critic() -> None:
    settings = {**RAW, "ppo.clip_range_vf": 0.2, "ppo.shared_trunk": False, "ppo.lr": 1e-3}
    assert changes(found(RULE, missed(excess=50.0, settings=settings))) == [
        {"ppo.clip_range_vf": None},
        {"ppo.normalize_returns": "batch"},
        {"ppo.lr": 3e-3},
    ]
    assert changes(found(RULE, unset(missed(), "ppo.lr")))[-1] == {"ppo.lr": 9e-4}  # of the rate in force
    assert all("ppo.lr" not in change for change in changes(found(RULE, unset(missed(lr=None), "ppo.lr"))))


def test_without_either_share_the_rule_is_blind_and_without_one_it_says_so() -> None:
    nothing = untaught(explained_variance_mc_probe=None, explained_variance=None)
    assert blind(RULE, nothing) == ((metrics.PROBE_EXPLAINED_VARIANCE_MC, metrics.EXPLAINED_VARIANCE),)
    finding = found(RULE, worse(explained_variance_mc_probe=None, explained_variance_mc=None, value_loss_excess=None))
    assert finding.missing == RULE.helps
    assert finding.why == "the run has nothing to show for it"
    assert ask(RULE, untaught(explained_variance_mc_probe=None, explained_variance=math.inf)) is None


def test_a_critic_that_has_learned_most_is_not_doubted_for_the_rest() -> None:
    """The value loss of a run that learns has fallen from 500 to 0.4: what is left is noise that none foresees."""
    turn = np.arange(1, LENGTH + 1)
    for late, quiet in ((0.4, True), (60.0, False)):
        own = {"value_loss": np.where(turn < 20, 500.0, late), "explained_variance": 0.01}
        run = replace(elsewhere_risen(**own), dialect="sb3")
        assert is_quiet(RULE, run) == quiet


def elsewhere_risen(**changed: Any) -> History:
    """A run of another task that rises and stays, without our own measurements of the critic."""
    risen = np.minimum(-90.0 + 4 * np.arange(1, LENGTH + 1), -9.0) + 0.3 * np.sin(7.0 * np.arange(LENGTH))
    measured = ("explained_variance_mc", "explained_variance_mc_probe", "value_loss_excess", "value_floor")
    return elsewhere(risen, **dict.fromkeys(measured), settings={"ppo.normalize_returns": None}, **changed)


def test_targets_that_hardly_vary_any_more_leave_nothing_to_explain() -> None:
    """Their variance is the loss over what is not explained: 0.022 / 3.2 at first, a spread of 0.083."""
    turn = np.arange(1, LENGTH + 1)
    for loss, quiet in ((4e-6, True), (0.15, True), (0.3, False)):
        own = {
            "target_std": None,
            "value_loss": np.where(turn < 20, 0.022, loss),
            "explained_variance": np.where(turn < 20, -2.2, -2929.0),
        }
        run = replace(elsewhere_risen(**own), dialect="sb3")
        run = replace(run, table=run.table.assign(**{metrics.TRAIN_RETURN: 0.01 * np.sin(7.0 * turn)}))
        assert is_quiet(RULE, run) == quiet  # 0.2 / 2,930 is the square of a tenth


@pytest.mark.parametrize(
    ("first", "late", "settings", "expected"),
    [
        (500.0, 1.1e4, {}, Kind.FAULT),  # of returns that reach 1,000, and a value loss that says nothing of it
        (500.0, 0.9e4, {}, Kind.FINE),
        (1.1e4, 1.2e4, {}, Kind.FINE),  # weights that were too large from the start
        (500.0, 1.1e4, RAW, Kind.FINE),  # the loss itself tells
    ],
)
def test_targets_that_run_away_from_all_returns(
    first: float, late: float, settings: dict[str, Any], expected: Kind
) -> None:
    run = healthy(
        target_std=np.where(TURN == 1, first, late),
        settings=settings,
        **{"train/episode_return": np.where(TURN == 50, -1000.0, 500.0)},
    )
    assert kind(RULE, run) is expected
