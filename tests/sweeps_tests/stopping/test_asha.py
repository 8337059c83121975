"""Asynchronous successive halving: by hand, against a literal oracle, and in a small simulation."""

import heapq
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray
from unstuck.analysis.statistics import compute_rank_correlation
from unstuck.records.errors import SweepError
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.rungs import RungEntry
from unstuck.rl.config import PPOConfig
from unstuck.rl.metrics import FINAL_EVALUATIONS
from unstuck.sweeps.config.settings import SchedulerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.stopping.asha import Asha

NOBODY_SPARED = SchedulerConfig(grace_iterations=40, reduction_factor=3, spared_share=0.0)


def asha(
    mode: str = "max",
    num_iterations: int = 200,
    config: SchedulerConfig = NOBODY_SPARED,
    seed: int = 0,
    eval_every: int = 20,
    version: int = 2,
) -> Asha:
    ppo = PPOConfig(num_iterations=num_iterations, eval_every=eval_every)
    return Asha(SweepConfig(sweep=StudyConfig(mode=mode, seed=seed), ppo=ppo, scheduler=config, format=version))


def reasons(scheduler: Asha, results: list[tuple[float, float]], iteration: int = 40) -> list[str | None]:
    """Judge trials 0, 1, ... in this order, each with one (value, return) at one iteration."""
    verdicts = [scheduler.judge_rungs(trial, iteration, *result)[1] for trial, result in enumerate(results)]
    assert all(verdict is None or verdict.outcome is Outcome.PRUNED for verdict in verdicts)
    return [verdict.reason if verdict else None for verdict in verdicts]


def generator(seed: int) -> Generator:
    return np.random.default_rng(SeedSequence(seed))


@pytest.mark.parametrize(
    ("grace", "eta", "every", "num_iterations", "rungs", "old"),
    [
        (40, 3, 20, 200, (40, 120), (40, 120)),  # evaluations: ... 120, 140, and 160, 180, 200, which make the value
        (60, 3, 20, 200, (60,), (60, 180)),
        (70, 2, 20, 200, (70, 140), (70, 140)),
        (71, 2, 20, 200, (71,), (71, 142)),  # the first evaluation at or past 142 is at 160
        (1, 2, 1, 9, (1, 2, 4), (1, 2, 4, 8)),
        (20, 2, 20, 90, (20, 40), (20, 40, 80)),  # 20, 40, and 60, 80, 90: the last iteration is always evaluated
        (10, 3, 10, 30, (), (10,)),
        (40, 3, 20, 40, (), ()),
        (50, 3, 20, 40, (), ()),
    ],
)
def test_rungs_end_before_the_evaluations_that_make_the_value(
    grace: int, eta: int, every: int, num_iterations: int, rungs: tuple[int, ...], old: tuple[int, ...]
) -> None:
    config = SchedulerConfig(grace_iterations=grace, reduction_factor=eta)
    assert asha(num_iterations=num_iterations, config=config, eval_every=every).rungs == rungs
    assert asha(num_iterations=num_iterations, config=config, eval_every=every, version=1).rungs == old


@pytest.mark.parametrize(("version", "low", "high"), [(1, 0.45, 0.62), (2, -0.06, 0.06)])
def test_where_all_is_noise_no_rung_foresees_the_end(version: int, low: float, high: float) -> None:
    """Over 300 sweeps of 12 trials. By the rungs of format 1 the last one agreed by construction: 0.53."""
    config = SchedulerConfig(grace_iterations=60, spared_share=1.0)
    last_rung = asha(config=config, version=version).rungs[-1]
    random, evaluations = generator(0), list(range(20, 201, 20))
    found = []
    for _ in range(300):
        measured = random.normal(size=(12, len(evaluations)))
        at_rung = measured[:, [step >= last_rung for step in evaluations].index(True)]
        found.append(compute_rank_correlation(at_rung.tolist(), measured[:, -FINAL_EVALUATIONS:].mean(axis=1).tolist()))
    assert low < float(np.mean(found)) < high


