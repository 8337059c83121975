"""The verdict's own trainings, compared with the same by hand: lineages, seeds, unseen flows, cores, early ends."""

import dataclasses
import multiprocessing
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unstuck.records.entry import Entry
from unstuck.records.errors import SweepError
from unstuck.records.files import branch_file, checkpoint_file
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome
from unstuck.rl import checkpoint
from unstuck.rl.branch import Part, start_branch
from unstuck.rl.branch_point import read_branch_point
from unstuck.rl.budget import Budget
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.errors import CheckpointError
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.champion import judge_champion
from unstuck.sweeps.config.settings import ANEW, CHECKPOINT, BranchConfig, StudyConfig, SweepConfig, UnstickConfig
from unstuck.sweeps.search.kinds import Choice
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.trainers.learner_trainer import make_trial_learner
from unstuck.sweeps.unstick.fresh_runs import Lineage, train_fresh, train_repeats
from unstuck.sweeps.unstick.verdict import Means, find_best_arm, trace_lineage, train_fresh_runs

MEMBERS, REPEATS, BATCH = 2, 3, 32
SPACE = Space(
    {
        "ppo.lr": Choice((1e-2, 1e-1, 3e-2)),
        "branch.start": Choice((CHECKPOINT, ANEW)),
        "branch.reset": Choice(((), ("value_head", "adam"))),
        "branch.parent": Choice((None, 0, 1, 2)),
    }
)
CONTROL = {"ppo.lr": 1e-2, "branch.start": CHECKPOINT, "branch.reset": (), "branch.parent": None}
RESET = ("value_head", "adam")


@pytest.fixture(scope="module")
def data() -> FlowData:
    return load_flows(DataConfig(num_flows=500, num_features=4, eval_flows=100))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, data: FlowData) -> SweepConfig:
    """An unstick of a run after 4 iterations, whose folder holds the run's checkpoint."""
    runs = tmp_path_factory.mktemp("unstick")
    ordinary = SweepConfig(
        sweep=StudyConfig(name="mine", folder=str(runs), seeds=MEMBERS, seed=5),
        env=EnvConfig(flows_per_episode=20),
        data=DataConfig(num_flows=500, num_features=4, eval_flows=100),
        ppo=PPOConfig(
            num_iterations=4,
            eval_every=1,
            num_envs=2,
            num_steps=16,
            minibatch_size=32,
            num_epochs=1,
            hidden_sizes=(8,),
            lr=1e-2,
        ),
    )
    run = make_trial_learner(ordinary, data)
    for _ in range(4):
        run.iterate()
    unstick = dataclasses.replace(
        ordinary, run="other/7", branch=BranchConfig(start=CHECKPOINT), unstick=UnstickConfig(repeats=REPEATS)
    )
    branch_file(unstick.own_folder).parent.mkdir(parents=True)
    checkpoint.save(branch_file(unstick.own_folder), run)
    return unstick


def entry_of(number: int, value: float | None = 0.5, outcome: Outcome = Outcome.COMPLETED, **changes: Any) -> Entry:
    values = CONTROL | {path.replace("__", "."): value for path, value in changes.items()}
    return Entry(number, outcome, "", values, value, {}, {}, datetime.now(UTC), "COMPLETE")


def means_of(data: FlowData | None, cores: int = 1, said: list[str] | None = None) -> Means:
    return Means(data, cores, (said if said is not None else []).append, lambda: False)


def fresh_learner(config: SweepConfig, data: FlowData, repeat: int, **other: Any) -> Learner:
    """A learner of one repeat, by itself: its two members have the seeds 2 * repeat and 2 * repeat + 1."""
    seeds = make_member_seeds(5, MEMBERS * REPEATS, other.get("block", "verdict"))[MEMBERS * repeat :][:MEMBERS]
    flows = dataclasses.replace(data, validation=other.get("flows", data.test))
    evaluations = make_evaluation_seed(5, "verdict evaluation")
    budget = other.get("budget", Budget(4 * BATCH, BATCH, done=4 * BATCH))
    return make_learner(config.ppo, config.env, seeds, evaluations, flows, budget)


