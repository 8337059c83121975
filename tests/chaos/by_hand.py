"""Sweeps without Ray that are killed before a chosen commit, each in a fork of this process: `by_hand.py FOLDER ...`.

Driver, training, checkpoints and databases are the real ones; only the workers' processes are missing. So a sweep takes
a second instead of ten, and every moment between two commits can be tried, instead of some. Prints a line of JSON for
each: what the audit found after a resume, and whether all decisions were those of the undisturbed sweep.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # once, and not in every fork
import sqlalchemy
import unstuck.analysis.report.sweep  # noqa: F401  # likewise
from unstuck.records.errors import SweepError
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.sweeps.audit.audit import audit_sweep
from unstuck.sweeps.config.find import find_sweep
from unstuck.sweeps.config.settings import (
    HealthConfig,
    ResourcesConfig,
    SamplerConfig,
    SchedulerConfig,
    StudyConfig,
    SweepConfig,
)
from unstuck.sweeps.run import sweep as run

from benchmarks.in_process import no_ray
from tests.sweeps_tests.trained import train_by

CONFIG = SweepConfig(
    sweep=StudyConfig(name="tiny", metric="eval/episode_return", num_trials=4, seeds=2, control=False),
    env=EnvConfig(id="CartPole-v1", eval_episodes=2),
    ppo=PPOConfig(
        num_envs=1, num_steps=16, minibatch_size=16, num_epochs=1, hidden_sizes=(4,), num_iterations=8, eval_every=2
    ),
    space={"ppo": {"lr": {"log": [1e-4, 1e-1]}, "minibatch_size": {"int": [7, 8]}}},  # 7 does not divide 16
    sampler=SamplerConfig(num_startup_trials=2),
    scheduler=SchedulerConfig(grace_iterations=2, reduction_factor=2, spared_share=0.0),
    health=HealthConfig(enabled=False),
)


def in_fork(log: Path, action: Callable[[], int]) -> int:
    """Exit code of what is done in a process of its own, or minus the signal that ended it; its output is in `log`."""
    process = os.fork()
    if process == 0:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        try:
            code = action()
        except SweepError as error:
            print(f"refused: {error}", flush=True)
            code = 2
        except BaseException:
            traceback.print_exc()
            code = 70
        sys.stdout.flush()
        os._exit(code)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def sweep(folder: Path, config: SweepConfig, name: str = "tiny", resume: bool = False, kill_at: int = 0) -> int:
    """Run or resume a sweep; dies before its `kill_at`-th commit, and writes down how many there were."""
    commits = 0

    def commit(connection: sqlalchemy.Connection) -> None:
        nonlocal commits
        commits += 1
        if commits == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", commit)
    config = replace(
        config, sweep=replace(config.sweep, name=name, folder=str(folder)), resume=name if resume else None
    )
    with no_ray():
        code = run.run_sweep(config, [])
    (folder / "commits").write_text(str(commits))
    return code


def examine(folder: Path) -> int:
    """Write down what an audit finds, and what was decided."""
    found = audit_sweep(find_sweep("tiny", folder))
    decided = [
        [entry.number, entry.outcome, entry.reason, dict(entry.values), entry.value, sorted(entry.curve.items())]
        for entry in found.snapshot.entries
    ]
    (folder / "examined").write_text(json.dumps({"audit": json.loads(found.to_json()), "decided": decided}))
    return 0


def examined(folder: Path) -> dict[str, Any]:
    """What `examine` says, from a process of its own."""
    code = in_fork(folder / "log", lambda: examine(folder))
    assert code == 0, (folder / "log").read_text()
    return json.loads((folder / "examined").read_text())


def kill_and_go_on(folder: Path, config: SweepConfig, kills: list[int]) -> dict[str, Any]:
    """Kill a sweep, and its resumes, before the given commits of each; then let it end."""
    log, resume = folder / "log", False
    for kill_at in (*kills, 0):
        code = in_fork(log, lambda at=kill_at, again=resume: sweep(folder, config, resume=again, kill_at=at))
        if code == 2 and resume:  # it had died before it was on record
            code = in_fork(log, lambda at=kill_at: sweep(folder, config, kill_at=at))
        resume = True
        assert code in (0, -signal.SIGKILL), log.read_text()
    assert code == 0, log.read_text()
    return examined(folder)


def main() -> None:
    """Try the moments that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trainer", default="ppo", help="who trains: ppo, sb3 or command")
    parser.add_argument("--slots", type=int, default=1, help="trials at the same time")
    parser.add_argument("--first", type=int, default=1, help="commit to be killed before")
    parser.add_argument("--every", type=int, default=1, help="try every so many")
    parser.add_argument("--again", type=int, nargs="*", default=[], help="commits of the resumes, killed too")
    options = parser.parse_args()
    config = train_by(options.trainer, replace(CONFIG, resources=ResourcesConfig(cpus=options.slots)))
    if options.trainer == "sb3":
        import unstuck.sweeps.trainers.sb3_member  # noqa: F401  # once, and not in every fork
    template = options.folder / "template"
    template.mkdir(parents=True)
    code = in_fork(template / "log", lambda: sweep(template, config, name="before"))  # makes the tables
    assert code == 0, (template / "log").read_text()
    undisturbed = Path(shutil.copytree(template, options.folder / "undisturbed"))
    truth = kill_and_go_on(undisturbed, config, [])
    commits = int((undisturbed / "commits").read_text())
    print(json.dumps({"commits": commits, **truth}), flush=True)
    for at in range(options.first, commits + 1, options.every):
        folder = Path(shutil.copytree(template, options.folder / str(at)))
        result = kill_and_go_on(folder, config, [at, *options.again])
        same = result["decided"] == truth["decided"]
        print(json.dumps({"at": at, "audit": result["audit"], "same": same}), flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