def test_a_sequence_by_hand() -> None:
    """Best of n kept: 1 up to n = 5, 2 from n = 6."""
    values = [0.30, 0.44, 0.31, 0.50, 0.45, 0.44, 0.45]
    assert reasons(asha(), [(value, 0.0) for value in values]) == [
        None,  # n = 1, 2: too few to judge
        None,
        "asha rung 1: 0.31 < 0.44",  # n = 3
        None,  # the best so far
        "asha rung 1: 0.45 < 0.5",  # n = 5: one is better, one is kept
        "asha rung 1: 0.44 < 0.45",  # n = 6: two are better (0.5, 0.45), two are kept
        None,  # n = 7: one is better, two are kept; equal to another 0.45, which is not better
    ]


def test_the_same_results_in_another_order_are_judged_otherwise() -> None:
    """The price of waiting for nobody: worst first stops no one, best first all but the first two."""
    results = [(value, 0.0) for value in np.linspace(0.1, 0.9, 9)]
    assert reasons(asha(), results) == [None] * 9
    assert [reason is None for reason in reasons(asha(), results[::-1])] == [True] * 2 + [False] * 7


def test_min_mode_turns_the_value_and_not_the_return() -> None:
    results = [(3.0, 0.0), (1.0, 0.0), (2.0, 99.0), (0.5, -99.0), (0.5, -100.0)]
    assert reasons(asha("min"), results) == [
        None,
        None,
        "asha rung 1: 2 > 1",
        None,
        "asha rung 1: 0.5 = 0.5, return -100 < -99",
    ]


def test_ties_break_on_the_return() -> None:
    """F1 is 0 for all, as early on: without the return nobody is ever stopped, with it the worst are."""
    returns = [-1203.0, -1500.0, -1757.0, -1203.0, -900.0]
    assert reasons(asha(), [(0.0, 0.0) for _ in returns]) == [None] * 5
    assert reasons(asha(), [(0.0, value) for value in returns]) == [
        None,
        None,
        "asha rung 1: 0 = 0, return -1757 < -1203",
        None,
        None,
    ]


def test_a_return_never_outweighs_a_value() -> None:
    assert reasons(asha(), [(0.1, 1e9), (0.2, -1e9), (0.1, 1e9)]) == [None, None, "asha rung 1: 0.1 < 0.2"]


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_the_worst(value: float, mode: str) -> None:
    """Naively compared, NaN is never below a cutoff and passes every rung."""
    assert not math.nan < 0.3
    sign = "<" if mode == "max" else ">"
    results = [(0.3, 0.0), (0.3, 0.0), (value, 1e9)]
    assert reasons(asha(mode), results)[2] == f"asha rung 1: {value:.4g} {sign} 0.3"


def test_values_that_are_not_finite_are_all_equally_bad() -> None:
    assert reasons(asha(), [(math.nan, 9.0), (math.inf, 9.0), (math.nan, -9.0)]) == [None] * 3


def test_a_recorded_nan_neither_hides_the_others_nor_sets_their_bar() -> None:
    results = [(math.nan, 0.0), (math.nan, 0.0), (0.1, 0.0), (0.2, 0.0), (0.1, 0.0)]
    assert reasons(asha(), results) == [None, None, None, None, "asha rung 1: 0.1 < 0.2"]


@pytest.mark.parametrize("tie_breaker", [math.nan, math.inf, -math.inf])
def test_a_return_that_is_not_finite_loses_ties_and_nothing_else(tie_breaker: float) -> None:
    assert reasons(asha(), [(0.0, -5.0), (0.0, -6.0), (0.0, tie_breaker)])[2] == (
        f"asha rung 1: 0 = 0, return {tie_breaker:.4g} < -5"
    )
    assert reasons(asha(), [(0.0, -5.0), (0.0, -6.0), (0.1, tie_breaker)])[2] is None


def test_a_reason_shows_as_many_digits_as_tell_the_numbers_apart() -> None:
    assert reasons(asha(), [(0.440002, 0.0), (0.1, 0.0), (0.440001, 0.0)])[2] == "asha rung 1: 0.440001 < 0.440002"
    assert reasons(asha(), [(2 / 3, 0.0), (0.1, 0.0), (1 / 3, 0.0)])[2] == "asha rung 1: 0.3333 < 0.6667"


def test_the_first_evaluation_at_or_beyond_a_rung_counts_and_no_other() -> None:
    scheduler = asha()
    assert scheduler.judge_rungs(0, 30, 0.9, 5.0) == ([], None)
    assert scheduler.judge_rungs(0, 60, 0.1, 6.0) == ([RungEntry(0, 1, 60, 0.1, 6.0, False, False)], None)
    assert scheduler.judge_rungs(0, 90, 0.2, 7.0) == ([], None)
    assert scheduler.judge_rungs(0, 120, 0.3, 8.0) == ([RungEntry(0, 2, 120, 0.3, 8.0, False, False)], None)


