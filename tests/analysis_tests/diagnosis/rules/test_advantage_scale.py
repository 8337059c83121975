"""Advantages of the wrong size: the spread's borders, and what has the say beside them."""

import math

import pytest
from unstuck.analysis.diagnosis.finding import Blind, Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import advantage_scale
from unstuck.analysis.history.record import POLICY_STD
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere
from tests.analysis_tests.runs import healthy, untaught

RULE = advantage_scale.RULE
RAW = {"ppo.normalize_advantage": False}
TOP = math.log(4)


def test_large_advantages_that_are_not_normalised_are_a_fault_of_a_run_that_learns_nothing() -> None:
    finding = found(RULE, untaught(advantage_std=400.0, advantage_mean=0.0, clip_fraction=0.6, settings=RAW))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.LIKELY, 1)
    text = "advantages have a spread of 400 over iterations 76 to 100"
    assert finding.headline == f"Advantages are large and not normalised: {text}"
    assert facts(finding) == [text]
    assert finding.why == (
        "entropy_coef and the clip of the gradient assume a spread of about 1; the run has nothing to show for it"
    )
    (only,) = finding.causes
    assert (only.what, only.support, only.why) == (
        "rewards in large units",
        Support.SUPPORTED,
        "spread 400, clip fraction 0.6",
    )
    assert changes(finding) == [{"ppo.normalize_advantage": True}]


def test_normalised_ones_are_in_order_whatever_their_spread() -> None:
    finding = found(RULE, untaught(advantage_std=400.0))
    assert finding.kind is Kind.FINE
    assert finding.headline.endswith(" over iterations 76 to 100, normalised")
    unknown = found(RULE, untaught(advantage_std=400.0, settings={"ppo.normalize_advantage": None}))
    assert unknown.kind is Kind.FINE
    assert unknown.headline.endswith("76 to 100")


@pytest.mark.parametrize(
    ("spread", "expected"),
    [
        (10.1, Kind.FAULT),
        (10.0, Kind.FINE),
        (0.1, Kind.FINE),
        (0.099, Kind.FAULT),
    ],
)
def test_the_borders_of_the_spread(spread: float, expected: Kind) -> None:
    assert kind(RULE, untaught(advantage_std=spread, settings=RAW)) is expected


@pytest.mark.parametrize(
    ("spread", "entropy", "expected"),
    [
        (0.05, 0.91, Kind.FAULT),  # the bonus has the say alone
        (0.05, 0.89, Kind.SUSPECT),
        (20.0, 0.09, Kind.FAULT),  # advantages have it
        (20.0, 0.11, Kind.SUSPECT),
        (20.0, 0.91, Kind.SUSPECT),
        (0.05, 0.09, Kind.SUSPECT),
    ],
)
def test_in_a_run_that_learns_the_entropy_tells_whether_it_hurts(spread: float, entropy: float, expected: Kind) -> None:
    assert kind(RULE, healthy(advantage_std=spread, entropy=entropy * TOP, settings=RAW)) is expected


def test_small_ones_are_called_so_and_without_an_entropy_it_is_not_known_whether_they_hurt() -> None:
    finding = found(RULE, healthy(advantage_std=0.005, advantage_mean=0.0, entropy=None, settings=RAW))
    assert finding.kind is Kind.SUSPECT
    assert finding.headline.startswith("Advantages are small and not normalised: advantages have a spread of 0.005 ")
    assert cause(finding, "rewards in small units").support is Support.SUPPORTED


def test_constant_advantages_are_a_fault_though_normalised() -> None:
    finding = found(RULE, untaught(advantage_std=0.0, advantage_mean=0.0))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 76)
    assert finding.headline == "Advantages are constant: advantages have a spread of 0 over iterations 76 to 100"
    assert [one.support for one in finding.causes] == [Support.OPEN, Support.OPEN]
    assert kind(RULE, untaught(advantage_std=0.9e-6, settings=RAW)) is Kind.FAULT
    above = found(RULE, untaught(advantage_std=1.1e-6, settings=RAW))
    assert above.headline.startswith("Advantages are small")


def test_a_mean_beyond_the_spread_is_the_critics_offset() -> None:
    offset = "their mean is -401: the critic is off by more than advantages differ"
    assert facts(found(RULE, untaught(advantage_std=400.0, advantage_mean=-401.0, settings=RAW)))[1:] == [offset]
    assert facts(found(RULE, untaught(advantage_std=400.0, advantage_mean=-400.0, settings=RAW)))[1:] == []


