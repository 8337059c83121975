"""Entropy pinned at its maximum: by a usual bonus, by a heavy one, and for how long."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Blind, Finding, Ground, Kind, Support
from unstuck.analysis.diagnosis.rules import entropy_pinned
from unstuck.analysis.history import History
from unstuck.analysis.history.record import POLICY_STD, TOTAL_LOSS
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, is_blind, kind, unset
from tests.analysis_tests.diagnosis.pushed import spread
from tests.analysis_tests.elsewhere import TURN
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = entropy_pinned.RULE
TOP = math.log(4)
NO_ACTIONS: dict[str, Any] = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}


def stuck(share: float = 0.98, **settings: Any) -> History:
    return untaught(entropy=share * TOP, approx_kl=2e-3, settings=settings)


def learning(share: float, kl: float = 2e-3, **settings: Any) -> History:
    return healthy(entropy=share * TOP, approx_kl=kl, update_norm=0.015, settings=settings)


@pytest.mark.parametrize(
    ("share", "iterations", "ground"),
    [(0.9, 100, Ground.MEASURED), (0.89, 100, Ground.STATE), (0.9, 40, Ground.STATE), (0.97, 40, Ground.MEASURED)],
)
def test_a_heavy_bonus_that_leaves_a_tenth_for_choice_late_in_a_run(
    share: float, iterations: int, ground: Ground
) -> None:
    run = first(learning(share, **{"ppo.entropy_coef": 1.0}), iterations)
    assert found(RULE, run).ground is ground


def test_a_short_run_is_looked_at_from_its_first_iteration() -> None:
    assert found(RULE, first(unset(stuck(), "ppo.num_iterations"), 10)).since == 1


@pytest.mark.parametrize(("iterations", "expected"), [(2, None), (7, None), (8, Kind.FAULT)])
def test_every_young_run_is_at_its_maximum(iterations: int, expected: Kind | None) -> None:
    """Two iterations are all of a run that was planned so, and yet no more than a start."""
    assert kind(RULE, first(stuck(0.995, **{"ppo.num_iterations": iterations}), iterations)) is expected
    heavy = stuck(0.995, **{"ppo.num_iterations": iterations, "ppo.entropy_coef": 0.5})
    assert kind(RULE, first(heavy, iterations)) in (Kind.FAULT, Kind.SUSPECT)


def test_an_entropy_that_has_not_left_its_maximum_is_a_fault_of_a_run_that_learns_nothing() -> None:
    finding = found(RULE, stuck(0.995))
    assert finding.kind is Kind.FAULT
    assert finding.headline == "Entropy is pinned at its maximum: 1.379 of 1.386 over iterations 76 to 100"
    assert facts(finding) == ["entropy 1.379 over iterations 76 to 100, 100 % of the largest"]
    assert finding.why == "updates do move the policy (KL 0.002), the run has nothing to show for it"
    assert finding.since == 8
    assert finding.missing == ()
    assert changes(finding) == [{"ppo.lr": 9e-4}, {"ppo.entropy_coef": [0.003, 0.001]}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (first(stuck(0.971), 40), Kind.FAULT),
        (first(stuck(0.969), 40), None),
        (stuck(0.931), Kind.FAULT),  # held up, late in a run that learned nothing
        (stuck(0.929), None),
        (stuck(0.89), Kind.FINE),
        (stuck(0.91), None),  # it has hardly moved
        (stuck(0.76, **{"ppo.entropy_coef": 0.2}), Kind.FAULT),  # a heavy bonus holds it lower
        (stuck(0.76, **{"ppo.entropy_coef": 0.19}), Kind.FINE),
        (stuck(0.74, **{"ppo.entropy_coef": 0.2}), Kind.FINE),
        (stuck(0.76, **{"ppo.entropy_coef": 0.2, "ppo.normalize_advantage": False}), Kind.FINE),
        (learning(0.93, **{"ppo.entropy_coef": 1.0}), Kind.FAULT),
        (stuck(0.31), Kind.FINE),
        (stuck(0.29), None),
        (first(stuck(), 8), Kind.FAULT),
        (first(stuck(), 7), None),
        (healthy(), None),  # it ends at 0.19 of the largest
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (learning(0.98), Kind.FAULT),
        (first(learning(0.98), 41), Kind.FAULT),
        (first(learning(0.98), 40), Kind.SUSPECT),  # it may yet leave
        (learning(0.98, kl=1.5e-5), Kind.SUSPECT),  # updates that move nothing
        (learning(0.98, kl=1.6e-5), Kind.FAULT),
        (healthy(entropy=0.98 * TOP, approx_kl=2e-3, update_norm=2e-3), Kind.SUSPECT),
        (healthy(entropy=0.98 * TOP, approx_kl=2e-3, update_norm=None), Kind.FAULT),
        (healthy(entropy=0.98 * TOP, approx_kl=None), Kind.SUSPECT),
    ],
)
def test_a_run_that_gets_better_has_patience_until_its_updates_should_have_told(run: History, expected: Kind) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(
    ("spread", "weight", "expected"),
    [
        (0.049, 0.01, Kind.FAULT),
        (0.051, 0.01, Kind.FINE),
        (0.25, 0.05, Kind.FAULT),
        (0.0, 0.05, Kind.FINE),  # advantages that are all the same are another rule's
        (None, 0.5, Kind.FINE),  # a spread that is not on record
    ],
)
def test_a_bonus_is_heavy_beside_the_advantages_that_it_is_weighed_against(
    spread: float | None, weight: float, expected: Kind
) -> None:
    settings = {"ppo.entropy_coef": weight, "ppo.normalize_advantage": False}
    run = untaught(entropy=0.76 * TOP, approx_kl=2e-3, advantage_std=spread, settings=settings)
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(
    ("slope", "expected"),
    [
        (-0.0008, Kind.SUSPECT),  # 0.989 less 20 iterations of it are 0.973, and 0.967 at two fifths
        (-0.0005, Kind.FAULT),  # it stays above 0.97 by then
        (0.0001, Kind.FAULT),
    ],
)
def test_a_young_policy_that_leaves_its_maximum_by_itself(slope: float, expected: Kind) -> None:
    """At iteration 20 of 100, in a run that has learned nothing yet."""
    young = first(untaught(entropy=TOP * (0.999 + slope * TURN), approx_kl=2e-4), 20)
    assert kind(RULE, young) is expected


def test_a_spread_that_each_step_widens() -> None:
    """A bonus stronger than its coefficient, in a run that has learned and stays: no advantage asks so steadily."""
    learned = 50.0 * np.minimum(TURN / 30, 1.0)
    finding = found(RULE, spread(1.0, learned))
    assert (finding.kind, finding.ground) == (Kind.FAULT, Ground.MEASURED)
    assert finding.why.startswith("its logarithm went 100 % of the way that all steps could go; ")
    assert kind(RULE, spread(0.74, learned)) is Kind.SUSPECT


def test_only_updates_that_move_the_policy_are_said_to() -> None:
    still = found(RULE, learning(0.98, kl=1.5e-5))
    assert still.why == "the run gets better all the same"
    assert found(RULE, learning(0.98, kl=1.6e-5)).why.startswith("updates do move the policy (KL 1.6e-05), the run ")


def test_a_policy_that_stands_still_is_not_held_by_its_bonus() -> None:
    assert ask(RULE, untaught(entropy=TOP, approx_kl=0.0)) is None


def test_what_is_in_order_says_its_level_and_where_it_goes() -> None:
    assert found(RULE, stuck(0.5)).headline == "entropy 0.693 of 1.39, neither whole nor gone"
    falling = untaught(entropy=TOP * np.linspace(0.9, 0.5, LENGTH))
    assert found(RULE, falling).headline == "entropy 0.76 of 1.39, falling as a policy settles"


@pytest.mark.parametrize(
    ("beginning", "run", "support", "why"),
    [
        ("entropy_coef", stuck(**{"ppo.entropy_coef": 0.1}), Support.SUPPORTED, "entropy_coef 0.1"),
        ("entropy_coef", stuck(**{"ppo.entropy_coef": 0.09}), Support.OPEN, "entropy_coef 0.09"),
        ("entropy_coef", unset(stuck(), "ppo.entropy_coef"), Support.OPEN, ""),
        ("steps too small", untaught(entropy=TOP, approx_kl=1.1e-3), Support.RULED_OUT, "KL of an update 0.0011"),
        ("steps too small", untaught(entropy=TOP, approx_kl=1e-3), Support.OPEN, "KL of an update 0.001"),
        ("steps too small", untaught(entropy=0.98 * TOP, approx_kl=None), Support.OPEN, ""),
        ("no reward", stuck(), Support.RULED_OUT, "returns vary: -1"),
        (
            "no reward",
            untaught(entropy=TOP, **{"train/episode_return": -200.0}),
            Support.SUPPORTED,
            "every episode returns -200",
        ),
        ("no reward", untaught(entropy=TOP, **{"train/episode_return": None}), Support.OPEN, ""),
        ("a horizon", stuck(), Support.RULED_OUT, "flows are independent: there is nothing ahead"),
        (
            "a horizon",
            stuck(**{"data.order": "stream", "ppo.gamma": 0.89}),
            Support.SUPPORTED,
            "gamma 0.89",
        ),
        ("a horizon", stuck(**{"data.order": "stream", "ppo.gamma": 0.9}), Support.OPEN, "gamma 0.9"),
        ("a horizon", unset(stuck(), "ppo.gamma"), Support.OPEN, ""),
        ("a policy gradient with the wrong sign", stuck(), Support.OPEN, ""),
    ],
)
def test_its_causes(beginning: str, run: History, support: Support, why: str) -> None:
    suspect = cause(found(RULE, run), beginning)
    assert suspect.support is support
    assert suspect.why.startswith(why)
    assert bool(suspect.why) == bool(why)


def test_a_short_horizon_is_mended_first_and_what_is_not_recorded_is_not_changed() -> None:
    short = stuck(**{"data.order": "stream", "ppo.gamma": 0.5})
    assert changes(found(RULE, short))[0] == {"ppo.gamma": [0.95, 0.99]}
    heavy = stuck(**{"data.order": "stream", "ppo.gamma": 0.5, "ppo.entropy_coef": 1.0})
    assert changes(found(RULE, heavy))[0] == {"ppo.entropy_coef": 0.01}  # far from usual: the surest to help
    unlogged = unset(untaught(entropy=0.98 * TOP, approx_kl=2e-3, lr=None), "ppo.lr", "ppo.entropy_coef")
    assert changes(found(RULE, unlogged)) == []


def test_a_bonus_far_above_the_usual_goes_back_to_the_usual_one_first() -> None:
    assert changes(found(RULE, stuck(**{"ppo.entropy_coef": 1.0}))) == [
        {"ppo.entropy_coef": 0.01},
        {"ppo.entropy_coef": [0.3, 0.1]},
        {"ppo.lr": 9e-4},
    ]
    assert changes(found(RULE, stuck(**{"ppo.entropy_coef": 0.1}))) == [
        {"ppo.lr": 9e-4},
        {"ppo.entropy_coef": [0.03, 0.01]},
    ]


def test_without_an_entropy_the_rule_is_blind_and_without_its_maximum_it_says_nothing() -> None:
    assert blind(RULE, untaught(entropy=None)) == ((metrics.ENTROPY, POLICY_STD),)
    finding = found(RULE, untaught(entropy=0.98 * TOP, approx_kl=None, advantage_std=None))
    assert finding.missing == (metrics.APPROX_KL, metrics.ADVANTAGE_STD)
    assert finding.why == "the run has nothing to show for it"
    nameless = {**NO_ACTIONS, "settings": {"env.id": "Own-v1"}}
    assert found(RULE, untaught(entropy=0.985 * math.log(3), **nameless)).headline.startswith(
        "Entropy is pinned at its maximum: 1.082 of 1.099"  # three actions, as its start tells
    )
    assert is_blind(RULE, untaught(entropy=1.2, **nameless))  # more than 2 % below ln 4, and above ln 3


def test_an_entropy_that_is_no_sum_over_actions_has_no_maximum() -> None:
    """Summed over a batch it may be in the thousands, and its exponential is no number."""
    start = np.where(np.arange(LENGTH) < 1, 2839.0, 1.0)
    assert is_blind(RULE, untaught(entropy=start, **NO_ACTIONS, settings={"env.id": "CartPole-v1"}))


def continuous(std: Any) -> History:
    """A run of continuous actions with nothing to show, whose entropy is that of ln 17 and whose spread is this."""
    run = untaught(entropy=2.8379, **NO_ACTIONS, settings={"env.id": "Own-v1"})
    return replace(run, table=run.table.assign(**{POLICY_STD: std}))


@pytest.mark.parametrize(
    ("std", "expected"),
    [
        (np.full(LENGTH, 1.0), None),  # that it stays is usual, and may be set
        (np.linspace(1.0, 2.4, LENGTH), Kind.FAULT),  # it ends at 2.2 times its start
        (np.linspace(1.0, 2.1, LENGTH), None),
        (np.linspace(1.0, 0.5, LENGTH), Kind.FINE),
    ],
)
def test_continuous_actions_are_judged_by_their_spread_and_never_by_ln_n(std: Any, expected: Kind | None) -> None:
    finding = ask(RULE, continuous(std))
    assert (finding.kind if isinstance(finding, Finding) else None) is expected
    if isinstance(finding, Finding):
        assert " of 2.8" not in finding.headline


@pytest.mark.parametrize(
    ("returns", "weight", "expected"),
    [
        (np.linspace(0.0, 100.0, LENGTH), 0.0, None),  # still rising: a wide spread may be what pays
        (np.minimum(np.linspace(0.0, 200.0, LENGTH), 100.0), 0.0, Kind.SUSPECT),
        (np.linspace(0.0, 100.0, LENGTH), 0.2, Kind.FAULT),  # a heavy bonus widens whatever pays
        (7.0, 0.0, Kind.FAULT),
    ],
)
def test_a_spread_that_grows_while_the_return_does_is_no_doubt(
    returns: Any, weight: float, expected: Kind | None
) -> None:
    own = {"env.id": "Own-v1", "ppo.entropy_coef": weight}
    run = healthy(
        **{"train/episode_return": returns, "eval/episode_return": None, "f1": None}, **NO_ACTIONS, settings=own
    )
    wide = run.table.assign(**{POLICY_STD: np.linspace(1.0, 3.0, LENGTH)})
    assert kind(RULE, replace(run, table=wide, dialect="sb3")) is expected


@pytest.mark.parametrize("settings", [{"env.id": "Pendulum-v1"}, {"env.id": "HalfCheetah-v4"}])
def test_a_differential_entropy_has_no_maximum(settings: dict[str, Any]) -> None:
    """Of Pendulum-v1 actions of spread 1 have an entropy of 1.4189, within 3 % of ln 4."""
    answer = ask(RULE, replace(untaught(entropy=1.4189, **NO_ACTIONS, settings=settings), dialect="plain"))
    assert isinstance(answer, Blind)
    assert answer.missing == ((POLICY_STD,),)
    assert answer.why == "actions are continuous, and a differential entropy has no maximum"


def test_an_entropy_below_0_is_one_of_continuous_actions() -> None:
    falling = untaught(entropy=np.linspace(1.38, -0.8, LENGTH), **NO_ACTIONS, settings={"env.id": "Own-v1"})
    assert isinstance(ask(RULE, replace(falling, dialect="plain")), Blind)


def test_our_own_learners_spread_is_told_by_its_entropy() -> None:
    """Two numbers whose spreads grow to ten times under a bonus of 10, in a run that learns all the same."""
    wider = {"entropy": np.linspace(2.8379, 2.8379 + 2 * math.log(10), LENGTH), **NO_ACTIONS}
    settings = {"env.id": "Own-v1", "ppo.entropy_coef": 10.0}
    found_in = found(RULE, healthy(**wider, settings=settings))
    assert (found_in.kind, found_in.ground) == (Kind.FAULT, Ground.MEASURED)
    assert found_in.headline.startswith("The actions' spread grows: spread of the actions 1.0")
    assert ask(RULE, healthy(**{**wider, "entropy": 2.8379}, settings=settings)) is None


def test_an_entropy_that_is_held_up_is_a_doubt_and_one_that_rises_tells_of_a_strong_bonus() -> None:
    turn = np.arange(1, LENGTH + 1)
    held = healthy(entropy=0.95 * TOP + 1e-3 * np.sin(7.0 * turn), approx_kl=3e-3)
    falling = healthy(entropy=np.linspace(0.99, 0.94, LENGTH) * TOP, approx_kl=3e-3)
    assert kind(RULE, replace(held, dialect="sb3")) is Kind.SUSPECT
    assert kind(RULE, replace(falling, dialect="sb3")) is None
    rising = found(RULE, untaught(entropy=np.where(turn < 30, 0.8, 0.985) * TOP, approx_kl=3e-3))
    assert cause(rising, "a bonus stronger in effect").support is Support.SUPPORTED
    none = found(RULE, untaught(entropy=0.985 * TOP, settings={"ppo.entropy_coef": 0.0}))
    assert cause(none, "a bonus stronger in effect").support is Support.RULED_OUT


@pytest.mark.parametrize(
    ("share", "iterations", "kl", "expected"),
    [
        (0.95, 100, 3e-3, Kind.FAULT),
        (0.95, 40, 3e-3, None),  # it may still fall
        (0.92, 100, 3e-3, None),
        (0.95, 100, 9e-4, None),  # hardly moved
    ],
)
def test_an_entropy_that_is_held_up_in_our_own_run_that_learns_nothing_is_a_fault(
    share: float, iterations: int, kl: float, expected: Kind | None
) -> None:
    """In the eighth draw of our own benchmark a bonus that was summed held three policies at 0.96 of the largest."""
    level = share * TOP + 1e-3 * np.sin(7.0 * np.arange(1, LENGTH + 1))
    assert kind(RULE, first(untaught(entropy=level, approx_kl=kl), iterations)) is expected
    assert kind(RULE, healthy(entropy=level, approx_kl=kl)) is None


@pytest.mark.parametrize(
    ("weight", "ground", "support"),
    [(1.0, Ground.MEASURED, Support.SUPPORTED), (0.01, Ground.PACE, Support.RULED_OUT)],
)
def test_the_loss_on_record_tells_if_the_bonus_is_heavy(weight: float, ground: Ground, support: Support) -> None:
    run = replace(learning(0.99), dialect="sb3", settings={"env.id": "Own-v0", "env.actions": ("a", "b", "c", "d")})
    table = run.table.assign(**{metrics.VALUE_LOSS: 0.02, metrics.POLICY_LOSS: -0.01})
    noise = 0.02 * np.random.default_rng(1).standard_normal(LENGTH)
    loss = -0.01 + 0.5 * table[metrics.VALUE_LOSS] - weight * table[metrics.ENTROPY] + noise
    value = 0.02 + 0.01 * np.sin(np.arange(LENGTH))
    run = replace(run, table=table.assign(**{TOTAL_LOSS: loss + 0.5 * (value - 0.02), metrics.VALUE_LOSS: value}))
    finding = found(RULE, run)
    assert finding.ground is ground
    assert cause(finding, "entropy_coef too high").support is support


@pytest.mark.parametrize(
    ("grown", "returns", "expected"),
    [
        (2.6, -np.linspace(0.0, 100.0, LENGTH), Kind.FAULT),  # 2.3 more in the mean of the last values
        (1.9, -np.linspace(0.0, 100.0, LENGTH), None),
        (12.0, np.linspace(0.0, 100.0, LENGTH), None),  # what is learned may be to scatter
        (12.0, np.full(LENGTH, 7.0), Kind.FAULT),
    ],
)
def test_an_entropy_of_unknown_kind_that_grows_further_than_discrete_actions_can(
    grown: float, returns: Any, expected: Kind | None
) -> None:
    """Discrete actions start at their maximum: 2.9 may be that of 18, and then it cannot grow."""
    wider = {"entropy": 2.9 + np.linspace(0.0, grown, LENGTH), **NO_ACTIONS}
    own = {"train/episode_return": returns, "eval/episode_return": None, "f1": None}
    run = replace(healthy(**wider, **own, settings={"env.id": "Own-v1"}), dialect="rllib")
    assert kind(RULE, run) is expected
    if expected:
        assert found(RULE, run).headline.startswith("The policy widens: entropy ")


@pytest.mark.parametrize(
    ("late", "returns", "expected"),
    [
        (1.7, 100.0, Kind.SUSPECT),
        (1.5, 100.0, None),  # less than twice 0.8
        (1.7, 200.0, None),  # what is learned meanwhile may be to scatter
    ],
)
def test_a_spread_that_doubles_after_its_least_on_a_level_return(
    late: float, returns: float, expected: Kind | None
) -> None:
    turn = np.arange(1, LENGTH + 1)
    std = np.where(turn <= 20, 1.0 - 0.01 * turn, 0.8 + (late - 0.8) * np.minimum((turn - 20) / 70, 1.0))
    curve = np.where(turn <= 20, 5.0 * turn, 100.0 + (returns - 100.0) * (turn - 20) / 80)
    own = {"train/episode_return": curve + np.sin(7.0 * turn), "eval/episode_return": None, "f1": None}
    run = healthy(**own, **NO_ACTIONS, entropy=2.8, settings={"env.id": "Own-v1"})
    run = replace(run, table=run.table.assign(**{POLICY_STD: std}), dialect="sb3")
    assert kind(RULE, run) is expected
