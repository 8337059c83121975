"""Runs of every kind, read as their makers write them."""

import math
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import ENV_STEPS, Stores, load
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import SweepHeader
from unstuck.rl import metrics
from unstuck.sweeps.config.settings import TrackingConfig
from unstuck.sweeps.mirror import make_tracker

SB3_CSV = """\
time/fps,time/iterations,time/total_timesteps,rollout/ep_rew_mean,train/value_loss,train/entropy_loss,train/approx_kl,\
train/learning_rate,train/n_updates,eval/mean_reward
900,1,256,20.0,,,,,,
900,2,512,22.0,50.0,-0.69,0.001,0.0003,10,
,,600,,40.0,-0.68,0.002,0.0003,20,98.5
900,3,768,25.0,,,,,,
"""


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Two trials of a sweep, written by the sweep's own tracker."""
    folder = tmp_path_factory.mktemp("runs")
    tracker = make_tracker(TrackingConfig(), folder)
    tracker.start_sweep(SweepHeader("s", "s", 3, "eval/f1", "max"), "sweep: {}\n", {})
    for number in range(2):
        tracker.start_trial(number, {"ppo": {"lr": 0.1}}, {"ppo": {"hidden_sizes": (4,), "target_kl": None}}, {}, "")
        values = [{"train/value_loss": 1.0, "eval/f1": 0.25}, {"train/value_loss": math.inf}]
        tracker.log(number, [Record(i, 1000 + i, value) for i, value in enumerate(values, start=1)])
        tracker.end_trial(number, Verdict(Outcome.PRUNED, "asha rung 1: 0.1 < 0.2"), {"final/value": 0.25})
    tracker.end_sweep(Outcome.COMPLETED, {})
    (folder / "s").mkdir()
    (folder / "s" / "config.yaml").write_text("id: s\nformat: 2\nsweep: {name: s}\nppo: {lr: 1}\nenv: {id: x}\n")
    return Stores(folder)


def test_what_mlflow_has_as_tags_or_not_at_all_is_read_with_the_curves(store: Stores) -> None:
    tracker = make_tracker(TrackingConfig(), store.folder)
    tracker.start_sweep(SweepHeader("tags", "tags", 3, "eval/f1", "max"), "", {})
    run = tracker.start_trial(0, {}, {}, {}, "")
    evaluated = {"train/value_loss": 1.0, "eval/f1": 0.25, "eval/f1_random": 0.1, "eval/f1_flag_none": 0.0}
    tracker.log(0, [Record(i, 1000 + i, evaluated | {"train/action/allow": i / 4}) for i in (1, 2)])
    tracker.end_trial(0, Verdict(Outcome.COMPLETED, "done"), {"final/iterations": 2.0, "final/value": 0.25})
    table = load(run, store).table
    assert table[metrics.F1_FLAG_NONE].tolist() == [0.0, 0.0]
    assert table[metrics.action_metric("allow")].tolist() == [0.25, 0.5]
    assert table[metrics.FINAL_ITERATIONS].dropna().to_dict() == {2: 2.0}
    assert table[metrics.FINAL_VALUE].dropna().to_dict() == {2: 0.25}


