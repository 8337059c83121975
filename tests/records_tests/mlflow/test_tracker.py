"""Against real SQLite stores, read back as a user of MLflow would."""

import contextlib
import io
import math
import shutil
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from unstuck.records.errors import TrackingError
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.score import summarize
from unstuck.records.tracker import SweepHeader, Tracker
from unstuck.sweeps.config.settings import TrackingConfig
from unstuck.sweeps.mirror import make_tracker

# The first test waits for the tables to be made (2 s), which is no fault of its own.

ROOT = Path(__file__).parents[3]
START_MS = 1_700_000_000_000
DONE = Verdict(Outcome.COMPLETED, "reached iteration 40")
STATUSES = {
    Outcome.COMPLETED: "FINISHED",
    Outcome.PRUNED: "FINISHED",
    Outcome.STUCK: "FINISHED",
    Outcome.DIVERGED: "FAILED",
    Outcome.INTERRUPTED: "KILLED",
    Outcome.INFEASIBLE: "FAILED",
    Outcome.CRASHED: "FAILED",
}


@dataclass(frozen=True)
class Store:
    folder: Path
    printed: str  # on stderr, while the tables were made

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    def tracker(self, sweep: str) -> Tracker:
        tracker = make_tracker(TrackingConfig(), self.folder)
        tracker.start_sweep(
            SweepHeader(sweep, sweep, 3, "eval/f1", "max"), "ppo:\n  lr: 0.001\n", {"git.dirty": "false"}
        )
        return tracker

    def parents(self, sweep: str) -> list[Run]:
        return list(self.client.search_runs(self.experiments, f"attributes.run_name = '{sweep}'"))

    def children(self, sweep: str) -> list[Run]:
        (parent,) = self.parents(sweep)
        return list(
            self.client.search_runs(
                self.experiments,
                f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
                order_by=["attributes.run_name ASC"],
            )
        )

    @property
    def experiments(self) -> list[str]:
        experiment = self.client.get_experiment_by_name("unstuck")
        assert experiment is not None
        return [experiment.experiment_id]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store") / "runs"
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        make_tracker(TrackingConfig(), folder).start_sweep(SweepHeader("first", "first", 3, "eval/f1", "max"), "", {})
    return Store(folder, printed.getvalue())


@pytest.fixture
def sweep(request: pytest.FixtureRequest) -> str:
    """A name of each test's own in the shared store."""
    return str(request.node.name).replace("[", "-").replace("]", "").removeprefix("test_")


@pytest.fixture
def tracker(store: Store, sweep: str) -> Tracker:
    return store.tracker(sweep)


def start(tracker: Tracker, number: int = 0, **changes: Any) -> str:
    arguments: dict[str, Any] = {"searched": {}, "fixed": {"ppo.gamma": 0.99}, "tags": {"seeds": "4"}}
    return tracker.start_trial(number, **{**arguments, "config_yaml": f"trial: {number}\n", **changes})


def records(first: int, last: int) -> list[Record]:
    """Iterations `first` to `last`: F1 rises by 0.01 each, the value loss is evaluated at even ones only."""
    return [
        Record(i, START_MS + 250 * i, {"eval/f1": i / 100, **({"train/value_loss": 1 / i} if i % 2 == 0 else {})})
        for i in range(first, last + 1)
    ]


def points(history: Sequence[Metric]) -> list[tuple[int, int, float]]:
    return [(point.step, point.timestamp, point.value) for point in history]


def test_making_the_tables_prints_nothing(store: Store) -> None:
    assert (store.folder / "mlflow.db").stat().st_size > 0
    assert store.printed == ""


KILLED_MIDWAY = """
import os, signal, sys
from pathlib import Path
import sqlalchemy
from mlflow.store.tracking import sqlalchemy_store
from unstuck.records.tracker import SweepHeader
from unstuck.sweeps.config.settings import TrackingConfig
from unstuck.sweeps.mirror import make_tracker
folder, made, fsync = Path(sys.argv[1]), [], os.fsync
def commit(connection):
    made.append(connection)
    if len(made) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
def sync(descriptor):
    fsync(descriptor)
    os.kill(os.getpid(), signal.SIGKILL)
for moment in ("a commit", "before the rename"):
    child = os.fork()
    if not child:
        if moment == "a commit":
            sqlalchemy.event.listen(sqlalchemy.Engine, "commit", commit)
        else:
            os.fsync = sync
        make_tracker(TrackingConfig(), folder).start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "", {})
    killed = os.WTERMSIG(os.waitpid(child, 0)[1])
    print(f"{moment}: {killed}, {(folder / 'mlflow.db').exists()}, {(folder / 'mlflow.db.tmp').exists()}", flush=True)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("mlflow_makes_its_tables")
def test_tables_that_a_kill_left_half_made_are_made_anew(tmp_path: Path) -> None:
    """A database that was written without waiting for the disk gets its name once all of it is there."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_MIDWAY, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert killed.stdout.splitlines() == ["a commit: 9, False, True", "before the rename: 9, False, True"]
    make_tracker(TrackingConfig(), tmp_path).start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "", {})
    assert [path.name for path in tmp_path.glob("mlflow.db*")] == ["mlflow.db"]


