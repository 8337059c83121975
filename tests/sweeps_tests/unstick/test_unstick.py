"""An unstick from the command line: a stuck run, its arms beside the control, and all that is on record of them."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from unstuck.analysis.sweep.verdicts import read_verdicts
from unstuck.records.entry import Entry
from unstuck.records.errors import SweepError
from unstuck.records.files import branch_file, checkpoint_file, copy_checkpoint, read_records
from unstuck.records.ledger import Ledger
from unstuck.rl.branch_point import read_branch_point
from unstuck.sweeps.config.find import find_sweep

from tests.conftest import Command, Done
from tests.sweeps_tests.real import leave_out_diagnoses
from tests.sweeps_tests.trained import SB3, WORDS

FLOWS = ("data.num_flows=2000", "ppo.num_envs=4", "ppo.num_steps=32", "ppo.minibatch_size=64", "sweep.seeds=2")
STUCK = (
    *("sampler=points", "sampler.points=[{}]", "sweep.num_trials=null", "scheduler=none", "health=none"),
    *("ppo.num_iterations=12", "ppo.eval_every=3", "ppo.lr=1e-6", "sweep.name=stuck", *FLOWS),
)
ARMS = "arms=[{ppo: {lr: 3e-3}}, {ppo: {lr: 3e-3}, branch: {start: anew}}, {ppo: {gamma: 0.5}}]"
UNSTICK = (
    "+experiment=unstick",
    "run=stuck/0",
    "unstick.iterations=8",
    "unstick.repeats=3",
    "resources.cpus=1",
    "sweep.name=unstuck",
    ARMS,
)


OF_OTHERS = (
    *("sampler=points", "sampler.points=[{}]", "sweep.num_trials=null", "scheduler=none", "health=none", "space=none"),
    *("ppo.num_iterations=12", "ppo.eval_every=3", "ppo.lr=1e-6", "sweep.name=stuck", "sweep.seeds=2"),
    *("ppo.num_envs=2", "ppo.num_steps=16", "ppo.minibatch_size=32", "env.id=CartPole-v1", "env.eval_episodes=2"),
)
"""The run of other trainers than ours, which train member by member."""


def stuck_by(trainer: str) -> tuple[str, ...]:
    """The words of a run that is stuck."""
    if trainer == "ppo":
        return STUCK
    own = (f'trainer.command="{WORDS}"', "trainer.flags=none") if trainer == "command" else ()
    return (f"trainer={trainer}", *own, *OF_OTHERS)


def train_unstick(folder: Path, trainer: str) -> Done:
    """Run the sweeps `stuck` and `unstuck` in this process."""
    from benchmarks.in_process import no_ray

    command = Command(folder)
    with no_ray(), pytest.MonkeyPatch.context() as patch:
        leave_out_diagnoses(patch)
        ran = command(*stuck_by(trainer))
        assert ran.code == 0, ran.err
        done = command(*UNSTICK, *(() if trainer == "ppo" else ("unstick.stages=1",)))
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def unstuck(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A folder with the sweeps `stuck` and `unstuck` of our learner, and what the latter printed."""
    folder = tmp_path_factory.mktemp("unstuck")
    return folder, train_unstick(folder, "ppo")


AT_LENGTH = (pytest.mark.slow, pytest.mark.chaos)
THAT_KEEP_STATE = ("ppo", pytest.param("sb3", marks=(*SB3.marks, *AT_LENGTH)))
EACH = (*THAT_KEEP_STATE, pytest.param("command", marks=AT_LENGTH))


