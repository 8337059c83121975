"""Mistakes that a newcomer makes: each is answered in one line of ours, with what to write. See `mistakes.py` too."""

import errno
import os
import re
import shlex
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.diagnosis.language import LANGUAGES
from unstuck.analysis.history.names import find_our_setting
from unstuck.records.score import summarize
from unstuck.rl import archive
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.envs import check_env
from unstuck.rl.errors import CheckpointError, ConfigError, DataError
from unstuck.sweeps.config.keys import find_nearest_setting, settings
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.unstick.milestones import OBJECTIVE, _parse_metric

from tests.conftest import Command
from tests.mistakes import (
    CHECKPOINTS,
    COMMANDS,
    DATA,
    ENVIRONMENTS,
    EXPERIMENTS,
    HOSTILE,
    KDD,
    NAMES_OF_OTHERS,
    SETTINGS,
    Mistake,
    make_other_ledger,
)
from unstuck.command_line import explain_refusal

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
        "env has no option Pendulum-v1; there are: cartpole, triage; another",
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


def put(path: Path, what: str | bytes | Callable[[Path], Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if callable(what):
        what(path)
    else:
        path.write_bytes(what if isinstance(what, bytes) else what.encode())


def test_the_table_is_as_long_as_promised() -> None:
    ours = (WRONG_NAMES, WRONG_VALUES, NEVER_RUNS, COMMANDS, DATA, ENVIRONMENTS, CHECKPOINTS)
    assert sum(map(len, ours)) > 150


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: f"{row.words} {'+'.join(row.files)}"[:60])
def test_a_wrong_call_is_answered_in_one_line(command: Command, row: Mistake) -> None:
    for name, what in row.files.items():
        put(command.folder / name, what)
    before = sorted(command.folder.rglob("*"))
    done = command.unstuck(*shlex.split(row.words))
    program, _, said = done.err.replace(str(command.folder), "{here}").partition(": error: ")
    assert said.startswith(row.message)
    assert (done.code, done.err.count("\n"), program.partition(" ")[0]) == (2, 1, "unstuck")
    assert "s3cret" not in done.err
    assert sorted(command.folder.rglob("*")) == before


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_wrong_file_of_settings_is_answered_in_one_line(command: Command, name: str) -> None:
    content, message = EXPERIMENTS[name]
    put(command.folder / "mine" / "experiment" / "a.yaml", content)
    done = command("--config-dir", "mine", "+experiment=a")
    assert done.err.replace(str(command.folder), "{here}").startswith(f"sweep.py: error: {message}")
    assert (done.code, done.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("name", DATA)
def test_wrong_data_is_answered_in_one_line(name: str, tmp_path: Path) -> None:
    content, more, message = DATA[name]
    file = tmp_path / more.get("path", "flows.csv")
    if content is not None:
        put(file, content)
    whole = {"label": "Label", "benign": ("BENIGN",), "threat_share": 0.2, "eval_flows": 40, **more, "path": str(file)}
    with pytest.raises(DataError) as refused:
        load_flows(DataConfig(source="csv", **whole))
    assert str(explain_refusal(refused.value)).replace(str(tmp_path), "{here}").startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_wrong_environment_is_answered_in_one_line(env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "hostile.py", HOSTILE)
    put(tmp_path / "syntax.py", "def (:")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError) as refused:
        check_env(EnvConfig(id=env), None)
    assert str(refused.value) == ENVIRONMENTS[env]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_wrong_checkpoint_is_answered_in_one_line(name: str, tmp_path: Path) -> None:
    content, message = CHECKPOINTS[name]
    file = tmp_path / "checkpoint.npz"
    if content is not None:
        put(file, content)
    with pytest.raises(CheckpointError) as refused:
        archive.read_history(file)
    assert str(refused.value).startswith(message.format(file=file))


@pytest.mark.parametrize(
    ("ours", "theirs"), [(ours, name) for ours, names in NAMES_OF_OTHERS.items() for name in names.split()]
)
def test_a_name_of_another_library_is_answered_with_ours(ours: str, theirs: str) -> None:
    assert find_nearest_setting(f"ppo.{theirs}") == find_nearest_setting(theirs) == ours
    assert ours in settings()


def test_every_word_that_a_diagnosis_speaks_is_known_on_the_command_line() -> None:
    for name, language in LANGUAGES.items():
        for ours, theirs in language.settings.items():
            word = theirs.lstrip("-").rpartition(".")[2]
            if re.fullmatch(r"[a-z_-]+", word) and (name, ours) != ("rllib", "num_steps"):  # its batch is of all lanes
                assert find_our_setting(word) == f"ppo.{ours}", (name, theirs)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("rollout/ep_rew_mean", "train/episode_return"),
        ("losses/value_loss", "train/value_loss"),
        ("train/entropy_loss", "train/entropy"),
        ("train/approx_kl", "train/approx_kl"),
    ],
)
def test_a_metric_of_another_library_in_a_milestone_is_answered_with_ours(theirs: str, ours: str) -> None:
    if theirs == ours:
        assert _parse_metric(theirs, "milestones.checks[0]", SweepConfig()) == ours
        return
    with pytest.raises(ConfigError, match=rf"got '{theirs}'; did you mean {ours}\?$"):
        _parse_metric(theirs, "milestones.checks[0]", SweepConfig())
    assert _parse_metric(OBJECTIVE, "", SweepConfig()) == "eval/f1"


# The machine


def test_a_locked_ledger_is_named(command: Command) -> None:
    put(command.folder / KDD, SETTINGS)
    put(command.folder / "runs/optuna.db", make_other_ledger)
    with sqlite3.connect(command.folder / "runs/optuna.db") as database:
        database.execute("begin exclusive")
        done = command.unstuck("show", "kdd")  # after SQLite's 5 s
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "database is locked" in done.err


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "Permission denied; give this user the right to it, or name another"),
        (errno.EROFS, "Read-only file system; name another, on a disk that can be written"),
        (errno.ENOSPC, "No space left on device; make room on the disk, or name another"),
    ],
)
def test_a_file_that_the_machine_refuses_is_named_with_a_remedy(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), "runs/kdd/config.yaml")

    monkeypatch.setattr("unstuck.sweeps.config.find.load_sweep", refuse)
    done = command.unstuck("show", "kdd")
    assert done.err == f"unstuck show: error: runs/kdd/config.yaml cannot be used: {remedy}\n"
    assert done.code == 2


def test_a_user_without_a_home_and_with_a_proxy_is_answered_as_everybody(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    put(command.folder / "a.csv", "iteration,value_loss\n1,2\n2,1\n3,1\n")
    for words in (("list",), ("diagnose", "a.csv"), ("sweep", "--help", "ppo.lr")):
        assert command.unstuck(*words).code == 0
    assert command.unstuck("show", "gone").code == 2
