"""A command as a trainer: its words, its log, its end, and a whole sweep and unstick of a script."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from unstuck.analysis.history.names import DIALECTS
from unstuck.records.errors import SweepError
from unstuck.records.ledger import Ledger
from unstuck.rl import metrics
from unstuck.rl.budget import Budget
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.find import find_sweep
from unstuck.sweeps.config.settings import ResourcesConfig, StudyConfig, SweepConfig, TrainerConfig
from unstuck.sweeps.search.parse import parse_space
from unstuck.sweeps.trainers import command_member, watch
from unstuck.sweeps.trainers.command import check, make_trainer
from unstuck.sweeps.trainers.command_line import list_handed_on, write_command
from unstuck.sweeps.trainers.members import MembersInTurn
from unstuck.sweeps.trainers.protocol import TrialSpec

from tests.conftest import Command
from tests.sweeps_tests.real import runs_of
from unstuck import load_run

ROOT = Path(__file__).parents[3]

LEARNS = """
import csv, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
size, total = int(flags["--num-envs"]) * int(flags["--num-steps"]), int(flags["--total-timesteps"])
lr = float(flags["--lr"])
with open("progress.csv", "w") as file:
    log = csv.writer(file)
    log.writerow(["global_step", "charts/episodic_return", "losses/value_loss", "losses/approx_kl", "losses/clipfrac"])
    for step in range(size, total + 1, size):
        log.writerow([step, 10 * step / size * min(1, lr / 1e-3) + int(flags["--seed"]) % 7, 1 / step, lr / 10, 0.1])