@pytest.fixture(scope="module", params=EACH)
def by_each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The same for each trainer."""
    if request.param == "ppo":
        return request.getfixturevalue("unstuck")  # type: ignore[no-any-return]
    folder = tmp_path_factory.mktemp(request.param)
    return folder, train_unstick(folder, request.param)


that_keep_state = pytest.mark.parametrize("by_each", THAT_KEEP_STATE, indirect=True)


def entries(folder: Path, name: str = "unstuck") -> list[Entry]:
    return Ledger.open_sweep(find_sweep(name, folder / "runs").reference).entries()


@that_keep_state
def test_all_arms_are_trials_that_ran_to_their_end(by_each: tuple[Path, Done]) -> None:
    folder, done = by_each
    first = entries(folder)[:4]
    assert [str(entry.outcome) for entry in first] == ["completed"] * 4
    assert [entry.is_control for entry in first] == [True, False, False, False]
    assert [entry.values["ppo.lr"] for entry in first] == [1e-6, 3e-3, 3e-3, 1e-6]
    assert [entry.values["branch.start"] for entry in first] == ["checkpoint", "checkpoint", "anew", "checkpoint"]
    assert [len(read_records(folder / "runs" / "unstuck", entry.number)) for entry in first] == [8] * 4
    assert "Branches stuck/0 at iteration 12: " in done.out
    assert "arm 1: lr 0.003 (asked for)" in done.out
    lead = (folder / "runs" / "unstuck" / "report" / "report.md").read_text().split("\n\n")[1].strip("*")
    assert done.out.count(lead) == 1, lead


@that_keep_state
def test_arms_leave_from_one_state_and_see_the_same_flows(by_each: tuple[Path, Done]) -> None:
    """The first rollout of each arm that goes on is the same: only the update differs."""
    folder, _ = by_each
    own = folder / "runs" / "unstuck"
    first = [read_records(own, number)[0].metrics for number in range(4)]
    rolled = [name for name in first[0] if name.startswith(("train/action/", "train/episode_return"))]
    assert len(rolled) > 2
    shares = [{name: one[name] for name in rolled} for one in first]
    assert shares[0] == shares[1] == shares[3] != shares[2]
    assert first[0]["train/update_norm"] < first[1]["train/update_norm"]


@that_keep_state
def test_the_sweep_stands_alone(by_each: tuple[Path, Done]) -> None:
    folder, _ = by_each
    saved = checkpoint_file(folder / "runs" / "stuck", 0)
    copy = branch_file(folder / "runs" / "unstuck")
    assert copy.read_bytes() == saved.read_bytes()
    assert read_branch_point(copy).iteration == 12
    assert read_branch_point(copy).env_steps == 12 * find_sweep("stuck", folder / "runs").ppo.batch_size


@that_keep_state
def test_the_settings_on_record_are_those_in_force(by_each: tuple[Path, Done]) -> None:
    folder, _ = by_each
    own = folder / "runs" / "unstuck"
    in_force = [read_records(own, number)[0].metrics for number in range(4)]
    assert [one["effective/lr"] for one in in_force] == pytest.approx([1e-6, 3e-3, 3e-3, 1e-6], rel=1e-6)
    assert [one["effective/gamma"] for one in in_force] == pytest.approx([0.99, 0.99, 0.99, 0.5])


@that_keep_state
@pytest.mark.usefixtures("undiagnosed")
def test_the_control_goes_on_as_the_run_with_a_longer_budget_would(
    by_each: tuple[Path, Done], command: Command
) -> None:
    from benchmarks.in_process import no_ray

    folder, _ = by_each
    config = find_sweep("stuck", folder / "runs")
    rest = ("ppo.num_iterations", "sweep.name", "ppo.eval_every")
    longer = [word for word in stuck_by(config.trainer.name) if not word.startswith(rest)]
    with no_ray():
        more = ("ppo.num_iterations=20", "ppo.eval_every=1", "sweep.name=longer", "tracking=none")
        assert command(*longer, *more).code == 0
    branch = read_records(folder / "runs" / "unstuck", 0)
    whole = read_records(command.folder / "runs" / "longer", 0)[12:]
    assert [one.metrics["train/value_loss"] for one in branch] == [one.metrics["train/value_loss"] for one in whole]
    metric = config.sweep.metric
    assert [one.metrics[metric] for one in branch if metric in one.metrics] == [
        then.metrics[metric] for one, then in zip(branch, whole, strict=True) if metric in one.metrics
    ]


def test_a_resume_of_an_ended_unstick_changes_nothing(by_each: tuple[Path, Done], command: Command) -> None:
    from benchmarks.in_process import no_ray

    folder, _ = by_each
    shutil.copytree(folder / "runs", command.folder / "runs")
    before = [(entry.number, entry.value, entry.outcome) for entry in entries(command.folder)]
    with no_ray():
        done = command("+experiment=unstick", "resume=unstuck")
    assert done.code == 0, done.err
    assert [(entry.number, entry.value, entry.outcome) for entry in entries(command.folder)] == before


@pytest.mark.parametrize("by_each", EACH[-1:], indirect=True)
def test_all_arms_of_a_trainer_without_state_start_anew_and_that_is_said(by_each: tuple[Path, Done]) -> None:
    folder, done = by_each
    arms = entries(folder)
    assert [entry.values["ppo.lr"] for entry in arms] == [1e-6, 3e-3, 1e-6]  # the second arm is the first: both anew
    assert find_sweep("unstuck", folder / "runs").branch.start == "anew"
    assert {str(entry.outcome) for entry in arms} == {"completed"}
    assert (
        "a command keeps no state to go on from"
        in done.out + (folder / "runs" / "unstuck" / "report" / "report.md").read_text()
    )


def test_the_audit_finds_nothing(by_each: tuple[Path, Done], capfd: pytest.CaptureFixture[str]) -> None:
    folder, _ = by_each
    done = Command(folder, capfd).sweeps("audit", "unstuck")
    assert (done.code, done.err) == (0, ""), done.out


@that_keep_state
@pytest.mark.usefixtures("undiagnosed")
def test_an_arm_can_be_branched_again(by_each: tuple[Path, Done], command: Command) -> None:
    """As by the command that a report prints: more iterations with the settings of an arm."""
    from benchmarks.in_process import no_ray

    folder, _ = by_each
    shutil.copytree(folder / "runs", command.folder / "runs")
    with no_ray():
        words = ("arms=[]", "milestones=none", "unstick.repeats=0", "unstick.iterations=4", "sweep.name=more")
        done = command("+experiment=unstick", "run=unstuck/1", *words)
    assert done.code == 0, done.err
    (only,) = entries(command.folder, "more")
    assert only.is_control
    config = find_sweep("more", command.folder / "runs")
    assert (config.ppo.lr, config.branch.start) == (3e-3, "checkpoint")
    values = [
        one.metrics["effective/lr"] for one in read_records(config.own_folder, 0) if "effective/lr" in one.metrics
    ]
    assert np.allclose(values, 3e-3)


@pytest.mark.slow
def test_a_signal_while_the_verdict_trains_ends_the_sweep_and_a_resume_gives_the_verdict(
    by_each: tuple[Path, Done], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unstuck.sweeps.unstick import judgement

    from benchmarks.in_process import no_ray

    folder, _ = by_each
    shutil.copytree(folder / "runs", command.folder / "runs")
    verdicts = command.folder / "runs" / "unstuck" / "report" / "verdicts.json"
    before = verdicts.read_text()
    verdicts.unlink()
    with no_ray(), monkeypatch.context() as patch:
        patch.setattr(judgement, "train_fresh_runs", lambda *_: signal.raise_signal(signal.SIGTERM))
        done = command("+experiment=unstick", "resume=unstuck")
    assert (done.code, verdicts.exists()) == (130, False)
    assert "The sweep ended early: stopped by the user" in done.out
    with no_ray():
        assert command("+experiment=unstick", "resume=unstuck").code == 0
    (again,), (first,) = json.loads(verdicts.read_text()), json.loads(before)
    assert {**again, "at": ""} == {**first, "at": ""}


def test_a_resume_refuses_what_an_unstick_on_record_cannot_change(
    unstuck: tuple[Path, Done], capfd: pytest.CaptureFixture[str]
) -> None:
    folder, _ = unstuck
    for word, message in (
        ("unstick.repeats=10", "unstick.repeats must be what the unstick was started with, 3, got 10; leave it out"),
        ("ppo.lr=0.5", "ppo.lr must be what the unstick was started with, 1e-06, got 0.5; leave it out"),
        ("arms=[{ppo: {lr: 1}}]", "arms must be what the unstick was started with, "),
        ("run=stuck/1", "run must be what unstuck was started with, stuck/0, got stuck/1; leave run out"),
    ):
        done = Command(folder, capfd)("+experiment=unstick", "resume=unstuck", word)
        assert (done.code, done.err.startswith(f"sweep.py: error: {message}")) == (2, True), done.err
    done = Command(folder, capfd)("+experiment=unstick", "run=stuck/0", "resume=typo")
    assert done.err.startswith(f"sweep.py: error: no sweep in {folder}/runs/typo; sweeps in "), done.err


def test_a_run_that_trains_on_while_it_is_branched_is_refused(
    unstuck: tuple[Path, Done], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unstuck.sweeps.run import opening

    folder, _ = unstuck
    shutil.copytree(folder / "runs", command.folder / "runs")

    def copy_a_later_one(_: Path, target: Path) -> None:
        copy_checkpoint(checkpoint_file(command.folder / "runs" / "unstuck", 1), target)

    monkeypatch.setattr(opening, "copy_checkpoint", copy_a_later_one)
    done = command(*UNSTICK[:-1], "sweep.name=late", "arms=[]")
    assert done.code == 2
    assert "run must not train while it is branched, got stuck/0, which went on from iteration 12 to 8" in done.err
    assert not (command.folder / "runs" / "late").exists()


def test_an_mlflow_run_of_another_sweep_of_the_same_name_is_not_taken_for_ours(unstuck: tuple[Path, Done]) -> None:
    from dataclasses import replace

    from unstuck.sweeps.unstick import find_run as module

    folder, _ = unstuck
    config = replace(find_sweep("stuck", folder / "runs"), run="ab" * 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_run_tags", lambda *_: {"sweep": "stuck", "trial": "0"})
        with pytest.raises(
            SweepError, match=r"^run must be of a sweep in .*, got the MLflow run (ab)+ of another sweep"
        ):
            module.find_run(config)


def test_the_summary_goes_on_with_a_winner_alone(
    unstuck: tuple[Path, Done], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not with the highest value, which a verdict may not confirm."""
    from rich.console import Console
    from unstuck.sweeps.screen.summary import show_summary

    folder, _ = unstuck
    config, trials = find_sweep("unstuck", folder / "runs"), entries(folder)
    file = config.own_folder / "report" / "verdicts.json"
    before = file.read_text()
    (reading,) = json.loads(before)
    try:
        for arm, is_winner in ((0.9, True), (0.1, False)):
            changed = {**reading, "trial": 2, "arm": [[arm + 0.01 * k] * 2 for k in range(3)]}
            changed["control"] = [[0.1 + 0.01 * k] * 2 for k in range(3)]
            file.write_text(json.dumps([changed]))
            show_summary(config, [], trials, "", "", Console(width=200))
            assert ("Go on with the winner (trial 2)" in capsys.readouterr().out) == is_winner
    finally:
        file.write_text(before)


