"""Impossible numbers: each at its bound, and what is left of a correct run's."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import bug_gate
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, facts, found, kind
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = bug_gate.RULE
TURN = np.arange(1, LENGTH + 1)
CONSTANT = {"ppo.lr_schedule": "constant"}
TOP = math.log(4)
NAMES = ("allow", "block", "quarantine", "alert")
GROWING = np.linspace(0, 1, LENGTH)


def test_a_first_ratio_off_1_is_a_sure_bug() -> None:
    finding = found(RULE, healthy(ratio_deviation=np.where(TURN == 50, 0.4, 1e-6)))
    text = "the probability ratio is off 1 by up to 0.4 before the update has moved the policy"
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 50)
    assert finding.headline == f"A bug, not a setting: {text}"
    assert facts(finding) == [text]
    assert finding.evidence[0].iterations == (50, 50)
    assert finding.why == "a correct PPO cannot show this number"
    assert finding.remedies == ()
    assert finding.missing == ()


@pytest.mark.parametrize(
    ("changed", "bug"),
    [
        ({"ratio_deviation": 1.1e-3}, True),
        ({"ratio_deviation": 1e-3}, False),
        ({"ratio_deviation": 1e-5}, False),
        ({"approx_kl": -1.1e-4}, True),
        ({"approx_kl": -1e-4}, False),
        ({"approx_kl": -1e-9}, False),
        ({"clip_fraction": 1.001}, True),
        ({"clip_fraction": 1.0}, False),
        ({"clip_fraction": -0.001}, True),
        ({"explained_variance": 1.001}, True),
        ({"explained_variance": 1.00005}, False),  # rounding
        ({"explained_variance": 1.00012}, True),
        ({"explained_variance": -50.0}, False),
        ({"f1": 1.001}, True),
        ({"f1": 1.0}, False),
        ({"saturated_share": -0.01}, True),
        ({"entropy": TOP + 2e-4}, True),
        ({"entropy": TOP}, False),
        ({"entropy": -0.01}, True),
        ({"entropy": 0.0}, False),
        ({"lr": 3e-4 * 1.06, "settings": CONSTANT}, True),
        ({"lr": 3e-4 * 1.06}, False),  # of which schedule is not known: it may warm up, or follow KL
        ({"lr": 3e-4 * 1.04, "settings": CONSTANT}, False),
        ({"lr": 3e-4 * 0.94, "settings": CONSTANT}, True),
        ({"lr": 3e-4 * 0.96, "settings": CONSTANT}, False),
        ({"lr": np.where(TURN <= 2, math.nan, 1e-5)}, False),  # it may have been brought down since
        ({"lr": np.where(TURN == LENGTH, 1e-5, 3e-4), "settings": {"ppo.lr_schedule": "constant"}}, True),
        ({"lr": np.where(TURN == LENGTH, 1e-5, 3e-4), "settings": {"ppo.lr_schedule": "linear"}}, False),
        ({"lr": np.where(TURN == LENGTH, 1e-5, 3e-4)}, False),  # of which schedule is not known
        ({"lr": 3e-5, "settings": {"ppo.lr": None}}, False),
    ],
)
def test_every_bound(changed: dict[str, Any], bug: bool) -> None:
    assert kind(RULE, healthy(**changed)) is (Kind.FAULT if bug else Kind.FINE)


@pytest.mark.parametrize(
    ("first", "length", "bug"),
    [
        (5 / 6, 6, False),  # one update of six done: what a linear schedule sets
        (5 / 6, 100, True),  # of a hundred
        (0.5, 6, True),
        (1.06, 6, True),
    ],
)
def test_a_rate_that_was_set_to_fall_may_have_begun_to(first: float, length: int, bug: bool) -> None:
    """Others compute an update's rate when its rollout is done: the first of six is at 5/6 already."""
    rate = 3e-4 * (first - (TURN - 1) / length)
    run = healthy(lr=rate, settings={"ppo.lr_schedule": "linear", "ppo.num_iterations": length})
    run = replace(run, table=run.table.loc[:length])
    assert (kind(RULE, run) is Kind.FAULT) == bug


