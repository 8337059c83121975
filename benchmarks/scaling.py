"""What more members and more steps cost, and what memory a trial's process takes.

    make bench-scaling

Times are those of the process on its core, not of the clock on the wall: what else runs counts little. Cost is linear
if time per member and step does not grow. Memory is the peak of a fresh process that imports what a sweep's worker does
and trains to its second evaluation.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from rl.config import DataConfig, EnvConfig, PPOConfig
from rl.data import load_flows
from rl.seeding import evaluation_seed, member_seeds
from rl.training import make_learner

CONFIG = PPOConfig(num_iterations=10**9, eval_every=10**9)
MEMBERS, STEPS = (1, 2, 4, 8, 16, 32), (128, 256, 512)
MEMORY_MEMBERS, MEMORY_LIMIT = 16, 450
"""Members of the process whose memory is measured, and what it may take, in MB."""


def main() -> int:
    """Measure and print both tables; returns 1 if the memory exceeds what it may take."""
    options = _options()
    if options.members_in_memory:
        _train_as_a_worker(options.members_in_memory)
        return 0
    by_members = Table(title="Triage, 20 features, 8 lanes x 128 steps")
    by_steps = Table(title="The same, 8 members")
    _fill(by_members, "members", [(count, 128) for count in MEMBERS], MEMBERS, options.iterations)
    _fill(by_steps, "steps in a lane", [(8, steps) for steps in STEPS], STEPS, options.iterations)
    peak = _peak_mb(MEMORY_MEMBERS)
    console = Console(width=100)
    console.print(by_members, by_steps)
    console.print(f"Peak memory of a trial's process, {MEMORY_MEMBERS} members: {peak:.0f} MB (limit {MEMORY_LIMIT})")
    return int(peak > MEMORY_LIMIT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10, help="iterations a measurement (default: 10)")
    parser.add_argument("--members-in-memory", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _fill(table: Table, title: str, cases: Sequence[tuple[int, int]], labels: Sequence[int], iterations: int) -> None:
    for column in (title, "ms an iteration", "us a member and step", "against the first row"):
        table.add_column(column, justify="right")
    first = 0.0
    for label, (members, steps) in zip(labels, cases, strict=True):
        seconds = _seconds_an_iteration(members, steps, iterations)
        each = seconds / (members * steps * CONFIG.num_envs)
        first = first or each
        table.add_row(str(label), f"{seconds * 1e3:.1f}", f"{each * 1e6:.2f}", f"{each / first:.2f}")


def _seconds_an_iteration(members: int, steps: int, iterations: int) -> float:
    """Of the process's time on its core."""
    config = replace(CONFIG, num_steps=steps)
    data = load_flows(DataConfig())
    learner = make_learner(config, EnvConfig(), member_seeds(0, members), evaluation_seed(0), data)
    learner.iterate()  # warm-up
    start = time.process_time()
    for _ in range(iterations):
        learner.iterate()
    return (time.process_time() - start) / iterations


def _peak_mb(members: int) -> float:
    """Of a process of its own, in MB."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--members-in-memory", str(members)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _train_as_a_worker(members: int) -> None:
    """Import what a sweep's worker does, train to the second evaluation, and print the peak of memory in MB."""
    from sweeps.config import StudyConfig, SweepConfig
    from sweeps.trainable import TrialTrainable
    from sweeps.training import learner_of, train_period

    assert TrialTrainable
    config = SweepConfig(sweep=StudyConfig(seeds=members), ppo=PPOConfig(eval_every=5))
    learner = learner_of(config, load_flows(config.data))
    for _ in range(2):
        train_period(learner, config.sweep.metric)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    raise SystemExit(main())
