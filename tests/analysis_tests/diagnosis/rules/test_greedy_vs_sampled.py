"""Greedy and sampled behaviour apart: by returns, by actions, and by what evaluation shows."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import greedy_vs_sampled
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests import elsewhere as other_tasks
from tests.analysis_tests.diagnosis.asking import ask, blind, cause, facts, first, found, kind
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = greedy_vs_sampled.RULE
TURN = np.arange(1, LENGTH + 1)
DONE, CHANCE = TURN / LENGTH, np.sin(7.0 * TURN)
TOP = math.log(4)
NAMES = ("allow", "block", "quarantine", "alert")


def behind(greedy: Any, **changed: Any) -> History:
    """A run whose sampled return has gained 1,000: from -1,000 to 0."""
    returns = {"eval/episode_return": greedy, "train/episode_return": np.where(TURN <= 3, -1000.0, 0.0)}
    return healthy(**returns, **changed)


def elsewhere(greedy: Any, **changed: Any) -> History:
    """The same where actions change what comes next."""
    nameless = {f"{prefix}_{name}": None for prefix in ("action", "greedy") for name in NAMES}
    return behind(greedy, tp=None, f1=None, settings={"env.id": "CartPole-v1"}, **nameless, **changed)


def allowing(sampled: float, **changed: Any) -> History:
    """A run that learned nothing, greedy to allow all flows, and sampled only so many."""
    shares = {"action_allow": sampled, "action_block": 1 - sampled, "action_quarantine": 0.0, "action_alert": 0.0}
    return untaught(**shares, **changed)


def test_a_greedy_policy_far_behind_the_sampled_one_is_a_fault() -> None:
    finding = found(RULE, behind(-300.0))
    text = "return -300 of the greedy policy, 0 of the sampled one"
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 80)
    assert finding.headline == f"Greedy and sampled behaviour are apart: {text}"
    assert facts(finding) == [text]
    assert finding.evidence[0].iterations == (80, 100)
    assert [one.support for one in finding.causes] == [Support.RULED_OUT, *[Support.OPEN] * 3]
    assert finding.remedies == ()


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (behind(-251.0), Kind.FAULT),
        (behind(-249.0), Kind.FINE),  # a quarter of what was gained
        (behind(np.where(TURN <= 70, 0.0, -251.0)), Kind.FAULT),
        (behind(np.where(TURN <= 80, 0.0, -251.0)), Kind.FINE),  # twice is by chance
        (behind(np.where(TURN == 90, 0.0, -251.0)), Kind.FINE),
        (first(behind(-251.0), 30), Kind.FAULT),
        (first(behind(-251.0), 29), Kind.FINE),
        (healthy(), Kind.FINE),
    ],
)
def test_its_borders_by_returns(run: History, expected: Kind) -> None:
    assert kind(RULE, run) is expected


def test_swings_of_the_sampled_return_are_no_gain() -> None:
    """It swings by 1,000 from one iteration to the next: a spread of 1,000 / 0.954."""
    swinging = np.where(TURN % 2 == 0, 1000.0, 0.0)
    lower = {"eval/episode_return": -300.0, "train/episode_return": swinging}
    assert kind(RULE, healthy(**lower)) is Kind.FINE
    assert kind(RULE, healthy(**{**lower, "eval/episode_return": -500.0})) is Kind.FAULT


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (elsewhere(-251.0), Kind.FAULT),
        (elsewhere(np.where(TURN <= 75, -251.0, 0.0)), Kind.FINE),  # it has got over it
        (first(elsewhere(-251.0), 50), Kind.FAULT),
        (first(elsewhere(-251.0), 49), None),  # young, and in time gets over it
    ],
)
def test_elsewhere_it_must_last_for_a_quarter_of_the_run(run: History, expected: Kind | None) -> None:
    assert (kind(RULE, run) or Kind.FINE) is (expected or Kind.FINE)


@pytest.mark.parametrize(("missed", "expected"), [(1, Kind.FAULT), (2, Kind.FINE)])
def test_elsewhere_most_evaluations_must_show_it(missed: int, expected: Kind) -> None:
    """Evaluated at every fourth iteration: six of the last quarter's, of which three quarters must lie below."""
    run = elsewhere(0.0)
    table = run.table.copy()
    below = np.where(100 - 4 * missed < TURN, 0.0, -251.0)
    table[metrics.EVAL_RETURN] = np.where(TURN % 4 == 0, below, math.nan)
    assert kind(RULE, replace(run, table=table)) is expected