MISTAKES = [
    (
        ("run=stuck",),
        "run must be a trial such as NAME/7, a checkpoint's folder or an MLflow run id, got 'stuck'; name o",
    ),
    (("run=stuck/3",), "run must name a trial of stuck, got 3; there are: 0"),
    (("run=other/0",), "no sweep in "),
    (
        ("run=nowhere",),
        "run must be a trial such as NAME/7, a checkpoint's folder or an MLflow run id, got 'nowhere'; sw",
    ),
    (
        (f"run={'ab' * 16}",),
        f"run must be a trial such as NAME/7, got the MLflow run {'ab' * 16}, which MLflow does not",
    ),
    (
        ("run=stuck/0", "ppo.lr=1e-3"),
        "ppo.lr must be left out with run=stuck/0, whose own setting holds, got 0.001; wr",
    ),
    (
        ("run=stuck/0", "env=cartpole"),
        "env.id must be left out with run=stuck/0, whose own setting holds, got CartPole",
    ),
    (("run=stuck/0", "sweep.seeds=3"), "sweep.seeds must be left out with run=stuck/0, whose own setting h"),
    (("run=stuck/0", "sampler=random"), "sampler must be left out with run=stuck/0: all arms run to their e"),
    (("run=stuck/0", "scheduler=asha"), "scheduler must be left out with run=stuck/0: all arms run to their"),
    (("run=stuck/0", "arms=[all]"), "arms must be one of prescribed, single_changes, got 'all'"),
    (
        ("run=stuck/0", "unstick.repeats=2"),
        "unstick.repeats must be at least 3, or 0 for no verdict, got 2: fewer have",
    ),
    (
        ("run=runs/stuck/config.yaml",),
        "{folder}/runs/stuck/config.yaml must be a checkpoint, got a file of another kind",
    ),
    (
        ("run=runs/stuck",),
        "run must be a trial such as NAME/7, a checkpoint's folder or an MLflow run id, got 'runs/stuck'; name one of",
    ),
    (
        ("run=runs/stuck/report",),
        "run must be a trial such as NAME/7, a checkpoint's folder or an MLflow run id, got 'runs/stuck/report', which "
        "holds no checkpoint to go on from; what a log tells is said by: ",
    ),
    (("run=stuck/0", "branch.start=anew"), "branch.start must be left out, since each arm of an unstick has it"),
]


