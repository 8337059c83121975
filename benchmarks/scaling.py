"""Measure the time that more members and more steps cost, and the memory of a trial's process.

    make bench-scaling

Times are those of the process on its core, not of the clock on the wall: what else runs counts little. Cost is linear
if time per member and step does not grow. Memory is the peak of a worker of Ray's, as a sweep has them
(`benchmarks.memory`).
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.errors import ConfigError
from unstuck.rl.machine import require_machine
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

from benchmarks.memory import peak_mb

CONFIG = PPOConfig(num_iterations=10**9, eval_every=10**9)
MEMBERS, STEPS = (1, 2, 4, 8, 16, 32), (128, 256, 512)
MEMORY_MEMBERS = 16
MEMORY_LIMITS = {"eager": 450, "compiled": 650}
"""Members of the trial whose process's memory is measured, and what it may take, in MB."""


def main() -> int:
    """Print times by members and by steps, and peak memory; return 1 if peak memory exceeds a limit."""
    options = _options()
    torch.set_num_threads(1)
    by_members = Table(title="Triage, 20 features, 8 lanes x 128 steps")
    by_steps = Table(title="The same, 8 members")
    console = Console(width=100)
    if not options.memory:
        _fill(by_members, "members", [(count, 128) for count in MEMBERS], MEMBERS, options.iterations)
        _fill(by_steps, "steps in a lane", [(8, steps) for steps in STEPS], STEPS, options.iterations)
        console.print(by_members, by_steps)
    return int(not all([_stays_below(limit, mode, console) for mode, limit in MEMORY_LIMITS.items()]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10, help="iterations a measurement (default: 10)")
    parser.add_argument("--memory", action="store_true", help="memory alone")
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
    """Measure the CPU seconds of one training iteration with a number of members and of steps."""
    config = replace(CONFIG, num_steps=steps)
    data = load_flows(DataConfig())
    learner = make_learner(config, EnvConfig(), make_member_seeds(0, members), make_evaluation_seed(0), data)
    learner.iterate()  # warm-up
    start = time.process_time()
    for _ in range(iterations):
        learner.iterate()
    return (time.process_time() - start) / iterations


def _stays_below(limit: int, mode: str, console: Console) -> bool:
    """Print the peak memory of a trial's process; return True if the peak is below the limit or not measured."""
    compiles = mode == "compiled"
    try:
        require_machine(replace(CONFIG, compile=compiles))
    except ConfigError as error:
        console.print(f"memory, {mode}: not measured: {error}")
        return True
    peak = peak_mb(MEMORY_MEMBERS, compiles)
    console.print(f"Peak memory of a trial's process, {MEMORY_MEMBERS} members, {mode}: {peak:.0f} MB (limit {limit})")
    return peak < limit


if __name__ == "__main__":
    raise SystemExit(main())
