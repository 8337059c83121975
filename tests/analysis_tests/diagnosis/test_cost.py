"""Cost of a run: steps by rollout or log, time by the run's own clock."""

from dataclasses import replace
from pathlib import Path

import pytest
from unstuck.analysis.comparison import describe_difference
from unstuck.analysis.diagnosis.cost import Cost, describe_time, estimate_cost, explain_costs
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import Stores, load
from unstuck.analysis.statistics import Difference, Interval
from unstuck.rl import metrics

from tests.analysis_tests.runs import healthy

ROLLOUT = {"ppo.num_envs": 8, "ppo.num_steps": 128, "sweep.seeds": 3}


def test_steps_are_those_of_all_seeds_and_change_with_the_rollout() -> None:
    run = Signals(healthy(settings=ROLLOUT))
    assert estimate_cost(run) == Cost(100, 100 * 8 * 128 * 3)
    assert estimate_cost(run, {"ppo.num_steps": 256}).env_steps == 2 * 100 * 8 * 128 * 3
    assert estimate_cost(run, {"ppo.lr": 1e-3}) == estimate_cost(run)
    assert estimate_cost(Signals(healthy())) == Cost(100)  # no rollout on record


def test_time_is_the_trials_own_as_long_as_planned() -> None:
    made = healthy(settings={**ROLLOUT, "ppo.num_iterations": 200})
    table = made.table.assign(**{metrics.FINAL_SECONDS: [float("nan")] * 99 + [50.0]})
    run = Signals(replace(made, table=table))
    assert estimate_cost(run).seconds == pytest.approx(100.0)  # 100 of 200 iterations took 50 s
    assert estimate_cost(run, {"ppo.num_envs": 16}).seconds == pytest.approx(200.0)


def test_another_programs_speed_is_what_it_logged(tmp_path: Path) -> None:
    rows = "\n".join(f"{1000 * row},{row},{500 + row % 2},0.1" for row in range(1, 11))
    (tmp_path / "progress.csv").write_text(
        f"time/total_timesteps,rollout/ep_rew_mean,time/fps,train/approx_kl\n{rows}\n"
    )
    run = load(str(tmp_path / "progress.csv"), Stores(tmp_path))
    assert run.speed == pytest.approx(500.5)
    cost = estimate_cost(Signals(run))
    assert cost.env_steps == 10_000
    assert cost.seconds == pytest.approx(10_000 / 500.5)


def test_costs_add_up_and_say_what_is_unknown() -> None:
    assert 3 * Cost(10, 100, 5.0) + Cost(1, 10, 1.0) == Cost(31, 310, 16.0)
    assert Cost(1, 10, 1.0) + Cost(1) == Cost(2)
    assert [describe_time(seconds) for seconds in (0.2, 59.4, 61, 3600, 90_000)] == [
        *("1 second", "59 seconds", "1 minute", "1.0 hours", "1.0 days"),
    ]
    run = Signals(healthy())
    assert explain_costs(run, 2, Cost(10, 100, 60.0)) == (
        "2 changes and the control, one after another: 300 environment steps, 3 minutes at the run's own speed."
    )


def test_no_difference_of_shares_is_shown_beyond_what_there_is() -> None:
    wide = Difference(0.5, Interval(-1.25, 2.25), side=0)
    assert describe_difference(wide, metric=metrics.F1) == "+0.5 (95 % interval -1 to 1, cut at -1 and 1)"
    assert describe_difference(wide, metric=metrics.EVAL_RETURN) == "+0.5 (95 % interval -1.25 to 2.25)"
