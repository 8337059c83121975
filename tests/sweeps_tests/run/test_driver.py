"""Driven by hand, without Ray, against a real study and a real MLflow database."""

import dataclasses
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from unstuck.records.errors import LedgerError, LibraryError, TrackingError
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.mlflow.names import to_mlflow
from unstuck.records.names import MLFLOW_RUN
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import NullTracker, SweepHeader, Tracker
from unstuck.rl import metrics
from unstuck.rl.config import PPOConfig
from unstuck.sweeps.config.settings import (
    HealthConfig,
    SamplerConfig,
    SchedulerConfig,
    StudyConfig,
    SweepConfig,
    TrackingConfig,
)
from unstuck.sweeps.mirror import Outbox, RecordedTrials, make_tracker
from unstuck.sweeps.run import driver as driver_module
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.search.kinds import Choice, Log
from unstuck.sweeps.search.sampler import create_ledger
from unstuck.sweeps.search.space import Space

# The first test waits for the tables to be made (4 s), which is no fault of its own.

START_MS = 1_700_000_000_000
LR = Space({"ppo.lr": Log(1e-5, 1e-2)})
MINIBATCH = Space({"ppo.minibatch_size": Choice((48, 64))})
REFUSAL = "minibatch_size must divide num_envs * num_steps = 1024, got 48; try 32 or 64"


@dataclass
class Sweep:
    """One sweep with everything open, and how to look at it from outside."""

    name: str
    folder: Path
    config: SweepConfig
    driver: Driver
    ledger: Ledger
    printed: io.StringIO

    @property
    def trials(self) -> list[FrozenTrial]:
        return study(self.folder, self.name).trials

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    @property
    def runs(self) -> dict[int, Run]:
        """MLflow's run of each trial."""
        experiment = self.client.get_experiment_by_name("unstuck")
        assert experiment is not None
        found = self.client.search_runs([experiment.experiment_id], f"tags.sweep = '{self.name}'")
        return {int(run.data.tags["trial"]): run for run in found if "trial" in run.data.tags}

    def history(self, number: int, metric: str) -> list[tuple[int, float]]:
        points = self.client.get_metric_history(self.runs[number].info.run_id, to_mlflow(metric))
        return [(point.step, point.value) for point in points]

    def start(self) -> int:
        assignment = self.driver.propose()
        assert assignment is not None
        return assignment.number

    def receive(self, number: int, *periods: Sequence[Record]) -> Verdict | None:
        """The last period's verdict; there is none before."""
        *before, last = periods
        assert [self.driver.judge(number, period) for period in before] == [None] * len(before)
        verdict = self.driver.judge(number, last)
        self.driver.follow_up()
        return verdict


def study(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'optuna.db'}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    create_ledger(f"sqlite:///{folder / 'optuna.db'}", StudyConfig(name="first"), SamplerConfig(name="random"), {})
    make_tracker(TrackingConfig(), folder).start_sweep(SweepHeader("first", "first", 3, "eval/f1", "max"), "", {})
    return folder


@dataclass
class Opener:
    folder: Path
    name: str

    def __call__(
        self,
        space: Space = LR,
        tracker: Tracker | None = None,
        num_trials: int = 3,
        seed: int = 0,
        scheduler: SchedulerConfig | None = None,
        health: HealthConfig | None = None,
        iterations: int = 6,
        tracking: TrackingConfig | None = None,
    ) -> Sweep:
        """A sweep of two seeds that evaluates every second iteration; MLflow tracks it unless a tracker is given."""
        config = SweepConfig(
            sweep=StudyConfig(name=self.name, seeds=2, seed=seed),
            ppo=PPOConfig(num_iterations=iterations, eval_every=2),
            sampler=SamplerConfig(name="random"),
            scheduler=scheduler or SchedulerConfig(name="none"),
            health=health or HealthConfig(enabled=False),
            tracking=tracking or TrackingConfig(),
        )
        url = f"sqlite:///{self.folder / 'optuna.db'}"
        ledger = create_ledger(url, config.sweep, config.sampler, {})
        if tracker is None:
            tracker = make_tracker(TrackingConfig(), self.folder)
            tracker.start_sweep(SweepHeader(self.name, self.name, 3, "eval/f1", "max"), "", {})
        printed = io.StringIO()
        progress = Progress(config, num_trials, Console(file=printed))
        trials = RecordedTrials(config, space, ledger, progress.warn)
        outbox = Outbox(tracker, trials, lambda: None, progress.warn)
        driver = Driver(config, num_trials, space, ledger, outbox, progress)
        return Sweep(self.name, self.folder, config, driver, ledger, printed)