"""
"""A script whose return grows by 10 an iteration, if its learning rate is large enough."""

CONFIG = SweepConfig(
    sweep=StudyConfig(name="mine", seeds=2, metric=metrics.EVAL_RETURN),
    env=EnvConfig(id="CartPole-v1", eval_episodes=3),
    trainer=TrainerConfig(name="command", command="python ppo.py", patience_s=20),
    ppo=PPOConfig(num_iterations=6, eval_every=3, num_envs=2, num_steps=8, minibatch_size=4, lr=1e-3, value_coef=0.25),
)


def trainer_of(script: str, folder: Path, resources: ResourcesConfig | None = None, **trainer: Any) -> MembersInTurn:
    """A trainer of two members whose command is a script in `folder` that takes `--lr` and three more flags."""
    file = folder / "script.py"
    file.write_text(script)
    flags = "--lr {ppo.lr} --seed {seed} --num-envs {ppo.num_envs} --num-steps {ppo.num_steps}"
    words = f"python {shlex.quote(str(file))} {flags} --total-timesteps {{total_steps}}"
    own = replace(CONFIG.trainer, **{"command": words, "flags": "none", **trainer})
    config = replace(CONFIG, trainer=own, resources=resources or CONFIG.resources)
    budget = Budget.from_config(config.ppo)
    return make_trainer(
        TrialSpec(config, make_member_seeds(0, 2), make_evaluation_seed(0), None, budget, folder / "trial")
    )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_flags_and_words_in_braces_hand_the_settings_on(tmp_path: Path) -> None:
    words = write_command(CONFIG, 7, 96, tmp_path)
    assert words[:2] == [sys.executable, "ppo.py"]
    given = dict(zip(words[2::2], words[3::2], strict=False))
    assert given["--learning-rate"] == "0.001"
    assert given["--num-minibatches"] == "4"  # 16 samples in minibatches of 4
    assert given["--vf-coef"] == "0.5"  # of half the squared error
    assert (given["--seed"], given["--total-timesteps"]) == ("7", "96")
    assert words[-3:] == ["--no-anneal-lr", "--norm-adv", "--no-clip-vloss"]
    own = replace(CONFIG, trainer=replace(CONFIG.trainer, command="./go lr={ppo.lr} {ppo.hidden_sizes}", flags="none"))
    assert write_command(own, 7, 96, tmp_path) == ["./go", "lr=0.001", "64,64"]
    named = replace(CONFIG, trainer=replace(CONFIG.trainer, command="python ppo.py --alpha {ppo.lr}"))
    assert "--learning-rate" not in write_command(named, 7, 96, tmp_path)


def test_settings_of_the_scripts_own_become_flags_or_words_in_braces(tmp_path: Path) -> None:
    config = replace(CONFIG, script={"hidden_size": 64, "use_sde": False, "note": None, "wide": 1.5})
    words = write_command(config, 7, 96, tmp_path)
    assert words[-6:-1] == ["--hidden-size", "64", "--no-use-sde", "--wide", "1.5"]
    named = replace(config, trainer=replace(CONFIG.trainer, command="python ppo.py width={script.hidden_size}"))
    assert "width=64" in write_command(named, 7, 96, tmp_path)
    assert "--hidden-size" not in write_command(named, 7, 96, tmp_path)
    with pytest.raises(
        ConfigError, match=r"script.hidden_size and script.use_sde .* must reach the command, got 64 and"
    ):
        check(replace(config, trainer=replace(CONFIG.trainer, flags="none", command=f"python {ALL_IN_BRACES}")), None)


ALL_IN_BRACES = " ".join(
    f"{{ppo.{name}}}" for name in ("num_envs", "num_steps", "minibatch_size", "num_iterations", "lr", "value_coef")
)


def test_what_a_script_has_of_its_own_is_searched_with_a_value_for_the_control() -> None:
    config = replace(CONFIG, script={"hidden_size": 64, "wide": 1.0})
    searched = {
        "script": {"hidden_size": {"choice": [32, 64]}, "wide": {"log": [1, 10]}},
        "ppo": {"lr": {"log": [1e-4, 1e-2]}},
    }
    space = parse_space(searched, config)
    assert space.control_values(config) == {"script.hidden_size": 64, "script.wide": 1.0, "ppo.lr": 1e-3}
    changed = space.apply(config, {"script.hidden_size": 32, "script.wide": 2.0, "ppo.lr": 1e-4})
    assert (changed.script, changed.ppo.lr) == ({"hidden_size": 32, "wide": 2.0}, 1e-4)
    assert config.script["hidden_size"] == 64
    for space_, said in (
        (
            {"script": {"depth": {"int": [1, 3]}}},
            r"script.depth must have a value that the control has, got none beside",
        ),
        ({"script": {"hidden_size": {"choice": ["a"]}}}, r"must hold values like 64 for script.hidden_size"),
    ):
        with pytest.raises(SweepError, match=said):
            parse_space(space_, config)
    with pytest.raises(SweepError, match=r"script.depth must have a value that the control has"):
        parse_space({"script": {"depth": {"int": [1, 3]}}}, CONFIG)
    with pytest.raises(ConfigError, match=r"script must hold texts, numbers or booleans by name, got sizes=\[1\]"):
        replace(CONFIG, script={"sizes": [1]})


@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_a_setting_of_the_scripts_own_is_on_record_like_others(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(command.folder)
    (command.folder / "script.py").write_text(LEARNS)
    words = f"{WORDS} --own {{script.depth}}"
    done = command(
        *(one for one in SWEEP if not one.startswith(("sampler", "sweep.num_trials", "ppo.num_iterations"))),
        *("sampler=random", "space=none", "space.script.depth.choice=[1,2]", "script.depth=1", "sweep.num_trials=3"),
        *(f'trainer.command="{words}"', "ppo.num_iterations=3"),
    )
    assert done.code == 0, done.err
    entries = Ledger.open_sweep(find_sweep("mine", command.folder / "runs").reference).entries()
    assert entries[0].values == {"script.depth": 1}
    assert {entry.values["script.depth"] for entry in entries} <= {1, 2}
    _, _, runs = runs_of(command.folder, "mine")
    assert [runs[number].data.params["script.depth"] for number in range(3)] == [
        str(entry.values["script.depth"]) for entry in entries
    ]
    assert re.search(r"script\.depth=[12]$", done.out, re.M)  # the command that runs the best one again
    assert command.sweeps("audit", "mine").code == 0


def test_flags_mean_what_the_same_names_mean_in_a_log() -> None:
    logged = DIALECTS["cleanrl"].settings
    ppo = replace(CONFIG.ppo, target_kl=0.5)
    for flag, value in pairwise(write_command(replace(CONFIG, ppo=ppo), 7, 96, Path("/"))):
        ours = logged.get(flag.removeprefix("--").replace("-", "_"))
        path, factor = ours if isinstance(ours, tuple) else (ours, 1.0)
        if path is not None and path.startswith("ppo.") and not value.startswith("--"):
            assert float(value) * factor == getattr(ppo, path.removeprefix("ppo.")), flag


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trainer": {"command": None}}, "trainer=command needs a command that trains one run, got none; write "),
        (
            {"trainer": {"command": "nowhere x"}},
            "trainer.command must begin with a program that can be run, got 'nowhere'",
        ),
        (
            {"trainer": {"command": "python ppo.py {ppo.rate}"}},
            r"trainer.command must have known words in braces, got \{ppo.rate\}; known are doubled_value_coef, env.id",
        ),
        (
            {"ppo": {"hidden_sizes": (8,)}},
            r"ppo.hidden_sizes must reach the command, got \[8\], and no flag hands it on; write \{ppo.hidden_sizes\}",
        ),
    ],
)
def test_what_cannot_train_is_refused_with_the_remedy(change: dict[str, Any], said: str) -> None:
    config = replace(CONFIG, **{group: replace(getattr(CONFIG, group), **values) for group, values in change.items()})
    with pytest.raises(ConfigError, match=said):
        check(config, None)


def test_all_that_flags_do_not_hand_on_is_known() -> None:
    assert {"ppo.lr", "ppo.value_coef", "ppo.minibatch_size", "ppo.num_iterations", "env.id"} <= list_handed_on(CONFIG)
    assert not {"ppo.adam_eps", "ppo.clip_range_vf", "ppo.hidden_sizes"} & list_handed_on(CONFIG)


def test_rows_of_the_log_become_iterations_and_returns_evaluations(tmp_path: Path) -> None:
    trainer = trainer_of(LEARNS, tmp_path)
    rows = [trainer.iterate() for _ in range(6)]
    rest = [(float(row[metrics.TRAIN_RETURN][0]) - 10 * n) for n, row in enumerate(rows, 1)]
    assert max(rest) - min(rest) == pytest.approx(0)  # the seed's own part alone
    assert [metrics.EVAL_RETURN in row for row in rows] == [False, False, True, False, False, True]
    assert rows[2][metrics.EVAL_RETURN][0] == pytest.approx(20 + rest[0])  # of iterations 1 to 3
    assert rows[5][metrics.EVAL_RETURN][0] == pytest.approx(50 + rest[0])
    assert rows[0][metrics.VALUE_LOSS][1] == pytest.approx(2 / 16)  # CleanRL logs half of it
    assert trainer.take_snapshot().arrays == {}
    assert (tmp_path / "trial" / "member_1" / "progress.csv").exists()
    with pytest.raises(ConfigError, match="keeps no state to go on from"):
        trainer_of(LEARNS, tmp_path).branch(trainer.take_snapshot())


def test_what_is_printed_is_read_where_no_file_is_written(tmp_path: Path) -> None:
    printed = LEARNS.replace('open("progress.csv", "w")', "sys.stdout")
    assert trainer_of(printed, tmp_path).iterate()[metrics.TRAIN_RETURN][0] > 0


WRITES_EVENTS = """
import sys, time
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
size = int(flags["--num-envs"]) * int(flags["--num-steps"])
writer = EventFileWriter("runs/mine")
def add(name, value, step):
    value = Summary.Value(tag=name, simple_value=value)
    writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
