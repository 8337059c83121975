"""One run is one run: resumed in several files, in MLflow's folder; several are listed with the command for each."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from tensorboardX import SummaryWriter
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import ENV_STEPS, files, load
from unstuck.analysis.history.assemble import Reading
from unstuck.analysis.history.record import EVAL_LENGTH, EVAL_SUCCESS_RATE, SUCCESS_RATE
from unstuck.rl import metrics

RETURN, VALUE = metrics.TRAIN_RETURN, metrics.VALUE_LOSS


def log(folder: Path, *points: tuple[int, float], tag: str = "rollout/ep_rew_mean", name: str = "") -> None:
    """An event file with values at steps."""
    writer = SummaryWriter(str(folder), filename_suffix=name)
    for step, value in points:
        writer.add_scalar(tag, value, step)
    writer.close()


def test_event_files_of_a_resumed_run_are_one_curve_with_the_later_part(tmp_path: Path) -> None:
    log(tmp_path, (2048, 1.0), (4096, 2.0), (6144, 3.0), name=".b")
    log(tmp_path, (6144, 4.0), (8192, 5.0), name=".a")  # went on from a checkpoint at 4096
    run = load(str(tmp_path))
    assert run.curve(RETURN).to_dict() == {1: 1.0, 2: 2.0, 3: 4.0, 4: 5.0}
    assert run.curve(ENV_STEPS).tolist() == [2048, 4096, 6144, 8192]
    assert "2 event files: 4 iterations" in run.read_as


def test_event_files_from_the_same_beginning_are_runs_of_their_own(tmp_path: Path) -> None:
    log(tmp_path, (2048, 1.0), (4096, 2.0), name=".a")
    log(tmp_path, (2048, 1.5), (4096, 2.5), name=".b")
    with pytest.raises(
        AnalysisError, match=r"holds 2 runs, which are read together only if .*; name one:(\n.* diagnose .*\.[ab]){2}"
    ):
        load(str(tmp_path))


def test_a_table_beside_event_files_of_two_runs_is_offered_as_well(tmp_path: Path) -> None:
    log(tmp_path, (2048, 1.0), (4096, 2.0), name=".a")
    log(tmp_path, (2048, 1.5), (4096, 2.5), name=".b")
    (tmp_path / "progress.csv").write_text("training_iteration,episode_reward_mean\n1,1.0\n")
    with pytest.raises(
        AnalysisError, match=r"holds 2 runs.*(\n.* diagnose .*){2}\nor read .*\n.* diagnose .*progress.csv"
    ):
        load(str(tmp_path))


def test_event_files_with_other_tags_are_parts_of_one_run(tmp_path: Path) -> None:
    log(tmp_path, (2048, 1.0), (4096, 2.0), name=".a")
    log(tmp_path, (2048, 8.0), (4096, 9.0), tag="train/value_loss", name=".b")
    run = load(str(tmp_path))
    assert run.curve(RETURN).to_dict() == {1: 1.0, 2: 2.0}
    assert run.curve(VALUE).to_dict() == {1: 8.0, 2: 9.0}


def test_a_count_of_iterations_that_stands_still_counts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"  # learn() called anew for each rollout
    rows = ("1,2048,10.0,", "1,4096,11.0,5.0", "1,6144,12.0,4.0")
    file.write_text("\n".join(("time/iterations,time/total_timesteps,rollout/ep_rew_mean,train/value_loss", *rows)))
    run = load(str(file))
    assert run.curve(RETURN).to_dict() == {1: 10.0, 2: 11.0, 3: 12.0}
    assert run.curve(ENV_STEPS).tolist() == [2048, 4096, 6144]


def test_the_length_of_episodes_that_all_last_as_long_is_no_count_of_steps(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("Episode,Return,Steps\n1,5.0,400\n2,6.0,400\n3,7.0,400\n")
    assert load(str(file)).curve(RETURN).to_dict() == {1: 5.0, 2: 6.0, 3: 7.0}


def test_iterations_are_counted_by_losses_where_returns_are_logged_now_and_then(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    for step, value in ((2048, 9.0), (4096, 8.0), (6144, 7.0), (8192, 6.0)):
        writer.add_scalar("train/value_loss", value, step)
    writer.add_scalar("rollout/ep_rew_mean", 3.0, 8192)
    writer.close()
    run = load(str(tmp_path))
    assert run.curve(VALUE).to_dict() == {1: 9.0, 2: 8.0, 3: 7.0, 4: 6.0}
    assert run.curve(RETURN).to_dict() == {4: 3.0}


def test_notes_beside_a_run_are_neither_records_nor_settings(tmp_path: Path) -> None:
    behaviour, logs = tmp_path / "Cube", tmp_path / "run_logs"
    behaviour.mkdir()
    log(behaviour, (12000, 1.0), (24000, 2.0), tag="Environment/Cumulative Reward")
    (file,) = behaviour.iterdir()
    file.with_name(f"{file.name}.meta").write_text("guid: 1\n")  # Unity's
    logs.mkdir()
    (logs / "timers.json").write_text('{"root": {"total": 9.5}}')
    (tmp_path / "configuration.yaml").write_text("behaviors: {Cube: {hyperparameters: {beta: 0.005}}}\n")
    run = load(str(tmp_path))
    assert run.curve(RETURN).to_dict() == {1: 1.0, 2: 2.0}
    assert run.settings == {"ppo.entropy_coef": 0.005}


def test_losses_at_gradient_steps_stand_beside_returns_at_environment_steps(tmp_path: Path) -> None:
    log(tmp_path, (2000, 1.0), (4000, 2.0), tag="train/reward", name=".a")  # tianshou's
    log(tmp_path, (10, 8.0), (20, 9.0), tag="loss/vf", name=".b")
    log(tmp_path, (10, 0.5), (20, 0.25), tag="loss/clip", name=".c")
    run = load(str(tmp_path))
    assert run.dialect == "tianshou"
    assert run.curve(RETURN).to_dict() == {1: 1.0, 2: 2.0}
    assert run.curve(VALUE).to_dict() == {1: 8.0, 2: 9.0}


def test_runs_in_folders_below_are_listed_with_their_commands(tmp_path: Path) -> None:
    for name in ("PPO_1", "PPO 2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "progress.csv").write_text("time/total_timesteps,rollout/ep_rew_mean\n2048,1\n")
    with pytest.raises(AnalysisError) as refusal:
        load(str(tmp_path))
    first, *commands = str(refusal.value).splitlines()
    assert first.startswith(
        f"{tmp_path} holds 2 runs, which are read together only if their names (run_seed1) or settings"
    )
    assert [command.partition(" diagnose ")[2] for command in commands] == [
        f"'{tmp_path}/PPO 2'",
        f"{tmp_path}/PPO_1",
    ]


def test_the_only_run_below_is_read(tmp_path: Path) -> None:
    (tmp_path / "logs" / "PPO_1").mkdir(parents=True)
    (tmp_path / "logs" / "PPO_1" / "progress.csv").write_text("time/total_timesteps,rollout/ep_rew_mean\n2048,1\n")
    assert load(str(tmp_path)).curve(RETURN).tolist() == [1.0]


def test_evaluations_in_a_folder_of_their_own_belong_to_the_only_run_beside(tmp_path: Path) -> None:
    log(tmp_path / "tensorboard" / "PPO_1", (100, 1.0), (200, 2.0), (300, 3.0))
    (tmp_path / "logs").mkdir()
    results = np.array([[4.0, 6.0]])
    np.savez(tmp_path / "logs" / "evaluations.npz", timesteps=[200], results=results, ep_lengths=results.astype(int))
    run = load(str(tmp_path))
    assert run.curve(metrics.TRAIN_RETURN).to_list() == [1.0, 2.0, 3.0]
    assert run.curve(metrics.EVAL_RETURN).to_dict() == {2: 5.0}
    log(tmp_path / "tensorboard" / "PPO_2", (100, 1.0))
    with pytest.raises(AnalysisError, match="holds 3 runs, "):
        load(str(tmp_path))


def test_tables_with_the_same_metrics_are_parts_of_a_run_or_two_runs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("update,reward\n1,1\n2,2\n3,3\n")
    (tmp_path / "b.csv").write_text("update,reward\n4,4\n5,5\n")
    assert load(str(tmp_path)).curve(RETURN).to_dict() == {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 5.0}
    (tmp_path / "b.csv").write_text("update,reward\n3,7\n4,4\n")
    assert load(str(tmp_path)).curve(RETURN).to_dict() == {1: 1.0, 2: 2.0, 3: 7.0, 4: 4.0}
    (tmp_path / "b.csv").write_text("update,reward\n1,4\n2,5\n")
    with pytest.raises(AnalysisError, match=r"holds 2 runs, .*(\n.* diagnose .*/[ab].csv){2}"):
        load(str(tmp_path))


def test_rows_that_a_resumed_run_did_once_more_replace_those_before(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("update,reward\n1,1\n2,2\n3,3\n2,7\n3,8\n4,9\n")
    assert load(str(file)).curve(RETURN).to_dict() == {1: 1.0, 2: 7.0, 3: 8.0, 4: 9.0}


def test_a_count_that_begins_anew_while_steps_go_on_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"
    rows = [(1, 2048), (2, 4096), (1, 6144), (2, 8192)]
    lines = "".join(f"{count},{steps},{steps}\n" for count, steps in rows)
    file.write_text(f"time/iterations,time/total_timesteps,rollout/ep_rew_mean\n{lines}")
    assert load(str(file)).curve(RETURN).to_dict() == {1: 2048, 2: 4096, 3: 6144, 4: 8192}


def test_iterations_between_logged_ones_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"
    file.write_text(
        "time/iterations,time/total_timesteps,rollout/ep_rew_mean,eval/mean_reward\n10,640,1,\n,1000,,5\n20,1280,2,\n"
    )
    run = load(str(file))
    assert run.curve(RETURN).to_dict() == {10: 1.0, 20: 2.0}
    assert run.curve(metrics.EVAL_RETURN).to_dict() == {20: 5.0}
    assert "2 rows up to iteration 20" in run.read_as


def mlflow_run(store: Path, run: str, name: str, **metric: str) -> Path:
    folder = store / "0" / run
    for part in ("metrics/train", "params", "tags"):
        (folder / part).mkdir(parents=True)
    (folder / "meta.yaml").write_text(f"run_id: {run}\n")
    (store / "0" / "meta.yaml").write_text("experiment_id: '0'\n")
    (folder / "params" / "learning_rate").write_text("0.001")
    (folder / "tags" / "mlflow.runName").write_text(name)
    for tag, lines in metric.items():
        (folder / "metrics" / "train" / tag).write_text(lines)
    return folder


def test_three_runs_are_refused_before_their_event_files_are_read_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        log(tmp_path / name, (2048, 1.0))
    monkeypatch.setattr(files, "is_evaluation", pytest.fail)
    with pytest.raises(AnalysisError, match="holds 3 runs, "):
        files.read_files(tmp_path, Reading())


def test_mlflows_folder_is_read_and_its_runs_are_listed(tmp_path: Path) -> None:
    store = tmp_path / "mlruns"
    first = mlflow_run(store, "a" * 32, "calm", value_loss="1700 8.5 1\n1701 7.5 2\n", entropy="1700 0.5 1\n")
    for place in (tmp_path, store, store / "0", first):
        run = load(str(place))
        assert run.name == "calm"
        assert run.curve(VALUE).to_dict() == {1: 8.5, 2: 7.5}
        assert run.settings == {"ppo.lr": 0.001}
        assert run.tags["run_id"] == "a" * 32
    mlflow_run(store, "b" * 32, "wild", value_loss="1700 nan 1\n")
    with pytest.raises(
        AnalysisError, match=r"holds 2 runs, .*\n.* diagnose .*a{32}  # calm\n.* diagnose .*b{32}  # wild$"
    ):
        load(str(store))
    mlflow_run(store, "c" * 32, "broken", value_loss="1700\n")
    with pytest.raises(AnalysisError, match="must be a metric of MLflow's, with lines of time, value and step"):
        load(str(store / "0" / ("c" * 32)))


def test_mlflows_runs_that_differ_in_a_seed_are_one_trial(tmp_path: Path) -> None:
    store, runs = tmp_path / "mlruns", []
    for seed in (3, 4, 5):
        run = mlflow_run(store, f"{seed}" * 32, "calm" if seed < 5 else "wild", value_loss=f"1700 {seed} 1\n1701 2 2\n")
        (run / "params" / "seed").write_text(str(seed))
        runs.append(run)
    for place in (tmp_path, store, store / "0"):
        trial = load(str(place))
        assert trial.curve(VALUE).to_dict() == {1: 4.0, 2: 2.0}
        assert {seed: curve.loc[1] for seed, curve in trial.seeds(VALUE).items()} == {3: 3.0, 4: 4.0, 5: 5.0}
        assert "3 runs that differ in their seeds alone are read together (calm 33333333, calm 4444" in trial.remarks[0]
    shutil.copytree(store / "0", store / "copy")  # the same runs by their ids
    assert load(str(store)).curve(VALUE).to_dict() == {1: 4.0, 2: 2.0}
    shutil.rmtree(store / "copy")
    (runs[0] / "params" / "seed").write_text("4")  # twice the same seed: a run and its copy, perhaps
    with pytest.raises(AnalysisError, match="holds 3 runs, "):
        load(str(store))
    (runs[0] / "params" / "seed").write_text("3")
    (runs[0] / "params" / "learning_rate").write_text("0.01")
    with pytest.raises(AnalysisError, match="holds 3 runs, "):
        load(str(store))


@pytest.mark.slow
def test_mlflows_database_is_read_and_its_runs_are_listed(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    file = tmp_path / "mlflow.db"
    client = MlflowClient(f"sqlite:///{file}")
    ids = []
    for name in ("calm", "wild"):
        run = client.create_run("0", run_name=name)
        client.log_metric(run.info.run_id, "train/value_loss", 8.5, step=1)
        ids.append(run.info.run_id)
        if name == "calm":
            only = load(str(file))
            assert only.name == "calm"
            assert only.curve(VALUE).to_dict() == {1: 8.5}
            with gzip.open(f"{file}.gz", "wb") as packed:
                packed.write(file.read_bytes())
            assert load(f"{file}.gz").curve(VALUE).to_dict() == {1: 8.5}
    with pytest.raises(AnalysisError) as refusal:
        load(str(file))
    assert str(refusal.value).splitlines()[1].endswith(f" diagnose {ids[0]} --mlflow-url sqlite:///{file}  # calm")
    for seed, run_id in enumerate(ids):
        client.log_param(run_id, "seed", seed)
    assert {seed: curve.to_dict() for seed, curve in load(str(file)).seeds(VALUE).items()} == {0: {1: 8.5}, 1: {1: 8.5}}


@pytest.mark.parametrize("own", [True, False])
def test_curves_in_folders_of_their_own_belong_to_the_run_above(tmp_path: Path, own: bool) -> None:
    """`add_scalars("loss", {"policy": 1, "value": 2})` makes a folder for each curve, with the tag `loss` in both."""
    if own:
        log(tmp_path, (1, 5.0), (2, 6.0), tag="reward")
    log(tmp_path / "loss_policy", (1, 0.5), (2, 0.25), tag="loss")
    log(tmp_path / "loss_value", (1, 8.0), (2, 4.0), tag="loss")
    run = load(str(tmp_path))
    assert run.curve(metrics.POLICY_LOSS).to_dict() == {1: 0.5, 2: 0.25}
    assert run.curve(VALUE).to_dict() == {1: 8.0, 2: 4.0}
    assert run.has(RETURN) == own


def write_monitor(file: Path, started: float, *episodes: tuple[float, int, float]) -> None:
    """A monitor file: return, length and seconds since the start of each episode."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{r},{length},{t}\n" for r, length, t in episodes)
    file.write_text(f'#{{"t_start": {started}, "env_id": "CartPole-v1"}}\nr,l,t\n{rows}')