@pytest.fixture
def opened(folder: Path, request: pytest.FixtureRequest) -> Opener:
    """Opens a sweep under a name of each test's own in the shared stores."""
    return Opener(folder, str(request.node.name).replace("[", "-").replace("]", "").removeprefix("test_"))


def period(last: int, f1: Sequence[float], loss: float = 0.5, late_ms: int = 0) -> list[Record]:
    """Iterations `last - 1` and `last`, the second with an evaluation: the F1 of each member."""
    mean = float(sum(f1)) / len(f1)
    members = {metrics.seed_metric(metrics.F1, member): value for member, value in enumerate(f1)}
    evaluation = {metrics.F1: mean, metrics.EVAL_RETURN: 100 * mean, **members}
    return [
        Record(iteration, START_MS + iteration + late_ms, {metrics.VALUE_LOSS: loss} | measured)
        for iteration, measured in ((last - 1, {}), (last, evaluation))
    ]


def test_a_whole_sweep(opened: Opener) -> None:
    sweep = opened(num_trials=3)
    sweep.ledger.enqueue(LR.encode(LR.control_values(sweep.config)))
    proposed = []
    while assignment := sweep.driver.propose():
        assert assignment.config == LR.apply(sweep.config, {"ppo.lr": assignment.config.ppo.lr})
        proposed.append(assignment)
        level = assignment.number / 8
        verdict = sweep.receive(assignment.number, *(period(last, [level, level]) for last in (2, 4, 6)))
        assert verdict == Verdict(Outcome.COMPLETED, "reached iteration 6")
    assert [assignment.number for assignment in proposed] == [0, 1, 2]
    assert proposed[0].config == sweep.config  # the control comes first
    assert len({assignment.config.ppo.lr for assignment in proposed}) == 3
    assert (sweep.driver.is_finished, sweep.driver.failure) == (True, None)
    for trial, assignment in zip(sweep.trials, proposed, strict=True):
        level, run = trial.number / 8, sweep.runs[trial.number]
        assert (trial.state, trial.value) == (TrialState.COMPLETE, level)
        assert trial.user_attrs["values"] == {"ppo.lr": assignment.config.ppo.lr}
        assert trial.user_attrs["mlflow_run"] == run.info.run_id
        assert (run.info.status, run.data.tags["reason"]) == ("FINISHED", "reached iteration 6")
        assert float(run.data.params["ppo.lr"]) == assignment.config.ppo.lr
        assert (run.data.tags["seeds"], run.data.tags["seed"]) == ("2", "0")
        assert (
            trial.intermediate_values == {2: level, 4: level, 6: level} == dict(sweep.history(trial.number, "eval/f1"))
        )
        assert [step for step, _ in sweep.history(trial.number, "train/value_loss")] == [1, 2, 3, 4, 5, 6]


