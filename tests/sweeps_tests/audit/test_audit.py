"""Against a real study, a real MLflow database and real checkpoints, by the command that a user types."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from unstuck.records.files import checkpoint_file, config_file
from unstuck.records.ledger import Ledger
from unstuck.records.lock import hold_lock
from unstuck.records.measurement import Record
from unstuck.records.mlflow.names import to_mlflow
from unstuck.records.names import ID, VALUES
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import Tracker
from unstuck.rl import checkpoint, metrics
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.__main__ import main
from unstuck.sweeps.audit.audit import audit_sweep
from unstuck.sweeps.config.find import find_sweep, load_sweep
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig
from unstuck.sweeps.mirror import describe_sweep, make_tracker
from unstuck.sweeps.search.kinds import Log
from unstuck.sweeps.search.sampler import create_ledger, reopen_ledger
from unstuck.sweeps.search.space import Space

# The first test waits for the tables to be made (4 s), which is no fault of its own.

START_MS = 1_700_000_000_000
SPACE = Space({"ppo.lr": Log(1e-5, 1e-2)})
PPO = PPOConfig(num_envs=1, num_steps=16, minibatch_size=16, hidden_sizes=(4,), num_iterations=4, eval_every=2)
CARTPOLE = EnvConfig(id="CartPole-v1")


def records(number: int) -> list[Record]:
    """Four iterations, evaluated at every second."""
    return [
        Record(
            step,
            START_MS + step,
            {metrics.VALUE_LOSS: 1 / step} | ({metrics.EVAL_RETURN: 10.0 * step + number} if step % 2 == 0 else {}),
        )
        for step in range(1, 5)
    ]


def write(config: SweepConfig, ledger: Ledger, tracker: Tracker, learner: Learner, verdict: Verdict | None) -> int:
    """Runs a trial of four iterations as the driver does; without a verdict it is left open, as by kill -9."""
    number, raw = ledger.ask(SPACE.distributions())
    values = SPACE.decode(raw)
    ledger.annotate(number, {VALUES: values})
    file = checkpoint_file(config.own_folder, number)
    file.parent.mkdir(parents=True)
    checkpoint.save(file, learner, [record.to_json() for record in records(number)])
    tracker.start_trial(number, values, {"ppo": {"gamma": 0.99}}, {}, "")
    for record in records(number):
        if metrics.EVAL_RETURN in record.metrics:
            ledger.report(number, record.iteration, record.metrics[metrics.EVAL_RETURN])
    if verdict:
        summary = {metrics.FINAL_ITERATIONS: 4.0}
        ledger.finish(number, verdict, 30.0 if verdict.outcome is Outcome.COMPLETED else None, summary)
    tracker.log(number, records(number))
    if verdict:
        tracker.end_trial(number, verdict, summary)
    return number


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one sweep, `whole`: completed, pruned, open; its own run still goes, as after kill -9."""
    folder = tmp_path_factory.mktemp("stores") / "runs"
    study = StudyConfig(name="whole", metric=metrics.EVAL_RETURN, seeds=1, folder=str(folder))
    config = SweepConfig(sweep=study, ppo=PPO, env=CARTPOLE, space={"ppo": {"lr": {"log": [1e-5, 1e-2]}}}, id="whole")
    config.own_folder.mkdir(parents=True)
    config_file(config.own_folder).write_text(to_yaml(config))
    ledger = create_ledger(f"sqlite:///{folder}/optuna.db", study, config.sampler, {ID: "whole"})
    tracker = make_tracker(config.tracking, folder)
    tracker.start_sweep(describe_sweep(config), to_yaml(config), {"git.commit": "0123abc"})
    learner = make_learner(PPO, CARTPOLE, make_member_seeds(0, 1), make_evaluation_seed(0))
    for verdict in (Verdict(Outcome.COMPLETED, "reached iteration 4"), Verdict(Outcome.PRUNED, "asha rung 1"), None):
        write(config, ledger, tracker, learner, verdict)
    return folder


@pytest.fixture
def folder(stores: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return Path(shutil.copytree(stores, tmp_path / "runs"))


def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def run_of(folder: Path, number: int) -> str:
    experiment = client(folder).get_experiment_by_name("unstuck")
    assert experiment is not None
    (run,) = client(folder).search_runs([experiment.experiment_id], f"tags.trial = '{number}'")
    return str(run.info.run_id)


def test_whole_records_agree_and_the_open_trial_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "whole", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "trial 2: at iteration 4, open; resume=whole goes on with it",
        "whole: 3 trials (1 completed, 1 pruned, 1 open): the ledger, MLflow and the checkpoints agree",
    ]