for step in range(size, int(flags["--total-timesteps"]) + 1, size):
    add("charts/episodic_return", 10 * step / size, step - 3)  # where an episode ended
    for name in ("value_loss", "policy_loss", "approx_kl", "clipfrac"):
        add(f"losses/{name}", 1 / step, step)
    add("charts/SPS", 1000, step)
    writer.flush()
    if step == 3 * size:
        time.sleep(100)  # the log of a command that still runs
"""


def test_event_files_are_read_while_the_command_writes_them(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="it comes with the extra `tensorboard`")
    trainer = trainer_of(WRITES_EVENTS, tmp_path, patience_s=60)
    rows = [trainer.iterate() for _ in range(3)]
    assert [row[metrics.VALUE_LOSS][1] for row in rows] == pytest.approx([2 / step for step in (16, 32, 48)])
    assert [row[metrics.TRAIN_RETURN][0] for row in rows] == [10, 20, 30]
    assert rows[2][metrics.EVAL_RETURN].tolist() == [20, 20]


@pytest.mark.parametrize(
    ("script", "patience_s", "said"),
    [
        (
            "print('a'); raise ValueError('no such level')",
            20,
            "must end with 0, and ended with 1: ValueError: no such level",
        ),
        ("print('nothing to see')", 20, "must train and log up to environment step 16, and ended before"),
        (
            "import time; time.sleep(60)",
            0.6,
            "within trainer.patience_s = 0.6 s, and has not logged environment step 16",
        ),
        (
            LEARNS.replace("total + 1", "3 * size + 1"),
            20,
            "must train and log up to environment step 80, and ended before",
        ),
    ],
)
def test_a_command_that_fails_ends_early_or_is_silent_is_told(
    tmp_path: Path, script: str, patience_s: float, said: str
) -> None:
    trainer = trainer_of(script, tmp_path, patience_s=patience_s)
    with pytest.raises(ConfigError, match=re.escape(said)):
        list(iter(trainer.iterate, None))


SLOW = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
open("pids", "w").write(f"{os.getpid()} {child.pid}")
print("global_step,charts/episodic_return,losses/value_loss,losses/clipfrac", "16,1,1,0", sep="\\n", flush=True)
time.sleep(100)
"""