def test_what_cannot_run_is_on_record_and_not_counted(opened: Opener) -> None:
    sweep = opened(MINIBATCH, num_trials=2)
    assignments = [sweep.driver.propose() for _ in range(3)]
    assert assignments[2] is None
    assert sweep.driver.failure is None
    assert all(a is not None and a.config.ppo.minibatch_size == 64 for a in assignments[:2])
    sweep.driver.interrupt("enough")
    refused = [trial.number for trial in sweep.trials if trial.user_attrs["outcome"] == "infeasible"]
    assert len(sweep.trials) == 2 + len(refused)
    assert refused
    for number in refused:
        trial, run = sweep.trials[number], sweep.runs[number]
        assert trial.state == TrialState.PRUNED
        assert trial.constraints == {"feasible": 1.0}
        assert trial.user_attrs["reason"] == run.data.tags["reason"] == REFUSAL
        assert (run.info.status, run.data.tags["outcome"]) == ("FAILED", "infeasible")
        assert trial.user_attrs["values"] == {"ppo.minibatch_size": 48}
        assert run.data.params["ppo.minibatch_size"] == "48"
        kept = Path(run.info.artifact_uri.removeprefix("file://"), "config.yaml").read_text()
        assert "minibatch_size: 48" in kept  # its own, though it could not run
    assert f"infeasible: {REFUSAL}; 0 of 2 done\n" in sweep.printed.getvalue()


def test_a_space_in_which_nothing_can_run_ends_the_sweep(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "MAX_INFEASIBLE_IN_A_ROW", 4)
    sweep = opened(Space({"ppo.minibatch_size": Choice((48,))}), NullTracker())
    assert sweep.driver.propose() is None
    assert str(sweep.driver.failure) == (
        "the space must hold configurations that can run; 4 proposals in a row could not, the last because "
        f"{REFUSAL}; narrow the space"
    )
    assert len(sweep.trials) == 4
    assert sweep.driver.propose() is None
    assert len(sweep.trials) == 4  # nobody was asked again


def test_a_value_is_the_mean_of_the_last_three_evaluations_never_the_best(opened: Opener) -> None:
    sweep = opened(iterations=8)
    number = sweep.start()
    evaluations = {2: [0.9, 0.9], 4: [0.1, 0.3], 6: [0.2, 0.4], 8: [0.6, 0.8]}
    sweep.receive(number, *(period(last, f1) for last, f1 in evaluations.items()))
    # Means 0.2, 0.3, 0.7; the members' own 0.3 and 0.5, which deviate by sqrt(2 * 0.1^2 / 1).
    (trial,) = sweep.trials
    assert trial.value == pytest.approx(0.4)
    expected = {
        "final/value": 0.4,
        "final/value/seed_0": 0.3,
        "final/value/seed_1": 0.5,
        "final/spread": math.sqrt(0.02),
        "final/iterations": 8,
    }
    assert sweep.history(number, "final/value") == [
        (2, pytest.approx(0.9)),
        (4, pytest.approx(0.55)),
        (6, pytest.approx(0.4667, abs=1e-4)),
        (8, pytest.approx(0.4)),
    ]
    assert sweep.history(number, "final/spread")[-1] == (8, pytest.approx(math.sqrt(0.02)))
    assert {name: trial.user_attrs["summary"][name] for name in expected} == pytest.approx(expected)
    tags = sweep.runs[number].data.tags
    assert tags["iterations"] == "8"
    assert 0 < float(tags["seconds"]) < 60
    assert f"trial {number} completed 0.400 ± 0.141: reached iteration 8" in sweep.printed.getvalue()


def test_a_single_evaluation_is_a_value_too(opened: Opener) -> None:
    sweep = opened(tracker=NullTracker(), iterations=2)
    sweep.receive(sweep.start(), period(2, [0.25, 0.75]))
    assert sweep.trials[0].value == 0.5


def test_what_a_restarted_worker_repeats_is_skipped(opened: Opener) -> None:
    sweep = opened()
    number = sweep.start()
    sweep.receive(number, period(2, [0.1, 0.1]), period(4, [0.2, 0.2]))
    # The same numbers again, later; the last of them together with something new.
    repeated = [period(last, [last / 20] * 2, late_ms=5000) for last in (2, 4)]
    verdict = sweep.receive(number, *repeated, repeated[1] + period(6, [0.3, 0.3], late_ms=5000))
    assert verdict == Verdict(Outcome.COMPLETED, "reached iteration 6")
    assert sweep.trials[0].intermediate_values == {2: 0.1, 4: 0.2, 6: 0.3}
    assert sweep.trials[0].value == pytest.approx(0.2)
    assert sweep.history(number, "eval/f1") == [(2, 0.1), (4, 0.2), (6, 0.3)]
    assert [step for step, _ in sweep.history(number, "train/value_loss")] == [1, 2, 3, 4, 5, 6]


