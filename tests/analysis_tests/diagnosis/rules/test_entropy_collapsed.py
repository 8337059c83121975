"""Entropy collapsed: when, what the run had to show for it by then, and what came after."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Blind, Kind, Support
from unstuck.analysis.diagnosis.rules import entropy_collapsed
from unstuck.analysis.history import History
from unstuck.analysis.history.record import POLICY_STD
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, is_blind, kind
from tests.analysis_tests.diagnosis.pushed import spread
from tests.analysis_tests.elsewhere import elsewhere as own_task
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = entropy_collapsed.RULE
TOP = math.log(4)
TURN = np.arange(1, LENGTH + 1)

AT_ONCE = TOP * np.where(TURN < 13, 1 - (TURN - 1) / 12, 0.02)
"""It falls within 12 iterations: the twelfth is at 1/12, the first below a tenth."""


def falls_at(iteration: int, end: float = 0.01) -> Any:
    return np.where(iteration > TURN, TOP, end)


def well_paid(**changed: Any) -> History:
    """A run whose entropy falls at once, and that had got its due by then: at iteration 20 a return of 900."""
    return healthy(**{"entropy": AT_ONCE, "eval/episode_return": 900.0, "train/episode_return": 500.0, **changed})


def test_a_policy_that_settles_before_it_has_learned_anything_is_a_fault() -> None:
    finding = found(RULE, untaught(entropy=falls_at(11), action_allow=0.99, action_block=0.01))
    since = "below 10 % of its maximum from iteration 11 (11 % of the run)"
    assert finding.kind is Kind.FAULT
    assert finding.headline == f"Entropy has collapsed: {since}, before the run had much to show for it"
    assert facts(finding)[:2] == [
        f"entropy {since}, 0.01 over iterations 76 to 100 since",
        "99.0 % of the sampled actions are allow",
    ]
    assert finding.since == 11
    assert finding.missing == ()
    assert changes(finding) == [{"ppo.entropy_coef": 0.0}, {"ppo.lr": 1e-4}, {"ppo.entropy_coef": [0.03]}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (untaught(entropy=falls_at(20)), Kind.FAULT),
        (untaught(entropy=falls_at(21)), Kind.SUSPECT),  # late, and no action dominates
        (untaught(entropy=falls_at(21), action_allow=0.96), Kind.FAULT),
        (untaught(entropy=falls_at(21), action_allow=0.94), Kind.SUSPECT),
        (untaught(entropy=falls_at(11, 0.099 * TOP)), Kind.FAULT),
        (untaught(entropy=falls_at(11, 0.101 * TOP)), None),
        (untaught(entropy=np.where(TURN == LENGTH, 0.101 * TOP, falls_at(11))), None),  # it has come back
        (first(untaught(entropy=0.01), 4), Kind.FAULT),
        (first(untaught(entropy=0.01), 3), None),
        (healthy(entropy=TOP * (1 - 0.97 * np.linspace(0, 1, LENGTH))), None),
        (healthy(entropy=AT_ONCE), Kind.FAULT),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(("returns", "gone"), [(530.0, "60 %"), (535.0, None), (-700.0, "0 %"), (0.0, "33 %")])
def test_triage_is_measured_by_the_way_that_its_return_had_gone(returns: float, gone: str | None) -> None:
    """With 174 threats of 1,600 flows always allowing earns -0.641875 a flow and a perfect policy 1.315625.

    0.6 of the way between them is 0.532625; 0 is 0.641875 / 1.9575 of it; -0.7 lies before its start.
    """
    run = well_paid(**{"eval/episode_return": returns})
    if gone is None:
        assert ask(RULE, run) is None
        return
    finding = found(RULE, run)
    assert finding.kind is Kind.FAULT
    assert facts(finding)[-1] == (
        f"by then the return had gone {gone} of the way from one action for all to a perfect policy"
    )
    assert finding.evidence[-1].iterations == (20, 20)  # the first evaluation since


def test_where_rewards_are_not_on_record_that_way_is_not_known() -> None:
    settings = {"env.reward_benign": None}
    assert ask(RULE, well_paid(settings=settings, **{"eval/episode_return": -700.0})) is None


@pytest.mark.parametrize(("later", "expected"), [(141.0, Kind.SUSPECT), (139.0, None)])
def test_a_return_that_rises_long_after_it_is_a_question(later: float, expected: Kind | None) -> None:
    """From 0 it had gained 100 by then; 40 more and exploration ended too soon."""
    returns = np.where(TURN <= 3, 0.0, np.where(TURN < 78, 100.0, later))
    run = well_paid(**{"train/episode_return": returns})
    assert kind(RULE, run) is expected
    if expected:
        assert found(RULE, run).headline.endswith("while much of the return was still to come")


def test_noise_since_then_is_no_gain() -> None:
    """Without a gain before it any gain would do, but for the noise: 1.5 of its spreads, here of about 148."""
    noisy = np.where(TURN <= 12, 0.0, np.where(TURN % 2 == 0, 100.0, -100.0))
    assert ask(RULE, well_paid(**{"train/episode_return": noisy})) is None


@pytest.mark.parametrize(("f1", "expected"), [(0.28, Kind.FAULT), (0.29, None)])
def test_an_f1_within_chance_of_having_learned_nothing_is_not_much_to_show(f1: float, expected: Kind | None) -> None:
    """0.197 + 3 sqrt(0.197 * 0.803 / 174) = 0.2875."""
    run = well_paid(f1=f1)
    assert kind(RULE, run) is expected
    if expected:
        assert found(RULE, run).headline.endswith("before the run had much to show for it")


@pytest.mark.parametrize(
    ("beginning", "changed", "support", "why"),
    [
        ("steps too large", {"approx_kl": 0.031}, Support.SUPPORTED, "mean KL 0.031 up to iteration 11"),
        ("steps too large", {"approx_kl": 0.029}, Support.RULED_OUT, "mean KL 0.029 up to iteration 11"),
        (
            "steps too large",
            {"approx_kl": np.where(TURN <= 11, 0.04, 1e-3)},
            Support.SUPPORTED,
            "mean KL 0.04 up to iteration 11",
        ),
        ("steps too large", {"approx_kl": None}, Support.OPEN, ""),
        ("no bonus", {"settings": {"ppo.entropy_coef": 9e-4}}, Support.SUPPORTED, "entropy_coef 0.0009"),
        ("no bonus", {"settings": {"ppo.entropy_coef": 1e-3}}, Support.OPEN, "entropy_coef 0.001"),
        ("no bonus", {"settings": {"ppo.entropy_coef": None}}, Support.OPEN, ""),
        ("an untrained policy", {}, Support.RULED_OUT, "it began at 1.39 of 1.39"),
        (
            "an untrained policy",
            {"entropy": np.where(TURN < 11, 0.89 * TOP, 0.01)},
            Support.SUPPORTED,
            "it began at 1.23 of 1.39",
        ),
        (
            "an untrained policy",
            {"entropy": np.where(TURN < 3, math.nan, np.where(TURN < 11, 0.89 * TOP, 0.01))},
            Support.RULED_OUT,  # by then it was no longer untrained
            "it began at 1.23 of 1.39",
        ),
        ("rewards that favour", {}, Support.OPEN, ""),
    ],
)
def test_its_causes(beginning: str, changed: dict[str, Any], support: Support, why: str) -> None:
    suspect = cause(found(RULE, untaught(**{"entropy": falls_at(11), **changed})), beginning)
    assert (suspect.support, suspect.why) == (support, why)


@pytest.mark.parametrize(
    ("weight", "arms"), [(0.0, [0.01, 0.03]), (0.009, [0.01, 0.03]), (0.01, [0.03]), (0.1, [0.3]), (None, [0.01, 0.03])]
)
def test_the_bonus_is_raised_from_where_it_is(weight: float | None, arms: list[float]) -> None:
    finding = found(RULE, untaught(entropy=falls_at(11), settings={"ppo.entropy_coef": weight}))
    assert {"ppo.entropy_coef": arms} in changes(finding)


@pytest.mark.parametrize(
    ("changed", "first"),
    [
        ({}, {"ppo.entropy_coef": 0.0}),  # small steps and a bonus against it: its sign may be wrong
        ({"approx_kl": 0.031}, {"ppo.lr": 1e-4}),
        ({"approx_kl": 0.029}, {"ppo.entropy_coef": 0.0}),
        ({"approx_kl": None}, {"ppo.lr": 1e-4}),
        ({"settings": {"ppo.entropy_coef": 0.009}}, {"ppo.entropy_coef": [0.01, 0.03]}),
    ],
)
def test_what_comes_first_is_what_the_entropy_lacks(changed: dict[str, Any], first: dict[str, Any]) -> None:
    run = untaught(**{"entropy": falls_at(11), **changed})
    assert changes(found(RULE, run))[0] == first


def test_the_sign_of_a_known_program_is_not_doubted() -> None:
    run = replace(untaught(entropy=falls_at(11)), dialect="sb3")
    assert changes(found(RULE, run))[0] == {"ppo.lr": 1e-4}


def test_without_an_entropy_the_rule_is_blind_and_without_the_rest_it_says_so() -> None:
    assert blind(RULE, untaught(entropy=None)) == ((metrics.ENTROPY, POLICY_STD),)
    finding = found(RULE, untaught(entropy=falls_at(11), approx_kl=None, advantage_std=None))
    assert finding.missing == (metrics.APPROX_KL, metrics.ADVANTAGE_STD)
    no_actions = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    nameless = untaught(entropy=np.where(TURN < 11, 1.2, 0.1), settings={"env.id": "Own-v1"}, **no_actions)
    assert is_blind(RULE, nameless)  # of how many actions is not known, nor whether they are discrete
    gone = untaught(entropy=np.where(TURN < 11, 1.2, 0.01), settings={"env.id": "Own-v1"}, **no_actions)
    assert kind(RULE, gone) is Kind.FAULT  # a differential entropy would not stop at 0


NO_ACTIONS: dict[str, Any] = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}


def continuous(std: Any, made: Any = untaught, **changed: Any) -> History:
    run = made(**NO_ACTIONS, settings={"env.id": "Own-v1"}, **{"entropy": -2.0, **changed})
    return replace(run, table=run.table.assign(**{POLICY_STD: std}))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (continuous(np.where(TURN <= 50, 1.0, 0.099)), Kind.FAULT),
        (continuous(np.where(TURN <= 50, 1.0, 0.101)), None),
        (continuous(np.where(TURN <= 50, 1.0, 0.05), healthy), None),  # it has learned: nothing is lost
        (continuous(np.full(LENGTH, 0.05)), None),  # small from the start, by its setting
    ],
)
def test_continuous_actions_collapse_where_their_spread_is_gone_and_nothing_learned(
    run: History, expected: Kind | None
) -> None:
    assert kind(RULE, run) is expected
    if expected:
        finding = found(RULE, run)
        assert finding.since == 51
        assert finding.headline == (
            "Exploration has collapsed: spread of the actions 1 at first, 0.099 over iterations 76 to 100, before the "
            "run had much to show for it"
        )


def test_a_differential_entropy_has_no_zero_to_collapse_to() -> None:
    run = untaught(**NO_ACTIONS, settings={"env.id": "Own-v1"}, entropy=np.linspace(1.4, -3, LENGTH))
    answer = ask(RULE, replace(run, dialect="plain"))
    assert isinstance(answer, Blind)
    assert answer.why == "actions are continuous, and a differential entropy has no zero to collapse to"
    assert kind(RULE, run) is Kind.FAULT  # of our own learner the entropy tells the spread: from 1 to 0.02


def test_a_return_that_froze_above_its_start_is_solved_or_stuck_and_the_record_does_not_say() -> None:
    frozen = {"f1": None, "eval/episode_return": None, "train/episode_return": np.where(TURN <= 5, -20.0, -0.76)}
    run = untaught(**NO_ACTIONS, settings={"env.id": "Own-v1"}, entropy=np.where(TURN < 11, 1.9, 0.002), **frozen)
    finding = found(RULE, run)
    assert finding.kind is Kind.SUSPECT
    assert finding.headline.endswith("and episodes return the same since")
    assert [cause.what.partition(",")[0] for cause in finding.causes[:2]] == [
        "a policy that does nothing",
        "a task that is solved: the return is the largest there is",
    ]


def test_a_run_that_solved_its_task_and_always_does_the_same_is_doubted_at_most() -> None:
    """Seven steps to the right are a deterministic solution: entropy goes with the rise, and one action is all."""
    turn = np.arange(1, LENGTH + 1)
    risen = np.minimum(-0.8 + turn / 8, 0.78) + 1e-4 * np.sin(7.0 * turn)
    shares = {"train/action/left": np.where(turn < 12, 0.5, 0.01), "train/action/right": np.where(turn < 12, 0.5, 0.99)}
    entropy = np.where(turn < 12, 0.69, 0.02)
    assert kind(RULE, own_task(risen, entropy=entropy, more=shares)) is Kind.SUSPECT
    flat = -0.8 + 1e-2 * np.sin(7.0 * turn)
    assert kind(RULE, own_task(flat, entropy=entropy, more=shares)) is Kind.FAULT


LINE = [-1.665, -1.052, -0.219, 0.46, 0.601, 0.653, 0.635, 0.656, 0.658, 0.634]
"""Training returns of a solved environment whose best return is 0.68, reached in both of its evaluations."""


def test_an_entropy_that_falls_as_the_returns_reach_their_level_is_no_fault() -> None:
    """Two evaluations cannot say how the run stands; the training returns can."""
    entropy = [0.69, 0.667, 0.557, 0.321, 0.109, 0.025, 0.01, 0.003, 0.001, 0.001]
    evaluated = [0.68 if i in (5, 10) else math.nan for i in range(1, 11)]

    def run(returns: list[float]) -> History:
        padded = [np.resize(values, LENGTH) for values in (returns, evaluated, entropy)]
        more = {metrics.action_metric("left"): 0.99, metrics.action_metric("right"): 0.01}
        named = {"eval/episode_return": padded[1], "entropy": padded[2], "settings": {"ppo.num_iterations": 10}}
        return first(own_task(padded[0], more=more, **named), 10)

    assert kind(RULE, run(LINE)) is None
    assert kind(RULE, run([-1.665, -1.66, -1.67, -1.66, -1.665, -1.67, -1.66, -1.665, -1.66, -1.67])) is Kind.FAULT


@pytest.mark.parametrize(("greedy", "expected"), [(500.0, None), (np.where(TURN < 60, 300.0, 500.0), Kind.FAULT)])
def test_a_greedy_policy_that_was_as_good_by_then_lost_nothing(greedy: Any, expected: Kind | None) -> None:
    """The sampled return goes on from 200 to 500 once its policy no longer errs by chance."""
    nameless = {f"{prefix}_{name}": None for prefix in ("action", "greedy") for name in metrics.ACTIONS}
    sampled = np.interp(TURN, [1, 40, 100], [0.0, 200.0, 500.0]) + np.sin(7.0 * TURN)
    run = healthy(
        **{
            "entropy": np.where(TURN < 40, math.log(2), 0.01),
            "train/episode_return": sampled,
            "eval/episode_return": greedy,
        },
        **{"f1": None, "tp": None, "settings": {"env.id": "CartPole-v1"}, **nameless},
    )
    assert (kind(RULE, run) is Kind.FAULT) is (expected is Kind.FAULT)


NARROWS = 5.0 + 45.0 * (1 - np.exp(-TURN / 15))
"""A return that rises and is level from the middle on."""


@pytest.mark.parametrize(
    ("share", "returns", "expected"),
    [
        (-0.76, 50.0, Kind.FAULT),
        (-0.74, 50.0, None),  # as fast as advantages may ask for
        (-0.95, NARROWS + np.sin(7.0 * TURN), Kind.FAULT),  # learned, and nothing is gained by what narrows on
        (-0.95, 0.5 * TURN, None),  # noise costs: the return rises as it goes
        (0.95, 50.0, None),
    ],
)
def test_a_spread_that_each_step_narrows(share: float, returns: Any, expected: Kind | None) -> None:
    assert kind(RULE, spread(share, returns)) is expected


def test_what_pushes_a_spread_down_and_how_far_it_must_have_gone() -> None:
    """At a rate of 1e-3 the logarithm goes 0.79 in all: of the last quarter the mean is exp(-0.7), half and no less."""
    assert kind(RULE, spread(-1.0, 50.0, rate=1e-3)) is None
    finding = found(RULE, spread(-1.0, 50.0, rate=1.1e-3))
    assert finding.headline.startswith("Exploration is pushed down at each step: spread of the actions 0.991 at first")
    assert finding.headline.endswith("its logarithm went 100 % of the way that all steps could go")
    assert cause(finding, "an entropy bonus whose sign is wrong").support is Support.SUPPORTED
