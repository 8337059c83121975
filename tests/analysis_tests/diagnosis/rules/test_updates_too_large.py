"""Updates that are too large: their borders, and what counts as harm."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Finding, Ground, Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import updates_too_large, updates_too_small
from unstuck.analysis.history import History
from unstuck.analysis.history.record import CLIP_RANGE, EPOCHS_DONE
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, kind, unset
from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = updates_too_large.RULE
TURN = np.arange(1, LENGTH + 1)


def test_large_updates_of_a_run_that_learns_nothing_are_a_sure_fault() -> None:
    finding = found(RULE, untaught(approx_kl=0.2, clip_fraction=0.6, update_norm=0.15, saturated_share=0.02))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 25)
    assert facts(finding) == [
        "KL 0.2 on average over iterations 1 to 25",
        "60 % of the ratios clipped on average over iterations 1 to 25",
        "the parameters changed by 0.15 of their norm on average over iterations 1 to 25",
    ]
    assert finding.headline == f"Updates are too large: {facts(finding)[0]}; {facts(finding)[2]}"
    assert finding.why == "it does harm: the run has nothing to show for it"
    assert changes(finding) == [{"ppo.lr": [1e-4, 3e-5]}, {"ppo.target_kl": 0.02}]
    assert "then eval/f1 above the control's" in finding.remedies[0].watch


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"approx_kl": 0.051}, Kind.SUSPECT),
        ({"approx_kl": 0.05}, Kind.FINE),
        ({"approx_kl": 0.061}, Kind.FAULT),  # whatever the score does meanwhile
        ({"approx_kl": 0.06}, Kind.SUSPECT),
        ({"clip_fraction": 0.36}, Kind.SUSPECT),
        ({"clip_fraction": 0.35}, Kind.FINE),
        ({"approx_kl": None, "clip_fraction": 0.36}, Kind.SUSPECT),
        ({"approx_kl": 0.0121, "update_norm": 0.081}, Kind.SUSPECT),
        ({"approx_kl": 0.012, "update_norm": 0.081}, Kind.FINE),
        ({"approx_kl": 0.0121, "update_norm": 0.08}, Kind.FINE),
        ({"approx_kl": 0.03, "clip_fraction": 0.24}, Kind.FINE),
        ({"approx_kl": 1.4e-5}, None),  # another rule's
        ({"approx_kl": None, "clip_fraction": 0.2}, None),
    ],
)
def test_its_borders_in_a_run_that_learns(changed: dict[str, Any], expected: Kind | None) -> None:
    assert kind(RULE, healthy(**changed)) is expected


@pytest.mark.parametrize(
    ("early", "late", "where"), [(0.2, 1e-3, "iterations 1 to 25"), (1e-3, 0.2, "iterations 76 to 100")]
)
def test_the_worse_of_the_first_and_the_last_quarter_counts(early: float, late: float, where: str) -> None:
    finding = found(RULE, healthy(approx_kl=np.where(TURN <= 50, early, late)))
    assert facts(finding)[0] == f"KL 0.2 on average over {where}"
    assert ask(RULE, healthy(approx_kl=np.where((TURN > 25) & (TURN <= 75), 0.2, 1e-3))).kind is Kind.FINE  # type: ignore[union-attr]


def test_without_harm_it_is_a_suspect_that_says_so() -> None:
    finding = found(RULE, healthy(approx_kl=0.055))
    assert finding.why == "no harm is visible: the run gets better all the same"
    assert finding.sureness is Sureness.LIKELY
    assert finding.headline == "Updates are too large: KL 0.055 on average over iterations 1 to 25"


@pytest.mark.parametrize(
    ("changed", "harm"),
    [
        ({"saturated_share": 0.36}, "36 % of the hidden units are saturated"),
        ({"saturated_share": 0.34}, None),
        (
            {"value_loss_excess": -0.11},
            "the value loss lies 0.11 below its floor: the critic learns each rollout by heart",
        ),
        ({"value_loss_excess": -0.09}, None),
        ({"value_loss_excess": -0.11, "settings": {"ppo.normalize_returns": "none"}}, None),
    ],
)
def test_damage_makes_a_fault_of_it(changed: dict[str, Any], harm: str | None) -> None:
    finding = found(RULE, healthy(approx_kl=0.055, **changed))
    assert finding.kind is (Kind.FAULT if harm else Kind.SUSPECT)
    assert (finding.why == f"it does harm: {harm}") == (harm is not None)
    assert (facts(finding)[-1] == harm) == (harm is not None)


@pytest.mark.parametrize(
    ("kl", "returns", "ground"),
    [
        (0.07, np.where(np.arange(LENGTH) % 2 == 0, 5.0, -5.0), Ground.PACE),  # it has not risen yet: it may be young
        (0.31, np.where(np.arange(LENGTH) % 2 == 0, 5.0, -5.0), Ground.STATE),  # no run on any task follows that
        (0.07, np.linspace(0.0, -9.0, LENGTH), Ground.STATE),  # it has fallen
    ],
)
def test_a_run_that_has_only_not_risen_yet_may_be_young(kl: float, returns: Any, ground: Ground) -> None:
    nothing = {"f1": None, "eval/episode_return": None, "train/episode_return": returns}
    assert found(RULE, untaught(approx_kl=kl, value_loss_excess=None, **nothing)).ground is ground
    assert found(RULE, untaught(approx_kl=kl)).ground is Ground.STATE  # F1 at a trivial policy's tells


def test_what_is_in_order_says_all_three_sizes() -> None:
    finding = found(RULE, healthy(approx_kl=0.03, clip_fraction=0.24, update_norm=0.02))
    assert finding.headline == (
        "updates are of a usual size: KL 0.03, 24 % of the ratios clipped, parameters changed by 0.02 of their norm"
    )
    bare = found(RULE, healthy(approx_kl=0.03, clip_fraction=None, update_norm=None))
    assert bare.headline == "updates are of a usual size: KL 0.03"
    assert found(RULE, healthy(approx_kl=1.1e-3)).kind is Kind.FINE
    assert ask(RULE, healthy(approx_kl=9e-4)) is None  # that it is not too large does not show that it moves a policy


@pytest.mark.parametrize(
    ("beginning", "run", "support", "why"),
    [
        ("learning rate", untaught(approx_kl=0.2, settings={"ppo.lr": 3.1e-3}), Support.SUPPORTED, "lr 0.0031"),
        ("learning rate", untaught(approx_kl=0.2, settings={"ppo.lr": 3e-3}), Support.OPEN, "lr 0.003"),
        (
            "too many passes",
            untaught(approx_kl=0.2, settings={"ppo.num_epochs": 11}),
            Support.SUPPORTED,
            "num_epochs 11, minibatch_size 256",
        ),
        (
            "too many passes",
            untaught(approx_kl=0.2, settings={"ppo.num_epochs": 10}),
            Support.OPEN,
            "num_epochs 10, minibatch_size 256",
        ),
        (
            "too many passes",
            untaught(approx_kl=0.2, settings={"ppo.minibatch_size": 31}),
            Support.SUPPORTED,
            "num_epochs 4, minibatch_size 31",
        ),
        (
            "too many passes",
            untaught(approx_kl=0.2, settings={"ppo.minibatch_size": 32}),
            Support.OPEN,
            "num_epochs 4, minibatch_size 32",
        ),
        ("advantages", untaught(approx_kl=0.2), Support.RULED_OUT, "advantages are normalised"),
        (
            "advantages",
            untaught(approx_kl=0.2, advantage_std=3.1, settings={"ppo.normalize_advantage": False}),
            Support.SUPPORTED,
            "spread 3.1",
        ),
        (
            "advantages",
            untaught(approx_kl=0.2, advantage_std=2.9, settings={"ppo.normalize_advantage": False}),
            Support.OPEN,
            "spread 2.9",
        ),
    ],
)
def test_its_causes(beginning: str, run: History, support: Support, why: str) -> None:
    suspect = cause(found(RULE, run), beginning)
    assert (suspect.support, suspect.why) == (support, why)


def test_settings_that_were_not_recorded_leave_its_causes_open() -> None:
    paths = ("ppo.lr", "ppo.num_epochs", "ppo.minibatch_size", "ppo.normalize_advantage")
    finding = found(RULE, unset(untaught(approx_kl=0.2, advantage_std=None), *paths))
    assert [(one.support, one.why) for one in finding.causes] == [(Support.OPEN, "")] * 3
    assert changes(finding)[0] == {"ppo.lr": [1e-4, 3e-5]}  # of the default


def test_many_epochs_are_cut_first() -> None:
    finding = found(RULE, untaught(approx_kl=0.2, settings={"ppo.num_epochs": 11}))
    assert changes(finding)[0] == {"ppo.num_epochs": [4, 10]}


def test_without_kl_and_clipping_the_rule_is_blind_and_without_one_it_says_so() -> None:
    assert blind(RULE, untaught(approx_kl=None, clip_fraction=None)) == ((metrics.APPROX_KL, metrics.CLIP_FRACTION),)
    finding = found(RULE, untaught(approx_kl=None, clip_fraction=0.6, update_norm=None))
    assert finding.missing == (metrics.APPROX_KL, metrics.UPDATE_NORM)
    assert finding.headline == "Updates are too large: 60 % of the ratios clipped on average over iterations 1 to 25"


LITTLE = {"approx_kl": 0.055, "clip_fraction": 0.12}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (healthy(settings={"ppo.clip_range": 0.4}, **LITTLE), Kind.FINE),
        (healthy(settings={"ppo.clip_range": 0.2}, **LITTLE), Kind.SUSPECT),
        (healthy(**LITTLE), Kind.SUSPECT),  # no clip range on record
        (healthy(settings={"ppo.clip_range": 0.4}, approx_kl=0.055, clip_fraction=0.21), Kind.SUSPECT),
        (healthy(settings={"ppo.clip_range": 0.4}, approx_kl=0.055, clip_fraction=None), Kind.SUSPECT),
        (healthy(settings={"ppo.clip_range": 0.4}, approx_kl=0.21, clip_fraction=0.12), Kind.FAULT),
        (healthy(settings={"ppo.clip_range": 0.4}, saturated_share=0.5, **LITTLE), Kind.FAULT),
        (untaught(settings={"ppo.clip_range": 0.4}, **LITTLE), Kind.FAULT),  # it does harm
    ],
)
def test_a_wide_clip_range_on_record_allows_a_larger_kl_in_a_run_that_learns(run: History, expected: Kind) -> None:
    """A ratio clipped at 1 + c allows c ** 2 / 2: a clip range of 0.4 four times what one of 0.2 does."""
    assert kind(RULE, run) is expected


def test_a_clip_range_that_was_logged_counts_before_the_setting() -> None:
    run = healthy(settings={"ppo.clip_range": 0.2}, **LITTLE)
    logged = replace(run, table=run.table.assign(**{CLIP_RANGE: 0.4}))
    assert found(RULE, logged).headline.startswith("updates are of a usual size for a clip range of 0.4: KL 0.055")


def test_a_tiny_clip_range_clips_small_updates_too() -> None:
    narrow = {"settings": {"ppo.clip_range": 1e-3}}
    assert ask(RULE, untaught(approx_kl=1e-5, clip_fraction=0.9, **narrow)) is None
    assert kind(RULE, untaught(approx_kl=1e-5, clip_fraction=0.9, settings={"ppo.clip_range": 0.05})) is Kind.FAULT
    assert kind(RULE, untaught(approx_kl=0.2, clip_fraction=0.9, **narrow)) is Kind.FAULT


def test_a_huge_clip_range_goes_back_to_the_usual_one() -> None:
    assert changes(found(RULE, untaught(approx_kl=0.2, settings={"ppo.clip_range": 10.0})))[0] == {
        "ppo.clip_range": 0.2
    }


def ended(epochs: Any, made: Any = untaught, **settings: Any) -> History:
    """A run of Stable-Baselines3's whose updates make so many epochs each."""
    run = made(approx_kl=0.02, clip_fraction=0.1, update_norm=0.02)
    run = replace(run, dialect="sb3", settings={"env.id": "Own-v1", **settings}, has_ended=True)
    return replace(run, table=run.table.assign(**{EPOCHS_DONE: np.cumsum(epochs + 0 * TURN)}))