def test_trials_that_are_unknown_or_have_ended_are_left_alone(opened: Opener) -> None:
    sweep = opened(tracker=NullTracker(), iterations=2)
    number = sweep.start()
    sweep.receive(number, period(2, [0.5, 0.5]))
    before = sweep.trials
    assert sweep.driver.judge(number, period(4, [0.9, 0.9])) is None
    assert sweep.driver.judge(99, period(2, [0.9, 0.9])) is None
    sweep.driver.crash(number, "too late")
    sweep.driver.interrupt("too late")
    assert sweep.trials == before


def test_mlflow_waits_until_the_worker_trains_again_but_not_the_ledger(opened: Opener) -> None:
    sweep = opened()
    number = sweep.start()
    assert sweep.driver.judge(number, period(2, [0.5, 0.5])) is None
    assert sweep.trials[number].intermediate_values == {2: 0.5}
    assert sweep.history(number, "eval/f1") == []
    sweep.driver.follow_up()
    assert sweep.history(number, "eval/f1") == [(2, 0.5)]
    assert sweep.driver.judge(number, period(4, [0.6, 0.6])) is None
    assert sweep.driver.judge(number, period(6, [0.7, 0.7])) is not None
    assert sweep.trials[number].state == TrialState.COMPLETE
    another = sweep.start()  # a free worker does not wait either
    assert sweep.history(number, "eval/f1") == [(2, 0.5), (4, 0.6)]
    sweep.driver.crash(another, "RuntimeError: gone")
    assert sweep.history(number, "eval/f1") == [(2, 0.5), (4, 0.6), (6, 0.7)]
    assert [sweep.runs[one].data.tags["outcome"] for one in (number, another)] == ["completed", "crashed"]


def test_asha_prunes_with_the_same_reason_in_both_stores(opened: Opener) -> None:
    scheduler = SchedulerConfig(grace_iterations=2, reduction_factor=2, spared_share=0)
    sweep = opened(scheduler=scheduler, iterations=10)
    good, bad = sweep.start(), sweep.start()
    assert sweep.receive(good, period(2, [0.7, 0.9])) is None
    assert sweep.receive(bad, period(2, [0.1, 0.3])) == Verdict(Outcome.PRUNED, "asha rung 1: 0.2 < 0.8")
    trial, run = sweep.trials[bad], sweep.runs[bad]
    assert trial.state == TrialState.PRUNED
    assert trial.user_attrs["reason"] == run.data.tags["reason"] == "asha rung 1: 0.2 < 0.8"
    assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", "pruned")
    assert run.info.run_name.endswith(f"/{bad:04d} pruned")
    assert trial.intermediate_values == {2: 0.2}  # the last point included
    assert sweep.history(bad, "eval/f1") == [(2, 0.2)]
    rung = {"trial": bad, "rung": 1, "iteration": 2, "value": 0.2, "tie_breaker": 20.0, "spared": False}
    assert trial.user_attrs["rungs"] == [rung | {"would_stop": True}]
    assert sweep.receive(good, *(period(last, [0.7, 0.9]) for last in (4, 6, 8, 10))) is not None
    assert [entry["rung"] for entry in sweep.trials[good].user_attrs["rungs"]] == [1, 2]
    assert study(sweep.folder, sweep.name).best_trial.number == good


def test_health_stops_who_explodes(opened: Opener) -> None:
    sweep = opened(health=HealthConfig(), iterations=8)
    number = sweep.start()
    losses = {2: 2.0, 4: 2.0, 6: 3000.0}
    verdict = sweep.receive(number, *(period(last, [0.5, 0.5], loss) for last, loss in losses.items()))
    assert verdict == Verdict(Outcome.DIVERGED, "value loss 3000 > 100 x its start 2.000 at iteration 6")
    trial, run = sweep.trials[number], sweep.runs[number]
    assert trial.state == TrialState.PRUNED
    assert trial.user_attrs["reason"] == run.data.tags["reason"] == verdict.reason
    assert trial.intermediate_values == {2: 0.5, 4: 0.5, 6: 0.5}


