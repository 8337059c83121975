"""The signal is lost: how far the policy has been moved beside what came of it."""

import math
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import signal_lost
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, facts, first, found, kind
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = signal_lost.RULE
TURN = np.arange(1, LENGTH + 1)
GROWING = np.linspace(0, 1, LENGTH)
TOP = math.log(4)
NAMES = ("allow", "block", "quarantine", "alert")


def moved(kl: Any = 2e-3, **changed: Any) -> History:
    """A triage run that has nothing to show for updates of this size, and no sign of why."""
    unsigned = {"reward_foreseen": 0.012, "f1_train": 1.0, "clip_fraction": 0.04}
    return untaught(**{"approx_kl": kl, **unsigned, "train/episode_return": -1750.0, **changed})


def elsewhere(returns: Any, greedy: Any = 0.0, **changed: Any) -> History:
    """The same where there is no F1."""
    nameless = {f"{prefix}_{name}": None for prefix in ("action", "greedy") for name in NAMES}
    columns = {"train/episode_return": returns, "eval/episode_return": greedy, "f1": None, "tp": None}
    return moved(**{**columns, **nameless, "settings": {"env.id": "CartPole-v1"}, **changed})


def test_updates_that_have_nothing_to_show_are_a_likely_fault() -> None:
    finding = found(RULE, moved())
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.LIKELY, 8)
    unlearned = (
        "F1 0, of policies that do not look at the flows 0.197 at best; return -1,750, of always the same action "
        "-641.9 at best"
    )
    text = "updates have moved the policy by a KL of 0.2 in all, 0.002 each of late"
    assert finding.headline == f"Nothing is learned from updates of a usual size: {unlearned}"
    assert facts(finding) == [unlearned, text]
    assert finding.why == f"{text}, and it has nothing to show for it"
    assert finding.remedies == ()
    assert finding.missing == ()


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (moved(3.1e-4), True),  # 0.031 in all
        (moved(2.9e-4), False),
        (moved(0.049), True),
        (moved(0.051), False),  # thrown about
        (moved(clip_fraction=0.34), True),
        (moved(clip_fraction=0.36), False),
        (moved(clip_fraction=None), True),
        (moved(np.where(TURN <= 75, 2e-3, 1.4e-5)), False),  # it moves no more
        (moved(np.where(TURN <= 75, 2e-3, 1.6e-5)), True),
        (first(moved(0.01), 10), True),
        (first(moved(0.01, settings={"ppo.num_iterations": 120}), 10), False),  # a twelfth of the run
        (moved(f1=0.35), True),  # 0.197 + 0.2 * 0.803 = 0.3576
        (moved(f1=0.36), False),
        (moved(4e-3, f1=0.43), True),  # of a KL of 0.4 no more than 0.3 counts: 0.4379
        (moved(4e-3, f1=0.44), False),
        (moved(5e-4, f1=0.25), True),  # 0.197 + 2 sqrt(0.197 * 0.803 / 174) = 0.2573
        (moved(5e-4, f1=0.26), False),
        (moved(f1=np.where(TURN == 90, 0.36, 0.0)), False),  # once is enough
        (moved(**{"train/episode_return": -60.0}), True),  # 0.3 of the way is -54.6
        (moved(**{"train/episode_return": -50.0}), False),
        (moved(reward_foreseen=0.2), False),  # rewards go with what is observed, and are followed
        (moved(reward_foreseen=0.2, advantage_followed=None), True),
        (moved(entropy=np.where(TURN < 11, TOP, 0.01)), False),  # it stopped exploring at once
        (moved(entropy=np.where(TURN < 13, TOP, 0.01)), True),
        (untaught(approx_kl=1e-5), False),
        (untaught(**{"train/episode_return": -1750 + 2500 * GROWING}), False),
        (healthy(), False),
    ],
)
def test_its_borders_where_f1_tells(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


@pytest.mark.parametrize(("returns", "fires"), [(-1750.0, True), (-1750.0 + 10 * TURN, False)])
def test_without_the_table_a_return_that_rises_is_something_learned(returns: Any, fires: bool) -> None:
    run = moved(settings={"env.reward_benign": None}, **{"train/episode_return": returns})
    assert (ask(RULE, run) is not None) == fires


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (elsewhere(np.where(TURN % 2 == 0, 25.0, 20.0)), True),
        (elsewhere(20.0 + 0.1 * TURN), False),
        (elsewhere(np.where(TURN % 2 == 0, 25.0, 20.0), greedy=TURN.astype(float)), False),  # the greedy one rises
        (elsewhere(20.0), False),  # no reward has been found: another rule's
        (elsewhere(np.where(TURN % 2 == 0, 25.0, 20.0), greedy=None), True),
    ],
)
def test_its_borders_where_returns_tell(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


def test_where_returns_tell_they_are_shown() -> None:
    finding = found(RULE, elsewhere(np.where(TURN % 2 == 0, 25.0, 20.0)))
    assert facts(finding)[0] == "the return has not risen: 20 to 25 over iterations 1 to 100"
    assert finding.headline == f"Nothing is learned from updates of a usual size: {facts(finding)[0]}"


@pytest.mark.parametrize(
    ("run", "headline"),
    [
        (
            healthy(advantage_followed=0.03),
            "The signal is lost: what paid hardly becomes more likely: the correlation of advantages with the change",
        ),
        (
            healthy(reward_foreseen=0.002, f1=0.38),
            "The signal is lost: from observations of training a regression foresees 0.2",
        ),
        (
            healthy(reward_foreseen=None, f1_train=lambda table: table["eval/f1"] - 0.3),
            "The signal is lost: F1 0.59",
        ),
    ],
)
def test_a_sign_that_was_measured_is_sure_whatever_the_score(run: History, headline: str) -> None:
    finding = found(RULE, run)
    assert (finding.kind, finding.sureness) == (Kind.FAULT, Sureness.SURE)
    assert finding.headline.startswith(headline)
    assert finding.why.startswith("updates have moved the policy by a KL of 0.2")
    assert "nothing to show" not in finding.why


@pytest.mark.parametrize(
    ("run", "step", "advantages", "nothing", "why"),
    [
        (
            moved(reward_foreseen=0.051, advantage_followed=0.05),
            Support.RULED_OUT,
            Support.SUPPORTED,
            Support.RULED_OUT,
            "a regression from the observations foresees 5 % of the rewards' variance",
        ),
        (
            moved(reward_foreseen=0.049, advantage_followed=0.05),
            Support.SUPPORTED,
            Support.OPEN,
            Support.OPEN,
            "a regression from the observations foresees 5 % of the rewards' variance",
        ),
        (
            moved(reward_foreseen=None, explained_variance_mc_probe=0.06),
            Support.RULED_OUT,
            Support.SUPPORTED,
            Support.RULED_OUT,
            "a regression from the observations foresees 6 % of the returns' variance",
        ),
        (moved(reward_foreseen=None, explained_variance_mc_probe=None), *[Support.OPEN] * 3, ""),
    ],
)
def test_what_can_be_foreseen_tells_its_causes_apart(
    run: History, step: Support, advantages: Support, nothing: Support, why: str
) -> None:
    finding = found(RULE, run)
    of_step, of_advantages = cause(finding, "rewards or observations"), cause(finding, "advantages that belong")
    assert (of_step.support, of_step.why) == (step, why)
    assert (of_advantages.support, of_advantages.why) == (advantages, why)
    unseen = cause(finding, "nothing in the observation")
    assert (unseen.support, unseen.why) == (nothing, why if nothing is Support.RULED_OUT else "")
    assert cause(finding, "actions that do not reach").support is Support.OPEN


def test_without_kl_or_returns_the_rule_is_blind_and_without_the_rest_it_says_so() -> None:
    assert blind(RULE, untaught(approx_kl=None)) == ((metrics.APPROX_KL,),)
    assert blind(RULE, untaught(**{"train/episode_return": None})) == ((metrics.TRAIN_RETURN,),)
    bare = moved(advantage_followed=None, reward_foreseen=None, explained_variance_mc_probe=None, f1_train=None)
    assert found(RULE, bare).missing == (
        *(metrics.ADVANTAGE_FOLLOWED, metrics.REWARD_FORESEEN, metrics.PROBE_EXPLAINED_VARIANCE_MC),
        metrics.F1_TRAIN,
    )
    assert kind(RULE, first(moved(0.01), 7)) is None  # eight returns before anything is said


def test_a_return_that_fell_is_told_from_first_to_last_and_early_large_updates_are_not_denied() -> None:
    """The first and the last 25 of 25 and 20 less a tenth of each turn: 22.4 - 1.3 and 22.6 - 8.8."""
    swinging = np.where(TURN % 2 == 0, 25.0, 20.0) - 0.1 * TURN
    finding = found(RULE, elsewhere(swinging, approx_kl=np.where(TURN <= 25, 0.3, 2e-3)))
    assert finding.headline == (
        "Nothing is learned from updates of a usual size of late: the return has not risen: from 21.1 in the first "
        "quarter to 13.8 in the last, over iterations 1 to 100"
    )


def test_an_optimum_is_no_lost_signal() -> None:
    """Advantages of a solved task are noise: no action pays more than another."""
    known = {"settings": {"env.id": "CartPole-v1"}, "advantage_followed": 0.01}
    solved = np.where(TURN <= 8, 60.0 * TURN, 490 + 5 * np.sin(TURN))
    assert ask(RULE, elsewhere(solved, **known)) is None
    assert found(RULE, elsewhere(30.0 + 5 * np.sin(TURN), **known)).kind is Kind.FAULT


def test_who_has_learned_a_quarter_of_what_there_is_saw_what_pays() -> None:
    """F1 0.196 without a look at the flows: a quarter of the way is 0.4."""
    assert kind(RULE, healthy(reward_foreseen=0.002, f1=0.39)) is Kind.FAULT
    assert kind(RULE, healthy(reward_foreseen=0.002, f1=0.41)) is not Kind.FAULT


def both_ways(times: int, worst: float, **changed: Any) -> History:
    """A run that learns elsewhere, of whose ten evaluations some are against their advantages."""
    nameless = {f"{prefix}_{name}": None for prefix in ("action", "greedy") for name in NAMES}
    followed = np.where((TURN % 30 == 0) & (30 * times >= TURN), worst, 0.15)
    columns = {"advantage_followed": followed, "entropy": 1.4, "f1": None, "tp": None, **nameless}
    return healthy(**{**columns, "settings": {"env.id": "Mine-v0"}, **changed})


@pytest.mark.parametrize(("times", "worst", "fires"), [(3, -0.11, True), (2, -0.11, False), (3, -0.09, False)])
def test_updates_that_go_both_ways_ignore_advantages(times: int, worst: float, fires: bool) -> None:
    run = both_ways(times, worst)
    assert (kind(RULE, run) is Kind.FAULT) is fires
    if fires:
        assert "in 3 of 10 evaluations the update has made less likely what paid" in found(RULE, run).headline


def test_a_policy_that_has_decided_goes_any_way() -> None:
    shares = {f"action_{name}": 0.25 for name in NAMES}
    assert kind(RULE, both_ways(3, -0.11, **shares, entropy=0.21 * TOP)) is Kind.FAULT
    assert kind(RULE, both_ways(3, -0.11, **shares, entropy=0.19 * TOP)) is not Kind.FAULT