def test_rungs_passed_at_once_are_all_recorded_and_the_first_that_is_lost_decides() -> None:
    scheduler = asha()
    for trial, (first, second) in enumerate([(0.5, 0.8), (0.5, 0.9)]):
        scheduler.judge_rungs(trial, 40, first, 0.0)
        scheduler.judge_rungs(trial, 120, second, 0.0)
    entries, verdict = scheduler.judge_rungs(2, 150, 0.6, 0.0)  # best of rung 1, worst of rung 2
    assert entries == [RungEntry(2, rung, 150, 0.6, 0.0, False, rung == 2) for rung in (1, 2)]
    assert verdict == Verdict(Outcome.PRUNED, "asha rung 2: 0.6 < 0.9")
    assert scheduler.judge_rungs(3, 150, 0.1, 0.0)[1] == Verdict(Outcome.PRUNED, "asha rung 1: 0.1 < 0.6")


def test_entries_of_a_stopped_trial_stay() -> None:
    """The sixth is fifth best; had the three that were stopped left, it would be third of three and lose to 0.9."""
    values = [0.9, 0.8, 0.6, 0.5, 0.1, 0.4]
    assert reasons(asha(), [(value, 0.0) for value in values])[2:] == [
        "asha rung 1: 0.6 < 0.9",
        "asha rung 1: 0.5 < 0.9",
        "asha rung 1: 0.1 < 0.9",
        "asha rung 1: 0.4 < 0.8",
    ]


def test_at_its_last_iteration_a_trial_is_recorded_and_not_stopped() -> None:
    scheduler = asha()
    for trial in range(5):
        scheduler.judge_rungs(trial, 100, 0.5, 0.0)
        scheduler.judge_rungs(trial, 180, 0.5, 0.0)
    entries, verdict = scheduler.judge_rungs(9, 200, 0.0, 0.0)
    assert [entry.rung for entry in entries] == [1, 2]
    assert verdict is None
    assert scheduler.judge_rungs(10, 199, 0.0, 0.0)[1] is not None


def test_the_spared_are_recorded_and_never_stopped() -> None:
    scheduler = asha(config=replace(NOBODY_SPARED, spared_share=1.0))
    assert scheduler.judge_rungs(0, 40, 1.0, 0.0, is_control=True)[1] is None
    for trial in range(1, 9):
        assert scheduler.judge_rungs(trial, 40, 1.0 - trial / 10, 0.0)[1] is None
    assert scheduler.judge_rungs(9, 40, 0.0, 0.0)[0] == [RungEntry(9, 1, 40, 0.0, 0.0, True, True)]


def test_the_control_is_recorded_and_never_stopped() -> None:
    scheduler = asha()
    for trial in range(1, 4):
        scheduler.judge_rungs(trial, 40, 0.5, 0.0)
    assert scheduler.judge_rungs(0, 40, 0.1, 0.0, is_control=True) == (
        [RungEntry(0, 1, 40, 0.1, 0.0, True, True)],
        None,
    )
    assert scheduler.judge_rungs(4, 40, 0.1, 0.0)[1] is not None


def test_a_tie_that_the_return_breaks_is_on_record_as_lost() -> None:
    """The objective alone would call it a tie; a non-finite one counts among those that it is compared with."""
    scheduler = asha(config=replace(NOBODY_SPARED, spared_share=1.0))
    results = [(math.nan, 0.0), (0.0, -5.0), (0.0, -6.0)]
    entries = [scheduler.judge_rungs(trial, 40, *result)[0][0] for trial, result in enumerate(results, start=1)]
    assert [entry.would_stop for entry in entries] == [False, False, True]


def test_the_spared_count_in_the_rungs_of_others() -> None:
    config = replace(NOBODY_SPARED, spared_share=0.5)
    scheduler = asha(config=config)
    spared = [trial for trial in range(20) if scheduler.is_spared(trial)]
    other = next(trial for trial in range(20) if not scheduler.is_spared(trial))
    for trial in spared[:2]:
        scheduler.judge_rungs(trial, 40, 0.7, 0.0)
    assert scheduler.judge_rungs(other, 40, 0.6, 0.0)[1] == Verdict(Outcome.PRUNED, "asha rung 1: 0.6 < 0.7")