@pytest.mark.parametrize(
    ("first", "total", "bug"),
    [
        (0.89, 200, False),  # 22 of 200 iterations done, of which 21 are not on record: what a linear schedule sets
        (0.7, 200, True),
        (0.89, None, False),  # by how much it should have fallen is not known
        (0.7, None, False),
    ],
)
def test_a_record_that_begins_in_mid_run_begins_with_a_rate_that_has_fallen(
    first: float, total: int | None, bug: bool
) -> None:
    rate = 3e-4 * (first - (TURN - 1) / 200)
    plan = {"ppo.lr_schedule": "linear", "ppo.num_iterations": total}
    run = replace(healthy(lr=rate, ratio_deviation=None, settings=plan), dialect="mlagents")
    assert (kind(RULE, replace(run, unrecorded=21)) if bug else ask(RULE, replace(run, unrecorded=21))) is (
        Kind.FAULT if bug else None
    )
    if total:
        assert kind(RULE, run) is Kind.FAULT  # the same record, taken for the start


@pytest.mark.parametrize(
    ("schedule", "rate", "bug"),
    [
        ("linear", 3e-4 * np.minimum(TURN / 6, 1 - TURN / 101), False),  # warms up over six updates, then falls
        ("linear", 3e-4 * np.where(TURN <= 5, 0.1, 1 - TURN / 101), False),  # a warm-up of one step
        ("linear", 3e-4 * 0.1 ** (TURN % 25 / 25 + 1), False),  # restarts
        ("linear", 3e-5 * (1 - TURN / 101), True),  # falls as it should, from a tenth
        ("linear", np.where(TURN <= 9, 3e-5, math.nan), False),  # may be warming up still
        ("linear", np.where(TURN <= 10, 3e-5, math.nan), True),
        ("constant", 3e-4 * 1.5 ** -np.minimum(TURN // 4, 9), False),  # follows KL down
        ("constant", 3e-4 * np.minimum(TURN / 6, 1), False),
        ("constant", 3e-5, True),
        ("constant", 3e-4, False),
    ],
)
def test_another_learners_rate_may_move_by_a_plan_that_is_not_on_record(schedule: str, rate: Any, bug: bool) -> None:
    run = replace(
        healthy(lr=rate, ratio_deviation=None, settings={"ppo.lr_schedule": schedule, "ppo.num_iterations": LENGTH}),
        dialect="cleanrl",
    )
    if not bug:
        assert ask(RULE, run) is None
        return
    finding = found(RULE, run)
    assert (finding.kind, finding.sureness) == (Kind.FAULT, Sureness.LIKELY)  # never sure: a script may scale its rate
    assert finding.why == "the setting is not in force, unless the script scales it"
    assert found(RULE, healthy(lr=rate, settings={"ppo.lr_schedule": schedule})).sureness is Sureness.SURE


def test_numbers_are_shown_with_their_bounds() -> None:
    assert facts(found(RULE, healthy(entropy=1.5))) == [
        "train/entropy must lie in 0 to 1.386 and is 1.5 over iterations 1 to 100"
    ]
    assert facts(found(RULE, healthy(explained_variance=1.5))) == [
        "train/explained_variance must lie in -inf to 1 and is 1.5 over iterations 1 to 100"
    ]
    assert facts(found(RULE, healthy(approx_kl=np.where(TURN == 7, -0.01, 1e-3)))) == [
        "KL is negative, down to -0.01, in 1 of 100 updates"
    ]
    assert facts(found(RULE, healthy(lr=3e-5, settings={"ppo.lr_schedule": "linear"}))) == [
        "the learning rate in force is 3e-05, and 0.0003 was set"
    ]
    falling = healthy(lr=3e-4 * (1 - GROWING), settings={"ppo.lr_schedule": "constant"})
    assert facts(found(RULE, falling)) == ["the learning rate in force is 0, and 0.0003 was set, to be constant"]


def test_all_that_is_impossible_is_shown_and_dated_by_the_first() -> None:
    finding = found(
        RULE, healthy(ratio_deviation=0.4, clip_fraction=np.where(TURN == 5, 2.0, 0.0), lr=3e-5, settings=CONSTANT)
    )
    assert [fact.metrics[0] for fact in finding.evidence] == [
        metrics.RATIO_DEVIATION,
        metrics.CLIP_FRACTION,
        metrics.LR,
    ]
    assert finding.since == 1


@pytest.mark.parametrize("dialect", ["sb3", "cleanrl", "rllib", "plain", "mapping"])
@pytest.mark.parametrize(
    "changed",
    [
        {"approx_kl": np.where(TURN % 2 == 0, -1e-3, 2e-3)},  # log-probabilities' difference alone is a signed estimate
        {"approx_kl": -1e-3},  # and of the other sign for who subtracts the other way round
        {"explained_variance": 95.0},  # percent
        {"clip_fraction": 12.5},
        {"entropy": 1.9},  # bits: 4 actions have 2
        {"ratio_deviation": 0.3},  # of a whole update
        {"lr": 3e-5},
    ],
    ids=str,
)
def test_what_other_programs_mean_by_a_name_is_no_theorem(dialect: str, changed: dict[str, Any]) -> None:
    run = healthy(**{"ratio_deviation": None, **changed})
    assert ask(RULE, replace(run, dialect=dialect)) is None


def test_names_of_ours_without_a_plan_are_not_our_learners() -> None:
    run = healthy(approx_kl=-1e-3, ratio_deviation=None)
    strange = replace(run, settings={})
    assert ask(RULE, strange) is None
    assert kind(RULE, run) is Kind.FAULT


def test_of_unnamed_actions_the_largest_entropy_is_not_known() -> None:
    nameless = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    run = healthy(entropy=3.0, settings={"env.id": "CartPole-v1"}, **nameless)
    assert kind(RULE, run) is Kind.FINE


def test_targets_beyond_returns_are_no_impossible_number() -> None:
    """A critic that overshoots shows them, and episodes that differ much in length do."""
    nameless = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    columns = {"target_mean": 90.0, "train/episode_return": 30.0, **nameless}
    assert kind(RULE, untaught(**columns, settings={"env.id": "CartPole-v1"})) is Kind.FINE


def test_what_is_in_order_says_how_near_the_ratio_is() -> None:
    finding = found(RULE, healthy(ratio_deviation=2e-6))
    assert finding.kind is Kind.FINE
    assert finding.headline == "ratio 1 on every update's first minibatch, within 2e-06; no impossible number"


@pytest.mark.parametrize(
    ("normalised", "support", "why"),
    [(False, Support.RULED_OUT, "observations are not normalised"), (True, Support.OPEN, ""), (None, Support.OPEN, "")],
)
def test_a_normaliser_that_is_off_is_no_cause(normalised: bool | None, support: Support, why: str) -> None:
    finding = found(RULE, healthy(ratio_deviation=0.4, settings={"ppo.normalize_observations": normalised}))
    inputs = cause(finding, "inputs that differ")
    assert (inputs.support, inputs.why) == (support, why)
    assert len(finding.causes) == 3


def test_without_any_of_its_metrics_the_rule_is_blind_and_without_one_it_says_so() -> None:
    nothing = healthy(ratio_deviation=None, approx_kl=None, lr=None, explained_variance=None)
    assert blind(RULE, nothing) == (
        (metrics.RATIO_DEVIATION, metrics.APPROX_KL, metrics.LR, metrics.EXPLAINED_VARIANCE),
    )
    assert ask(RULE, healthy(ratio_deviation=None)) is None  # without a ratio nothing is said to be in order
    finding = found(RULE, healthy(ratio_deviation=None, approx_kl=None, lr=3e-5, settings=CONSTANT))
    assert finding.missing == (metrics.RATIO_DEVIATION, metrics.APPROX_KL)


def test_the_entropy_of_several_choices_has_the_sum_of_their_bounds() -> None:
    """MultiDiscrete([3, 2]): ln 3 + ln 2 = 1.792, and not ln 5 = 1.609."""
    nameless = {f"{prefix}_{name}": None for prefix in ("action", "greedy") for name in NAMES}
    options = {metrics.ACTION_PREFIX + name: 0.4 for name in ("0.0", "0.1", "0.2", "1.0", "1.1")}
    for entropy, expected in ((1.79, Kind.FINE), (1.80, Kind.FAULT)):
        run = healthy(entropy=entropy, **nameless)
        run = replace(run, table=run.table.assign(**options), settings={**run.settings, "env.id": "Own-v0"})
        assert kind(RULE, run) is expected