@pytest.mark.parametrize(
    ("words", "message"), MISTAKES, ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
def test_a_mistake_is_answered_in_one_line_and_starts_nothing(
    unstuck: tuple[Path, Done], capfd: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    folder, _ = unstuck
    done = Command(folder, capfd)("+experiment=unstick", *words, "sweep.name=bad")
    assert done.code == 2
    assert done.err.startswith(f"sweep.py: error: {message.format(folder=folder)}"), done.err
    assert done.err.count("\n") == 1
    assert not (folder / "runs" / "bad").exists()


def test_a_run_is_found_by_trial_by_folder_by_file_and_by_mlflow_id(unstuck: tuple[Path, Done]) -> None:
    from dataclasses import replace

    from unstuck.sweeps.unstick.find_run import find_run

    folder, _ = unstuck
    config = replace(find_sweep("stuck", folder / "runs"), run="stuck/0")
    found = find_run(config)
    (entry,) = entries(folder, "stuck")
    assert (found.name, found.sweep, found.trial, found.mlflow_run) == ("stuck/0", "stuck", 0, entry.run_id)
    trial = folder / "runs" / "stuck" / "trials" / "0000"
    for run in (str(trial), str(trial / "checkpoint.npz"), entry.run_id):
        same = find_run(replace(config, run=run))
        assert (same.name, same.config, same.checkpoint) == (found.name, found.config, found.checkpoint)


def test_a_checkpoint_without_a_sweep_has_its_settings_in_itself(unstuck: tuple[Path, Done], tmp_path: Path) -> None:
    from dataclasses import replace

    from unstuck.sweeps.unstick.find_run import find_run

    folder, _ = unstuck
    shutil.copy(checkpoint_file(folder / "runs" / "stuck", 0), tmp_path / "mine.npz")
    config = find_sweep("stuck", folder / "runs")
    bare = replace(config, ppo=replace(config.ppo, lr=1.0), run=str(tmp_path / "mine.npz"))
    found = find_run(bare)
    assert (found.config.ppo.lr, found.config.sweep.seeds, found.sweep) == (1e-6, 2, None)


def test_the_report_says_the_verdict_first_and_shows_all_arms(unstuck: tuple[Path, Done]) -> None:
    folder, done = unstuck
    own = folder / "runs" / "unstuck"
    text = (own / "report" / "report.md").read_text()
    (reading,) = read_verdicts(own / "report").readings
    assert reading.repeats == 3
    assert reading.members == 2
    title, lead = text.split("\n\n")[:2]
    assert title == "# Report of the unstick unstuck: stuck/0"
    assert lead.strip("*").startswith(("Trial ", "It cannot be told whether trial "))
    assert "The verdict holds for this run alone, with its 2 seeds" in lead
    assert lead.strip("*") in done.out  # what the screen shows after the report is written
    for words in (
        "Branched from stuck/0 at iteration 12",
        "lr 0.003",
        "fresh weights",
        "value head",
        "trial 0: the control",
    ):
        assert words in text or words in (own / "report" / "report.html").read_text()
    assert (own / "report" / "report-figures" / "unstuck-arms-eval-f1.svg").is_file()


def test_the_report_can_be_written_again_without_the_runs_sweep(
    unstuck: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    folder, _ = unstuck
    shutil.copytree(folder / "runs", command.folder / "runs", dirs_exist_ok=True)
    shutil.rmtree(command.folder / "runs" / "stuck")
    report = command.folder / "runs" / "unstuck" / "report" / "report.md"
    before = report.read_text().replace(str(folder), str(command.folder))  # in commands
    assert command.analysis("report", "unstuck").code == 0
    assert report.read_text() == before
    branch_file(command.folder / "runs" / "unstuck").unlink()
    assert command.analysis("report", "unstuck").code == 0
    assert "Its checkpoint cannot be read here, so it is not diagnosed again." in report.read_text()
