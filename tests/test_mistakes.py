"""Mistakes that a newcomer makes on the command line: each is answered in one line of ours, with what to write."""

from pathlib import Path

import pytest
from unstuck.records.score import summarize
from unstuck.rl.config import PPOConfig
from unstuck.rl.errors import ConfigError

from tests.conftest import Command

WRONG_NAMES = [
    ("ppo.learning_rate=3e-4", "unknown setting ppo.learning_rate; did you mean ppo.lr?"),
    ("ppo.net_arch=[64]", "unknown setting ppo.net_arch; did you mean ppo.hidden_sizes?"),
    ("ppo.batch_size=64", "unknown setting ppo.batch_size; did you mean ppo.minibatch_size?"),
    ("n_steps=128", "unknown setting n_steps; did you mean ppo.num_steps?"),
    ("ent_coef=0.1", "unknown setting ent_coef; did you mean ppo.entropy_coef?"),
    ("train.vf_coef=1", "unknown setting train.vf_coef; did you mean ppo.value_coef?"),
    ("total_timesteps=1000000", "unknown setting total_timesteps; did you mean ppo.num_iterations?"),
    ("+space.ppo.clip_coef.float=[0.1,0.3]", "unknown setting ppo.clip_coef in space; did you mean ppo.clip_range?"),
    ("sampler.points=[{ppo: {n_epochs: 3}}]", "unknown setting ppo.n_epochs in sampler.points[0]; did you mean ppo.n"),
    ("sampler.points=[{ppo.lr: 1e-3}]", "sampler.points[0] may hold settings of ppo and env only, got ppo.lr; did yo"),
    ("space.lr.log=[1e-4,1e-2]", "space may hold settings of ppo and env only, got lr; did you mean {ppo: {lr: ...}}?"),
    ("sweep.lr=1", "unknown setting sweep.lr; did you mean ppo.lr?"),
    ("spacex=1", "unknown setting spacex; did you mean space?"),
    ("+sampler.pointsx=1", "unknown setting sampler.pointsx; did you mean sampler.points?"),
    ("quickstart", "cannot read 'quickstart'; write +experiment=quickstart"),
    (
        "env=Pendulum-v1",
        "env has no option Pendulum-v1; did you mean env=cartpole? There are: cartpole, triage; another",
    ),
    ("ppo=conf/ppo/stuck_run.yml", "ppo has no option conf/ppo/stuck_run.yml; did you mean ppo=stuck_run? There are: "),
]