def test_nothing_stops_the_control_but_a_number_that_is_not_finite(opened: Opener) -> None:
    """Worst at every rung, its value loss exploding, and stuck at the trivial F1."""
    sweep = opened(
        tracker=NullTracker(),
        health=HealthConfig(stuck_grace_iterations=2),
        scheduler=SchedulerConfig(grace_iterations=2, reduction_factor=2, spared_share=0),
        iterations=10,
    )
    sweep.ledger.enqueue(LR.encode(LR.control_values(sweep.config)))
    control, other = sweep.start(), sweep.start()
    assert [entry.is_control for entry in sweep.ledger.entries()] == [True, False]
    sweep.receive(other, period(2, [0.5, 0.5]))
    sick = [*period(2, [0.0, 0.0], 1.0), *period(4, [0.0, 0.0], 1e6), *period(6, [0.0, 0.0], 1e6)]
    trivial = {metrics.F1_FLAG_ALL: 0.2, metrics.F1_FLAG_NONE: 0.0, metrics.F1_RANDOM: 0.17}
    records = [dataclasses.replace(record, metrics={**record.metrics, **trivial}) for record in sick]
    assert sweep.driver.judge(control, records) is None
    (rung, *_) = sweep.trials[control].user_attrs["rungs"]
    assert (rung["spared"], rung["would_stop"]) == (True, True)
    verdict = sweep.driver.judge(control, period(8, [0.0, 0.0], math.nan))
    assert verdict == Verdict(Outcome.DIVERGED, "train/value_loss is nan at iteration 7")


def test_health_stops_who_is_stuck(opened: Opener) -> None:
    sweep = opened(tracker=NullTracker(), health=HealthConfig(stuck_grace_iterations=4))
    number = sweep.start()
    trivial = {metrics.F1_FLAG_ALL: 0.2, metrics.F1_FLAG_NONE: 0.0, metrics.F1_RANDOM: 0.17}
    impossible = {metrics.RATIO_DEVIATION: 0.5}
    periods = [
        [Record(r.iteration, r.timestamp_ms, {**r.metrics, **trivial}) for r in period(last, [0.0, 0.0], loss=1.0)]
        for last in (2, 4)
    ]
    periods[-1][-1] = dataclasses.replace(periods[-1][-1], metrics={**periods[-1][-1].metrics, **impossible})
    verdict = sweep.receive(number, *periods)
    assert verdict is not None
    assert verdict.outcome is Outcome.STUCK
    assert "F1 0.000 <= 0.210 (flag all 0.200 + 0.01) at iteration 4" in verdict.reason
    attributes = sweep.trials[0].user_attrs
    assert attributes["outcome"] == "stuck"
    # Why, by the rules of diagnosis, is the first thing said of it, and the same wherever it is kept.
    assert verdict.reason.startswith(f"{attributes['diagnosis'].partition(': ')[2]}; value loss 1.000 >= 0.9")
    assert attributes["findings"]


@pytest.mark.parametrize("last", [[math.nan, 0.5], [math.inf, 0.5], [math.inf, -math.inf]], ids=["nan", "inf", "both"])
def test_a_member_whose_last_evaluation_is_not_finite_ends_its_trial_and_not_the_sweep(
    opened: Opener, last: list[float]
) -> None:
    sweep = opened(num_trials=2)
    number = sweep.start()
    verdict = sweep.receive(number, period(2, [0.5, 0.5]), period(4, last))
    assert verdict == Verdict(Outcome.DIVERGED, f"eval/f1 of member 0 is {last[0]} at iteration 4")
    (trial,) = sweep.trials
    assert trial.state == TrialState.PRUNED  # not left behind as running
    assert list(trial.intermediate_values) == [2, 4]
    assert sweep.runs[number].info.status == "FAILED"
    assert [step for step, _ in sweep.history(number, "eval/f1")] == [2, 4]
    assert sweep.start() == 1


