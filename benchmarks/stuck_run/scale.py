"""Size of the study, the stuck run's settings as words of a command, and the command without Ray."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.in_process import no_ray
from unstuck.sweep_command import main

RUN = "stuck"
"""Name of the sweep whose trial 0 is the stuck run."""


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
        data: Words that choose the data.
    """

    members: int
    few: int
    iterations: int
    eval_every: int
    flows: int
    branched: int
    repeats: int
    milestones: str
    data: tuple[str, ...]

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
    return Scale(10, 4, 220, 20, 1000, 80, 5, "stuck_run", ("data=nsl_kdd", f"data.path={file}"))


def quick_scale() -> Scale:
    """Return a size that shows nothing, on synthetic flows, to see within seconds that all of the study runs."""
    return Scale(3, 3, 6, 2, 100, 4, 3, "improved", ("data.num_flows=2000", "data.eval_flows=200"))


def run_command(words: Sequence[str], folder: Path) -> None:
    """Run `sweep.py WORDS` with all records in a folder, trials in this process.

    Raises:
        SystemExit: The command was refused, or the sweep failed.
    """
    with no_ray():
        code = main("sweep.py", [*words, f"sweep.folder={folder}"])
    if code:
        raise SystemExit(code)