WRONG_VALUES = [
    (
        "ppo.num_epochs=choice(1,2,4)",
        "ppo.num_epochs takes one value, got choice(1,2,4); write space.ppo.num_epochs.cho",
    ),
    (
        "ppo.num_epochs=range(1,5)",
        "ppo.num_epochs takes one value, got range(1,5); write space.ppo.num_epochs.int=[1,4]",
    ),
    (
        "ppo.lr=interval(1e-4,1e-2)",
        "ppo.lr takes one value, got interval(1e-4,1e-2); write space.ppo.lr.float=[0.0001,",
    ),
    ("ppo.lr=1e-4,1e-2", "ppo.lr takes one value, got 1e-4,1e-2; write space.ppo.lr.choice=[0.0001,0.01] to search"),
    ("ppo.lr=0,001", "ppo.lr takes one number, with a point, got 0,001; write ppo.lr=0.001"),
    ("space.ppo.lr.log=interval(1e-4,1e-2)", "space.ppo.lr.log takes a list, got interval(1e-4,1e-2); write space.pp"),
    ("data=glob(*)", "data takes one option, got glob(*); one call is one sweep"),
    ("+experiment=cartpole", "experiment takes one option, got quickstart and cartpole; leave one out"),
    ("space.ppo={lr", "cannot read 'space.ppo={lr'; write key=value, in quotes where it holds spaces or brackets"),
    ("ppo.lr=–1", "ppo.lr must be a number, got –1"),
    ("resources.cpus=all", "resources.cpus must be a whole number, or null, got all; write null"),
    ("sweep.metric=eval/return", "sweep.metric must be one that unstuck/Triage-v0 is evaluated by (eval/f1, eval/pre"),
    ("ppo.hidden_sizes=64,64", "ppo.hidden_sizes takes a list, got 64,64; write ppo.hidden_sizes=[64,64]"),
    ("ppo.hidden_sizes=64", "ppo.hidden_sizes takes a list, got 64; write ppo.hidden_sizes=[64]"),
    ("ppo.hidden_sizes=(64,64)", "cannot read 'ppo.hidden_sizes=(64,64)'; a list is written ppo.hidden_sizes=[64,64]"),
    ("ppo.num_iterations=1e6", "ppo.num_iterations must be a whole number, got 1000000.0; write 1000000"),
    (
        "sweep.max_hours=30min",
        "sweep.max_hours must be a number, or null, got 30min; write the number alone, without a",
    ),
    ("ppo.target_kl=off", "ppo.target_kl must be a number, or null, got off; write null"),
    ("ppo.normalize_advantage=maybe", "ppo.normalize_advantage must be true or false, got maybe"),
    ("ppo.lr_schedule=linaer", "ppo.lr_schedule must be one of constant, linear, got 'linaer'; did you mean linear?"),
    ("sampler.points=[1]", "sampler.points lists changes, such as {ppo: {lr: 1e-3}}, got 1"),
    (
        "space.ppo.lr=[1e-4,1e-2]",
        "space.ppo.lr must have a kind, got [0.0001, 0.01]; write space.ppo.lr.log=[0.0001,0.",
    ),
    ("space.ppo.lr.uniform=[1e-4,1e-2]", "space.ppo.lr has the unknown kind uniform; did you mean float? There are"),
    ("~space.ppo.gamma", "~space.ppo.gamma takes out what is not there; --cfg job --package space shows what is"),
    ("sweep.metric=f1", "sweep.metric must be an eval/ metric, got 'f1'; write eval/f1"),
    ("sweep.mode=min", "sweep.mode must be max for eval/f1, of which more is better, got min"),
    (
        "hydra.run.dir=X",
        "hydra.run.dir must stay as it is: a configuration runs no code, writes nothing of its own and stays",
    ),
    ("hydra.job.chdir=true", "hydra.job.chdir must stay as it is: a configuration runs no code, writes nothing of its"),
    ("+hydra.job.env_set.PYTHONPATH=x", "hydra.job.env_set.PYTHONPATH must stay as it is: a configuration runs no"),
]

NEVER_RUNS = [
    (
        "space.ppo.lr_schedule.choice=[constant,linaer]",
        "space.ppo.lr_schedule.choice must hold what can run: ppo.lr_schedule must be one of constant, linear, got "
        "'linaer'; did you mean linear?",
    ),
    (
        "space.ppo.gamma.float=[0.9,1.2]",
        "space.ppo.gamma.float must hold what can run: ppo.gamma must lie in 0..1, got 1.2",
    ),
    (
        "space.ppo.minibatch_size.choice=[256,48]",
        "space.ppo.minibatch_size.choice must hold what can run: minibatch_size must divide num_envs * num_steps = 10",
    ),
    ("sampler.points=[{ppo: {lr: -1}}]", "sampler.points[0] cannot run: ppo.lr must be positive and finite, got -1.0"),
]


