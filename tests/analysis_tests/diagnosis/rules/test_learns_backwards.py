"""Learning backwards: updates against their advantages, or a return that falls from the start."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import learns_backwards
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, facts, first, found, kind
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = learns_backwards.RULE
TURN = np.arange(1, LENGTH + 1)
DRAWN = np.random.default_rng(2).standard_normal(LENGTH)
"""A draw of noise: what a return has without any learning."""


def returning(values: Any, **changed: Any) -> History:
    """A run with these returns of training episodes, whose updates are not set beside their advantages."""
    return untaught(**{"approx_kl": 2e-3, "advantage_followed": None, "train/episode_return": values, **changed})


def following(*correlations: float, **changed: Any) -> History:
    """A run with these correlations at its first evaluations, and none on record later."""
    at = [correlations[i // 10 - 1] if i // 10 <= len(correlations) else np.nan for i in range(10, 101, 10)]
    return healthy(advantage_followed=np.repeat(at, 10), **changed)


def test_updates_against_their_advantages_are_a_sure_fault() -> None:
    finding = found(RULE, healthy(advantage_followed=-0.1))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 30)
    assert finding.headline == (
        "The policy is being made worse: its updates go against the advantages, correlation -0.1"
    )
    assert facts(finding) == [
        "the correlation of advantages with the change of their actions' log-probabilities is -0.1 over iterations 10 "
        "to 100, and above 0 in runs that learn"
    ]
    sign = cause(finding, "the policy's loss, or its advantages, have the wrong sign")
    assert (sign.support, sign.why) == (Support.SUPPORTED, "correlation -0.1")
    assert finding.remedies == ()


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        # three standard errors of 0.03 / sqrt(n) at the least: 0.0285 of ten correlations, 0.052 of three
        (healthy(advantage_followed=-0.029), True),
        (healthy(advantage_followed=-0.028), False),
        (following(-0.053, -0.053, -0.053), True),
        (following(-0.051, -0.051, -0.051), False),
        (following(-0.5, -0.5), False),  # two say nothing
        (following(-0.5, 0.3, -0.1), False),  # their own spread is wider: -0.1, and an error of 0.23
        (healthy(advantage_followed=0.0), False),
        (healthy(advantage_followed=-0.1, approx_kl=1.4e-5), False),  # updates that move nothing
        (healthy(advantage_followed=-0.1, approx_kl=1.5e-5), True),
        (untaught(advantage_followed=0.05 * (30 + DRAWN)), False),
    ],
)
def test_its_borders_by_correlations(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


def test_a_return_that_falls_from_the_start_is_a_sure_fault() -> None:
    """The first and the last 25 of -1,750 - 10 i: their means are -1,880 and -2,630."""
    finding = found(RULE, returning(-1750.0 - 10 * TURN))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 10)
    text = "the return of training episodes falls from -1,880 to -2,630"
    assert finding.headline == f"The policy is being made worse: {text}"
    assert facts(finding) == [f"{text} over iterations 1 to 100"]
    assert finding.why.startswith("updates are of a usual size (KL 0.002), and the return never rose (Mann-Kendall p ")
    ends = cause(finding, "rewards that pay for what ends episodes early")
    assert (ends.support, ends.why) == (Support.RULED_OUT, "episodes all have the same length")


def test_where_it_is_on_record_that_updates_follow_it_is_only_a_suspect() -> None:
    falling = {"train/episode_return": -1750 - 1500 * np.linspace(0, 1, LENGTH) + 50 * DRAWN}
    assert kind(RULE, untaught(**falling)) is Kind.SUSPECT
    assert kind(RULE, untaught(advantage_followed=None, **falling)) is Kind.FAULT


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (returning(-1750.0 - 10 * TURN, approx_kl=0.051), False),  # thrown about
        (returning(-1750.0 - 10 * TURN, approx_kl=0.05), True),
        (returning(-1750.0 - 10 * TURN, approx_kl=np.where(TURN == 7, 0.31, 2e-3)), False),  # one threw it away
        (returning(-1750.0 - 10 * TURN, approx_kl=np.where(TURN == 7, 0.29, 2e-3)), True),
        (returning(-1750.0 - 10 * TURN, clip_fraction=0.36), False),
        (returning(-1750.0 - 10 * TURN, clip_fraction=0.35), True),
        (returning(-1750.0 - 10 * TURN, clip_fraction=None), True),
        (returning(-1750.0 - 10 * TURN, approx_kl=1.4e-5), False),
        (first(returning(-1750.0 - 100 * TURN), 10), True),
        (first(returning(-1750.0 - 100 * TURN), 9), False),
        (returning(-1750.0 + 10 * np.abs(TURN - 50)), False),  # it rose again
        (returning(-1750.0 - 10 * np.abs(TURN - 50)), False),  # it had risen
        (returning(-1750.0 - 10 * np.maximum(0, TURN - 60) + DRAWN), False),  # it began to fall late
        (returning(-1750.0 - 10 * np.maximum(0, TURN - 35) + DRAWN), False),  # later than in the first 30 %
        (returning(-1750.0 - 10 * np.maximum(0, TURN - 25) + DRAWN), True),
        (returning(-1750.0 + 50 * DRAWN), False),
        (untaught(), False),
    ],
)
def test_its_borders_by_returns(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


def test_a_record_that_begins_in_mid_run_does_not_hold_the_untrained_policy_that_a_wrong_sign_falls_below() -> None:
    falling = returning(-1750.0 - 10 * TURN)
    assert ask(RULE, falling) is not None
    assert ask(RULE, replace(falling, unrecorded=500)) is None
    assert ask(RULE, replace(falling, table=falling.table.set_index(falling.table.index + 500))) is None
    long = returning(np.where(TURN <= 8, np.nan, -1750.0 - 10 * TURN))
    assert ask(RULE, long) is not None  # no episode had ended before


def test_a_return_at_its_lowest_needs_no_trend_any_more() -> None:
    """Within ten iterations it is where it stays: most pairs are ties, and the test for a trend sees little."""
    assert ask(RULE, returning(np.where(TURN <= 25, -1000.0 - TURN, -3000.0))) is not None


def test_elsewhere_episodes_may_end_early_for_the_reward() -> None:
    nameless = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    run = returning(-1750.0 - 10 * TURN, settings={"env.id": "CartPole-v1"}, **nameless)
    ends = cause(found(RULE, run), "rewards that pay for what ends episodes early")
    assert (ends.support, ends.why) == (Support.OPEN, "")


def test_without_returns_or_kl_the_rule_is_blind() -> None:
    assert blind(RULE, untaught(**{"train/episode_return": None})) == ((metrics.TRAIN_RETURN,),)
    assert blind(RULE, untaught(approx_kl=None)) == ((metrics.APPROX_KL,),)
    assert blind(RULE, returning(-1750.0 - 10 * TURN, approx_kl=None)) == ((metrics.APPROX_KL,),)
    assert ask(RULE, healthy(advantage_followed=-0.1, approx_kl=None)) is not None  # the sign alone tells


def test_updates_that_were_large_for_a_while_are_usual_on_average_only() -> None:
    finding = found(RULE, returning(-1750.0 - 10 * TURN, approx_kl=np.where(TURN <= 25, 0.06, 2e-3)))
    assert finding.why.startswith("updates are of a usual size on average (KL 0.017)")


@pytest.mark.parametrize(
    ("changed", "fires"),
    [
        ({}, True),
        ({"entropy": 2.9 + 3.0 * TURN / LENGTH}, False),  # actions scatter more and more
        ({"entropy": 2.9 + 1.0 * TURN / LENGTH}, True),
        ({"train/episode_return": np.where(TURN % 3 > 0, np.minimum(-1850.0, -1750.0 - 10 * TURN), -1850.0)}, True),
        ({"train/episode_return": np.where(TURN < 40, -100.0 + 50.0 * (TURN % 2), -100.0)}, False),  # met by chance
    ],
)
def test_another_learners_fall_that_has_another_reason_is_no_wrong_sign(changed: dict[str, Any], fires: bool) -> None:
    nameless = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    own = {"f1": None, "eval/episode_return": None, "train/episode_return": -1750.0 - 10 * TURN, "entropy": 2.9}
    run = returning(**{"values": None, **nameless, **own, **changed})
    assert (ask(RULE, replace(run, dialect="sb3", settings={"env.id": "Own-v1"})) is not None) == fires


@pytest.mark.parametrize(("left", "expected"), [(2.7, Kind.SUSPECT), (2.8, None), (3.1, None)])
def test_a_steady_fall_without_kl_is_a_doubt_where_the_policy_settles(left: float, expected: Kind | None) -> None:
    """Of entropy 2.9 at first: by a twentieth, 0.145, it must have fallen."""
    nameless = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    own = {"f1": None, "eval/episode_return": None, "entropy": np.linspace(2.9, left, LENGTH), "approx_kl": None}
    run = returning(-1750.0 - 10 * TURN, **nameless, **own)
    assert kind(RULE, replace(run, dialect="mlagents", settings={"env.id": "Own-v1"})) is expected