@pytest.mark.parametrize(
    ("share", "spared"),
    [(0.1, [5, 15, 25, 35, 45]), (0.0, []), (1.0, list(range(1, 48))), (0.3, [2, 5, 9, 12, 15, 19, 22, 25, 29])],
)
def test_the_spared_are_spread_evenly_whatever_the_seed(share: float, spared: list[int]) -> None:
    for seed in (0, 1):
        scheduler = asha(config=replace(NOBODY_SPARED, spared_share=share), seed=seed)
        found = [trial for trial in range(48) if scheduler.is_spared(trial)]
        assert found[: len(spared)] == spared
        assert len(found) == round(47 * share)


def test_in_a_sweep_of_format_1_who_is_spared_depends_on_seed_and_trial_alone() -> None:
    config = replace(NOBODY_SPARED, spared_share=0.1)
    first, again, other = (asha(config=config, seed=seed, version=1) for seed in (0, 0, 1))
    again.judge_rungs(5, 40, 0.5, 0.0)  # what happened before, and the order of asking, change nothing
    spared = {trial for trial in range(2000) if first.is_spared(trial)}
    assert spared == {trial for trial in reversed(range(2000)) if again.is_spared(trial)}
    assert spared != {trial for trial in range(2000) if other.is_spared(trial)}
    assert 160 <= len(spared) <= 240  # 200 +- 3 standard deviations (13.4)
    assert sorted(spared)[:4] == [22, 42, 55, 82]  # the same in every process, on every machine


def test_restored_rungs_judge_as_uninterrupted_ones() -> None:
    config = SchedulerConfig(grace_iterations=10, reduction_factor=2, spared_share=0.2)
    random = generator(3)
    calls = [
        (trial, iteration, round(random.random(), 1), float(random.integers(-5, 5)))
        for iteration in (10, 20, 40)
        for trial in random.permutation(30).tolist()
    ]
    whole = asha(config=config, num_iterations=60, eval_every=5)
    expected = [whole.judge_rungs(*call) for call in calls]
    for cut in (1, 17, 30, 55):
        resumed = asha(config=config, num_iterations=60, eval_every=5)
        resumed.restore(entry for entries, _ in expected[:cut] for entry in entries)
        assert [resumed.judge_rungs(*call) for call in calls[cut:]] == expected[cut:]
        forgetful = asha(config=config, num_iterations=60, eval_every=5)
        assert [forgetful.judge_rungs(*call) for call in calls[cut:]] != expected[cut:]


def test_a_resumed_trial_is_not_recorded_twice() -> None:
    scheduler = asha()
    scheduler.restore([RungEntry(0, 1, 40, 0.5, 0.0, False)])
    assert scheduler.judge_rungs(0, 40, 0.1, 0.0) == ([], None)


def test_restoring_replaces_what_was_there() -> None:
    scheduler = asha()
    entries = [entry for trial in range(6) for entry in scheduler.judge_rungs(trial, 40, 0.9, 0.0)[0]]
    scheduler.restore(entries[:1])
    assert scheduler.judge_rungs(7, 40, 0.1, 0.0)[1] is None  # second in its rung: too few to judge