def test_a_stopped_trial_leaves_no_process_behind(tmp_path: Path) -> None:
    trainer = trainer_of(SLOW, tmp_path)
    trainer.iterate()
    pids = [int(pid) for n in range(2) for pid in (tmp_path / f"trial/member_{n}/pids").read_text().split()]
    assert len(pids) == 4
    del trainer  # as a worker does whose trial was stopped early
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))


def test_a_command_ends_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    worker = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, {watch.__file__!r}, "5", sys.executable, "slow.py"], stdin=subprocess.PIPE)
time.sleep(100)
"""
    process = subprocess.Popen([sys.executable, "-c", worker], cwd=tmp_path, stdout=subprocess.DEVNULL)
    file = tmp_path / "pids"
    wait_until(lambda: file.exists() and len(file.read_text().split()) == 2)
    pids = [int(pid) for pid in file.read_text().split()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))


def read_status(member: int, folder: Path) -> str:
    """Status of a member's command."""
    return psutil.Process(int((folder / f"trial/member_{member}/pids").read_text().split()[0])).status()


@pytest.mark.parametrize("cores", [1, 2])
def test_as_many_commands_run_at_a_time_as_a_trial_has_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(command_member, "GRACE_S", 100.0)  # longer than anybody waits here
    trainer = trainer_of(SLOW, tmp_path, ResourcesConfig(cpus_per_trial=cores))
    trainer.iterate()  # the second member is the last to have its turn
    paused = psutil.STATUS_STOPPED
    wait_until(lambda: (read_status(0, tmp_path) == paused) == (cores == 1))
    assert read_status(1, tmp_path) != paused
    pids = [int(pid) for n in range(2) for pid in (tmp_path / f"trial/member_{n}/pids").read_text().split()]
    del trainer
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))  # a paused one too, and it is asked, not killed


def test_commands_that_take_turns_all_end(tmp_path: Path) -> None:
    paced = LEARNS.replace('"w")', '"w", buffering=1)').replace(
        "        log.writerow([step", "        time.sleep(0.05)\n        log.writerow([step"
    )
    trainer = trainer_of(paced.replace("csv, sys", "csv, sys, time"), tmp_path)
    rows = [trainer.iterate() for _ in range(6)]
    assert [row[metrics.VALUE_LOSS].tolist() for row in rows] == [
        [pytest.approx(2 / (16 * n))] * 2 for n in range(1, 7)
    ]