def test_one_parent_and_one_child_a_trial(store: Store, tracker: Tracker, sweep: str) -> None:
    control = start(tracker, 0)
    other = start(tracker, 7, searched={"ppo.lr": 3e-4, "ppo.clip": 0.2})
    (parent,) = store.parents(sweep)
    assert parent.info.status == "RUNNING"
    assert parent.data.tags["sweep"] == sweep
    assert parent.data.tags["git.dirty"] == "false"
    children = store.children(sweep)
    assert [run.info.run_id for run in children] == [control, other]
    assert [run.info.run_name for run in children] == [f"{sweep}/0000", f"{sweep}/0007"]
    tags = children[1].data.tags
    assert (tags["sweep"], tags["trial"], tags["seeds"], tags["searched"]) == (sweep, "7", "4", "ppo.lr, ppo.clip")
    assert children[0].data.tags["searched"] == ""


def test_params_are_the_whole_configuration_by_dotted_path(store: Store, tracker: Tracker) -> None:
    fixed = {"ppo": {"lr": 1e-3, "gamma": 0.99, "hidden": [64, 64]}, "env.id": "CartPole-v1", "env.kwargs": {}}
    run = start(tracker, searched={"ppo.lr": 3e-4}, fixed=fixed)
    assert store.client.get_run(run).data.params == {
        "ppo.lr": "0.0003",
        "ppo.gamma": "0.99",
        "ppo.hidden": "[64, 64]",
        "env.id": "CartPole-v1",
        "env.kwargs": "{}",
    }


def test_history_has_every_step_once_with_its_own_time(store: Store, tracker: Tracker) -> None:
    run = start(tracker)
    tracker.log(0, records(1, 20))
    tracker.log(0, records(21, 40))
    f1 = [(i, START_MS + 250 * i, i / 100) for i in range(1, 41)]
    value_loss = [(i, START_MS + 250 * i, 1 / i) for i in range(2, 41, 2)]
    assert points(store.client.get_metric_history(run, "progress/f1")) == f1
    assert points(store.client.get_metric_history(run, "progress/value_loss")) == value_loss
    tracker.log(0, records(11, 41))  # what a resume does: part of it is there already
    assert points(store.client.get_metric_history(run, "progress/f1")) == [*f1, (41, START_MS + 250 * 41, 0.41)]
    assert points(store.client.get_metric_history(run, "progress/value_loss")) == value_loss


def test_a_last_point_that_is_not_finite_can_be_seen(store: Store, tracker: Tracker) -> None:
    run = start(tracker)
    diverged = [
        Record(1, START_MS, {"loss": 0.5, "up": math.inf, "down": -math.inf}),
        Record(2, START_MS + 1, {"loss": math.nan}),
    ]
    tracker.log(0, diverged)
    tracker.log(0, diverged)
    first, last = store.client.get_metric_history(run, "rules/loss")
    assert first.value == 0.5
    assert math.isnan(last.value)
    assert math.isnan(store.client.get_run(run).data.metrics["rules/loss"])
    assert [point.value for point in store.client.get_metric_history(run, "rules/up")] == [sys.float_info.max]
    assert [point.value for point in store.client.get_metric_history(run, "rules/down")] == [-sys.float_info.max]


