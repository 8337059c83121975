"""A setting that nothing reads is refused, through the command line; what an experiment holds besides is no mistake."""

from pathlib import Path

import pytest

from tests.conftest import Command

CSV = ("data=csv", "data.path=f.csv", "data.label=l", "data.benign=[a]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data.path=ok.csv",), "data.path has no effect with data.source=synthetic, got "),
        (("data.label=kind",), "data.label has no effect with data.source=synthetic, got kind; take data=csv, or"),
        (("data.drop=[a]",), "data.drop has no effect with data.source=synthetic, got [a]; take data=csv"),
        ((*CSV, "data.difficulty=0.1"), "data.difficulty has no effect with data.source=csv, got 0.1"),
        (("env=cartpole", "data.seed=1"), "data.seed has no effect with env.id=CartPole-v1, got 1; take env=triage"),
        (("env=cartpole", "env.reward_benign=[1,2,3,4]"), "env.reward_benign has no effect with env.id=CartPole-v1"),
        (("env=cartpole", "env.vectorization=async"), "env.vectorization has no effect with env.id=CartPole-v1"),
        (("env.eval_episodes=3",), "env.eval_episodes has no effect with env.id=unstuck/Triage-v0, got 3"),
        (
            ("trainer.make=a:b",),
            "trainer.make has no effect with trainer.name=ppo, got 'a:b'; take trainer=sb3",
        ),
        (("trainer=sb3", "trainer.command=a"), "trainer.command has no effect with trainer.name=sb3, got a; take trai"),
        (("trainer=command", "trainer.make=a:b"), "trainer.make has no effect with trainer.name=command, got 'a:b'"),
        (("sampler=random", "sampler.num_startup_trials=3"), "sampler.num_startup_trials has no effect with sampler"),
        (("+experiment=owner_options", "space=horizon"), "space has no effect with sampler.name=points; take sampler"),
        (("+experiment=owner_options", "space.ppo.lr.log=[1e-4,1e-3]"), "space has no effect with sampler.name=point"),
        (("+experiment=owner_options", "sweep.control=false"), "sweep.control has no effect with sampler.name=points"),
        (("scheduler=none", "scheduler.spared_share=0.2"), "scheduler.spared_share has no effect with scheduler.name"),
        (("health=none", "health.explosion_factor=9"), "health.explosion_factor has no effect with health.enabled=f"),
        (("+experiment=cartpole", "health.stuck_f1_margin=0.2"), "health.stuck_f1_margin has no effect with env.id"),
        (("tracking=none", "tracking.mlflow_experiment=x"), "tracking.mlflow_experiment has no effect with tracking"),
    ],
)
def test_a_setting_without_effect_is_refused(command: Command, arguments: tuple[str, ...], message: str) -> None:
    words = arguments if arguments[0].startswith("+") else ("+experiment=quickstart", *arguments)
    done = command(*words)
    assert done.err.startswith(f"sweep.py: error: {message}")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert list(command.folder.iterdir()) == []


NEXT = "sampler.points=[{ppo: {gamma: 3}}]"
"""Refused after all that is about effects."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("+experiment=quickstart",),
        ("+experiment=quickstart", "scheduler=none", "health=none", "sampler=random"),
        ("+experiment=quickstart", "scheduler.name=none", "health.enabled=false", "data.path=null"),
        ("+experiment=quickstart", "scheduler=none", "scheduler.grace_iterations=60"),
        ("+experiment=owner_options",),
        ("+experiment=cartpole",),
        ("+experiment=cartpole", "env=triage", "sweep.metric=eval/f1"),
    ],
)
def test_what_an_experiment_holds_for_another_choice_is_no_mistake(
    command: Command, arguments: tuple[str, ...]
) -> None:
    done = command(*arguments, NEXT)
    assert done.err == "sweep.py: error: sampler.points[0] cannot run: ppo.gamma must lie in 0..1, got 3.0\n"


@pytest.mark.parametrize(
    ("written", "arguments", "refused"),
    [
        ("data: {path: f.csv}", (), "data.path"),
        ("defaults: [override /scheduler: none]\nscheduler: {grace_iterations: 5}", (), "scheduler.grace_iterations"),
        ("defaults: [override /sampler: points]\nspace: {ppo: {gamma: {float: [0, 0.9]}}}", (), "space"),
        ("scheduler: {grace_iterations: 5}", ("scheduler=none",), ""),
        ("defaults: [override /sampler: points]", (), ""),
        ("defaults: [quickstart, override /scheduler: none]", (), ""),
    ],
)
def test_ones_own_experiment_is_held_to_what_it_chooses_itself(
    command: Command, written: str, arguments: tuple[str, ...], refused: str
) -> None:
    file = command.folder / "mine" / "experiment" / "x.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\n{written}\n")
    done = command("--config-dir", "mine", "+experiment=x", *arguments, NEXT)
    expected = f"{refused} has no effect with " if refused else "sampler.points[0] cannot run: "
    assert done.err.startswith(f"sweep.py: error: {expected}")


def test_the_arms_of_a_sweep_start_from_its_own_configuration(command: Command, old_sweeps: Path) -> None:
    recorded = next((old_sweeps / "runs").glob("*/config.yaml")).parent
    choices = ("sampler.name=points", "scheduler.name=none", "health.enabled=false", "sweep.num_trials=null")
    done = command("--config-path", str(recorded), "hydra.run.dir=.", *choices, "sweep.name=arms", NEXT)
    assert done.err == "sweep.py: error: sampler.points[0] cannot run: ppo.gamma must lie in 0..1, got 3.0\n"


def test_a_sweep_of_before_goes_on_with_a_word_and_its_rerun_leaves_the_setting_out(
    command: Command, old_sweeps: Path
) -> None:
    runs = old_sweeps / "runs"
    words = ["--config-path", str(runs / "ended"), "hydra.run.dir=.", "resume=ended", f"sweep.folder={runs}"]
    words += [f"data.path={old_sweeps / 'flows.csv'}", "tracking.name=none", "tracking.mlflow_experiment=x"]
    done = command(*words)
    assert done.err == ""
    assert (
        "note: tracking.mlflow_experiment has no effect with tracking.name=none, got x; the sweep goes on without it"
        in done.out.splitlines()
    )
    assert done.code == 0
    (rerun,) = [line for line in done.out.splitlines() if "sampler.points=[{}]" in line]
    assert "tracking.name=none" in rerun
    assert "mlflow_experiment" not in rerun
    file = runs / "ended" / "config.yaml"
    file.write_text(file.read_text().replace("format: 1", "format: 2"))
    done = command(*words)
    assert done.err.startswith("sweep.py: error: tracking.mlflow_experiment has no effect with tracking.name=none, got")
    assert done.code == 2