def value_of(learner: Learner) -> tuple[float, ...]:
    """The mean of the last three of four evaluations of each member."""
    return tuple(map(float, np.mean([learner.iterate()["eval/f1"] for _ in range(4)][1:], axis=0)))


def with_lr(config: SweepConfig, lr: float) -> SweepConfig:
    return dataclasses.replace(config, ppo=dataclasses.replace(config.ppo, lr=lr))


def test_best_arm_and_control_go_on_with_fresh_randomness_judged_by_unseen_flows(
    config: SweepConfig, data: FlowData
) -> None:
    entries = [entry_of(0, 0.9), entry_of(1, 0.6, ppo__lr=1e-1, branch__reset=RESET), entry_of(2, 0.5, ppo__lr=3e-2)]
    said: list[str] = []
    found = train_fresh_runs(config, SPACE, entries, means_of(data, said=said))
    assert found is not None
    assert (found.trial, found.searched) == (1, 0.6)
    start = branch_file(config.own_folder)
    for values, lr, reset in ((found.arm, 1e-1, RESET), (found.control, 1e-2, ())):
        expected = []
        for repeat in range(REPEATS):
            learner = fresh_learner(with_lr(config, lr), data, repeat)
            start_branch(start, learner, [Part(part) for part in reset], fresh=True)
            expected.append(value_of(learner))
        assert values == tuple(expected)  # bit for bit, though all repeats trained side by side
        assert len(set(values)) > 1
        for other in ({"flows": data.validation}, {"block": "search"}, {"block": "test"}):  # the wrong variants
            learner = fresh_learner(with_lr(config, lr), data, 0, **other)
            start_branch(start, learner, [Part(part) for part in reset], fresh=True)
            assert value_of(learner) != expected[0], other
    assert said[0] == (
        "Verdict: training trial 1 and the control again from the branch, 3 times each, by fresh randomness, judged by "
        "flows that no arm saw"
    )
    assert said[1] == f"  trial 1, repeat 1 of 3: eval/f1 {np.mean(found.arm[0]):.4f}"
    assert said[-1] == f"  the control, repeat 3 of 3: eval/f1 {np.mean(found.control[2]):.4f}"
    assert len(said) == 1 + 2 * REPEATS


def test_an_arm_of_a_later_stage_is_trained_by_its_lineage_and_the_control_for_as_long(
    config: SweepConfig, data: FlowData
) -> None:
    entries = [
        entry_of(0, 0.1),
        entry_of(1, 0.2, ppo__lr=1e-1),
        entry_of(2, 0.3, ppo__lr=3e-2, branch__reset=RESET, branch__parent=1),
    ]
    lineage = trace_lineage(config, SPACE, entries, 2)
    assert [(one.ppo.lr, one.branch.parent, one.branch.reset) for one in lineage] == [(0.1, None, ()), (0.03, 1, RESET)]
    found = train_fresh_runs(config, SPACE, entries, means_of(data))
    assert found is not None
    assert found.trial == 2
    first = fresh_learner(with_lr(config, 1e-1), data, 1)
    start_branch(branch_file(config.own_folder), first, fresh=True)
    value_of(first)
    kept = config.own_folder / "kept.npz"
    checkpoint.save(kept, first)
    second = fresh_learner(with_lr(config, 3e-2), data, 1, budget=Budget(4 * BATCH, BATCH, done=8 * BATCH))
    start_branch(kept, second, [Part.VALUE_HEAD, Part.ADAM])  # goes on with the first one's randomness
    assert found.arm[1] == value_of(second)
    control = fresh_learner(config, data, 1, budget=Budget(8 * BATCH, BATCH, done=4 * BATCH))
    start_branch(branch_file(config.own_folder), control, fresh=True)
    value_of(control)
    assert found.control[1] == value_of(control)


