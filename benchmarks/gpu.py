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


class Times(NamedTuple):
    """Seconds of an iteration, and those of them that acting took, environments included."""

    iteration: float
    rollout: float


def main() -> int:
    """Print the times of an iteration on CPU and GPU; return 1 if 256 members cost too much on the GPU, else 0."""
    options = _options()
    if not torch.cuda.is_available():
        print("no GPU that torch can use: nothing measured")
        return 0
    data = load_flows(DataConfig())
    config = replace(CONFIG, hidden_sizes=tuple(options.hidden))
    times = {
        (device, members): _measure(replace(config, device=device), members, options.iterations, data)
        for device, members in CASES
    }
    one = {device: times[device, 1].iteration for device in ("cpu", "cuda")}
    layers = " x ".join(map(str, options.hidden))
    table = Table(
        title=f"Triage, 20 features, layers {layers}; {torch.cuda.get_device_name()}, torch {torch.__version__}"
    )
    for column in ("device", "members", "ms an iteration", "of it rollout", "steps/s, all members", "times one there"):
        table.add_column(column, justify="right")
    for (device, members), (each, rollout) in times.items():
        rate = members * CONFIG.batch_size / each
        cells = (f"{each * 1e3:.1f}", f"{rollout / each:.0%}", f"{rate:,.0f}", f"{each / one[device]:.2f}")
        table.add_row(device, str(members), *cells)
    Console(width=110).print(table)
    return int(times["cuda", MANY].iteration > MOST * one["cuda"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10, help="iterations a measurement (default: 10)")
    parser.add_argument("--hidden", type=int, nargs="+", default=CONFIG.hidden_sizes, help="units of each layer")
    return parser.parse_args()


def _measure(config: PPOConfig, members: int, iterations: int, data: FlowData) -> Times:
    learner = make_learner(config, EnvConfig(), make_member_seeds(0, members), make_evaluation_seed(0), data)
    acting = _time_rollouts(learner)
    learner.iterate()  # warm-up; metrics are read back, so an iteration ends when the GPU has
    acting.clear()
    start = time.perf_counter()
    for _ in range(iterations):
        learner.iterate()
    return Times((time.perf_counter() - start) / iterations, sum(acting) / iterations)


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