def test_a_loss_that_is_not_finite_ends_a_trial_between_evaluations(opened: Opener) -> None:
    sweep = opened(tracker=NullTracker())
    number = sweep.start()
    verdict = sweep.receive(number, period(2, [0.5, 0.5]), [Record(3, START_MS, {metrics.VALUE_LOSS: math.nan})])
    assert verdict == Verdict(Outcome.DIVERGED, "train/value_loss is nan at iteration 3")
    assert sweep.trials[0].intermediate_values == {2: 0.5}
    assert sweep.trials[0].user_attrs["summary"]["final/iterations"] == 3


def test_a_crash_keeps_the_traceback_and_says_its_last_line(opened: Opener) -> None:
    sweep = opened()
    first, second = sweep.start(), sweep.start()
    sweep.receive(first, period(2, [0.5, 0.5]))
    traceback = 'Traceback (most recent call last):\n  File "x.py", line 1\nRuntimeError: out of memory\n\n'
    sweep.driver.crash(first, traceback)
    sweep.driver.crash(second, "")
    trial, run = sweep.trials[first], sweep.runs[first]
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["traceback"] == traceback
    assert trial.user_attrs["reason"] == run.data.tags["reason"] == "RuntimeError: out of memory"
    assert (run.info.status, run.data.tags["outcome"]) == ("FAILED", "crashed")
    assert trial.intermediate_values == {2: 0.5}
    assert sweep.trials[second].user_attrs["reason"] == "the worker died"


def test_a_library_that_no_worker_can_import_ends_the_sweep_and_fails_no_trial(opened: Opener) -> None:
    sweep = opened()
    numbers = sweep.start(), sweep.start()
    for number in numbers:
        sweep.driver.crash(
            number, "Traceback\nunstuck.records.errors.LibraryError: it must fit, got none; install it\n"
        )
    assert isinstance(sweep.driver.failure, LibraryError)
    assert str(sweep.driver.failure).startswith("it must fit, got none; install it, then resume=")
    assert sweep.driver.propose() is None
    assert [sweep.trials[number].state for number in numbers] == [TrialState.RUNNING] * 2  # a resume goes on with them
    assert {sweep.runs[number].data.tags["outcome"] for number in numbers} == {"interrupted"}


def test_no_password_reaches_a_worker_or_comes_back_from_one(opened: Opener) -> None:
    url = "postgresql://me:s3cret@db/runs"
    sweep = opened(tracking=TrackingConfig(mlflow_url=url, optuna_url=url))
    assignment = sweep.driver.propose()
    assert assignment is not None
    assert "s3cret" not in repr(assignment)
    assert assignment.config.ppo == LR.apply(sweep.config, {"ppo.lr": assignment.config.ppo.lr}).ppo
    sweep.driver.crash(assignment.number, f"Traceback\nOSError: cannot reach {url}\n")
    attributes = sweep.trials[0].user_attrs
    assert attributes["traceback"] == "Traceback\nOSError: cannot reach postgresql://***@db/runs\n"
    assert attributes["reason"] == "OSError: cannot reach postgresql://***@db/runs"
    run = sweep.runs[0]
    artifact = sweep.client.download_artifacts(run.info.run_id, "config.yaml")
    assert "postgresql://***@db/runs" in Path(artifact).read_text()
    assert "s3cret" not in Path(artifact).read_text() + repr(run)


def in_force(records: Sequence[Record], **settings: float) -> list[Record]:
    """The records, the first of which says what was read back."""
    learner = dataclasses.asdict(PPOConfig()) | settings
    names = ("lr", "adam_eps", "gamma", "gae_lambda", "clip_range", "entropy_coef", "value_coef", "max_grad_norm")
    first = {**records[0].metrics, **{metrics.effective_metric(name): learner[name] for name in names}}
    return [dataclasses.replace(records[0], metrics=first), *records[1:]]