def test_a_trial_is_read_whole(store: Stores) -> None:
    history = load("s/1", store)
    assert history.name == "s/1"
    assert history.table.index.tolist() == [1, 2]
    assert history.curve(metrics.VALUE_LOSS).tolist() == [1.0, math.inf]  # MLflow holds 1.8e308 instead
    assert history.curve(metrics.F1).to_dict() == {1: 0.25}
    assert history.curve(metrics.FINAL_VALUE).to_dict() == {2: 0.25}
    assert history.settings == {"ppo.lr": 0.1, "ppo.hidden_sizes": (4,), "ppo.target_kl": None}
    assert history.tags["outcome"] == "pruned"
    assert load(history.tags["run_id"], store).table.equals(history.table)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("s/7", "no trial 7 of sweep 's' in .*: trials 0 to 1"),
        ("t/0", "no trial 0 of sweep 't' in .*: no such sweep; sweeps with a folder: s$"),
        ("ss/0", r"in .*: no such sweep; did you mean s/0\?; sweeps with a folder: s$"),
        ("s", "s is a sweep, not a run; name one of its trials: s/0"),
        ("0" * 32, "no run 0{32} in sqlite"),
        ("nothing", "a run must be a file or folder, .* got 'nothing'; sweeps in .*: s$"),
    ],
)
def test_a_run_that_is_not_there_is_refused(store: Stores, run: str, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        load(run, store)


def test_looking_for_a_run_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"MLflow's records must exist, got .*mlflow.db; name the folder"):
        load("s/1", Stores(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_sweeps_folder_is_no_run(store: Stores) -> None:
    with pytest.raises(AnalysisError, match="is a sweep, not a run; name one of its trials, such as s/0"):
        load(str(store.folder / "s"), store)


def test_sb3_rows_of_evaluations_fall_into_the_iteration_that_they_stand_in(tmp_path: Path) -> None:
    history = load(str(write(tmp_path / "run", progress_csv=SB3_CSV)))
    assert history.dialect == "sb3"
    assert history.table.index.tolist() == [1, 2, 3]
    assert history.curve(ENV_STEPS).tolist() == [256, 512, 768]
    assert history.curve(metrics.TRAIN_RETURN).tolist() == [20.0, 22.0, 25.0]
    assert history.curve(metrics.VALUE_LOSS).to_dict() == {2: 50.0, 3: 40.0}
    assert history.curve(metrics.ENTROPY).to_dict() == {2: 0.69, 3: 0.68}  # its loss is minus the entropy
    assert history.curve(metrics.EVAL_RETURN).to_dict() == {3: 98.5}
    assert any("one iteration late" in remark for remark in history.remarks)


def test_rl_zoos_settings_are_read_without_executing_them(tmp_path: Path) -> None:
    run = write(
        tmp_path / "run",
        progress_csv=SB3_CSV,
        config_yml="!!python/object/apply:collections.OrderedDict\n- - - learning_rate\n    - lin_0.001\n"
        "  - - ent_coef\n    - 0.02\n",
        evil_yml="!!python/object/apply:os.system ['touch planted']\n",
    )
    history = load(str(run))
    assert history.settings == {"ppo.lr": 0.001, "ppo.lr_schedule": "linear", "ppo.entropy_coef": 0.02}
    assert not list(tmp_path.rglob("planted"))
    assert any(remark.startswith("settings not read") and "evil.yml" in remark for remark in history.remarks)


@pytest.fixture
def cleanrl(tmp_path: Path) -> Path:
    """What CleanRL's ppo.py writes: returns at every episode's end, losses once an update, settings as a text."""
    writer = SummaryWriter(str(tmp_path / "CartPole-v1__ppo__1"))
    writer.add_text("hyperparameters", "|param|value|\n|-|-|\n|gamma|0.99|\n|vf_coef|0.5|\n|norm_adv|True|")
    for step, value in ((100, 10.0), (500, 20.0), (900, 40.0)):
        writer.add_scalar("charts/episodic_return", value, step)
    for step, value in ((512, 8.0), (1024, 6.0)):
        writer.add_scalar("losses/value_loss", value, step)
        writer.add_scalar("losses/clipfrac", 0.0, step)
        writer.add_scalar("charts/SPS", 1000, step)
    writer.add_histogram("weights", [1.0, 2.0], 512)
    writer.close()
    return tmp_path


def test_cleanrls_event_files_are_read_in_our_units(cleanrl: Path) -> None:
    history = load(str(cleanrl))
    assert history.dialect == "cleanrl"
    assert history.curve(metrics.VALUE_LOSS).to_dict() == {1: 16.0, 2: 12.0}  # it logs half the squared error
    assert history.curve(metrics.TRAIN_RETURN).to_dict() == {1: 15.0, 2: 40.0}  # mean of the episodes in an iteration
    assert history.curve(metrics.CLIP_FRACTION).to_dict() == {1: 0.0, 2: 0.0}
    assert history.curve(ENV_STEPS).tolist() == [512, 1024]
    assert history.settings == {"ppo.gamma": 0.99, "ppo.value_coef": 0.25, "ppo.normalize_advantage": True}


def test_a_record_cut_off_while_the_run_goes_on_is_left_out(cleanrl: Path) -> None:
    (file,) = cleanrl.rglob("events*")
    whole = file.read_bytes()
    file.write_bytes(whole[:-150])
    assert load(str(cleanrl)).curve(metrics.VALUE_LOSS).iloc[0] == 16.0


def test_what_is_no_event_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "events.out.tfevents.1"
    file.write_text("this is a text, and long enough to look like a record")
    with pytest.raises(AnalysisError, match="must be an event file of TensorBoard's, and does not read as one"):
        load(str(file))


def test_a_folder_of_several_runs_is_refused(cleanrl: Path) -> None:
    SummaryWriter(str(cleanrl / "second")).close()
    with pytest.raises(
        AnalysisError, match=r"holds 2 runs, (.|\n)* diagnose .*CartPole-v1__ppo__1\n.* diagnose .*second"
    ):
        load(str(cleanrl))


def test_plain_tables_are_joined_and_their_settings_keep_their_comments(tmp_path: Path) -> None:
    run = write(
        tmp_path / "run",
        metrics_csv="iteration,value_loss,episode_reward,action_allow\n10,0.9,-5,0.25\n20,0.8,,\n",
        evaluations_csv="iteration,tp,f1,episode_reward,action_allow\n20,3,0.5,-4,1.0\n",
        config_yaml="lr: 3.0e-4\nreturn_normalization: true   # it grew to 49,000 before\n",
    )
    history = load(str(run))
    assert history.table.index.tolist() == [10, 20]
    assert history.curve(metrics.TRAIN_RETURN).to_dict() == {10: -5.0}
    assert history.curve(metrics.EVAL_RETURN).to_dict() == {20: -4.0}
    assert history.family(metrics.ACTION_PREFIX)["allow"].to_dict() == {10: 0.25}
    assert history.family("eval/action/")["allow"].to_dict() == {20: 1.0}
    assert history.settings == {"ppo.lr": 3e-4, "ppo.normalize_returns": True}
    assert history.comments == {"ppo.normalize_returns": "it grew to 49,000 before"}


def test_rows_that_count_nothing_are_taken_for_iterations(tmp_path: Path) -> None:
    history = load(str(write(tmp_path / "run", log_csv="value_loss,loudness\n3,1\n2,1\n")))
    assert history.curve(metrics.VALUE_LOSS).to_dict() == {1: 3.0, 2: 2.0}
    assert any("each row was taken for an iteration" in remark for remark in history.remarks)
    assert "columns not known and left out: loudness" in history.remarks


def test_other_names_are_read_by_a_mapping_file(tmp_path: Path) -> None:
    run = write(tmp_path / "run", log_csv="u,critic\n1,0.5\n2,0.4\n")
    names = tmp_path / "names.yaml"
    names.write_text(
        "iteration: u\nmetrics: {train/value_loss: {column: critic, times: 2}}\nsettings: {ppo: {gamma: 0.9}}\n"
    )
    with pytest.raises(AnalysisError, match=r"must hold metrics under known names, got critic, u; .* --names FILE"):
        load(str(run))
    history = load(str(run), Stores(names=names))
    assert history.curve(metrics.VALUE_LOSS).to_dict() == {1: 1.0, 2: 0.8}
    assert history.settings == {"ppo.gamma": 0.9}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("metrics: {train/valu_loss: x}", "unknown metric train/valu_loss; did you mean train/value_loss?"),
        ("metrics: {train/value_loss: {column: x, scale: 2}}", "must be a name, or {column: name, times: number}"),
        ("metric: {a: b}", "may hold iteration, env_steps, metrics, settings, got 'metric'"),
        ("- 1\n- 2", "must hold settings by name"),
    ],
)
def test_a_wrong_mapping_file_is_refused(tmp_path: Path, mapping: str, message: str) -> None:
    run = write(tmp_path / "run", log_csv="x\n1\n")
    names = tmp_path / "names.yaml"
    names.write_text(mapping)
    with pytest.raises(AnalysisError, match=message):
        load(str(run), Stores(names=names))


def test_each_seeds_own_curve_is_found_under_the_mean(tmp_path: Path) -> None:
    history = load(
        str(write(tmp_path / "run", log_csv="iteration,eval/f1,eval/f1/seed_0,eval/f1/seed_1\n1,.5,.4,.6\n"))
    )
    assert {seed: curve.tolist() for seed, curve in history.seeds(metrics.F1).items()} == {0: [0.4], 1: [0.6]}


def test_the_stuck_run_is_read_as_its_owner_recorded_it(stuck_run: Path) -> None:
    history = load(str(stuck_run))
    assert history.curve(metrics.VALUE_LOSS).loc[220] == 0.9995
    assert history.curve(metrics.TRUE_POSITIVES).tolist() == [0.0] * 11
    assert history.settings["ppo.value_coef"] == 1.5
    assert "38,000 to 49,000" in history.comments["ppo.normalize_returns"]