def test_batches_keep_to_the_limits_and_lose_nothing(
    store: Store, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    log_batch = MlflowClient.log_batch

    def counted(self: MlflowClient, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        sizes.append((len(metrics), len(params)))
        log_batch(self, run_id, metrics, params, tags)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    monkeypatch.setattr("unstuck.records.mlflow.client.insert_metrics", lambda *_: False)  # as for a server
    run = start(tracker, fixed={f"env.kwargs.k{i}": i for i in range(250)})
    tracker.log(0, [Record(i, START_MS + i, {f"m{k}": float(k) for k in range(700)}) for i in (1, 2, 3)])
    assert sizes == [(0, 100), (0, 100), (0, 50), (1000, 0), (1000, 0), (100, 0)]
    data = store.client.get_run(run).data
    assert len(data.params) == 250
    assert len(data.metrics) == 700
    assert [point.step for point in store.client.get_metric_history(run, "rules/m650")] == [1, 2, 3]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_its_status(store: Store, tracker: Tracker, outcome: Outcome) -> None:
    run = start(tracker)
    tracker.end_trial(0, Verdict(outcome, "asha rung 2: 0.31 < 0.44"), {})
    ended = store.client.get_run(run)
    assert ended.info.status == STATUSES[outcome]
    assert ended.info.end_time is not None
    assert ended.data.tags["outcome"] == outcome.value
    assert ended.data.tags["reason"] == "asha rung 2: 0.31 < 0.44"


def test_summary_stands_once_at_the_last_iteration(store: Store, tracker: Tracker) -> None:
    run = start(tracker)
    tracker.log(0, records(1, 40))
    tracker.log(0, records(5, 8))  # written again: not the last
    tracker.end_trial(0, DONE, {"final/f1": 0.39})
    tracker.end_trial(0, DONE, {"final/f1": 0.39})
    assert points(store.client.get_metric_history(run, "rules/final.f1")) == [(40, START_MS + 250 * 40, 0.39)]


def test_a_trial_without_a_record_still_keeps_its_summary_once(store: Store, tracker: Tracker) -> None:
    run = start(tracker)
    tracker.end_trial(0, Verdict(Outcome.CRASHED, "worker died"), {"hours": 0.5})
    tracker.end_trial(0, Verdict(Outcome.CRASHED, "worker died"), {"hours": 0.5})
    (point,) = store.client.get_metric_history(run, "rules/hours")
    assert (point.step, point.value) == (0, 0.5)


def score(step: int, *f1: float, lr: float | None = None) -> Record:
    """An evaluation with the F1 of each member."""
    members = {f"eval/f1/seed_{member}": value for member, value in enumerate(f1)}
    in_force = {} if lr is None else {"effective/lr": lr}
    return Record(step, START_MS + step, {"eval/f1": sum(f1) / len(f1), **members, **in_force})


def test_the_objective_ends_with_the_value_of_the_trial_and_goes_on_after_a_resume(
    store: Store, tracker: Tracker, sweep: str
) -> None:
    run = start(tracker)
    evaluations = [score(2, 0.1, 0.3, lr=0.5), score(4, 0.2, 0.4), score(6, 0.6, 1.0)]
    tracker.log(0, evaluations)
    tracker.end_trial(0, Verdict(Outcome.INTERRUPTED, "stopped by the user"), {})
    later = store.tracker(sweep)
    start(later)
    evaluations.append(score(8, 0.7, 0.7, lr=0.25))
    later.log(0, evaluations)
    summary = {**summarize([one.metrics for one in evaluations], "eval/f1", 2), "final/iterations": 8.0}
    later.end_trial(0, Verdict(Outcome.PRUNED, "asha rung 2: 0.6 < 0.7"), summary)
    ended = store.client.get_run(run)
    # Means of the last three: of 0.2; 0.2, 0.3; 0.2, 0.3, 0.8; 0.3, 0.8, 0.7.
    values = [(2, 0.2), (4, 0.25), (6, pytest.approx(1.3 / 3)), (8, pytest.approx(0.6))]
    history = store.client.get_metric_history(run, "objective/value")
    assert sorted((point.step, point.value) for point in history) == values
    spreads = store.client.get_metric_history(run, "objective/value_spread")
    assert spreads[-1].value == pytest.approx(math.sqrt(0.02))
    assert [point.step for point in spreads] == [2, 4, 6, 8]
    assert ended.data.tags["in_force.lr"] == "0.25"
    assert ended.data.tags["iterations"] == "8"
    assert ended.info.run_name == f"{sweep}/0000 pruned"
    assert not [name for name in ended.data.metrics if name.startswith(("effective", "final", "rules/final"))]
    start(store.tracker(sweep))
    reopened = store.client.get_run(run)
    assert reopened.info.run_name == f"{sweep}/0000"
    assert "iterations" not in reopened.data.tags


def test_a_sweep_begun_before_keeps_its_names_and_statuses(store: Store, sweep: str) -> None:
    tracker = make_tracker(TrackingConfig(), store.folder)
    tracker.start_sweep(SweepHeader(sweep, sweep, 2, "eval/f1", "max"), "", {})
    run = start(tracker)
    tracker.log(0, [score(2, 0.1, 0.3, lr=0.5)])
    tracker.end_trial(0, Verdict(Outcome.PRUNED, "asha rung 1: 0.2 < 0.7"), {"final/value": 0.2})
    ended = store.client.get_run(run)
    assert (ended.info.status, ended.info.run_name) == ("KILLED", f"{sweep}/0000")
    assert ended.data.metrics.keys() == {
        *("eval/f1", "eval/f1/seed_0", "eval/f1/seed_1", "effective/lr", "final/value"),
    }


def test_the_control_is_named_as_such(store: Store, tracker: Tracker, sweep: str) -> None:
    run = start(tracker, tags={"control": "true"})
    assert store.client.get_run(run).info.run_name == f"{sweep}/0000 control"


def test_tag_trial_adds_and_replaces(store: Store, tracker: Tracker) -> None:
    run = start(tracker)
    tracker.tag_trial(0, {"branch_of": "3", "seeds": "8"})
    tags = store.client.get_run(run).data.tags
    assert (tags["branch_of"], tags["seeds"], tags["trial"]) == ("3", "8", "0")


def test_a_started_trial_is_reopened_not_made_twice(store: Store, tracker: Tracker, sweep: str) -> None:
    run = start(tracker, 3, searched={"ppo.lr": 0.1})
    tracker.end_trial(3, Verdict(Outcome.INTERRUPTED, "time budget"), {})
    assert start(tracker, 3, searched={"ppo.lr": 0.1}) == run
    (reopened,) = store.children(sweep)
    assert reopened.info.status == "RUNNING"
    assert not {"outcome", "reason"} & reopened.data.tags.keys()
    with pytest.raises(TrackingError, match=r"cannot start trial 3 in MLflow.*Changing param values is not allowed"):
        start(tracker, 3, searched={"ppo.lr": 0.2})


def test_a_later_call_continues_the_same_runs(store: Store, tracker: Tracker, sweep: str) -> None:
    runs = [start(tracker, number) for number in range(3)]
    tracker.log(2, records(1, 20))
    tracker.end_trial(2, Verdict(Outcome.INTERRUPTED, "the driver died"), {})
    tracker.end_sweep(Outcome.INTERRUPTED, {})
    (parent,) = store.parents(sweep)
    assert parent.info.status == "KILLED"

    later = store.tracker(sweep)
    assert [start(later, number) for number in range(3)] == runs
    new = start(later, 3)
    later.log(2, records(1, 40))
    (reopened,) = store.parents(sweep)
    assert (reopened.info.run_id, reopened.info.status) == (parent.info.run_id, "RUNNING")
    assert "outcome" not in reopened.data.tags
    assert [run.info.run_id for run in store.children(sweep)] == [*runs, new]
    assert [p.step for p in store.client.get_metric_history(runs[2], "progress/f1")] == list(range(1, 41))


def test_a_sweep_does_not_take_the_runs_of_another(store: Store, tracker: Tracker, sweep: str) -> None:
    other = store.tracker(f"{sweep}-2")
    assert start(tracker, 0) != start(other, 0)
    assert len(store.children(sweep)) == len(store.children(f"{sweep}-2")) == 1


def test_what_the_user_deleted_is_not_written_to(store: Store, tracker: Tracker, sweep: str) -> None:
    gone = start(tracker, 0)
    store.client.delete_run(gone)
    with pytest.raises(TrackingError, match="cannot log trial 0 in MLflow"):
        tracker.log(0, records(1, 1))
    assert start(store.tracker(sweep), 0) != gone


def test_only_starting_a_sweep_searches(store: Store, sweep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[str] = []
    search_runs = MlflowClient.search_runs

    def counted(self: MlflowClient, ids: list[str], filter_string: str = "", **rest: Any) -> Any:
        searches.append(filter_string)
        return search_runs(self, ids, filter_string, **rest)

    monkeypatch.setattr(MlflowClient, "search_runs", counted)
    tracker = store.tracker(sweep)
    for number in range(3):
        start(tracker, number)
    assert searches == [f"tags.sweep_id = '{sweep}'"]


def test_configurations_and_artifacts_are_kept(store: Store, tracker: Tracker, sweep: str, tmp_path: Path) -> None:
    run = start(tracker)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("<h1>F1</h1>")
    (tmp_path / "sweep.log").write_text("started\n")
    tracker.end_sweep(Outcome.COMPLETED, {"champion": "7"})
    tracker.attach(None, [tmp_path / "report", tmp_path / "sweep.log"], "**Trial 7** won.")
    tracker.attach(0, [tmp_path / "sweep.log"], "Stuck.")
    (parent,) = store.parents(sweep)
    assert parent.info.status == "FINISHED"
    assert (parent.data.tags["outcome"], parent.data.tags["champion"]) == ("completed", "7")
    kept = store.folder / "mlflow-artifacts" / parent.info.run_id / "artifacts"
    assert (kept / "config.yaml").read_text() == "ppo:\n  lr: 0.001\n"
    assert (kept / "report" / "report" / "index.html").read_text() == "<h1>F1</h1>"
    assert (kept / "report" / "sweep.log").read_text() == "started\n"
    note, links = parent.data.tags["mlflow.note.content"].split("\n\n")
    assert note == "**Trial 7** won."
    assert links.count("](./#/experiments/") == 2
    assert store.client.get_run(run).data.tags["mlflow.note.content"] == "Stuck."
    assert (kept.parents[1] / run / "artifacts" / "config.yaml").read_text() == "trial: 0\n"
    assert [file.path for file in store.client.list_artifacts(run)] == ["config.yaml", "report"]


def test_a_missing_artifact_is_a_tracking_error(tracker: Tracker, sweep: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=f"cannot attach a report to {sweep} in MLflow: FileNotFoundError"):
        tracker.attach(None, [tmp_path / "none.html"], "")


def test_long_texts_are_cut_not_refused(store: Store, tracker: Tracker) -> None:
    run = start(tracker, fixed={"data.path": "p" * 7000})
    tracker.end_trial(0, Verdict(Outcome.CRASHED, "t" * 9000), {})
    data = store.client.get_run(run).data
    assert data.params["data.path"] == "p" * 5999 + "…"
    assert data.tags["reason"] == "t" * 7999 + "…"


def test_no_password_reaches_the_store(store: Store, sweep: str) -> None:
    url = f"postgresql://me:hunter-{'2' * 8}@db/runs"  # in pieces, so that no file of the tests holds it whole
    password = "hunter-" + "2" * 8
    tracker = make_tracker(TrackingConfig(), store.folder)
    tracker.start_sweep(
        SweepHeader(sweep, sweep, 3, "eval/f1", "max"), f"tracking:\n  mlflow_url: {url}\n", {"url": url}
    )
    run = start(tracker, fixed={"tracking.mlflow_url": url}, tags={"url": url}, config_yaml=f"u: {url}\n")
    tracker.tag_trial(0, {"other": url})
    tracker.end_trial(0, Verdict(Outcome.CRASHED, f"cannot reach {url}"), {})
    tracker.end_sweep(Outcome.CRASHED, {"why": url})
    assert store.client.get_run(run).data.tags["reason"] == "cannot reach postgresql://***@db/runs"
    written = [file for file in store.folder.rglob("*") if file.is_file()]
    assert any(b"postgresql://***@db/runs" in file.read_bytes() for file in written)
    assert not [file for file in written if password.encode() in file.read_bytes()]


def test_a_store_that_fails_midway_is_one_quiet_error(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(store.folder / "mlflow.db", tmp_path / "mlflow.db")
    tracker = make_tracker(TrackingConfig(), tmp_path)
    tracker.start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "", {})
    start(tracker)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("DROP TABLE metrics")
    with pytest.raises(
        TrackingError, match=r"cannot log trial 0 in MLflow: OperationalError: no such table: metrics; check"
    ) as e:
        tracker.log(0, records(1, 1))
    assert "site-packages" not in "".join(traceback.format_exception(e.value))
    assert capfd.readouterr().err == ""


def test_a_deleted_experiment_says_how_to_restore_it(store: Store) -> None:
    tracker = make_tracker(TrackingConfig(mlflow_experiment="gone"), store.folder)
    tracker.start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "", {})
    experiment = store.client.get_experiment_by_name("gone")
    assert experiment is not None
    store.client.delete_experiment(experiment.experiment_id)
    with pytest.raises(
        TrackingError, match=f"`MLFLOW_TRACKING_URI=\\S+ mlflow experiments restore -x {experiment.experiment_id}`"
    ):
        tracker.start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "", {})


def test_order_of_calls_is_told(store: Store, tracker: Tracker) -> None:
    with pytest.raises(TrackingError, match="trial 5 must be started before it is written"):
        tracker.log(5, records(1, 1))
    with pytest.raises(TrackingError, match="needs a started sweep"):
        start(make_tracker(TrackingConfig(), store.folder))


def test_the_default_store_does_not_depend_on_where_one_stands(
    store: Store, sweep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.folder.parent)
    tracker = make_tracker(TrackingConfig(), Path("runs"))
    monkeypatch.chdir(tmp_path)
    tracker.start_sweep(SweepHeader(sweep, sweep, 3, "eval/f1", "max"), "", {})
    assert len(store.parents(sweep)) == 1
    assert list(tmp_path.iterdir()) == []
