"""On tiny sweeps that really ran, but for Ray."""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.random import SeedSequence
from rich.console import Console

from analysis.statistics import Estimate, bootstrap_difference, bootstrap_mean
from rl.config import DataConfig, EnvConfig, PPOConfig
from rl.data import FlowData, Flows, load_flows
from rl.seeding import evaluation_seed, member_seeds
from rl.training import make_learner
from sweeps.__main__ import main
from sweeps.champion import Judgement, describe, judge, load_sweep
from sweeps.config import SamplerConfig, SchedulerConfig, StudyConfig, SweepConfig
from sweeps.driver import Driver
from sweeps.errors import SweepError
from sweeps.ledger import Ledger, best
from sweeps.progress import Progress
from sweeps.schema import to_yaml
from sweeps.space import search_space
from sweeps.tracking import NullTracker
from sweeps.training import learner_of, train_period

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
    space, _ = search_space(config)
    ledger = Ledger.create(f"sqlite:///{folder.parent}/optuna.db", config.sweep, config.sampler, {})
    for point in POINTS[:num_completed]:
        ledger.enqueue(space.encode({path: point[path] for path in space.paths}))
    progress = Progress(config, 4, Console(file=io.StringIO()))
    driver = Driver(config, num_completed + 1, space, ledger, NullTracker(), progress)
    while assignment := driver.propose():
        learner = learner_of(assignment.config, data)
        while assignment.number < num_completed and not driver.receive(
            assignment.number, train_period(learner, config.sweep.metric)
        ):
            pass
    driver.interrupt("stopped by the user")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_in(tmp_path_factory.mktemp("store") / "runs", "tiny")
    return finish(config, load_flows(config.data), num_completed=3)


def trained(
    config: SweepConfig,
    seeds: list[SeedSequence],
    evaluations: SeedSequence,
    data: FlowData | None,
    flows: Flows | None,
) -> list[float]:
    """The mean of the last three of four evaluations of each member, on given seeds and flows."""
    learner = make_learner(config.ppo, config.env, seeds, evaluations, data, flows)
    return [float(value) for value in np.mean([learner.iterate()[config.sweep.metric] for _ in range(4)][1:], axis=0)]


def test_a_champion_is_judged_on_fresh_seeds_and_unseen_flows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_sweep(folder)
    data = load_flows(config.data)
    judgement = judge(folder, SEEDS, trial=1)
    own = search_space(config)[0].apply(config, POINTS[1])
    fresh, evaluations = member_seeds(5, SEEDS, block="test"), evaluation_seed(5, block="test evaluation")
    expected = trained(own, fresh, evaluations, data, data.test)
    assert judgement.champion == bootstrap_mean(expected)
    assert judgement.control == bootstrap_mean(trained(config, fresh, evaluations, data, data.test))
    assert judgement.difference == bootstrap_difference(expected, judgement.control.values)
    # What the search saw gives other numbers.
    assert trained(own, fresh, evaluations, data, data.validation) != expected
    assert trained(own, member_seeds(5, SEEDS), evaluations, data, data.test) != expected
    printed = capsys.readouterr().out
    assert printed == "training trial 1 on 3 fresh seeds\ntraining the control on the same 3 fresh seeds\n"


def test_the_judgement_is_written_down(folder: Path) -> None:
    judgement = judge(folder, SEEDS, trial=1)
    assert [path.name for path in (folder / "report").iterdir()] == ["champion.json"]
    written = json.loads((folder / "report" / "champion.json").read_text())
    assert written == json.loads(json.dumps(asdict(judgement)))
    assert written["trial"] == 1
    entry = Ledger.open(f"sqlite:///{folder.parent}/optuna.db", "tiny").entries()[1]
    assert written["searched"] == entry.value
    assert len(written["champion"]["values"]) == len(written["control"]["values"]) == SEEDS


def test_the_best_completed_trial_is_judged(folder: Path) -> None:
    entries = Ledger.open(f"sqlite:///{folder.parent}/optuna.db", "tiny").entries()
    expected = best(entries, "max")
    assert expected is not None
    judgement = judge(folder, 1)
    assert (judgement.trial, judgement.searched) == (expected.number, expected.value)


def test_the_control_is_not_compared_with_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judgement = judge(folder, 2, trial=0)
    assert (judgement.control, judgement.difference) == (None, None)
    assert capsys.readouterr().out == "training trial 0 on 2 fresh seeds\n"