def test_what_is_in_force_is_what_was_recorded(opened: Opener) -> None:
    sweep = opened(tracker=NullTracker())
    assignment = sweep.driver.propose()
    assert assignment is not None
    number, lr = assignment.number, assignment.config.ppo.lr
    assert sweep.receive(number, in_force(period(2, [0.5, 0.5]), lr=float(np.float32(lr)))) is None
    assert sweep.receive(number, in_force(period(4, [0.5, 0.5]), lr=lr)) is None  # another worker went on


def test_a_planted_mismatch_crashes_the_trial_at_once_and_says_why(opened: Opener) -> None:
    sweep = opened()
    number = sweep.start()
    assert sweep.receive(number, period(2, [0.5, 0.5])) is None
    verdict = sweep.receive(number, in_force(period(4, [0.9, 0.9]), lr=3e-2))  # as a restore would bring it back
    assert verdict is not None
    assert verdict.outcome is Outcome.CRASHED
    assert re.match(r"ppo\.lr in force must be \S+, as recorded, got 0\.03 at iteration 3: what was", verdict.reason)
    trial, run = sweep.trials[number], sweep.runs[number]
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["reason"] == run.data.tags["reason"] == verdict.reason
    assert (run.info.status, run.data.tags["outcome"]) == ("FAILED", "crashed")
    assert run.data.tags["in_force.lr"] == "0.03"


def test_notes_are_tags_in_both_stores(opened: Opener) -> None:
    sweep = opened()
    number = sweep.start()
    notes = {"resumed_from": "2", "resumed_exactly": "false"}
    sweep.driver.judge(number, period(2, [0.5, 0.5]), notes)
    sweep.driver.judge(number, period(4, [0.5, 0.5]), {"checkpoint": "not saved at iteration 4: disk full"})
    trial, tags = sweep.trials[number], sweep.runs[number].data.tags
    for name, text in {**notes, "checkpoint": "not saved at iteration 4: disk full"}.items():
        assert trial.user_attrs[name] == tags[name] == text


def test_a_disk_that_stays_full_ends_the_sweep_and_no_trial(opened: Opener) -> None:
    sweep = opened()
    number = sweep.start()
    sweep.driver.judge(number, period(2, [0.5, 0.5]))
    assert sweep.driver.judge(number, [], {"disk_full": "runs/tiny must have room for checkpoints"}) is None
    assert isinstance(sweep.driver.failure, LedgerError)
    assert str(sweep.driver.failure) == "runs/tiny must have room for checkpoints"
    sweep.driver.interrupt(str(sweep.driver.failure))
    assert sweep.trials[number].user_attrs["outcome"] == "interrupted"
    assert sweep.trials[number].intermediate_values == {2: 0.5}


def test_interrupting_leaves_all_that_run_to_a_resume(opened: Opener) -> None:
    sweep = opened()
    early, late = sweep.start(), sweep.start()
    sweep.receive(late, period(2, [0.5, 0.5]))
    assert not sweep.driver.is_finished
    sweep.driver.interrupt("stopped by the user")
    assert not sweep.driver.is_finished  # trials were left to propose
    for number, curve in ((early, {}), (late, {2: 0.5})):
        trial, run = sweep.trials[number], sweep.runs[number]
        assert trial.state == TrialState.RUNNING
        assert trial.intermediate_values == curve == dict(sweep.history(number, "eval/f1"))
        assert trial.user_attrs["reason"] == run.data.tags["reason"] == "stopped by the user"
        assert (run.info.status, run.data.tags["outcome"]) == ("KILLED", "interrupted")


