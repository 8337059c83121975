"""First remedies are what a user reads first, are tried with the fault left in, and judged by the gap they close."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.rl import metrics

from benchmarks.diagnosis.faults import FAULTS
from benchmarks.diagnosis.training import Arm, arms
from benchmarks.diagnosis.worlds import ITERATIONS
from benchmarks.remedies.pairs import draw, select_arms
from benchmarks.remedies.scoring import Case, Effect, does_hurt, require_answers
from benchmarks.remedies.tables import describe_figures, make_case_table, make_fault_table
from benchmarks.remedies.trials import Advice, change_arm, choose_advice, read_trial
from tests.analysis_tests.runs import untaught

RATE = Arm("lr too low", "shuffled", "mild", FAULTS["lr too low"].mild)
BUG = Arm("policy left out", "shuffled", "strong", FAULTS["policy left out"].strong)
UNITS = Arm("inputs not scaled", "wide", "mild", FAULTS["inputs not scaled"].mild)
TRIED = Advice("updates_too_small", "updates_too_small", {"ppo.lr": 3e-4}, incurable=False)
TOLD = Advice("policy_frozen", "", {}, incurable=True)


def case(arm: Arm, treated: float | None, advice: Advice = TRIED, right: float | None = None) -> Case:
    """Return a case with healthy runs at 0.9 and faulty ones at 0.4."""
    return Case(arm, 0.9, 0.4, advice, treated, right)


def test_each_fault_draws_worlds_of_its_own() -> None:
    worlds = {"one": ("a", "b", "c"), "two": ("a",), "three": ("b", "a")}
    drawn = draw(worlds, seed=1)
    assert [name for name, _ in drawn] == ["one", "two", "three", "one", "three"]
    assert {pair for pair in drawn if pair[0] == "three"} == {("three", "a"), ("three", "b")}
    assert draw({"new": ("a", "c"), **worlds}, seed=1)[1:4] == drawn[:3]


def test_the_committed_pairs_are_trained_and_all_have_an_answer() -> None:
    drawn = select_arms(arms())
    assert {arm.name for arm in drawn} >= {"lr too high", "no reward", "inputs not scaled"}
    assert not any(arm.is_healthy for arm in drawn)
    require_answers(drawn)
    once = select_arms(arms(), worlds=1)
    assert [arm.pair for arm in drawn if arm in once] == [arm.pair for arm in once]
    assert len({arm.pair for arm in once}) == len({arm.name for arm in drawn})
    unheard = Arm("a new bug", "wide", "mild", FAULTS["no reward"].mild)
    with pytest.raises(ValueError, match=r"curable\.py must say once what cures a new bug"):
        require_answers([*drawn, unheard])


@pytest.mark.parametrize(
    ("treated", "effect"),
    [(0.8, "cures"), (0.79, "helps"), (0.51, "helps"), (0.49, "nothing"), (0.31, "nothing"), (0.29, "harms")],
)
def test_effects_by_hand(treated: float, effect: str) -> None:
    # A gap of 0.5: 0.8 closes 80 %, 0.51 closes 22 %, 0.29 opens it by 22 %.
    assert case(RATE, treated).effect == effect


def test_without_a_setting_or_with_one_that_cannot_run_nothing_is_closed() -> None:
    assert case(BUG, None, TOLD).effect is Effect.NONE
    assert case(BUG, None).effect is Effect.CANNOT_RUN


def test_what_is_curable_is_in_the_settings_or_was_shown_by_the_right_setting() -> None:
    assert case(RATE, 0.4).is_curable
    assert not case(BUG, 0.9).is_curable  # a remedy that cures by accident proves no rule
    assert case(UNITS, 0.4, right=0.8).is_curable
    assert not case(UNITS, 0.4, right=0.79).is_curable


def test_a_gap_within_noise_or_too_small_to_share_out_does_not_count() -> None:
    healthy_ones = [0.90, 0.91, 0.92]
    assert does_hurt([0.5, 0.51, 0.52], healthy_ones, 0.0)
    assert not does_hurt([0.3, 0.6, 0.95], healthy_ones, 0.0)
    assert not does_hurt([0.87, 0.871, 0.872], healthy_ones, 0.0)  # 4.3 % of the way, beyond the noise


def test_a_remedy_replaces_the_setting_at_fault_and_leaves_a_bug_in() -> None:
    mended, treated = change_arm(RATE, {"ppo.lr": 3e-4}), change_arm(BUG, {"ppo.lr": 3e-4})
    assert mended is not None
    assert mended.setting.ppo.lr == 3e-4
    assert treated is not None
    assert treated.planted.learner == BUG.planted.learner
    assert change_arm(RATE, {"ppo.lr": -1.0}) is None


def test_the_first_remedy_is_the_first_arm_that_a_user_reads() -> None:
    slow = choose_advice(diagnose(untaught(approx_kl=0.0, lr=1e-6, settings={"ppo.lr": 1e-6})))
    assert slow.rule == slow.fault
    assert slow.change["ppo.lr"] in (3e-4, 1e-3)
    assert not slow.incurable


def _kept(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return metrics `[iterations, 3]`, all finite but for those given; evaluated at every iteration."""
    names = (*metrics.LOSSES, metrics.F1, metrics.EVAL_RETURN, metrics.GRAD_NORM_POLICY)
    return {name: np.full((ITERATIONS, 3), 0.5) for name in names} | dict(values)


def test_a_trial_is_the_mean_of_its_members_and_ends_with_the_first_that_breaks() -> None:
    scores = np.tile([0.2, 0.4, 0.9], (ITERATIONS, 1))
    history, each = read_trial(RATE, _kept({metrics.F1: scores}))
    assert history.table[metrics.F1].iloc[-1] == pytest.approx(0.5)
    assert history.table[metrics.seed_metric(metrics.F1, 2)].iloc[-1] == pytest.approx(0.9)
    assert history.settings["sweep.seeds"] == 3
    assert each == pytest.approx([0.2, 0.4, 0.9])
    broken = np.full((ITERATIONS, 3), 0.5)
    broken[40:, 1] = np.nan
    history, each = read_trial(RATE, _kept({metrics.F1: scores, metrics.VALUE_LOSS: broken}))
    assert history.last_iteration == 41
    assert each == pytest.approx([0.2, 0.0, 0.9])


def test_figures_count_cures_among_curable_faults_alone() -> None:
    cases = [case(RATE, 0.85), case(RATE, 0.6), case(UNITS, 0.2, right=0.85), case(BUG, None, TOLD), case(BUG, 0.9)]
    text = describe_figures(cases)
    assert "Of 3 that a setting can cure, the first remedy cures **0.33 (0.01 to 0.91)**." in text
    assert "Of 2 that none can, the diagnosis says so of 0.50 (0.01 to 0.99)" in text
    assert "offers no setting at all in 0.50 (0.01 to 0.99), and offers one that cures all the same in 1." in text
    assert text.endswith("First remedies that harm: 1.")
    rows = make_fault_table(cases).splitlines()
    assert rows[2] == "| lr too low | 2 | 2 | 1 | 1 |  |  |  |  |  |"
    assert rows[4] == "| policy left out | 2 |  | 1 |  |  |  |  | 1 | 1 |"
    assert "| lr too low in shuffled, mild | 0.9 | 0.4 | updates_too_small | lr=0.0003 |" in make_case_table(cases)