def test_a_sweep_can_be_judged_where_it_was_moved_to(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(folder, moved)
    shutil.copy(folder.parent / "optuna.db", moved.parent)
    assert load_sweep(moved).sweep.folder == str(moved.parent)
    (moved.parent / "optuna.db").rename(moved.parent / "other.db")
    with pytest.raises(SweepError, match=r"must be a database that exists, got .*optuna\.db"):
        judge(moved, 1)
    assert judge(moved, 1, trial=2, optuna_url=f"sqlite:///{moved.parent / 'other.db'}").trial == 2


def test_other_environments_play_episodes_of_their_own(tmp_path: Path) -> None:
    config = config_in(tmp_path / "runs", "cartpole")
    config = replace(
        config,
        env=EnvConfig(id="CartPole-v1", eval_episodes=2),
        sweep=replace(config.sweep, metric="eval/episode_return"),
        space={"ppo": {"lr": {"log": [1e-4, 1e-1]}}},
    )
    judgement = judge(finish(config, None, num_completed=1), 2)
    fresh, evaluations = member_seeds(5, 2, block="test"), evaluation_seed(5, block="test evaluation")
    assert list(judgement.champion.values) == trained(config, fresh, evaluations, None, None)
    assert list(judgement.champion.values) != trained(config, fresh, evaluation_seed(5), None, None)


def test_no_sweep_there(folder: Path) -> None:
    with pytest.raises(SweepError, match=rf"^no sweep in {folder.parent}/nope; sweeps in {folder.parent}: tiny$"):
        judge(folder.parent / "nope", 1)
    with pytest.raises(SweepError, match=r"/tiny/nope; sweeps in .*/tiny: none$"):
        judge(folder / "nope", 1)


@pytest.mark.parametrize("number", [3, 99])
def test_only_a_completed_trial_can_be_champion(folder: Path, number: int) -> None:
    message = rf"^--trial must name a completed trial, got {number}; completed: 0, 1, 2$"
    with pytest.raises(SweepError, match=message):
        judge(folder, 1, trial=number)


def test_without_a_completed_trial_there_is_no_champion(tmp_path: Path) -> None:
    config = config_in(tmp_path / "runs", "none")
    folder = finish(config, load_flows(config.data), num_completed=0)
    with pytest.raises(SweepError, match=r"^a champion must have completed, and no trial of this sweep did"):
        judge(folder, 1)


def estimate(mean: float, low: float, high: float) -> Estimate:
    return Estimate(mean, low, high, 0.125, (0.0,) * 8)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.4, "+0.1000 to +0.4000, clear of 0"),
        (-0.4, -0.1, "-0.4000 to -0.1000, clear of 0"),
        (-0.1, 0.4, "-0.1000 to +0.4000, not clear of 0: inconclusive"),
    ],
)
def test_a_judgement_in_words(low: float, high: float, verdict: str) -> None:
    judgement = Judgement(7, 0.9, estimate(0.75, 0.5, 1.0), estimate(0.5, 0.25, 0.75), estimate(0.25, low, high))
    assert describe(judgement, "eval/f1") == [
        "trial 7: eval/f1 0.7500 ± 0.1250 over 8 seeds, 95 % interval 0.5000 to 1.0000 on fresh seeds and unseen data "
        "(the search had said 0.9000)",
        "control: eval/f1 0.5000 ± 0.1250 over 8 seeds, 95 % interval 0.2500 to 0.7500",
        f"difference: +0.2500, 95 % interval {verdict}",
    ]
    alone = replace(judgement, control=None, difference=None)
    assert len(describe(alone, "eval/f1")) == 1


def test_the_command_says_it_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["champion", str(folder), "--seeds", "2", "--trial", "2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].startswith("trial 2: eval/f1 ")
    assert [line.partition(":")[0] for line in printed[2:5]] == ["trial 2", "control", "difference"]
    assert printed[5].startswith("Trial 2 ")  # the report is written again, with what fresh seeds said
    assert printed[6:] == [f"The report: {folder}/report/report.html"]
    assert "on fresh seeds and unseen data" in (folder / "report" / "report.md").read_text()
    assert main(["champion", str(folder / "nope")]) == 2
    assert capsys.readouterr().err.startswith("sweeps: error: no sweep in ")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "sweeps", *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_a_refusal_is_one_line_and_status_2() -> None:
    done = command("champion", "runs/x", "--seeds", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sweeps: error: --seeds must be at least 1, got 0; try 8\n"


def test_help_holds_an_example() -> None:
    done = command("champion", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "example: python -m sweeps champion runs/quickstart-20260101-120000 --seeds 8" in done.stdout
