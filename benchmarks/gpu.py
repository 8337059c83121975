"""Measure what members cost on a GPU, up to 256, beside the CPU; without a GPU, say so.

make bench-gpu
make bench-gpu ARGS="--hidden 256 256"
"""

import argparse
import time
from dataclasses import replace
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

CONFIG = PPOConfig(num_iterations=10**9, eval_every=10**9)
MANY, MOST = 256, 4.0
"""Members, and how many times the time of one they may take."""

CASES = (("cpu", 1), ("cpu", 16), ("cuda", 1), ("cuda", 16), ("cuda", MANY))


class Cost(NamedTuple):
    """Seconds of an iteration, those of them that acting took, environments included, and the GPU's peak bytes."""

    iteration: float
    rollout: float
    memory: int


def main() -> int:
    """Print the times of an iteration on CPU and GPU; return 1 if 256 members cost too much on the GPU, else 0."""
    options = _options()
    if not torch.cuda.is_available():
        print("no GPU that torch can use: nothing measured")
        return 0
    torch.cuda.init()
    data = load_flows(DataConfig())
    config = replace(CONFIG, hidden_sizes=tuple(options.hidden))
    costs = {
        (device, members): _measure(replace(config, device=device), members, options.iterations, data)
        for device, members in CASES
    }
    Console(width=120).print(_tabulate(costs, " x ".join(map(str, options.hidden))))
    return int(costs["cuda", MANY].iteration > MOST * costs["cuda", 1].iteration)


def _tabulate(costs: dict[tuple[str, int], Cost], layers: str) -> Table:
    name = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    table = Table(title=f"Triage, 20 features, layers {layers}; {name}")
    for column in ("device", "members", "ms an iteration", "of it rollout", "steps/s, all members", "times one there"):
        table.add_column(column, justify="right")
    table.add_column("GPU, MB", justify="right")
    for (device, members), (each, rollout, memory) in costs.items():
        rate, ratio = members * CONFIG.batch_size / each, each / costs[device, 1].iteration
        times = f"{each * 1e3:.1f}", f"{rollout / each:.0%}", f"{rate:,.0f}", f"{ratio:.2f}"
        table.add_row(device, str(members), *times, f"{memory / 1e6:.0f}")
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10, help="iterations a measurement (default: 10)")
    parser.add_argument("--hidden", type=int, nargs="+", default=CONFIG.hidden_sizes, help="units of each layer")
    return parser.parse_args()


def _measure(config: PPOConfig, members: int, iterations: int, data: FlowData) -> Cost:
    torch.cuda.reset_peak_memory_stats()
    learner = make_learner(config, EnvConfig(), make_member_seeds(0, members), make_evaluation_seed(0), data)
    acting = _time_rollouts(learner)
    learner.iterate()  # warm-up; metrics are read back, so an iteration ends when the GPU has
    acting.clear()
    start = time.perf_counter()
    for _ in range(iterations):
        learner.iterate()
    took = time.perf_counter() - start
    return Cost(took / iterations, sum(acting) / iterations, torch.cuda.max_memory_allocated())


def _time_rollouts(learner: Learner) -> list[float]:
    """Make the learner add the seconds of each rollout to a list, which is returned."""
    seconds: list[float] = []
    collect = learner.rollout.collect

    def timed(*arguments: object) -> None:
        start = time.perf_counter()
        collect(*arguments)  # each step reads the actions back, so nothing is left to do on the GPU
        seconds.append(time.perf_counter() - start)

    learner.rollout.collect = timed
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
