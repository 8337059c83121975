"""On tiny sweeps that really ran, but for Ray."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.random import SeedSequence
from rich.console import Console
from unstuck.analysis.sweep.judgements import Judgement, Judgements, read_judgements
from unstuck.records.entry import find_best
from unstuck.records.errors import SweepError
from unstuck.records.ledger import Ledger
from unstuck.records.tracker import NullTracker
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, Flows, compute_fingerprint, load_flows
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.__main__ import main
from unstuck.sweeps.champion import describe_champion, judge_champion
from unstuck.sweeps.config.find import find_sweep, load_sweep
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SamplerConfig, SchedulerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.sampler import create_ledger
from unstuck.sweeps.trainers.learner_trainer import make_trial_learner
from unstuck.sweeps.worker.training import train_period

# The first test waits for a sweep to run (3 s), which is no fault of its own.

ROOT = Path(__file__).parents[2]
POINTS = [
    {"ppo.lr": 3e-4, "ppo.hidden_sizes": (8,)},  # the control
    {"ppo.lr": 1e-2, "ppo.hidden_sizes": (16, 8)},
    {"ppo.lr": 1e-3, "ppo.hidden_sizes": (8,)},
]
SEEDS = 3


def config_in(runs: Path, name: str) -> SweepConfig:
    return SweepConfig(
        sweep=StudyConfig(name=name, folder=str(runs), seeds=2, seed=5, num_trials=4),
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
        ),
        space={"ppo": {"lr": {"log": [1e-4, 1e-1]}, "hidden_sizes": {"choice": [[8], [16, 8]]}}},
        sampler=SamplerConfig(name="random"),
        scheduler=SchedulerConfig(name="none"),
    )


def finish(config: SweepConfig, data: FlowData | None, num_completed: int) -> Path:
    """Run a sweep's points to their end, and begin one trial more that does not complete. Returns its folder."""
    folder = Path(config.sweep.folder) / str(config.sweep.name)
    folder.mkdir(parents=True)
    folder.joinpath("config.yaml").write_text(to_yaml(config))
    space, _ = build_space(config)
    about = {"config": to_yaml(config)}
    ledger = create_ledger(f"sqlite:///{folder.parent}/optuna.db", config.sweep, config.sampler, about)
    for point in POINTS[:num_completed]:
        ledger.enqueue(space.encode({path: point[path] for path in space.paths}))
    progress = Progress(config, 4, Console(file=io.StringIO()))
    driver = Driver(config, num_completed + 1, space, ledger, NullTracker(), progress)
    while assignment := driver.propose():
        learner = make_trial_learner(assignment.config, data)
        while assignment.number < num_completed and not driver.judge(
            assignment.number, train_period(learner, config.sweep.metric)
        ):
            pass
    driver.interrupt("stopped by the user")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_in(tmp_path_factory.mktemp("store") / "runs", "tiny")
    return finish(config, load_flows(config.data), num_completed=3)