def test_json_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(folder / "whole"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "schema": 1,
        "sweep": "whole",
        "trials": 3,
        "open": [2],
        "findings": [],
    }


def _second_run(folder: Path) -> None:
    first = client(folder).get_run(run_of(folder, 1))
    client(folder).create_run(first.info.experiment_id, tags=dict(first.data.tags))


def _delete_run(folder: Path) -> None:
    client(folder).delete_run(run_of(folder, 0))


def _delete_database(folder: Path) -> None:
    (folder / "mlflow.db").unlink()


def _finish_open(folder: Path) -> None:
    client(folder).set_terminated(run_of(folder, 2), "FINISHED")


def _retag(folder: Path) -> None:
    client(folder).set_tag(run_of(folder, 1), "reason", "asha rung 2")


def _repeat_step(folder: Path) -> None:
    client(folder).log_batch(run_of(folder, 0), [Metric(to_mlflow(metrics.VALUE_LOSS), 0.5, START_MS + 99, 2)])


def _cut_checkpoint(folder: Path) -> None:
    file = folder / "whole/trials/0002/checkpoint.npz"
    file.write_bytes(file.read_bytes()[:-50])


def _forget_trial(folder: Path) -> None:
    """As if the ledger had come back from a copy made before the last trial."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/optuna.db")
    study = optuna.load_study(study_name="whole", storage=storage)
    trials = study.trials[:2]
    optuna.delete_study(study_name="whole", storage=storage)
    again = optuna.create_study(study_name="whole", storage=storage, direction="maximize")
    again.set_user_attr(ID, "whole")
    again.add_trials(trials)


DAMAGE: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "run there twice": (_second_run, ["trial 1: duplicate: MLflow has 2 runs of it: "]),
    "run deleted": (_delete_run, ["trial 0: lost: MLflow has no run of it, the ledger says completed"]),
    "mlflow.db gone": (
        _delete_database,
        ["sweep: lost: MLflow has no run", "trial 0: lost: MLflow has no run", "trial 1: lost: MLflow has no run"],
    ),
    "open trial finished by hand": (
        _finish_open,
        ["trial 2: disagreement: MLflow says FINISHED, outcome none; in the ledger it is open"],
    ),
    "reason": (_retag, ["trial 1: disagreement: MLflow's reason is 'asha rung 2', the ledger's 'asha rung 1'"]),
    "step twice": (_repeat_step, ["trial 0: curve: MLflow's train/value_loss has iteration 2 more than once"]),
    "checkpoint cut short": (_cut_checkpoint, ["trial 2: lost: its checkpoint cannot be read"]),
    "ledger from an older copy": (
        _forget_trial,
        ["trial 2: lost: MLflow has run", "trial 2: lost: there is a folder trials/0002, the ledger has no such trial"],
    ),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_named_and_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], said: list[str]
) -> None:
    damage(folder)
    assert main(["audit", "whole", "--folder", str(folder)]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    found = [line for line in lines if "goes on with it" not in line]
    assert len(found) == len(said), found
    for line, text in zip(found, said, strict=True):
        assert line.startswith(text)
    assert last.endswith(f"{len(said)} differences" if len(said) > 1 else "1 difference")


MENDABLE = (
    ("run deleted", "run there twice", "open trial finished by hand"),
    ("step twice", "reason"),
    ("mlflow.db gone",),
)
"""Damage to trials 0, 1 and 2, each by itself, and to all."""


def points(folder: Path, number: int, name: str) -> list[tuple[int, float, int]]:
    history = client(folder).get_metric_history(run_of(folder, number), to_mlflow(name))
    return [(point.step, point.value, point.timestamp) for point in history]


@pytest.mark.slow  # a database that is gone is made again
@pytest.mark.parametrize("damages", MENDABLE, ids=", ".join)
def test_mlflow_is_written_again_and_then_agrees(
    folder: Path, capsys: pytest.CaptureFixture[str], damages: tuple[str, ...]
) -> None:
    for name in damages:
        DAMAGE[name][0](folder)
    assert main(["audit", "whole", "--folder", str(folder), "--repair"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("repaired: ")
    assert lines[-1].endswith("the ledger, MLflow and the checkpoints agree")
    for number in range(3):
        run = client(folder).get_run(run_of(folder, number))
        assert run.info.status == ("FINISHED", "FINISHED", "KILLED")[number]
        assert run.data.tags["git.commit"] == "0123abc" if "mlflow.db gone" not in damages else True
        losses = [(record.iteration, 1 / record.iteration, record.timestamp_ms) for record in records(number)]
        assert points(folder, number, metrics.VALUE_LOSS) == losses
    assert main(["audit", "whole", "--folder", str(folder), "--repair"]) == 0
    assert "repaired" not in capsys.readouterr().out  # nothing is left to do


def test_a_run_that_is_only_behind_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [run_of(folder, number) for number in range(3)]
    client(folder).set_terminated(before[1], "FAILED")
    client(folder).delete_tag(before[1], "reason")
    assert main(["audit", "whole", "--folder", str(folder), "--repair"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "repaired: trial 1: MLflow's run completed from its checkpoint, pruned",
        "repaired: trial 2: MLflow's run completed from its checkpoint, interrupted",
        "repaired: the sweep's own run: interrupted",
    ]
    assert [run_of(folder, number) for number in range(3)] == before


def test_without_checkpoints_what_mlflow_has_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _second_run(folder)
    shutil.rmtree(folder / "whole/trials")
    assert main(["audit", "whole", "--folder", str(folder), "--repair"]) == 0
    assert "trial 1: MLflow's run completed from what MLflow had of it, pruned" in capsys.readouterr().out
    assert [step for step, _, _ in points(folder, 1, metrics.VALUE_LOSS)] == [1, 2, 3, 4]


@pytest.mark.slow
def test_what_is_lost_for_good_is_still_named_after_a_repair(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _delete_database(folder)
    shutil.rmtree(folder / "whole/trials")
    assert main(["audit", "whole", "--folder", str(folder), "--repair"]) == 1
    printed = capsys.readouterr().out
    assert "trial 0: MLflow's run written anew from the ledger, which has nothing but its objective" in printed
    assert "trial 0: curve: MLflow's train/value_loss lacks iterations 1, 2, 3, 4 of 4" in printed
    assert points(folder, 0, metrics.EVAL_RETURN)[-1][:2] == (4, 40.0)


def test_a_sweep_that_runs_is_audited_but_not_repaired(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold_lock(folder / "whole"):
        assert main(["audit", "whole", "--folder", str(folder)]) == 0
        assert "trial 2: at iteration 4, running" in capsys.readouterr().out
        assert main(["audit", "whole", "--folder", str(folder), "--repair"]) == 2
        assert "a sweep must be run by one process at a time" in capsys.readouterr().err


def test_a_repair_leaves_the_ledger_and_orphans_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _forget_trial(folder)
    ledger = (folder / "optuna.db").read_bytes()
    assert main(["audit", "whole", "--folder", str(folder), "--repair"]) == 1
    assert "trial 2: lost: MLflow has run" in capsys.readouterr().out
    assert (folder / "optuna.db").read_bytes() == ledger


def test_what_cannot_be_read_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "hole", "--folder", str(folder)]) == 2
    assert capsys.readouterr().err == f"sweeps: error: no sweep in {folder}/hole; sweeps in {folder}: whole\n"
    (folder / "optuna.db").unlink()
    assert main(["audit", "whole", "--folder", str(folder)]) == 2
    assert "the ledger must be a database that exists" in capsys.readouterr().err


def test_a_password_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = {"ppo": {"lr": {"log": [1e-5, 1e-2]}}}
    study = StudyConfig(name="whole", metric=metrics.EVAL_RETURN)
    config = SweepConfig(sweep=study, ppo=PPO, env=CARTPOLE, space=space, id="whole")
    hidden = replace(config, tracking=replace(config.tracking, optuna_url="postgresql://me:***@db/optuna"))
    (folder / "whole/config.yaml").write_text(to_yaml(hidden))
    assert main(["audit", "whole", "--folder", str(folder)]) == 2
    assert "--optuna-url must be given, since the sweep's folder keeps no password" in capsys.readouterr().err
    url = f"sqlite:///{folder}/optuna.db"
    assert main(["audit", "whole", "--folder", str(folder), "--optuna-url", url]) == 0


def test_a_crashed_trial_that_is_to_run_again_is_no_difference(folder: Path, stores: Path) -> None:
    """As a process leaves it that dies between setting it running in the ledger and in MLflow."""
    config = load_sweep(folder / "whole")
    tracker = make_tracker(config.tracking, folder)
    tracker.start_sweep(describe_sweep(config), to_yaml(config), {})
    ledger = reopen_ledger(config)
    learner = make_learner(PPO, CARTPOLE, make_member_seeds(0, 1), make_evaluation_seed(0))
    number = write(config, ledger, tracker, learner, Verdict(Outcome.CRASHED, "OSError: no device"))
    assert ledger.reopen_crashed() == [number]
    found = audit_sweep(find_sweep("whole", folder))
    assert found.is_clean, "\n".join(found.describe())
