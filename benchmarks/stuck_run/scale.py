"""Size of the study, the stuck run's settings as words of a command, and the command, without Ray."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.stuck_run.faults import FAULTS
from unstuck.sweep_command import main

RUN = "stuck"
"""Name of the sweep whose trial 0 is the stuck run."""

STEP_3 = "{ppo: {value_coef: 5.0, lr: 5e-4, entropy_coef: 0.02}}"
"""The owner's last step, as an arm."""

GAMMAS = ("{ppo: {gamma: 0.5}}", "{ppo: {gamma: 0.0}}")
"""Arms with shorter horizons."""


@dataclass(frozen=True)
class Scale:
    """Size of the study.

    Attributes:
        members: Seeds of the stuck run, each a run like the owner's.
        few: Members that are enough to see what other faults do.
        iterations: Iterations until the checkpoint.
        eval_every: Iterations between evaluations.
        flows: Flows of an iteration, which is one episode; each update takes them in four minibatches.
        branched: Iterations of each arm from the branch on.
        repeats: Fresh repeats of the best arm and the control.
        milestones: Milestones of the arms.
        arms: Arms of the unstick in which every arm has all faults.
        stages: Stages of that unstick, at most.
        mended: Sets of faults to mend, each in an unstick of its own.
        arms_mended: Arms of the unstick in which no fault is left.
        data: Words that choose the data.
        processes: Arms to train at a time; None: as many as there are cores.
    """

    members: int
    few: int
    iterations: int
    eval_every: int
    flows: int
    branched: int
    repeats: int
    milestones: str
    arms: tuple[str, ...]
    stages: int
    mended: tuple[tuple[str, ...], ...]
    arms_mended: tuple[str, ...]
    data: tuple[str, ...]
    processes: int | None = None

    @property
    def early(self) -> int:
        """Iteration whose sampled shares the owner wrote down first: 10 of 220."""
        return max(1, self.iterations // 22)

    @property
    def late(self) -> int:
        """Iteration whose sampled shares the owner wrote down last: 200 of 220."""
        return self.iterations * 10 // 11

    def words(self) -> list[str]:
        """Return the words of the command that trains the stuck run: one trial, all members, stopped by nobody."""
        sizes = {"num_iterations": self.iterations, "eval_every": self.eval_every, "num_envs": 1}
        sizes |= {"num_steps": self.flows, "minibatch_size": self.flows // 4}
        chosen = ["ppo=stuck_run", "space=none", "sampler=points", "scheduler=none", "health=none", *self.data]
        chosen += [f"ppo.{name}={value}" for name, value in sizes.items()]
        every = ["sweep.num_trials=null", "sampler.points=[{}]", f"env.flows_per_episode={self.flows}"]
        return [*chosen, *every, f"sweep.seeds={self.members}", f"sweep.name={RUN}"]


def full_scale(data: Path) -> Scale:
    """Return the size of the published study, on the flows of NSL-KDD in a folder of data sets."""
    file = data / "nsl-kdd" / "KDDTrain+_20Percent.txt"
    return Scale(
        members=10,
        few=4,
        iterations=220,
        eval_every=20,
        flows=1000,
        branched=80,
        repeats=5,
        milestones="stuck_run",
        arms=("prescribed", "single_changes", STEP_3, *GAMMAS),
        stages=2,
        mended=(*((name,) for name in FAULTS), tuple(FAULTS)),
        arms_mended=GAMMAS,
        data=("data=nsl_kdd", f"data.path={file}"),
    )


def quick_scale() -> Scale:
    """Return a size that shows nothing, on synthetic flows, to see within seconds that all of the study runs."""
    return Scale(
        members=3,
        few=3,
        iterations=6,
        eval_every=2,
        flows=100,
        branched=4,
        repeats=3,
        milestones="improved",
        arms=GAMMAS[:1],
        stages=1,
        mended=(tuple(FAULTS),),
        arms_mended=(),
        data=("data.num_flows=2000", "data.eval_flows=200"),
    )


def run_command(words: Sequence[str], folder: Path, training: AbstractContextManager[None]) -> None:
    """Run `sweep.py WORDS` with all records in a folder, and without Ray, whose workers would know no planted faults.

    Args:
        words: Words of the command line.
        folder: Folder of all sweeps.
        training: One of `benchmarks.in_process`: how trials are trained.

    Raises:
        SystemExit: The command was refused, or the sweep failed.
    """
    with training, patch.object(sys, "argv", ["sweep.py"]):  # Hydra reads the words there
        code = main("sweep.py", [*words, f"sweep.folder={folder}"])
    if code:
        raise SystemExit(code)
