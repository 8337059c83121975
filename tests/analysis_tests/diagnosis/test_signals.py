"""What rules ask a run beside its curves: settings, shares, entropy, and what is told from little."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis.signals import ActionKind, Signals, format_setting, format_shares
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENV_STEPS, POLICY_STD
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import first, unset
from tests.analysis_tests.runs import LENGTH, healthy

NAMES = ("allow", "block", "quarantine", "alert")
NAME = metrics.VALUE_LOSS


def curve(values: list[float], at: list[int] | None = None, **settings: Any) -> Signals:
    """A run of one metric."""
    table = pd.DataFrame({NAME: values}, index=pd.Index(at or range(1, len(values) + 1), name="iteration"), dtype=float)
    return Signals(History("a run", "nowhere", table, settings))


def test_how_far_a_run_is_done_goes_by_its_planned_length() -> None:
    assert curve([1.0] * 10, **{"ppo.num_iterations": 40}).compute_progress(10) == 0.25
    assert curve([1.0] * 10).compute_progress(10) == 1.0
    assert curve([1.0] * 50, **{"ppo.num_iterations": 40}).compute_progress(25) == 0.5  # it went on
    assert curve([]).compute_progress(0) == 0.0


def test_iterations_before_a_record_that_begins_in_mid_run_are_done_too() -> None:
    """10 rows of 50,000 steps from step 550,000 on: 20 of the 40 iterations of 2 million are done in the end."""
    plan = curve([1.0] * 10, total_timesteps=2_000_000).history
    steps = np.linspace(550e3, 1000e3, 10)
    run = Signals(replace(plan, table=plan.table.assign(**{ENV_STEPS: steps}), unrecorded=10))
    assert run.planned == 40
    assert (run.compute_progress(1), run.compute_progress(10)) == (11 / 40, 0.5)
    assert not run.has_ended
    assert Signals(replace(run.history, settings={"total_timesteps": 1_000_000})).has_ended
    unplanned = Signals(replace(run.history, settings={}))
    assert (unplanned.compute_progress(1), unplanned.compute_progress(10)) == (11 / 20, 1.0)


def test_the_first_entropy_of_a_record_that_begins_in_mid_run_tells_no_number_of_actions() -> None:
    """A policy of 4 actions that has come down to ln 2 would be one of 2 that is untrained."""
    table = pd.DataFrame({metrics.ENTROPY: [math.log(2), 0.1]}, index=[1, 2])
    run = History("a run", "nowhere", table)
    assert Signals(run).entropy_range == pytest.approx(math.log(2))
    assert Signals(replace(run, unrecorded=10)).entropy_range is None


@pytest.mark.parametrize(
    ("entropy", "kind", "most"),
    [
        (math.log(4), ActionKind.DISCRETE, math.log(4)),
        (2.0, ActionKind.DISCRETE, None),  # ln 4 in bits
        (2.01, ActionKind.UNKNOWN, None),  # the named actions are a part of what the policy draws
        (10.0, ActionKind.UNKNOWN, None),
    ],
)
def test_an_entropy_above_the_largest_of_the_named_actions_is_of_others(
    entropy: float, kind: ActionKind, most: float | None
) -> None:
    run = Signals(replace(healthy(entropy=entropy), dialect="plain"))
    assert (run.action_kind, run.entropy_range) == (kind, most)
    ours = Signals(healthy(entropy=entropy))  # whose excess is a bug
    assert (ours.action_kind, ours.entropy_range) == (ActionKind.DISCRETE, math.log(4))


def test_a_figure_is_a_number_and_nothing_else() -> None:
    run = curve([1.0], a=3, b=0.5, c=True, d="3", e=None)
    assert [run.read_number(name) for name in "abcdef"] == [3.0, 0.5, None, None, None, None]
    assert run.setting("f", "else") == "else"


@pytest.mark.parametrize(
    ("value", "normalised"),
    [("batch", True), ("running", True), (True, True), ("none", False), (False, False), ("False", False), (None, None)],
)
def test_whether_returns_are_normalised(value: Any, normalised: bool | None) -> None:
    assert curve([1.0], **{"ppo.normalize_returns": value}).returns_normalised is normalised


@pytest.mark.parametrize(
    ("settings", "independent"),
    [
        ({"env.id": "unstuck/Triage-v0", "data.order": "shuffled"}, True),
        ({"env.id": "unstuck/Triage-v0", "data.order": "stream"}, False),
        ({"env.id": "unstuck/Triage-v0"}, None),
        ({"env.id": "CartPole-v1"}, False),
        ({}, None),
    ],
)
def test_whether_steps_are_independent(settings: dict[str, Any], independent: bool | None) -> None:
    assert curve([1.0], **settings).steps_are_independent is independent


def test_triage_is_told_by_its_actions_where_its_environment_is_not_on_record() -> None:
    assert Signals(unset(healthy(), "env.id")).is_triage
    assert not Signals(unset(healthy(action_alert=None), "env.id")).is_triage
    assert curve([1.0], **{"env.actions": NAMES}).is_triage
    assert curve([1.0], **{"env.actions": NAMES}).actions == NAMES
    assert curve([1.0]).actions == ()


@pytest.mark.parametrize(
    ("start", "largest"),
    [
        (math.log(2), math.log(2)),
        (0.981 * math.log(2), math.log(2)),
        (0.979 * math.log(2), None),
        (1.085, math.log(3)),
        (1.2, None),
        (0.0, None),
        (-1.4, None),
        (2839.0, None),  # its exponential is no number
    ],
)
def test_the_largest_entropy_is_told_by_the_start_where_actions_are_not_named(
    start: float, largest: float | None
) -> None:
    table = pd.DataFrame({metrics.ENTROPY: [start, 0.1]}, index=[1, 2])
    found = Signals(History("a run", "nowhere", table)).entropy_range
    assert found == (None if largest is None else pytest.approx(largest))


UNNAMED: dict[str, Any] = {f"action_{name}": None for name in NAMES}


@pytest.mark.parametrize(
    ("entropy", "env", "std", "expected"),
    [
        (1.0, "CartPole-v1", None, ActionKind.UNKNOWN),  # more than ln 2: of another unit, or summed
        (0.6, "CartPole-v1", None, ActionKind.DISCRETE),
        (0.6, "Pendulum-v1", None, ActionKind.CONTINUOUS),
        (0.6, "LunarLanderContinuous-v3", None, ActionKind.CONTINUOUS),
        (0.6, "Own-v1", 0.5, ActionKind.CONTINUOUS),  # it logs a spread
        (np.linspace(1.4, -0.1, LENGTH), "Own-v1", None, ActionKind.CONTINUOUS),
        (np.linspace(1.386, 0.4, LENGTH), "Own-v1", None, ActionKind.DISCRETE),  # it begins at ln 4
        (np.linspace(1.4189, 0.4, LENGTH), "Own-v1", None, ActionKind.UNKNOWN),  # a spread of 1, or 5 actions
        (np.linspace(2.8379, 0.4, LENGTH), "Own-v1", None, ActionKind.UNKNOWN),  # two spreads of 1, or ln 17
        (np.linspace(1.386, 2.0, LENGTH), "Own-v1", None, ActionKind.UNKNOWN),  # it outgrows ln 4
        (np.maximum(np.linspace(3.0, -3.0, LENGTH), 0.01), "Own-v1", None, ActionKind.DISCRETE),  # it stays at 0
        (None, "Own-v1", None, ActionKind.UNKNOWN),
    ],
)
def test_what_was_recorded_tells_discrete_from_continuous_actions(
    entropy: Any, env: str, std: float | None, expected: ActionKind
) -> None:
    run = healthy(entropy=entropy, settings={"env.id": env}, **UNNAMED)
    table = run.table if std is None else run.table.assign(**{POLICY_STD: std})
    signals = Signals(replace(run, table=table, dialect="plain"))  # our own learner names discrete actions
    assert signals.action_kind is expected
    assert (signals.entropy_range is None) or expected is ActionKind.DISCRETE


def test_without_names_of_actions_our_own_learners_are_continuous() -> None:
    two = healthy(entropy=np.linspace(2.8379, 0.4, LENGTH), settings={"env.id": "Own-v1"}, **UNNAMED)
    assert Signals(two).action_kind is ActionKind.CONTINUOUS
    triage = healthy(entropy=np.linspace(1.386, 0.4, LENGTH), settings={"env.id": "unstuck/Triage-v0"}, **UNNAMED)
    assert Signals(triage).action_kind is ActionKind.DISCRETE


def test_the_rate_on_record_is_the_one_set_or_the_largest_in_force_and_never_a_default() -> None:
    falling = healthy(lr=np.linspace(2.5e-4, 0.0, LENGTH))
    assert Signals(falling).rate == 3e-4
    assert Signals(unset(falling, "ppo.lr")).rate == 2.5e-4
    assert Signals(unset(healthy(lr=None), "ppo.lr")).rate is None


def test_named_actions_say_it() -> None:
    assert Signals(healthy(entropy=0.3)).entropy_range == math.log(4)
    alone = {f"action_{name}": None for name in NAMES[1:]}
    assert Signals(healthy(entropy=math.log(2), **alone)).entropy_range == pytest.approx(math.log(2))


def test_shares_are_those_of_iterations_that_have_them_all() -> None:
    turn = np.arange(1, LENGTH + 1)
    run = Signals(healthy(action_alert=np.where(turn == 2, math.nan, 0.1)))
    shares = run.shares(metrics.ACTION_PREFIX)
    assert tuple(shares.columns) == NAMES
    assert (len(shares), 2 in shares.index) == (99, False)
    endless = Signals(healthy(action_alert=np.where(turn == 2, math.inf, 0.1)))
    assert 2 not in endless.shares(metrics.ACTION_PREFIX).index
    assert Signals(healthy(**{f"greedy_{name}": None for name in NAMES})).shares(metrics.GREEDY_PREFIX).empty


def test_counts_need_all_four() -> None:
    counts = Signals(healthy()).confusion
    assert list(counts.columns) == ["tp", "tn", "fp", "fn"]
    assert set(counts.sum(axis=1)) == {1600.0}
    assert Signals(healthy(fn=None)).confusion.empty
    assert Signals(healthy()).threats_judged == pytest.approx(174 / 1600)
    assert Signals(healthy(fn=None)).threats_judged is None
    turn = np.arange(1, LENGTH + 1)
    odd = healthy(tp=np.where(turn == 50, math.inf, np.where(turn == 60, math.nan, 100.0)))
    assert list(Signals(odd).confusion.index) == [10, 20, 30, 40, 70, 80, 90, 100]
    assert Signals(healthy(tp=0.0, tn=0.0, fp=0.0, fn=0.0)).confusion.empty  # of no flow at all


def test_what_trivial_policies_reach_is_recorded_or_worked_out_from_the_counts() -> None:
    assert Signals(healthy()).trivial_f1 == pytest.approx({"flag_all": 0.197, "flag_none": 0.0, "random": 0.19})
    share = 174 / 1600
    unrecorded = healthy(f1_random=None)
    assert Signals(unrecorded).trivial_f1 == pytest.approx(
        # recall 1 and precision p; of a policy that flags three quarters, recall 3/4 and precision p
        {"flag_all": 2 * share / (1 + share), "flag_none": 0.0, "random": 1.5 * share / (0.75 + share)}
    )
    two = healthy(f1_random=None, action_alert=None, action_quarantine=None)
    assert Signals(two).trivial_f1["random"] == 0.0
    assert Signals(healthy(f1_random=None, tp=None)).trivial_f1 == {}


def test_a_seed_stands_by_its_last_values() -> None:
    run = Signals(healthy(seeds=2, **{"f1/seed_0": np.arange(1.0, LENGTH + 1), "f1/seed_1": 0.5}))
    assert run.seeds(metrics.F1) == {0: 90.0, 1: 0.5}  # of iterations 80, 90 and 100
    assert run.seeds(metrics.F1, evaluations=1)[0] == 100.0
    assert Signals(healthy(seeds=0)).seeds(metrics.F1) == {}
    early = first(healthy(seeds=2), 5)
    assert Signals(replace(early)).seeds(metrics.F1) == {}  # no evaluation yet


def test_settings_and_shares_read_as_people_write_them() -> None:
    assert format_shares([0.25, 0.7501]) == "25.0 / 75.0 %"
    assert (format_setting(0.0003), format_setting(4), format_setting("batch"), format_setting(None)) == (
        "0.0003",
        "4",
        "batch",
        "None",
    )


def several_choices(**changed: Any) -> History:
    """A run whose actions are two choices, of three and of two options, as of MultiDiscrete([3, 2])."""
    run = healthy(**{f"{prefix}_{name}": None for prefix in ("action", "greedy") for name in NAMES}, **changed)
    shares = {"0.0": 0.2, "0.1": 0.3, "0.2": 0.5, "1.0": 0.1, "1.1": 0.9}
    own = {metrics.ACTION_PREFIX + name: share for name, share in shares.items()}
    return replace(run, table=run.table.assign(**own), settings={**run.settings, "env.id": "Own-v0"})


def test_an_action_of_several_choices_has_the_sum_of_their_entropies() -> None:
    run = Signals(several_choices())
    assert run.choices == (("0.0", "0.1", "0.2"), ("1.0", "1.1"))
    assert run.entropy_range == pytest.approx(math.log(3) + math.log(2))  # and not ln 5 = 1.609, which is less
    assert run.compute_dominance(metrics.ACTION_PREFIX).unique().tolist() == [0.5]  # the least of 0.5 and 0.9
    assert Signals(healthy()).choices == (NAMES,)


@pytest.mark.parametrize(
    ("changed", "early"),
    [
        ({"approx_kl": 0.0}, True),  # the healthy run's entropy falls all the same
        ({"approx_kl": 0.0, "entropy": 1.38 - 0.04 * np.linspace(0, 1, LENGTH)}, False),  # by 3 %: chance
        ({"approx_kl": np.where(np.arange(LENGTH) < 50, 2e-3, 0.0)}, False),  # it moved once: it was measured behind
        ({"approx_kl": 2e-3}, False),
    ],
)
def test_a_kl_of_0_beside_an_entropy_that_changes_was_taken_before_the_step(changed: Any, early: bool) -> None:
    assert Signals(healthy(**changed)).kl_precedes_step == early