def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of the sweep, to leave judgements in."""
    sweep = tmp_path / "runs" / folder.name
    shutil.copytree(folder, sweep, ignore=shutil.ignore_patterns("report"))
    shutil.copy(folder.parent / "optuna.db", sweep.parent)
    return sweep


def trained(
    config: SweepConfig,
    seeds: list[SeedSequence],
    evaluations: SeedSequence,
    data: FlowData | None,
    flows: Flows | None,
) -> list[float]:
    """The mean of the last three of four evaluations of each member, on given seeds and flows."""
    judged = replace(data, validation=flows) if data and flows else data
    learner = make_learner(config.ppo, config.env, seeds, evaluations, judged)
    return [float(value) for value in np.mean([learner.iterate()[config.sweep.metric] for _ in range(4)][1:], axis=0)]


def test_a_champion_is_judged_on_fresh_seeds_and_unseen_flows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_sweep(folder)
    data = load_flows(config.data)
    judgement = judge_champion(load_sweep(folder), SEEDS, trial=1).readings[-1]
    own = build_space(config)[0].apply(config, POINTS[1])
    fresh, evaluations = make_member_seeds(5, SEEDS, block="test"), make_evaluation_seed(5, block="test evaluation")
    expected = trained(own, fresh, evaluations, data, data.test)
    assert list(judgement.champion) == expected
    assert list(judgement.control) == trained(config, fresh, evaluations, data, data.test)
    # What the search saw gives other numbers.
    assert trained(own, fresh, evaluations, data, data.validation) != expected
    assert trained(own, make_member_seeds(5, SEEDS), evaluations, data, data.test) != expected
    loaded, *printed = capsys.readouterr().out.splitlines()
    assert loaded.startswith("Data: ")
    assert printed == ["training trial 1 on 3 fresh seeds", "training the control on the same 3 fresh seeds"]


def test_every_judgement_is_written_down(folder: Path, tmp_path: Path) -> None:
    sweep = copied(folder, tmp_path)
    judge_champion(load_sweep(sweep), SEEDS, trial=1)
    judgements = judge_champion(load_sweep(sweep), 2, trial=2)
    assert [path.name for path in (sweep / "report").iterdir()] == ["champions.json"]
    written = json.loads((sweep / "report" / "champions.json").read_text())
    assert [(one["trial"], len(one["champion"]), len(one["control"])) for one in written] == [(1, 3, 3), (2, 2, 2)]
    entry = Ledger.open(f"sqlite:///{sweep.parent}/optuna.db", "tiny").entries()[1]
    assert written[0]["searched"] == entry.value
    assert written[0]["values"] == {"ppo.lr": 1e-2, "ppo.hidden_sizes": [16, 8]}
    assert written[0]["data"] == compute_fingerprint(load_flows(load_sweep(sweep).data))
    assert datetime.now(UTC) - datetime.fromisoformat(written[0]["at"]) < timedelta(minutes=10)
    assert read_judgements(sweep / "report") == judgements
    assert judgements.readings[0].is_about(1, entry.values, None)


def test_the_best_completed_trial_is_judged(folder: Path) -> None:
    entries = Ledger.open(f"sqlite:///{folder.parent}/optuna.db", "tiny").entries()
    expected = find_best(entries, "max")
    assert expected is not None
    judgement = judge_champion(load_sweep(folder), 1).readings[-1]
    assert (judgement.trial, judgement.searched) == (expected.number, expected.value)


def test_the_control_is_not_compared_with_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judgements = judge_champion(load_sweep(copied(folder, tmp_path)), 2, trial=0)
    assert judgements.readings[-1].control == ()
    assert judgements.difference(judgements.readings[-1]) is None
    assert capsys.readouterr().out.splitlines()[1:] == ["training trial 0 on 2 fresh seeds"]


def test_a_sweep_without_a_control_is_judged_against_none(tmp_path: Path) -> None:
    config = config_in(tmp_path / "runs", "bare")
    config = replace(config, ppo=replace(config.ppo, lr=2e-3))  # no trial has it
    judgements = judge_champion(load_sweep(finish(config, load_flows(config.data), num_completed=1)), 2)
    assert judgements.readings[-1].control == ()


def test_another_reading_of_the_test_part_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = copied(folder, tmp_path)
    judge_champion(load_sweep(sweep), 1, trial=1)
    judge_champion(load_sweep(sweep), 1, trial=0)
    capsys.readouterr()
    assert main(["champion", str(sweep), "--seeds", "2", "--trial", "1"]) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"\nreading 3 of the test part, of this trial again; so far: trial 1 on 1 seed \(\d{4}.*\), trial 0 on 1 seed",
        printed,
    )
    assert "\nThe test part has been read 3 times, for trials 1 and 0: what is chosen by these figures is " in printed


def test_one_seed_gives_no_verdict(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = copied(folder, tmp_path)
    assert main(["champion", str(sweep), "--seeds", "1", "--trial", "2"]) == 0
    printed = capsys.readouterr().out
    assert (
        "(one seed: no interval): trial 2 cannot be judged against the control by one seed; take at least 3" in printed
    )
    assert not any("±" in line for line in printed.splitlines() if line.startswith(("trial 2:", "control:")))
    assert "beats" not in printed + (sweep / "report" / "report.md").read_text()


def test_a_sweep_can_be_judged_where_it_was_moved_to(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, moved)
    shutil.copy(folder.parent / "optuna.db", moved.parent)
    assert load_sweep(moved).sweep.folder == str(moved.parent)
    (moved.parent / "optuna.db").rename(moved.parent / "other.db")
    with pytest.raises(SweepError, match=r"must be a database that exists, got .*optuna\.db"):
        judge_champion(load_sweep(moved), 1)
    judgements = judge_champion(find_sweep(str(moved), moved, f"sqlite:///{moved.parent / 'other.db'}"), 1, trial=2)
    assert judgements.readings[-1].trial == 2


def test_other_environments_play_episodes_of_their_own(tmp_path: Path) -> None:
    config = config_in(tmp_path / "runs", "cartpole")
    config = replace(
        config,
        env=EnvConfig(id="CartPole-v1", eval_episodes=2),
        sweep=replace(config.sweep, metric="eval/episode_return"),
        space={"ppo": {"lr": {"log": [1e-4, 1e-1]}}},
    )
    judgement = judge_champion(load_sweep(finish(config, None, num_completed=1)), 2).readings[-1]
    fresh, evaluations = make_member_seeds(5, 2, block="test"), make_evaluation_seed(5, block="test evaluation")
    assert list(judgement.champion) == trained(config, fresh, evaluations, None, None)
    assert list(judgement.champion) != trained(config, fresh, make_evaluation_seed(5), None, None)


def test_no_sweep_there(folder: Path) -> None:
    with pytest.raises(SweepError, match=rf"^no sweep in {folder.parent}/nope; sweeps in {folder.parent}: tiny$"):
        judge_champion(load_sweep(folder.parent / "nope"), 1)
    with pytest.raises(SweepError, match=r"/tiny/nope; sweeps in .*/tiny: none$"):
        judge_champion(load_sweep(folder / "nope"), 1)


@pytest.mark.parametrize("number", [3, 99])
def test_only_a_completed_trial_can_be_champion(folder: Path, number: int) -> None:
    message = rf"^--trial must name a completed trial, got {number}; completed: 0, 1, 2$"
    with pytest.raises(SweepError, match=message):
        judge_champion(load_sweep(folder), 1, trial=number)


def test_without_a_completed_trial_there_is_no_champion(tmp_path: Path) -> None:
    config = config_in(tmp_path / "runs", "none")
    folder = finish(config, load_flows(config.data), num_completed=0)
    with pytest.raises(SweepError, match=r"^a champion must have completed, and no trial of this sweep did"):
        judge_champion(load_sweep(folder), 1)


@pytest.mark.parametrize(
    ("control", "mode", "verdict"),
    [
        ((0.4, 0.5, 0.6), "max", "+0.25 (95 % interval 0.0233 to 0.4767): trial 7 beats the control"),
        ((0.4, 0.5, 0.6), "min", "+0.25 (95 % interval 0.0233 to 0.4767): trial 7 is worse than the control"),
        ((0.6, 0.7, 0.8), "max", "+0.05 (95 % interval -0.1767 to 0.2767): trial 7 cannot be told from the control"),
    ],
)
def test_a_judgement_in_words(control: tuple[float, ...], mode: str, verdict: str) -> None:
    # Both spreads are 0.1: an error of 0.1 * sqrt(2 / 3) with 4 degrees of freedom, whose t is 2.776.
    judgement = Judgement(trial=7, searched=0.9, champion=(0.65, 0.75, 0.85), control=control)
    said = describe_champion(Judgements((judgement,)), "eval/f1", mode)
    assert said[0] == "trial 7: eval/f1 0.7500 ± 0.1000 over 3 fresh seeds, by unseen data (the search had said 0.9000)"
    assert said[1] == f"control: eval/f1 {sum(control) / 3:.4f} ± 0.1000 over 3 fresh seeds"
    assert said[2] == f"difference: {verdict}"
    alone = replace(judgement, control=())
    assert len(describe_champion(Judgements((alone,)), "eval/f1", mode)) == 1


def test_the_command_says_it_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = judge_champion(load_sweep(folder), 1).readings[-1].trial
    (folder / "report" / "champions.json").unlink()
    capsys.readouterr()
    assert main(["champion", str(folder), "--seeds", "2"]) == 0
    loaded, *printed = capsys.readouterr().out.splitlines()
    assert loaded == "Data: 500 flows (synthetic), 54 of them threats: 4 numbers (4 features)"
    assert printed[2].startswith(f"trial {best}: eval/f1 ")
    assert [line.partition(":")[0] for line in printed[2:5]] == [f"trial {best}", "control", "difference"]
    assert printed[5].startswith(f"Trial {best} ")  # the report is written again, with what fresh seeds said
    assert printed[6:] == [f"The report: {folder}/report/report.html"]
    assert "on 2 fresh seeds and unseen data" in (folder / "report" / "report.md").read_text()
    assert main(["champion", str(folder / "nope")]) == 2
    assert capsys.readouterr().err.startswith("sweeps: error: no sweep in ")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "unstuck.sweeps", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_refusal_is_one_line_and_status_2() -> None:
    done = command("champion", "runs/x", "--seeds", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sweeps: error: --seeds must be at least 1, got 0; try 8\n"


def test_help_holds_an_example() -> None:
    done = command("champion", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "python -m unstuck.sweeps champion runs/quickstart-20260101-120000-a1b2c3 --seeds 16" in done.stdout