def test_a_command_that_ignores_to_be_asked_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_member, "GRACE_S", 0.2)
    trainer = trainer_of(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN){SLOW}", tmp_path)
    trainer.iterate()
    pids = [int((tmp_path / f"trial/member_{n}/pids").read_text().split()[0]) for n in range(2)]
    del trainer
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))


SWEEP = (
    *(
        "trainer=command",
        "env.id=CartPole-v1",
        "sweep.name=mine",
        "sweep.seeds=2",
        "sampler=points",
        "sampler.points=[{}]",
    ),
    *("sweep.num_trials=null", "ppo.num_iterations=12", "ppo.eval_every=3", "ppo.num_envs=2", "ppo.num_steps=8"),
    *("ppo.minibatch_size=16", "ppo.lr=1e-6", "scheduler=none", "trainer.flags=none"),
)
WORDS = (
    "python script.py --lr {ppo.lr} --seed {seed} --num-envs {ppo.num_envs} --num-steps {ppo.num_steps} "
    "--total-timesteps {total_steps} --rest {ppo.minibatch_size}-{ppo.num_epochs}"
)


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_a_stuck_script_is_swept_diagnosed_and_unstuck(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(command.folder)
    (command.folder / "script.py").write_text(LEARNS)
    searched = command(*SWEEP, f'trainer.command="{WORDS}"', "sampler.points=[{ppo: {gamma: 0.5}}]")
    assert searched.code == 2
    assert "ppo.gamma must reach a command, and no flag hands it on; write {ppo.gamma} where trainer" in searched.err
    swept = command(*SWEEP, f'trainer.command="{WORDS}"')
    assert swept.code == 0, swept.err
    told = command.analysis("diagnose", "mine/0", "--json")
    assert '"updates_too_small"' in told.out
    # As while it ran: a script's log, not our learner's.
    loaded = load_run("mine/0", command.folder / "runs")
    assert (loaded.program, loaded.probed) == ("plain", "")
    freed = command(
        *("+experiment=unstick", "run=mine/0", "sweep.name=freed", "arms=[prescribed, single_changes]"),
        *("unstick.iterations=12", "unstick.repeats=3", "milestones=none", "resources.cpus=1"),
    )
    assert freed.code == 0, freed.err
    assert (
        "a command keeps no state to go on from"
        in freed.out + (command.folder / "runs/freed/report/report.html").read_text()
    )
    (verdict,) = json.loads((command.folder / "runs/freed/report/verdicts.json").read_text())
    assert min(map(min, verdict["arm"])) > 60 > max(map(max, verdict["control"]))
    audited = command.sweeps("audit", "freed")
    assert audited.code == 0, audited.out


@pytest.mark.slow
def test_the_example_takes_the_flags_and_is_read(tmp_path: Path) -> None:
    script = ROOT / "docs" / "examples" / "ppo.py"
    own = replace(CONFIG.trainer, command=f"python {shlex.quote(str(script))}", patience_s=100)
    config = replace(CONFIG, trainer=own, ppo=replace(CONFIG.ppo, num_iterations=3, target_kl=0.5))
    budget = Budget.from_config(config.ppo)
    trainer = make_trainer(TrialSpec(config, make_member_seeds(0, 1), make_evaluation_seed(0), None, budget, tmp_path))
    rows = [trainer.iterate() for _ in range(3)]
    wanted = {
        metrics.TRAIN_RETURN,
        metrics.EPISODE_LENGTH,
        metrics.VALUE_LOSS,
        metrics.APPROX_KL,
        metrics.ENTROPY,
        metrics.LR,
    }
    assert wanted <= rows[0].keys()
    assert rows[-1][metrics.LR][0] == pytest.approx(1e-3)
    assert metrics.EVAL_RETURN in rows[-1]