@pytest.mark.parametrize(("slope", "expected"), [(24.0, Kind.FINE), (12.0, Kind.FAULT)])
def test_a_greedy_return_that_catches_up_is_no_fault(slope: float, expected: Kind) -> None:
    """Evaluated at iterations 76, 80, ... 100; by 24 an iteration it rises by 384 and is 496 behind: 248 are enough."""
    run = elsewhere(0.0)
    rising = np.where(TURN % 4 == 0, -1000.0 + slope * np.maximum(TURN - 75, 0), math.nan)
    table = run.table.assign(**{metrics.EVAL_RETURN: rising})
    assert kind(RULE, replace(run, table=table)) is expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (allowing(0.69), Kind.SUSPECT),
        (allowing(0.71), Kind.FINE),
        (healthy(action_allow=0.1, action_block=0.9, action_quarantine=0.0, action_alert=0.0), Kind.FINE),  # it learns
    ],
)
def test_its_borders_by_actions(run: History, expected: Kind) -> None:
    assert kind(RULE, run) is expected


def test_actions_that_differ_are_shown_by_flows_let_through_and_by_shares() -> None:
    finding = found(RULE, allowing(0.4))
    assert facts(finding)[:2] == [
        "the sampled policy allows 40.0 % of the flows, the greedy one 100.0 %",
        "60 % of the actions differ between the greedy and the sampled policy",
    ]
    assert finding.headline == f"Greedy and sampled behaviour are apart: {facts(finding)[0]}"
    assert finding.why == "the run has nothing to show for it"


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (healthy(observation_shift=0.5), Kind.SUSPECT),
        (healthy(observation_shift=0.49), Kind.FINE),
        (untaught(observation_shift=0.5), Kind.FAULT),
        (first(healthy(observation_shift=0.8), 30), Kind.SUSPECT),
        (first(healthy(observation_shift=0.8), 29), Kind.FINE),
        (elsewhere(0.0, observation_shift=0.8), Kind.FINE),  # there it depends on the policy
    ],
)
def test_its_borders_by_what_evaluation_shows(run: History, expected: Kind) -> None:
    assert kind(RULE, run) is expected


def test_a_shift_of_what_is_shown_supports_its_cause() -> None:
    finding = found(RULE, healthy(observation_shift=0.8))
    text = "what the evaluation shows is 0.8 spreads from what training shows, in the usual column"
    assert facts(finding)[0] == text
    shown = cause(finding, "evaluation that is shown other inputs")
    assert (shown.support, shown.why) == (Support.SUPPORTED, text)


@pytest.mark.parametrize(
    ("entropy", "support", "why"),
    [
        (0.91 * TOP, Support.SUPPORTED, "entropy 91 % of its maximum"),
        (0.89 * TOP, Support.RULED_OUT, "entropy 89 % of its maximum"),
        (None, Support.OPEN, ""),
    ],
)
def test_an_entropy_near_its_maximum_makes_the_greedy_policy_a_matter_of_a_hair(
    entropy: float | None, support: Support, why: str
) -> None:
    finding = found(RULE, behind(-300.0, entropy=entropy))
    near = cause(finding, "a policy close to uniform")
    assert (near.support, near.why) == (support, why)
    assert finding.missing == (() if entropy else (metrics.ENTROPY,))


def test_what_is_in_order_says_what_it_compared() -> None:
    assert found(RULE, behind(0.0)).headline == (
        "greedy beside sampled: return 0 of the greedy policy, 0 of the sampled one"
    )


def test_returns_of_a_command_are_no_greedy_ones() -> None:
    """They are means of training's own episodes between two evaluations, and lag behind the last ones."""
    far = behind(-300.0, f1=None, tp=None)
    assert kind(RULE, far) is Kind.FAULT
    swept = replace(far, settings={**far.settings, "trainer.name": "command"})
    assert not any("of the greedy policy" in fact for fact in facts(found(RULE, swept)))


def test_an_evaluation_before_all_training_returns_is_compared_with_none() -> None:
    """Episodes that end only after the last evaluation: the sampled return beside it would be no number."""
    run = elsewhere(0.0)
    table = run.table.assign(**{metrics.TRAIN_RETURN: np.where(TURN <= 30, math.nan, 0.0)})
    table[metrics.EVAL_RETURN] = np.where((TURN % 10 == 0) & (TURN <= 30), -300.0, math.nan)
    assert ask(RULE, replace(run, table=table)) is None


def test_without_one_side_the_rule_is_blind() -> None:
    bare = {f"greedy_{name}": None for name in NAMES}
    assert blind(RULE, healthy(tp=None, **{"eval/episode_return": None}, **bare)) == (
        (metrics.EVAL_RETURN, metrics.TRUE_POSITIVES, "eval/action/<action>"),
    )
    sampled = {f"action_{name}": None for name in NAMES}
    assert blind(RULE, healthy(**{"train/episode_return": None}, **sampled)) == (
        (metrics.TRAIN_RETURN, "train/action/<action>"),
    )
    lone = healthy(tp=None, **{"train/episode_return": None}, **bare)
    assert ask(RULE, lone) is None  # returns on one side, actions on the other: nothing to compare


