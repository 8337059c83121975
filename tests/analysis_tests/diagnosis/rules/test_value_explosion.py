"""The value loss explodes, is no number, or is steady: measured against the run's own start."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import value_explosion
from unstuck.analysis.history import History
from unstuck.analysis.history.record import TOTAL_LOSS
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, kind, unset
from tests.analysis_tests.runs import LENGTH, healthy

RULE = value_explosion.RULE
GROWING = np.linspace(0, 1, LENGTH)
TURN = np.arange(1, LENGTH + 1)
RAW = {"ppo.normalize_returns": "none"}


def jumping(start: float, end: float, **changed: Any) -> History:
    """Of three iterations at one level, and all others at another: nothing that would rise by a trend."""
    return healthy(value_loss=np.where(TURN <= 3, start, end), **changed)


def test_a_loss_that_grows_is_a_sure_fault() -> None:
    """It starts at exp(8 / 99) and ends at exp(8 * 87 / 99) in the median; 20 times the start is exp(8 * 38.1 / 99)."""
    finding = found(RULE, healthy(value_loss=np.exp(8 * GROWING), target_std=9 + 41 * GROWING))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 40)
    assert finding.headline == "The value loss explodes: value loss 1.084 at first, 1,130 in the end"
    assert facts(finding) == [
        "value loss 1.084 at first, 1,130 in the end, 428.6 to 2,981 over iterations 76 to 100",
        "spread of the targets 9 at first, 50 in the end",
    ]
    assert finding.evidence[0].iterations == (1, 100)
    assert finding.why.startswith("it rises by ")
    assert finding.why.endswith("; the run gets better all the same")
    assert changes(finding) == [{"ppo.lr": 1e-4}]  # returns are normalised already
    assert finding.missing == ()


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (jumping(1.0, 20.1), Kind.SUSPECT),
        (jumping(1.0, 20.0), Kind.FINE),  # it has been at that level nearly all the time
        (jumping(1.0, 101.0), Kind.FAULT),
        (jumping(1.0, 99.0), Kind.SUSPECT),
        (jumping(0.01, 19.0), Kind.FINE),  # measured from 1
        (jumping(0.01, 21.0), Kind.SUSPECT),
        (jumping(50.0, 999.0), Kind.FINE),
        (jumping(50.0, 1001.0), Kind.SUSPECT),
        (first(jumping(1.0, 30.0), 6), Kind.SUSPECT),
        (first(jumping(1.0, 30.0), 5), None),
        (healthy(value_loss=1 + 10 * GROWING), Kind.FINE),
        (healthy(value_loss=np.exp(8 * (1 - GROWING))), None),  # it falls
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_a_jump_without_a_trend_is_less_sure() -> None:
    assert found(RULE, jumping(1.0, 50.0)).sureness is Sureness.LIKELY


def test_a_loss_that_is_no_number_is_a_fault_with_what_was_before_it() -> None:
    finding = found(RULE, healthy(value_loss=np.where(TURN == 51, math.inf, TURN.astype(float))))
    assert finding.headline == "Diverged: train/value_loss is not finite at iteration 51, after 48, 49, 50"
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 51)
    assert finding.ground is Ground.PROOF
    assert facts(finding) == ["train/value_loss is not finite at iteration 51, after 48, 49, 50"]
    assert cause(finding, "a division by a spread of 0").support is Support.OPEN
    below = found(RULE, healthy(value_loss=1.0, policy_loss=-math.inf))
    assert below.headline == "Diverged: train/policy_loss is not finite at iteration 1"
    assert found(RULE, healthy(grad_norm=np.where(TURN < 3, 1.0, math.inf))).since == 3


@pytest.mark.parametrize(
    ("run", "headline"),
    [
        (
            healthy(value_loss=1.0),
            "The value loss is steady: 1 over iterations 1 to 100, with normalised returns",
        ),
        (
            healthy(value_loss=1e7, explained_variance=0.5, settings=RAW),
            "The value loss is steady: 10,000,000 over iterations 1 to 100",
        ),
        (
            replace(healthy(value_loss=1.0), comments={"ppo.normalize_returns": "before, it grew"}),
            "The value loss is steady: 1 over iterations 1 to 100, with normalised returns. Its owner noted: "
            '"before, it grew". Normalisation ended that explosion, by rescaling what is predicted',
        ),
        (
            replace(
                healthy(value_loss=1.0, explained_variance=0.5, settings=RAW),
                comments={"ppo.normalize_returns": "some day"},
            ),
            "The value loss is steady: 1 over iterations 1 to 100",
        ),
        (
            healthy(value_loss=np.where(TURN == 50, 1.9, 1.0)),
            "The value loss is steady: 1.0 to 1.9 over iterations 1 to 100, with normalised returns",
        ),
    ],
)
def test_a_steady_loss_says_what_its_owner_noted_of_normalised_returns(run: History, headline: str) -> None:
    finding = found(RULE, run)
    assert finding.kind is Kind.FINE
    assert finding.headline == headline


def test_a_steady_loss_on_raw_returns_that_the_critic_does_not_explain_is_not_said_to_work() -> None:
    assert ask(RULE, healthy(value_loss=1e7, explained_variance=0.49, settings=RAW)) is None
    assert ask(RULE, healthy(value_loss=1e7, explained_variance=None, settings=RAW)) is None


def returning(start: float, end: float, **changed: Any) -> History:
    """A run of raw returns that rise from one level to another, at an even pace on a log scale."""
    returns = start * (end / start) ** GROWING
    return healthy(**{"train/episode_return": returns, "settings": RAW, **changed})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        # the loss grows 100 times from its floor of 1, the error 10 times
        (jumping(1.0, 101.0, explained_variance=0.5), None),  # the critic explains most of what grew
        (jumping(1.0, 101.0, explained_variance=0.49), Kind.FAULT),
        (jumping(1.0, 101.0, explained_variance=None), Kind.FAULT),
        (returning(3.0, 300.0, value_loss=np.where(TURN <= 3, 0.7, 38.0)), None),  # returns outgrow the error
        (returning(3.0, 300.0, value_loss=np.where(TURN <= 3, 0.7, 3800.0)), Kind.FAULT),
        (returning(3.0, 3.0, value_loss=np.where(TURN <= 3, 0.7, 38.0)), Kind.SUSPECT),
    ],
)
def test_growth_counts_beyond_that_of_returns_and_of_what_the_critic_explains(
    run: History, expected: Kind | None
) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(("loss", "ground"), [(99.0, Ground.PACE), (101.0, Ground.STATE)])
def test_an_error_within_the_range_of_returns_may_be_of_a_critic_that_has_learned_nothing_yet(
    loss: float, ground: Ground
) -> None:
    swinging = np.where(TURN % 2 == 0, 5.0, -5.0)
    assert found(RULE, jumping(0.5, loss, **{"train/episode_return": swinging, "settings": RAW})).ground is ground
    assert found(RULE, jumping(0.5, loss, **{"train/episode_return": swinging})).ground is Ground.STATE  # normalised


def test_a_single_large_value_is_not_steady() -> None:
    assert ask(RULE, healthy(value_loss=np.where(TURN == 50, 2.1, 1.0))) is None


@pytest.mark.parametrize(
    ("beginning", "run", "support", "why"),
    [
        (
            "targets in raw units",
            jumping(1.0, 50.0, target_std=9 + 41 * GROWING, settings=RAW),
            Support.SUPPORTED,
            "returns are not normalised",
        ),
        (
            "targets in raw units",
            jumping(1.0, 50.0, target_std=9.0, settings=RAW),
            Support.OPEN,
            "returns are not normalised",
        ),
        (
            "targets in raw units",
            jumping(1.0, 50.0, target_std=9 + 41 * GROWING),
            Support.RULED_OUT,
            "returns are normalised",
        ),
        ("targets in raw units", unset(jumping(1.0, 50.0), "ppo.normalize_returns"), Support.OPEN, ""),
        (
            "a critic that bootstraps",
            jumping(1.0, 50.0, settings={"ppo.gamma": 0.996}),
            Support.SUPPORTED,
            "gamma 0.996, lr 0.0003",
        ),
        (
            "a critic that bootstraps",
            jumping(1.0, 50.0, settings={"ppo.gamma": 0.995, "ppo.lr": 3e-3}),
            Support.OPEN,
            "gamma 0.995, lr 0.003",
        ),
        (
            "a critic that bootstraps",
            unset(jumping(1.0, 50.0, settings={"ppo.lr": 3.1e-3}), "ppo.gamma"),
            Support.SUPPORTED,
            "lr 0.0031",
        ),
        ("rewards that are outliers", jumping(1.0, 50.0), Support.OPEN, ""),
    ],
)
def test_its_causes(beginning: str, run: History, support: Support, why: str) -> None:
    suspect = cause(found(RULE, run), beginning)
    assert (suspect.support, suspect.why) == (support, why)


def test_raw_returns_are_normalised_first() -> None:
    assert changes(found(RULE, jumping(1.0, 50.0, settings=RAW))) == [
        {"ppo.normalize_returns": "batch"},
        {"ppo.lr": 1e-4},
    ]


def test_without_a_value_loss_the_rule_is_blind_and_without_targets_it_says_so() -> None:
    assert blind(RULE, healthy(value_loss=None)) == ((metrics.VALUE_LOSS, TOTAL_LOSS),)
    finding = found(RULE, jumping(1.0, 50.0, target_std=None, grad_norm_value=None))
    assert finding.missing == (metrics.TARGET_STD, metrics.GRAD_NORM_VALUE)
    assert len(finding.evidence) == 1


@pytest.mark.parametrize(("last", "fires"), [(1.1e5, True), (0.9e5, False)])
def test_a_last_loss_that_is_ruinous_is_an_explosion(last: float, fires: bool) -> None:
    assert (kind(RULE, healthy(value_loss=np.where(TURN == LENGTH, last, 1.0))) is Kind.FAULT) == fires


@pytest.mark.parametrize(("last", "fires"), [(-21_000.0, True), (21_000.0, False)])
def test_costs_that_run_away_are_no_larger_rewards(last: float, fires: bool) -> None:
    """The root of the loss grows by 400, the size of returns by 20,000."""
    returns = np.sign(last) * np.geomspace(1.0, abs(last), LENGTH)
    more = {"value_loss": np.geomspace(3.0, 5e5, LENGTH), "train/episode_return": returns}
    nothing = {"f1": None, "eval/episode_return": None, "explained_variance": None}
    run = replace(healthy(**more, **nothing, settings={"env.id": "Own-v1", **RAW}), dialect="rsl_rl")
    assert (kind(RULE, run) is Kind.FAULT) == fires