def test_an_arm_that_started_anew_starts_from_fresh_weights(config: SweepConfig, data: FlowData) -> None:
    entries = [entry_of(0, 0.9), entry_of(1, 0.6, branch__start=ANEW)]
    found = train_fresh_runs(config, SPACE, entries, means_of(data))
    assert found is not None
    assert found.arm[2] == value_of(fresh_learner(config, data, 2, budget=Budget(4 * BATCH, BATCH)))
    assert found.arm != found.control


def test_schedules_go_on_from_the_run_and_along_the_lineage(config: SweepConfig, data: FlowData) -> None:
    """A run of 4 iterations and arms of 4: rates fall to half by the first arm, from there to two thirds of it."""
    linear = dataclasses.replace(config, ppo=dataclasses.replace(config.ppo, lr_schedule="linear"))
    alone = train_repeats(Lineage((linear, linear), config.own_folder), data, range(1))
    first = fresh_learner(linear, data, 0, budget=Budget(4 * BATCH, BATCH, done=4 * BATCH, planned=4 * BATCH))
    assert first.read_effective()["lr"][0] == pytest.approx(1e-2 / 2)
    start_branch(branch_file(config.own_folder), first, fresh=True)
    value_of(first)
    kept = config.own_folder / "linear.npz"
    checkpoint.save(kept, first)
    point = read_branch_point(kept)
    assert (point.env_steps, point.planned_steps) == (8 * BATCH, 8 * BATCH)
    second = fresh_learner(linear, data, 0, budget=point.extend_budget(Budget(4 * BATCH, BATCH)))
    assert second.read_effective()["lr"][0] == pytest.approx(1e-2 / 3)
    start_branch(kept, second)
    assert alone == (value_of(second),)


def test_the_best_arm_is_no_control(config: SweepConfig) -> None:
    control, goes_on = entry_of(0, 0.9), entry_of(3, 0.95, branch__parent=0)
    changed, fails = entry_of(1, 0.2, ppo__lr=1e-1), entry_of(2, 0.99, Outcome.CRASHED, ppo__lr=3e-2)

    def best(*entries: Entry, mode: str = "max") -> int | None:
        study = dataclasses.replace(config.sweep, mode=mode)
        found = find_best_arm(dataclasses.replace(config, sweep=study), SPACE, entries)
        return found.number if found else None

    assert best(control, changed, fails, goes_on) == 1
    assert best(control, fails, goes_on) is None
    from_control = entry_of(4, 0.3, ppo__lr=3e-2, branch__parent=0)
    assert best(control, changed, from_control) == 4
    assert best(control, changed, from_control, mode="min") == 1
    reset, anew = entry_of(5, 0.4, branch__reset=RESET), entry_of(6, 0.5, branch__start=ANEW)
    assert best(control, reset) == 5
    assert best(control, reset, anew) == 6
    of_anew = entry_of(1, 0.6, branch__parent=2)  # nothing changed since, but its parent's weights are others
    assert best(control, entry_of(2, 0.1, branch__start=ANEW), of_anew) == 1


def test_arms_of_equal_value_are_ranked_by_their_return(config: SweepConfig, data: FlowData) -> None:
    """Where F1 is 0 everywhere, as in a policy that allows everything, the return still tells arms apart."""
    for number, value in ((1, -5.0), (2, -3.0)):
        history = [Record(1, 0, {"eval/f1": 0.0, "eval/episode_return": value}).to_json()]
        file = checkpoint_file(config.own_folder, number)
        file.parent.mkdir(parents=True)
        checkpoint.save(file, make_trial_learner(dataclasses.replace(config, run=None), data), history)
    equal = [entry_of(0, 0.0), entry_of(1, 0.0, ppo__lr=1e-1), entry_of(2, 0.0, ppo__lr=3e-2)]
    found = find_best_arm(config, SPACE, equal)
    assert found is equal[2]


