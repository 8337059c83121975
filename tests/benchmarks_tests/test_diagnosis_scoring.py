import math
from dataclasses import replace

import numpy as np
import pytest
from unstuck.rl import metrics

from benchmarks.causes import names_cause
from benchmarks.diagnosis.faults import FAULTS
from benchmarks.diagnosis.harm import Harm
from benchmarks.diagnosis.scoring import Found, Verdict, is_right, verdict
from benchmarks.diagnosis.tables import cause_table, share
from benchmarks.diagnosis.training import HEALTHY, Arm, Run, table_of
from tests.analysis_tests.runs import LENGTH, healthy

LEFT_OUT = Arm("policy left out", "shuffled", "strong", FAULTS["policy left out"].strong)
SOUND = Arm("base", "shuffled", HEALTHY, FAULTS["policy left out"].strong)


def judged(since: int | None, *faults: str) -> Verdict:
    return Verdict(0.0, 100, 100, since, faults, faults, faults)


def test_a_run_is_diagnosed_as_it_goes() -> None:
    still = np.where(np.arange(LENGTH) < 29, 2e-3, 0.0)  # from iteration 30 on
    found = verdict(Run(LEFT_OUT, 0, healthy(approx_kl=still, entropy=1.2), 0.0), whole=False)
    assert found.since == 36  # the first evaluation, of every fourth iteration, with four still updates
    assert found.faults[0] == "policy_frozen"
    assert is_right(LEFT_OUT, found)


def test_a_healthy_run_raises_no_alarm_at_any_evaluation() -> None:
    found = verdict(Run(SOUND, 0, healthy(seeds=1), 0.9), whole=True)
    assert (found.since, found.alarms, found.faults) == (None, (), ())


def test_counts_by_hand() -> None:
    runs = [
        (LEFT_OUT, judged(4, "policy_frozen", "greedy_collapsed")),
        (LEFT_OUT, judged(20, "greedy_collapsed", "policy_frozen")),
        (LEFT_OUT, judged(8)),  # an alarm that was taken back is no detection
        (LEFT_OUT, judged(None)),
    ]
    assert Found.of(runs) == Found(runs=4, detected=2, right=1, third=2, delay=pytest.approx((0.08 + 0.2) / 2))


def test_a_share_is_shown_with_its_exact_interval() -> None:
    assert share(5, 10) == "0.50 (0.19 to 0.81)"


def test_a_record_ends_with_its_first_number_that_is_not_finite() -> None:
    often = {name: np.ones(6) for name in metrics.LOSSES}
    seldom = np.array([math.nan, 1.0, math.nan, 1.0, math.nan, 1.0])
    rare = {metrics.EVAL_RETURN: seldom, metrics.GRAD_NORM_POLICY: seldom}
    whole = table_of({**often, **rare})
    assert len(whole) == 6
    own = whole[metrics.seed_metric(metrics.EVAL_RETURN, 0)]
    assert own.dropna().tolist() == [1.0, 1.0, 1.0]
    broken = often | {metrics.VALUE_LOSS: np.array([1.0, 1.0, math.inf, math.nan, math.nan, math.nan])}
    assert list(table_of({**broken, **rare}).index) == [1, 2, 3]
    lost = often | {metrics.VALUE_LOSS: np.array([1.0, 1.0, math.nan, math.nan, math.nan, math.nan])}
    assert table_of({**lost, **rare})[metrics.VALUE_LOSS].tolist() == [1.0, 1.0, math.inf]  # NaN is "not recorded"
    silent = rare | {metrics.GRAD_NORM_POLICY: np.array([math.nan, 1.0, math.nan, math.nan, math.nan, 1.0])}
    assert list(table_of({**often, **silent}).index) == [1, 2, 3, 4]


def test_a_label_stands_for_every_rule_that_says_it() -> None:
    assert names_cause("signal_lost", ("reward_independent_of_actions",))
    assert names_cause("bug_gate", ("bug_gate", "stale_log_probability"))
    assert not names_cause("entropy_collapsed", ("reward_independent_of_actions",))
    assert not names_cause("no_such_rule", ("reward_scale",))


def test_suspects_count_in_the_table_of_causes_alone() -> None:
    runs = [
        replace(judged(None), listed=listed) for listed in (("policy_frozen",), ("x", "y", "policy_frozen"), ("x",), ())
    ]
    text = cause_table({LEFT_OUT: runs}, {LEFT_OUT: Harm(1.0, 0.0, -1.0, -0.5)})
    assert "| something is listed | 0.75" in text
    assert "| right cause first | 0.25" in text
    assert "| right cause among three | 0.50" in text
    assert Found.of([(LEFT_OUT, one) for one in runs]).detected == 0