@pytest.mark.parametrize(("argument", "message"), [*WRONG_NAMES, *WRONG_VALUES, *NEVER_RUNS])
def test_a_mistake_is_answered_in_our_words(command: Command, argument: str, message: str) -> None:
    done = command("+experiment=quickstart", argument)
    assert done.err.startswith(f"sweep.py: error: {message}")
    assert (done.code, done.err.count("\n"), done.out) == (2, 1, "")
    assert list(command.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("metric", "mode"), [("eval/recall", "min"), ("eval/tp", "min"), ("eval/episode_return", "min"), ("eval/fn", "max")]
)
def test_a_metric_is_wanted_in_its_sensible_direction(command: Command, metric: str, mode: str) -> None:
    done = command("+experiment=quickstart", f"sweep.metric={metric}", f"sweep.mode={mode}")
    assert done.err.startswith(f"sweep.py: error: sweep.mode must be {'min' if mode == 'max' else 'max'} for {metric}")


@pytest.mark.parametrize("path", ["jörg/f.csv", "a b/it's=1,2.csv", "[x](1).csv", "\\x\\"])
def test_a_path_is_taken_as_it_is_typed(command: Command, path: str) -> None:
    done = command("data=csv", f"data.path={path}", "data.label=Größe", "data.benign=[jörg, b=c]")
    assert (done.code, done.err.partition(": ")[2].count(str(command.folder / path))) == (2, 1)
    assert "cannot read" not in done.err


def test_home_is_found_and_text_stays_text(command: Command) -> None:
    words = ("data=csv", "data.path=~/f.csv", "data.label=true", "data.benign=[0,1e3,Web – XSS]", "sweep.folder=~/ü x")
    shown = command(*words, "--cfg", "job", "-p", "data").out
    assert "path: ~/f.csv\n" in shown
    assert "label: 'true'\nbenign:\n- '0'\n- '1e3'\n- Web – XSS\n" in shown
    done = command(*words)
    assert f"{Path.home()}/f.csv" in done.err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("+experiment=quickstart", "--cfg", "job", "ppo.lr=1e-3", "-p", "ppo.lr"), "0.001"),
        (("--cfg", "job", "ppo.lr=1e-3", "-p", "ppo.lr", "experiment=quickstart"), "0.001"),
        (("+ppo.lr=1e-3", "++ppo.gamma=0.5", "+data=synthetic", "--cfg", "job", "-p", "ppo.gamma"), "0.5"),
        (("space.ppo.gamma.float=[0,0.5]", "+space.ppo.lr.log=[1,2]", "--cfg=job", "-p=space.ppo.lr"), "- 2"),
    ],
)
def test_options_and_overrides_stand_in_any_order_with_or_without_a_plus(
    command: Command, arguments: tuple[str, ...], shown: str
) -> None:
    done = command(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].strip() == shown


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [("gamma", 1.2, 1.0), ("num_envs", 4097, 4096), ("minibatch_size", 1, 2), ("hidden_sizes", (), (1,))],
)
def test_a_rule_of_one_setting_holds_alone(name: str, wrong: object, right: object) -> None:
    PPOConfig.check_alone(name, right)
    with pytest.raises(ConfigError, match=rf"^ppo\.{name} must "):
        PPOConfig.check_alone(name, wrong)


def test_one_seed_has_no_spread_on_record() -> None:
    numbers = summarize([{"eval/f1": 0.5, "eval/f1/seed_0": 0.5}], "eval/f1", 1)
    assert numbers == {"final/value": 0.5, "final/value/seed_0": 0.5}


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray")
def test_one_seed_shows_no_spread(command: Command) -> None:
    small = ("data.num_flows=2000", "ppo.num_iterations=4", "ppo.eval_every=1", "ppo.num_steps=32")
    words = (*small, "ppo.minibatch_size=64", "scheduler=none", "tracking=none", "sweep.num_trials=1", "sweep.name=one")
    done = command("+experiment=quickstart", *words, "sweep.seeds=1")
    assert done.code == 0, done.err
    report = (command.folder / "runs" / "one" / "report" / "report.md").read_text()
    assert [line for line in (done.out + report).splitlines() if "±" in line and "floor" not in line] == []
    assert "mean over 1 seed" in done.out
    assert "1 seeds" not in done.out + report