@pytest.mark.parametrize(
    ("trained", "judged"),
    [("logs/monitor.csv", "eval_logs/monitor.csv"), ("train.monitor.csv", "EvalEnv.monitor.csv")],
)
def test_monitors_of_evaluations_stand_where_the_clock_tells(tmp_path: Path, trained: str, judged: str) -> None:
    """Episodes of training end 1, 2 and 3 s after 100; evaluations at 102.5 (two episodes), 99 and 104."""
    write_monitor(tmp_path / trained, 100.0, (1.0, 10, 1.0), (2.0, 20, 2.0), (3.0, 30, 3.0))
    write_monitor(tmp_path / judged, 98.0, (50.0, 9, 1.0), (7.0, 5, 4.4), (9.0, 7, 4.5), (4.0, 4, 6.0))
    run = load(str(tmp_path))
    assert run.curve(RETURN).to_dict() == {1: 1.0, 2: 2.0, 3: 3.0}
    assert run.curve(metrics.EVAL_RETURN).to_dict() == {2: 8.0, 3: 4.0}
    assert run.curve(EVAL_LENGTH).to_dict() == {2: 6.0, 3: 4.0}


def test_a_folder_of_evaluations_alone_is_read_as_it_was_named(tmp_path: Path) -> None:
    write_monitor(tmp_path / "eval_logs" / "monitor.csv", 100.0, (1.0, 10, 1.0), (2.0, 20, 2.0))
    assert load(str(tmp_path / "eval_logs")).curve(RETURN).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("tag", ["rollout/ep_rew_mean", "eval/mean_reward"])