@pytest.mark.parametrize(("rung", "iteration"), [(3, 180), (0, 40), (2, 119)])
def test_entries_of_other_rungs_are_refused(rung: int, iteration: int) -> None:
    message = rf"must fit the present ones, at iterations \[40, 120\]; got rung {rung} at iteration {iteration}"
    with pytest.raises(SweepError, match=message):
        asha().restore([RungEntry(0, rung, iteration, 0.5, 0.0, False)])


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("eta", [2, 3, 4])
def test_random_sequences_obey_the_rule_literally(eta: int, mode: str) -> None:
    """Coarse values make ties, some are NaN; the oracle is the rule as it is written in the documentation."""
    random = generator(eta)
    for _ in range(30):
        config = SchedulerConfig(grace_iterations=1, reduction_factor=eta, spared_share=0.0)
        scheduler = asha(mode, 10, config, eval_every=1)
        seen: list[tuple[float, float]] = []
        for trial in range(40):
            value = math.nan if random.random() < 0.1 else float(random.integers(0, 6))
            tie_breaker = float(random.integers(0, 3))
            stopped = scheduler.judge_rungs(trial, 1, value, tie_breaker)[1] is not None
            worth = (-math.inf, 0.0) if math.isnan(value) else (value if mode == "max" else -value, tie_breaker)
            seen.append(worth)
            better = sum(other > worth for other in seen)
            assert stopped == (len(seen) >= eta and better >= max(1, len(seen) // eta))
            assert not (stopped and better == 0), "the best so far was stopped"


def test_in_random_order_about_one_in_eta_passes() -> None:
    """The n-th to arrive is among the best n // 3 with probability (n // 3) / n; summed over n that is 32.9 of 99."""
    passed = []
    for repetition in range(100):
        values = generator(repetition).permutation(99) / 99
        passed.append(sum(reason is None for reason in reasons(asha(), [(value, 0.0) for value in values])))
    expected = 2 + sum((n // 3) / n for n in range(3, 100))
    assert np.mean(passed) == pytest.approx(expected, abs=1.0)


@dataclass(frozen=True)
class Curves:
    """How differently trials learn: time constants and delays before F1 leaves 0, in iterations, drawn evenly."""

    pace: tuple[float, float] = (30, 60)
    delay: tuple[float, float] = (0, 10)

    def draw(self, random: Generator, trials: int, iterations: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
        """F1 and return `[trials, evaluations]` as measured (noise: 0.03 and 50), and the true final F1 `[trials]`."""
        level, pace, delay = (random.uniform(*ends, size=(trials, 1)) for ends in ((0.0, 1.0), self.pace, self.delay))
        progress = 1 - np.exp(-np.maximum(iterations - delay, 0) / pace)
        measured = np.where(progress > 0, level * progress + random.normal(0, 0.03, progress.shape), 0)
        returns = -1750 + 2700 * level * (1 - np.exp(-iterations / pace)) + random.normal(0, 50, progress.shape)
        return measured.clip(0, 1), returns, (level * progress)[:, -1]


def simulate(curves: Curves, grace: int, seed: int, trials: int = 81, workers: int = 4) -> tuple[bool, float]:
    """Whether the truly best trial reached its end, and the iterations spent as a share of those without pruning."""
    random = generator(seed)
    evaluations = np.arange(20, 201, 20)
    f1, returns, final = curves.draw(random, trials, evaluations)
    scheduler = asha(config=SchedulerConfig(grace_iterations=grace), seed=seed)
    seconds = random.uniform(0.5, 2.0, trials)  # workers are not in step
    waiting = list(range(trials))[::-1]
    clock = [(seconds[trial], trial, 0) for trial in (waiting.pop() for _ in range(workers))]
    heapq.heapify(clock)
    spent, finished = 0, set()
    while clock:
        now, trial, index = heapq.heappop(clock)
        spent += 20
        _, verdict = scheduler.judge_rungs(trial, int(evaluations[index]), f1[trial, index], returns[trial, index])
        last = index == len(evaluations) - 1
        if verdict is None and last:
            finished.add(trial)
        if verdict is None and not last:
            heapq.heappush(clock, (now + seconds[trial], trial, index + 1))
        elif waiting:
            following = waiting.pop()
            heapq.heappush(clock, (now + seconds[following], following, 0))
    return int(final.argmax()) in finished, spent / (trials * 200)


def repeat(curves: Curves, grace: int) -> tuple[float, float]:
    """Share of 100 repetitions in which the best trial survived, and the mean share of the budget spent."""
    survived, spent = zip(*(simulate(curves, grace, seed) for seed in range(100)), strict=True)
    return float(np.mean(survived)), float(np.mean(spent))


def test_the_best_of_81_survives_on_less_than_half_the_budget() -> None:
    """With the default settings, one trial in ten spared among them."""
    survived, spent = repeat(Curves(), grace=40)
    assert survived >= 0.95
    assert 0.2 + 0.1 * 0.8 < spent < 0.5  # every trial reaches rung 1, a fifth; one in ten goes on to the end anyway


def test_late_starters_need_a_longer_grace() -> None:
    """What pruning cannot see: where the best may start after the first rung, it is often lost there."""
    late = Curves(pace=(20, 80), delay=(0, 50))
    survived, spent = repeat(late, grace=40)
    survived_longer, spent_longer = repeat(late, grace=60)
    assert survived < 0.9
    assert survived_longer > survived + 0.1
    assert spent_longer > spent + 0.05  # at its price