def test_without_the_spread_the_rule_is_blind() -> None:
    unsaid = untaught(advantage_std=None, policy_loss=None)
    assert blind(RULE, unsaid) == ((metrics.ADVANTAGE_STD, metrics.POLICY_LOSS),)
    for spread in (None, math.inf):
        assert ask(RULE, untaught(advantage_std=spread)) == Blind(((metrics.ADVANTAGE_STD,),))


@pytest.mark.parametrize(
    ("loss", "value_loss", "expected"),
    [
        (1001.0, 0.5, Kind.FAULT),  # normalised or not, they have a spread of 1 at most
        (-1001.0, 0.5, Kind.FAULT),
        (999.0, 0.5, None),
        (1001.0, 2.0, None),  # errors of 2
        (2001.0, 2.0, Kind.FAULT),
        (0.02, 0.5, None),
    ],
)
def test_a_policys_loss_tells_where_the_spread_is_not_on_record(
    loss: float, value_loss: float, expected: Kind | None
) -> None:
    """A policy's loss is a mean of ratio times advantage: 1,000 times their spread is the border."""
    run = untaught(advantage_std=None, advantage_mean=None, policy_loss=loss, value_loss=value_loss)
    assert kind(RULE, run) is expected
    learns = healthy(advantage_std=None, advantage_mean=None, policy_loss=loss, value_loss=value_loss)
    assert kind(RULE, learns) is (expected and Kind.SUSPECT)
    if expected is None:
        assert blind(RULE, run) == ((metrics.ADVANTAGE_STD,),)


def test_what_is_said_of_a_policys_loss() -> None:
    untold = {"ppo.normalize_advantage": None}
    run = untaught(advantage_std=None, advantage_mean=None, policy_loss=15_000.0, value_loss=0.04, settings=untold)
    finding = found(RULE, run)
    text = "the policy's loss is 15,000 in the median, beside a value loss of 0.04"
    assert (finding.headline, facts(finding)) == (f"Advantages or ratios are far too large: {text}", [text])
    assert finding.why.startswith("it is a mean of ratios, near 1, times advantages, of a spread of about 1; ")
    assert (finding.since, changes(finding)) == (12, [{"ppo.normalize_advantage": True}])
    known = found(RULE, untaught(advantage_std=None, policy_loss=15_000.0, settings={"ppo.normalize_advantage": True}))
    assert (changes(known), cause(known, "advantages in the units").support) == ([], Support.RULED_OUT)
    raw = untaught(advantage_std=None, policy_loss=15_000.0, value_loss=0.04, settings=RAW)
    assert cause(found(RULE, raw), "advantages in the units").support is Support.SUPPORTED
    assert kind(RULE, untaught(advantage_std=1.0, policy_loss=15_000.0, value_loss=0.04)) is Kind.FINE


@pytest.mark.parametrize(
    ("spread", "grown", "expected"),
    [(0.01, 2.1, Kind.FAULT), (0.01, 1.9, Kind.SUSPECT), (100.0, 2.1, Kind.SUSPECT)],
)
def test_small_advantages_beside_which_a_bonus_widens_continuous_actions(
    spread: float, grown: float, expected: Kind
) -> None:
    """In a run that gets better, so that the rest of it tells."""
    names = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    run = elsewhere(
        TURN * 1.0,
        more={POLICY_STD: 1.0 + (grown - 1) * (TURN > 10)},
        settings={**RAW, "env.actions": None},
        advantage_std=spread,
        entropy=None,
        **names,
    )
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(
    ("spread", "weight", "expected"),
    [
        (0.06, 0.05, Kind.SUSPECT),  # 0.05 is four fifths of it, and a usual 0.01 would be a sixth
        (0.06, 0.01, Kind.FAULT),
        (0.04, 0.05, Kind.FAULT),  # a usual one would have the say as well
        (0.06, None, Kind.FAULT),
    ],
)
def test_a_bonus_above_the_usual_one_is_at_fault_itself(spread: float, weight: float | None, expected: Kind) -> None:
    assert kind(RULE, untaught(advantage_std=spread, settings={**RAW, "ppo.entropy_coef": weight})) is expected