def test_event_files_of_evaluations_in_a_folder_beside_belong_to_the_run(tmp_path: Path, tag: str) -> None:
    """By the folder's name, or by metrics that are all of evaluations."""
    log(tmp_path / "train", (2048, 1.0), (4096, 2.0))
    log(tmp_path / ("eval" if tag.startswith("rollout") else "other"), (2048, 8.0), (4096, 9.0), tag=tag)
    run = load(str(tmp_path))
    assert run.curve(RETURN).to_dict() == {1: 1.0, 2: 2.0}
    assert run.curve(metrics.EVAL_RETURN).to_dict() == {1: 8.0, 2: 9.0}


def test_of_two_starts_in_one_folder_the_one_in_the_table_counts(tmp_path: Path) -> None:
    """Each start adds an event file, and writes progress.csv anew."""
    log(tmp_path, (2048, 1.0), (4096, 2.0), name=".a")
    log(tmp_path, (2048, 1.5), (4096, 2.5), name=".b")
    (tmp_path / "progress.csv").write_text("time/total_timesteps,rollout/ep_rew_mean\n2048,1.5\n4096,2.5\n")
    run = load(str(tmp_path))
    assert run.curve(RETURN).tolist() == [1.5, 2.5]
    (told,) = [remark for remark in run.remarks if "another start" in remark]
    assert told.endswith(".a")