OFTEN, SELDOM = np.where(TURN % 3 == 0, 6, 1), np.where(TURN % 3 == 0, 1, 6)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (ended(OFTEN), Kind.FAULT),
        (ended(OFTEN, healthy), Kind.SUSPECT),
        (ended(SELDOM), Kind.FINE),
        (ended(1), Kind.FINE),  # one may be all that was asked for
        (ended(1, **{"ppo.num_epochs": 10}), Kind.FAULT),
        (ended(np.where(TURN % 3 == 0, 2, 1)), Kind.FINE),
        (ended(OFTEN, **{"ppo.target_kl": 3e-4}), Kind.FINE),  # a limit that ends any update
        (ended(OFTEN, **{"ppo.target_kl": 4e-4}), Kind.FAULT),
    ],
)
def test_updates_that_end_in_their_first_epoch(run: History, expected: Kind) -> None:
    assert kind(RULE, run) is expected


@pytest.mark.parametrize(("limit", "fires"), [(3e-4, True), (4e-4, False)])
def test_a_limit_far_below_any_usual_one_makes_updates_too_small_whatever_is_learned(limit: float, fires: bool) -> None:
    run = ended(OFTEN, healthy, **{"ppo.target_kl": limit})
    assert (kind(updates_too_small.RULE, run) is Kind.FAULT) is fires


