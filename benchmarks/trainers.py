"""Break a run of another trainer by one setting and unstick it: the tables of docs/studies/sb3.md and cleanrl.md.

    python -m benchmarks.trainers sb3
    python -m benchmarks.trainers cleanrl --quick

Both commands are those that a user types; what they print goes to standard error, and parts of the report to standard
output. A sweep that is in the folder already is not run again.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

_ONE_RUN = (
    *("sampler=points", "sampler.points=[{}]", "space=none", "sweep.num_trials=null", "scheduler=none"),
    *("health=none", "sweep.seeds=3"),
)
"""Words of a sweep of one trial, which nothing stops early."""

PARTS = ("What was wrong", "What was tried, beside the untouched control", "How the verdict was made")
"""Parts of the report that the study shows."""


@dataclass(frozen=True)
class Study:
    """A run that one setting breaks, and its unstick.

    Attributes:
        run: Words that train the run.
        unstick: Words that unstick it.
        quick: Words that make both small.
    """

    run: tuple[str, ...]
    unstick: tuple[str, ...]
    quick: tuple[tuple[str, ...], tuple[str, ...]]


STUDIES: Mapping[str, Study] = {
    "sb3": Study(
        (
            *("trainer=sb3", "env.id=CartPole-v1", *_ONE_RUN, "ppo.minibatch_size=128"),
            *("ppo.num_envs=8", "ppo.num_steps=128", "ppo.num_epochs=4", "ppo.num_iterations=40", "ppo.lr=0.3"),
        ),
        ("unstick.iterations=40", "unstick.max_arms=8"),
        (
            (
                "ppo.num_envs=4",
                "ppo.num_steps=64",
                "ppo.minibatch_size=64",
                "ppo.num_iterations=12",
                "ppo.eval_every=3",
            ),
            ("unstick.iterations=4", "unstick.max_arms=1", "unstick.stages=1", "unstick.repeats=3"),
        ),
    ),
    "cleanrl": Study(
        (
            *("trainer=command", "trainer.command=python docs/examples/ppo.py", "env.id=CartPole-v1", *_ONE_RUN),
            *("ppo.num_envs=4", "ppo.num_steps=128", "ppo.minibatch_size=128", "ppo.num_epochs=4"),
            *("ppo.num_iterations=96", "ppo.eval_every=8", "ppo.lr=2.5e-6"),
        ),
        ("unstick.iterations=48", "unstick.max_arms=6"),
        (
            ("ppo.num_steps=64", "ppo.num_iterations=12", "ppo.eval_every=3", "sweep.seeds=2"),
            ("unstick.iterations=4", "unstick.max_arms=1", "unstick.repeats=3"),
        ),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both sweeps of a study, and print what the report says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--quick", action="store_true", help="small and short, to see that all of it runs")
    parser.add_argument("--folder", type=Path, help="folder for all records; default: a new one")
    parser.add_argument("--cpus", type=int, default=2, help="cores for all trials together")
    given = parser.parse_args(arguments)
    folder = (given.folder or Path(tempfile.mkdtemp(prefix=f"study-{given.study}-"))).absolute()
    study, names = STUDIES[given.study], (f"{given.study}-broken", f"{given.study}-freed")
    more = study.quick if given.quick else ((), ())
    for name, words in zip(
        names,
        (
            [*study.run, *more[0]],
            ["+experiment=unstick", f"run={names[0]}/0", *study.unstick, *more[1]],
        ),
        strict=True,
    ):
        if not (folder / name / "report" / "report.md").exists():
            _call([*words, f"sweep.name={name}", f"resources.cpus={given.cpus}", f"sweep.folder={folder}"])
    print(tell_report((folder / names[1] / "report" / "report.md").read_text(encoding="utf-8")))
    print(f"all records: {folder}", file=sys.stderr)
    return 0


def tell_report(report: str) -> str:
    """Return the verdict of a report in Markdown, and the parts that the study shows, without pictures."""
    lead = report.split("\n\n")[1]
    sections = re.split(r"^(?=## )", report, flags=re.M)
    chosen = [one for name in PARTS for one in sections if one.startswith(f"## {name}\n")]
    return "\n".join([lead, "", *(re.sub(r"^!\[.*\n", "", one, flags=re.M) for one in chosen)])


def _call(words: Sequence[str]) -> None:
    """Run `sweep.py` in the checkout, with one thread a process; say how long that took."""
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    subprocess.run([sys.executable, "sweep.py", *words], cwd=ROOT, env=environment, stdout=sys.stderr, check=True)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