@pytest.mark.parametrize("name", ["successes", "goal_reached", "success_rate", "reached_goal", "eval/success_rate"])
def test_numbers_of_successes_are_no_rates_of_success(tmp_path: Path, name: str) -> None:
    """Another column that has a name of rates counts then, if there is one."""
    told = EVAL_SUCCESS_RATE if name.startswith("eval") else SUCCESS_RATE
    for other, rates in (("winrate", [0.5] * 6), ("speed", [])):
        rows = "".join(f"{i},{i / 10},{40 * (i % 2)},0.5\n" for i in range(1, 7))
        (tmp_path / "log.csv").write_text(f"iteration,return,{name},{other}\n{rows}")
        assert load(str(tmp_path / "log.csv")).curve(SUCCESS_RATE).dropna().tolist() == rates
        assert load(str(tmp_path / "log.csv")).curve(told).max() != 40
    (tmp_path / "log.csv").write_text(f"iteration,return,{name}\n1,0.5,0\n2,0.5,1\n3,0.5,0.5\n")
    assert load(str(tmp_path / "log.csv")).curve(told).tolist() == [0.0, 1.0, 0.5]


def test_successes_in_monitor_files_are_averaged_within_an_iteration(tmp_path: Path) -> None:
    """A joined copy without its first line, as people make for plots, is not read a second time."""
    rows = "".join(f"{i}.0,10,{i}.5,{i > 2}\n" for i in range(1, 5))
    (tmp_path / "0.monitor.csv").write_text(f'#{{"t_start": 0.0}}\nr,l,t,is_success\n{rows}')
    (tmp_path / "episodes.csv").write_text(f"r,l,t,is_success\n{rows}")
    (tmp_path / "progress.csv").write_text("time/total_timesteps,rollout/ep_rew_mean\n20,1.5\n40,3.5\n")
    run = load(str(tmp_path))
    assert run.curve(RETURN).to_dict() == {1: 1.5, 2: 3.5}
    assert run.curve(SUCCESS_RATE).to_dict() == {1: 0.0, 2: 1.0}
    assert "not read, as a copy of other monitor files: episodes.csv" in run.remarks
    (tmp_path / "alone").mkdir()
    (tmp_path / "episodes.csv").rename(tmp_path / "alone" / "episodes.csv")
    alone = load(str(tmp_path / "alone"))
    assert alone.curve(RETURN).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert alone.curve(ENV_STEPS).tolist() == [10, 20, 30, 40]
