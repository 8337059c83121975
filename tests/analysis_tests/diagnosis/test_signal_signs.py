"""Signs of a lost signal, each at its border: updates beside advantages, rewards beside observations, F1 beside F1."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import signal_signs
from unstuck.analysis.diagnosis.signal_signs import (
    compute_f1_error,
    find_unpredicted_rewards,
    find_unrelated_observations,
    find_wrong_labels,
    is_followed,
    updates_ignore_advantages,
)
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH, healthy, untaught

TURN = np.arange(1, LENGTH + 1)
TOP = math.log(4)
NAMES = ("allow", "block", "quarantine", "alert")


def undecided(followed: Any, **changed: Any) -> Signals:
    """A run whose policy has not made up its mind, so that its first eight evaluations count."""
    return Signals(healthy(**{"entropy": 0.8 * TOP, "advantage_followed": followed, **changed}))


def spread_by(spread: float) -> Any:
    """Eight correlations of mean 0.2 and this spread (n - 1): half above, half below."""
    side = np.where((TURN // 10) % 2 == 0, 1.0, -1.0)
    return 0.2 + side * spread * math.sqrt(7 / 8)


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (undecided(0.084), True),
        (undecided(0.086), False),
        (undecided(np.where(TURN <= 80, 0.084, 0.9)), True),  # later ones do not count
        (undecided(spread_by(0.11)), True),  # so unsteady that the mean may be chance
        (undecided(spread_by(0.09)), False),
        # from iteration 65 on the healthy policy has made up its mind: six evaluations
        (Signals(healthy(advantage_followed=0.059)), True),
        (Signals(healthy(advantage_followed=0.061)), False),
        # entropy below a fifth at iteration 40: four evaluations are enough, three are not
        (undecided(0.03, entropy=np.where(TURN < 40, TOP, 0.1 * TOP)), True),
        (undecided(0.03, entropy=np.where(TURN < 39, TOP, 0.1 * TOP)), False),
        (undecided(0.03, settings={"ppo.entropy_coef": 0.19}), True),
        (undecided(0.03, settings={"ppo.entropy_coef": 0.2}), False),  # a heavy bonus moves it elsewhere
        (undecided(0.03, **{f"action_{name}": None for name in NAMES}), False),
        (undecided(None), False),
    ],
)
def test_updates_that_hardly_follow_their_advantages(run: Signals, fires: bool) -> None:
    assert (updates_ignore_advantages(run) is not None) == fires


def test_the_correlation_is_shown_with_what_is_usual() -> None:
    fact = updates_ignore_advantages(undecided(0.03))
    assert fact is not None
    assert fact.text == (
        "what paid hardly becomes more likely: the correlation of advantages with the change of their actions' "
        "log-probabilities is 0.03 over iterations 10 to 80; above 0.085 in runs that learn"
    )
    assert fact.iterations == (10, 80)


def test_elsewhere_than_in_triage_correlations_may_vary() -> None:
    cartpole = healthy(
        entropy=0.8 * math.log(2),
        advantage_followed=spread_by(0.15),
        action_quarantine=None,
        action_alert=None,
        settings={"env.id": "CartPole-v1"},
    )
    assert updates_ignore_advantages(Signals(cartpole)) is None
    assert updates_ignore_advantages(undecided(spread_by(0.15))) is not None


@pytest.mark.parametrize(
    ("changed", "fires"),
    [
        ({"reward_foreseen": 0.0099, "f1": 0.38}, True),
        ({"reward_foreseen": 0.0101, "f1": 0.38}, False),
        ({"reward_foreseen": 0.0099, "f1": 0.39}, True),  # 0.197 + 0.25 (1 - 0.197) = 0.3978
        ({"reward_foreseen": 0.0099, "f1": 0.41}, False),  # so much is not learned from observations that tell nothing
        # early shares count by half, since they are noisier: 0.019 and 0.021 over the first eight, then 0
        ({"reward_foreseen": np.where(TURN <= 80, 0.0119, 0.0), "f1": 0.38}, True),
        ({"reward_foreseen": np.where(TURN <= 40, 0.0381, 0.0), "f1": 0.38}, False),
        ({"reward_foreseen": 0.002, "f1": 0.27}, True),
        ({"reward_foreseen": 0.002, "f1": 0.25}, False),  # 0.197 + 2 sqrt(0.197 * 0.803 / 174) = 0.2573
        ({"reward_foreseen": np.where(TURN <= 20, math.nan, 0.002), "f1": 0.38}, True),
        ({"reward_foreseen": np.where(TURN <= 30, math.nan, 0.002), "f1": 0.38}, False),  # seven say too little
        ({"reward_foreseen": None}, False),
        ({"reward_foreseen": 0.002, "f1": None}, False),
    ],
)
def test_rewards_that_do_not_go_with_what_was_observed(changed: dict[str, Any], fires: bool) -> None:
    assert (find_unpredicted_rewards(Signals(healthy(**changed))) is not None) == fires


def test_both_numbers_are_shown() -> None:
    fact = find_unpredicted_rewards(Signals(healthy(reward_foreseen=0.002, f1=0.38)))
    assert fact is not None
    assert fact.text == (
        "from observations of training a regression foresees 0.2 % of the rewards' variance, while F1 0.38 shows that "
        "those of the evaluation tell threats"
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "changed", "fires"),
    [
        # two times two errors of sqrt(0.9 * 0.1 / 174): 0.091
        (0.805, 0.9, {}, True),
        (0.815, 0.9, {}, False),
        (0.84, 0.9, {"tp": None}, True),  # of how many flows is not known: 0.05
        (0.86, 0.9, {"tp": None}, False),
        (0.5, 0.9, {"reward_foreseen": 0.016}, False),  # rewards go with the flows: others are easier
        (0.5, 0.9, {"reward_foreseen": 0.014}, True),
        (None, 0.9, {}, False),
        (0.5, None, {}, False),
    ],
)
def test_others_labels_learned_better_than_those_learned_from(
    ours: float | None, theirs: float | None, changed: dict[str, Any], fires: bool
) -> None:
    run = Signals(healthy(**{"reward_foreseen": None, "f1_train": ours, "f1": theirs, **changed}))
    assert (find_wrong_labels(run) is not None) == fires


def test_eight_evaluations_must_compare_them() -> None:
    for missing, fires in ((20, True), (30, False)):
        ours = np.where(missing >= TURN, math.nan, 0.5)
        assert (find_wrong_labels(Signals(healthy(reward_foreseen=None, f1_train=ours, f1=0.9))) is not None) == fires


@pytest.mark.parametrize(
    ("changed", "follows"),
    [
        ({"advantage_followed": 0.086, "reward_foreseen": 0.016}, True),
        ({"advantage_followed": 0.084, "reward_foreseen": 0.016}, False),
        ({"advantage_followed": 0.086, "reward_foreseen": 0.014}, False),
        ({"advantage_followed": None, "reward_foreseen": 0.2}, False),
        ({"advantage_followed": 0.2, "reward_foreseen": None}, False),
    ],
)
def test_a_signal_that_arrives_is_no_signal_lost(changed: dict[str, Any], follows: bool) -> None:
    assert is_followed(Signals(untaught(**changed))) is follows


def test_chance_is_two_errors_of_a_share_of_the_threats() -> None:
    assert compute_f1_error(Signals(healthy()), 0.9) == pytest.approx(2 * math.sqrt(0.09 / 174))
    assert compute_f1_error(Signals(healthy(tp=None)), 0.9) == 0.0
    assert compute_f1_error(Signals(healthy()), 89.0) == 0.0  # in percent it is no share
    assert compute_f1_error(Signals(healthy(tp=0.0, fn=0.0)), 0.9) == pytest.approx(0.6)  # no threat at all: as of one


def test_its_signs_name_the_metrics_that_they_rest_on() -> None:
    run = Signals(healthy(advantage_followed=0.03, reward_foreseen=0.002, f1=0.38))
    assert [fact.metrics for fact in (updates_ignore_advantages(run), find_unpredicted_rewards(run)) if fact] == [
        ("train/advantage_followed",),
        ("train/reward_foreseen", "eval/f1"),
    ]
    assert signal_signs.UNRELATED < signal_signs.RELATED


def test_evaluations_near_the_best_return_of_a_run_do_not_count() -> None:
    """A run that is near its best at iteration 30 has two evaluations to tell by, a slow one all of them."""
    own = {"settings": {"env.id": "Own-v0"}, "f1": None, "tp": None}
    quick, slow = np.minimum(TURN / 30, 1.0), TURN / 100
    renamed = {f"{prefix}_{name}": None for prefix in ("action", "greedy") for name in NAMES}
    for learned, fires in ((quick, False), (slow, True)):
        run = healthy(
            entropy=0.8 * TOP,
            advantage_followed=0.01,
            **{"train/episode_return": 100 * learned},
            **renamed,
            **{"eval/episode_return": 100 * learned},
            **own,
        )
        run = replace(run, table=run.table.assign(**{"train/action/left": 0.5, "train/action/right": 0.5}))
        assert (updates_ignore_advantages(Signals(run)) is not None) == fires


def unrelated(rewards: Any = 0.01, returns: Any = 0.01, every: int = 6, **more: Any) -> History:
    """A run of our own in another task that is evaluated every so many iterations, and learns something."""
    seen = TURN % every == 0
    columns = {
        metrics.REWARD_FORESEEN: np.where(seen, rewards, np.nan),
        metrics.PROBE_EXPLAINED_VARIANCE_MC: np.where(seen, returns, np.nan),
        metrics.OBSERVATION_REPEATS: 0.5,
    }
    return elsewhere(1.0 * TURN, more={**columns, **more})


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (unrelated(), True),
        (unrelated(returns=0.019), True),
        (unrelated(returns=0.021), False),
        (unrelated(np.where(TURN < 43, 0.5, 0.0)), True),  # seven of 16 foresee
        (unrelated(np.where(TURN < 55, 0.5, 0.0)), False),
        (unrelated(every=7), False),  # 14 evaluations
        (unrelated(**{metrics.TRAIN_RETURN: 3.0}), False),  # there is nothing to foresee
        (unrelated(**{metrics.OBSERVATION_REPEATS: 0.99}), False),  # nor to see
        (replace(unrelated(), dialect="sb3"), False),
        (healthy(reward_foreseen=0.0, explained_variance_mc_probe=0.0), False),  # of flows returns tell little
    ],
)
def test_observations_that_foresee_neither_rewards_nor_returns(run: History, fires: bool) -> None:
    assert (find_unrelated_observations(Signals(run)) is not None) == fires