@pytest.mark.parametrize(
    ("greedy", "expected"),
    [
        (10 + CHANCE, Kind.SUSPECT),  # a run that learns, evaluated ten times
        (10 + 40 * DONE + CHANCE, Kind.SUSPECT),
        (100 * DONE + CHANCE, None),
    ],
)
def test_three_evaluations_in_the_last_quarter_are_enough_for_a_run_of_another_program(
    greedy: Any, expected: Kind | None
) -> None:
    seen = np.where(TURN % (LENGTH // 10) == 0, greedy, np.nan)
    run = replace(other_tasks.elsewhere(10 + 100 * DONE + CHANCE), dialect="sb3")
    run = replace(run, table=run.table.assign(**{"eval/episode_return": seen}))
    run = replace(run, settings={**run.settings, "finished": True})
    found = [one.finding.kind for one in diagnose(run).findings if one.rule is RULE]
    assert [kind for kind in found if kind is not Kind.FINE] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("scale", "expected"), [(0.39, Kind.FAULT), (0.41, None), (1.0, None), (2.4, None), (2.6, Kind.FAULT)]
)
def test_first_observations_of_another_size_are_a_fault(scale: float, expected: Kind | None) -> None:
    plain = elsewhere(0.0)
    run = replace(plain, table=plain.table.assign(**{"eval/start_scale": scale}))
    assert (kind(RULE, run) if kind(RULE, run) is not Kind.FINE else None) is expected
    if expected:
        assert f"begin with observations {scale} times as large as training's" in found(RULE, run).headline


@pytest.mark.parametrize(("alike", "expected"), [(1.0, Kind.FAULT), (0.8, None)])
def test_an_evaluation_whose_episodes_all_begin_alike_is_a_fault(alike: float, expected: Kind | None) -> None:
    plain = elsewhere(0.0)
    run = replace(plain, table=plain.table.assign(**{"eval/starts_alike": alike}))
    assert (kind(RULE, run) if kind(RULE, run) is not Kind.FINE else None) is expected
    if expected:
        assert "all episodes of the evaluation begin with one observation" in found(RULE, run).headline


@pytest.mark.parametrize(
    ("measured", "expected"), [({"eval/start_scale": 1.0, "eval/starts_alike": 0.2}, Kind.SUSPECT), ({}, Kind.FAULT)]
)
def test_a_greedy_policy_that_is_shown_what_training_shows_goes_in_circles(
    measured: dict[str, float], expected: Kind
) -> None:
    plain = elsewhere(-300.0)
    run = replace(plain, table=plain.table.assign(**measured))
    assert kind(RULE, run) is expected


def traded(
    late: float = -0.2, early: float = -0.2, entropy: float = 0.04, trained: float = 1.0, every: int = 2
) -> History:
    """A run of another program: training goes from -10 to `trained`, evaluations from `early` to `late`."""
    greedy = np.where(TURN % every == 0, np.where(TURN < 50, early, late) + 0.1 * CHANCE, np.nan)
    run = other_tasks.elsewhere(
        np.minimum(-10.0 + 0.2 * TURN, trained) + 0.1 * CHANCE, entropy=np.where(TURN < 4, 1.094, entropy)
    )
    table = run.table.assign(**{metrics.EVAL_RETURN: greedy})
    settings = {"env.actions": ("sell", "hold", "buy")}
    return replace(run, table=table, dialect="sb3", settings=settings)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (traded(), Kind.SUSPECT),
        (traded(entropy=0.12), Kind.FINE),  # a tenth of ln 3 is 0.11: greedy and sampled policy may differ
        (traded(late=0.97), Kind.FINE),  # as in training
        (traded(late=0.3), Kind.FINE),  # behind, and better than at first
        (traded(trained=-0.2), Kind.FINE),  # training has come to what evaluations had from the start
        (traded(every=6), Kind.FINE),  # 16 evaluations
    ],
)
def test_a_policy_without_chance_earns_the_same_in_both(run: History, expected: Kind) -> None:
    """In public: entropy 1.09 to 0.04, training on past prices from -10 to 1, evaluations on others about 0 throughout.

    A gain of 11 allows a greedy policy to lie 2.75 behind the sampled one; one that leaves nothing to chance has none.
    """
    assert kind(RULE, run) is expected


def test_what_is_learned_by_heart_is_among_its_causes() -> None:
    finding = found(RULE, traded())
    assert cause(finding, "training's own data or levels").support is Support.OPEN
    assert facts(finding)[0].startswith("with an entropy of 0.04 both policies are one, and training returns ")
    assert len(found(RULE, elsewhere(-500.0)).causes) == len(finding.causes) - 1