def test_it_says_how_many_end_so() -> None:
    finding = found(RULE, ended(OFTEN, **{"ppo.target_kl": 0.003, "ppo.lr": 3e-3}))
    assert finding.headline == ("Updates are too large for target_kl: 66 of 99 updates end in their first epoch, of 6")
    assert cause(finding, "a learning rate too high").why == "target_kl 0.003"


FLAT = 22 + np.sin(7.0 * TURN)


@pytest.mark.parametrize(
    ("rate", "optimizer", "returns", "fires"),
    [
        (0.03, "Adam", FLAT, True),
        (0.01, "Adam", FLAT, True),
        (0.009, "Adam", FLAT, False),
        (0.03, "SGD", FLAT, False),  # plain gradient descent takes larger ones
        (0.03, "Adam", np.linspace(0, 100, LENGTH), False),
    ],
)
def test_a_rate_alone_tells_in_a_run_that_learned_nothing(
    rate: float, optimizer: str, returns: Any, fires: bool
) -> None:
    settings = {"ppo.lr": rate, "ppo.optimizer": optimizer}
    run = elsewhere(returns, approx_kl=None, clip_fraction=None, lr=None, settings=settings)
    finding = ask(RULE, replace(run, dialect="mlagents"))
    assert isinstance(finding, Finding) is fires
    if isinstance(finding, Finding):
        assert finding.headline == f"Updates are too large: a learning rate of {rate}"
        assert (finding.kind, finding.ground) == (Kind.FAULT, Ground.PACE)
        assert changes(finding)[0] == {"ppo.lr": [1e-3, 3e-4]}