def test_without_an_arm_there_is_no_verdict(config: SweepConfig, data: FlowData) -> None:
    said: list[str] = []
    assert train_fresh_runs(config, SPACE, [entry_of(0)], means_of(data, said=said)) is None
    assert said == ["No verdict: no arm beside the control completed"]


def lineages_of(config: SweepConfig) -> dict[str, Lineage]:
    return {name: Lineage((with_lr(config, lr),), config.own_folder) for name, lr in (("arm", 1e-1), ("control", 1e-2))}


def run_fresh(
    config: SweepConfig, data: FlowData, cores: int, is_over: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    return train_fresh(lineages_of(config), data, REPEATS, cores, lambda *_: None, is_over)


def wait_for_end(processes: Collection[multiprocessing.process.BaseProcess]) -> None:
    """Wait for the end of processes that the pool's thread waits for too: of two who wait, one is told nothing."""
    deadline = time.monotonic() + 40
    while any(process.is_alive() for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_numbers_are_the_same_on_any_number_of_cores(config: SweepConfig, data: FlowData) -> None:
    alone = {
        name: tuple(row for repeat in range(REPEATS) for row in train_repeats(one, data, range(repeat, repeat + 1)))
        for name, one in lineages_of(config).items()
    }
    before = set(multiprocessing.active_children())
    assert run_fresh(config, data, cores=1) == alone
    assert run_fresh(config, data, cores=2) == alone
    wait_for_end(set(multiprocessing.active_children()) - before)


@pytest.mark.slow
def test_an_early_end_ends_the_processes_and_a_process_that_dies_is_told(config: SweepConfig, data: FlowData) -> None:
    before = set(multiprocessing.active_children())
    asked: list[int] = []

    def is_over() -> bool:
        asked.append(len(set(multiprocessing.active_children()) - before))
        return True

    assert run_fresh(config, data, cores=2, is_over=is_over) is None
    assert asked == [2]
    wait_for_end(set(multiprocessing.active_children()) - before)

    def kill_one() -> bool:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
        return False

    with pytest.raises(SweepError, match="must live to its end, and one died"):
        run_fresh(config, data, cores=2, is_over=kill_one)
    wait_for_end(set(multiprocessing.active_children()) - before)


def test_an_early_end_trains_no_further(config: SweepConfig, data: FlowData) -> None:
    asked = iter([False, True])
    assert run_fresh(config, data, cores=1, is_over=lambda: next(asked)) is None


def test_a_missing_checkpoint_of_the_run_is_told(config: SweepConfig, data: FlowData, tmp_path: Path) -> None:
    moved = dataclasses.replace(config, sweep=dataclasses.replace(config.sweep, folder=str(tmp_path)))
    with pytest.raises(CheckpointError, match=r"branch/checkpoint\.npz must be a checkpoint, got no file to read"):
        train_fresh_runs(moved, SPACE, [entry_of(0), entry_of(1, ppo__lr=1e-1)], means_of(data))


def test_a_training_that_fails_is_told_in_a_line(
    config: SweepConfig, data: FlowData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ArithmeticError("the environment got an action that is not finite")

    monkeypatch.setattr("unstuck.sweeps.unstick.fresh_runs.train_to_end", fail)
    with pytest.raises(
        SweepError, match=r"^all trainings for the verdict must run to their end, and one failed: Arith"
    ):
        run_fresh(config, data, cores=1)


def test_a_champion_of_an_unstick_is_refused(config: SweepConfig) -> None:
    with pytest.raises(
        SweepError,
        match=r"^champion must be of a sweep whose trials train from their start, got mine, which branches other/7; "
        r"an unstick judges its best arm by itself: see \S+/mine/report$",
    ):
        judge_champion(config, 3)