def test_a_ledger_that_fails_leaves_no_trial_without_its_run(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = opened()
    annotate = Ledger.annotate

    def fail_where_run_is_kept(ledger: Ledger, number: int, attributes: Mapping[str, Any]) -> None:
        if MLFLOW_RUN in attributes:
            raise LedgerError("the database is locked")
        annotate(ledger, number, attributes)

    numbers = [sweep.start() for _ in range(3)]
    monkeypatch.setattr(Ledger, "annotate", fail_where_run_is_kept)
    sweep.driver.follow_up()
    assert isinstance(sweep.driver.failure, LedgerError)
    assert sorted(sweep.runs) == numbers
    sweep.driver.interrupt("the database is locked")
    assert [sweep.runs[number].data.tags["outcome"] for number in numbers] == ["interrupted"] * 3
    assert "must be started" not in sweep.printed.getvalue()


@dataclass
class Witness(NullTracker):
    """Notes what the study holds at the moment that each thing is tracked."""

    folder: Path
    name: str
    seen: list[tuple[str, FrozenTrial]] = field(default_factory=list)

    def _note(self, event: str, number: int) -> None:
        self.seen.append((event, study(self.folder, self.name).trials[number]))

    def start_trial(
        self, number: int, searched: Mapping[str, Any], fixed: Mapping[str, Any], tags: Mapping[str, str], yaml: str
    ) -> str:
        self._note("start", number)
        return "a run"

    def log(self, number: int, records: Sequence[Record]) -> None:
        self._note(f"log {len(records)}", number)

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        self._note("end", number)


def test_the_ledger_is_written_before_the_tracker(opened: Opener) -> None:
    witness = Witness(opened.folder, opened.name)
    sweep = opened(
        tracker=witness,
        iterations=8,
        scheduler=SchedulerConfig(grace_iterations=2, reduction_factor=2, spared_share=0),
    )
    levels = {2: 0.5, 4: 0.75, 6: 0.75, 8: 0.75}
    sweep.receive(sweep.start(), *(period(last, [level, level]) for last, level in levels.items()))
    assert [event for event, _ in witness.seen] == ["start", *["log 2"] * 4, "end"]
    started, logged, *_, logged_last, ended = (trial for _, trial in witness.seen)
    assert started.state == logged.state == TrialState.RUNNING
    assert started.user_attrs["values"] == started.params
    assert logged.user_attrs["mlflow_run"] == "a run"
    assert logged.intermediate_values == {2: 0.5}
    assert [entry["iteration"] for entry in logged.user_attrs["rungs"]] == [2]
    # Optuna takes nothing for a trial that has ended, so what is here was written before the `tell`.
    assert logged_last == ended
    assert ended.state == TrialState.COMPLETE
    assert ended.intermediate_values == levels
    assert {"outcome", "reason", "summary", "rungs", "values"} <= ended.user_attrs.keys()
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError, match="can not be updated"):
        study(sweep.folder, sweep.name)._storage.set_trial_user_attr(ended._trial_id, "late", 1)


class Broken(NullTracker):
    """A store that is gone: every write fails, and each has its own message."""

    def start_trial(
        self, number: int, searched: Mapping[str, Any], fixed: Mapping[str, Any], tags: Mapping[str, str], yaml: str
    ) -> str:
        raise TrackingError(f"cannot start trial {number}: no store")

    def log(self, number: int, records: Sequence[Record]) -> None:
        raise TrackingError(f"cannot log trial {number}: no store")

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        raise TrackingError(f"cannot end trial {number}: no store")


def test_a_tracker_that_fails_stops_nothing_and_is_told_once(opened: Opener) -> None:
    sweep = opened(MINIBATCH, Broken(), num_trials=2)
    one, other = sweep.start(), sweep.start()
    sweep.receive(one, period(2, [0.5, 0.5]), period(4, [0.5, 0.5]), period(6, [0.5, 0.5]))
    sweep.driver.crash(other, "RuntimeError: gone")
    outcomes = {trial.user_attrs["outcome"] for trial in sweep.trials}
    assert outcomes == {"infeasible", "completed", "crashed"}
    assert all("mlflow_run" not in trial.user_attrs for trial in sweep.trials)
    warnings = [line for line in sweep.printed.getvalue().splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert "cannot start trial 0: no store; the sweep goes on" in warnings[0]