def unbounded(clip_range: float | None, epochs: int | None = 4, **changed: Any) -> History:
    """A run of a script's own, with neither KL nor clip fraction on record."""
    settings = {"ppo.clip_range": clip_range, "ppo.num_epochs": epochs, **changed.pop("settings", {})}
    run = untaught(approx_kl=None, clip_fraction=None, settings=settings, **changed)
    return replace(run, dialect="plain", has_ended=True)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (unbounded(None), Kind.FAULT),
        (unbounded(1.0), Kind.FAULT),
        (unbounded(0.99), None),
        (unbounded(None, 1), None),  # of one epoch the first ratio is 1
        (unbounded(None, None), None),
        (unbounded(None, settings={"ppo.target_kl": 0.02}), None),  # which bounds it as well
        (unset(unbounded(None), "ppo.clip_range"), None),
        (elsewhere(20 + TURN, approx_kl=None, clip_fraction=None, settings={"ppo.clip_range": None}), Kind.SUSPECT),
    ],
)
def test_an_update_of_several_epochs_that_nothing_bounds(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_a_kl_on_record_tells_more_than_the_clip_that_is_off() -> None:
    settings = {"ppo.clip_range": None, "ppo.num_epochs": 4}
    assert kind(RULE, untaught(approx_kl=2e-3, settings=settings)) is Kind.FINE
    assert ask(RULE, untaught(approx_kl=4e-4, settings=settings)) is None  # too small to be called usual
    assert ask(RULE, untaught(approx_kl=None, clip_fraction=0.1, settings=settings)) is None


def test_the_numbers_of_an_update_that_nothing_bounds() -> None:
    finding = found(RULE, unbounded(None, entropy=np.where(TURN < 3, 0.65, 0.1)))
    assert finding.headline == (
        "Nothing bounds the size of an update: 4 epochs of each rollout, and no clip; entropy 0.65 at first, 0.1 of "
        "late"
    )
    assert changes(finding) == [{"ppo.clip_range": 0.2}]
    assert found(RULE, unbounded(5.0)).headline.endswith("4 epochs of each rollout, and a clip range of 5")


@pytest.mark.parametrize(
    ("last", "late_kl", "expected"),
    [
        (0.0, 0.01, None),  # the ratios clipped in the end are those of a range of next to nothing
        (0.2, 0.01, None),  # half of its start
        (0.4, 0.01, Kind.SUSPECT),
        (0.0, 0.06, Kind.SUSPECT),
    ],
)
def test_large_first_updates_under_a_clip_range_that_is_annealed(
    last: float, late_kl: float, expected: Kind | None
) -> None:
    turn = np.arange(1, LENGTH + 1)
    kl, clipped = np.where(turn < 30, 0.058, late_kl), np.where(turn < 30, 0.2, 0.9)
    run = replace(healthy(approx_kl=kl, clip_fraction=clipped, update_norm=None), dialect="sb3")
    found_kind = kind(RULE, replace(run, table=run.table.assign(**{CLIP_RANGE: np.linspace(0.4, last, LENGTH)})))
    assert (found_kind if found_kind is not Kind.FINE else None) is expected


@pytest.mark.parametrize(("iterations", "expected"), [(19, Kind.FINE), (20, Kind.SUSPECT)])
def test_the_first_steps_of_a_young_run_are_all_of_full_size(iterations: int, expected: Kind) -> None:
    run = healthy(approx_kl=0.0121, update_norm=np.where(TURN < 5, 0.083, 0.081))
    assert kind(RULE, first(run, iterations)) is expected


@pytest.mark.parametrize(
    ("value", "settings", "expected"),
    [
        (501.0, {}, Kind.SUSPECT),  # more than a thousand times the policy's, which is 0.5
        (499.0, {}, Kind.FAULT),
        (501.0, {"ppo.shared_trunk": False}, Kind.FAULT),
        (501.0, {"ppo.normalize_returns": "batch"}, Kind.FAULT),
    ],
)
def test_a_policy_that_the_critic_throws_about_in_a_shared_trunk(
    value: float, settings: dict[str, Any], expected: Kind
) -> None:
    raw = {"ppo.shared_trunk": True, "ppo.normalize_returns": "none", **settings}
    run = healthy(approx_kl=0.08, grad_norm_policy=0.5, grad_norm_value=value, settings=raw)
    assert kind(RULE, run) is expected
