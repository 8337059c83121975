"""Measure what 256 members cost on a GPU, beside one member there and one on the CPU; without a GPU, say so.

make bench-gpu
"""

import argparse
import time
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

CONFIG = PPOConfig(num_iterations=10**9, eval_every=10**9)
MANY, MOST = 256, 4.0
"""Members, and how many times the time of one they may take."""


def main() -> int:
    """Print the times of an iteration on CPU and GPU; return 1 if 256 members cost too much on the GPU, else 0."""
    options = _options()
    if not torch.cuda.is_available():
        print("no GPU that torch can use: nothing measured")
        return 0
    data = load_flows(DataConfig())
    cases = (("cpu", 1), ("cuda", 1), ("cuda", 16), ("cuda", MANY))
    seconds = {case: _seconds_an_iteration(*case, options.iterations, data) for case in cases}
    one = seconds["cuda", 1]
    table = Table(title=f"Triage, 20 features, {torch.cuda.get_device_name()}, torch {torch.__version__}")
    for column in ("device", "members", "ms an iteration", "steps/s, all members", "times one there"):
        table.add_column(column, justify="right")
    for (device, members), each in seconds.items():
        rate, times = members * CONFIG.batch_size / each, f"{each / one:.2f}" if device == "cuda" else ""
        table.add_row(device, str(members), f"{each * 1e3:.1f}", f"{rate:,.0f}", times)
    Console(width=100).print(table)
    return int(seconds["cuda", MANY] > MOST * one)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10, help="iterations a measurement (default: 10)")
    return parser.parse_args()


def _seconds_an_iteration(device: str, members: int, iterations: int, data: FlowData) -> float:
    config = replace(CONFIG, device=device)
    learner = make_learner(config, EnvConfig(), make_member_seeds(0, members), make_evaluation_seed(0), data)
    learner.iterate()  # warm-up; metrics are read back, so an iteration ends when the GPU has
    start = time.perf_counter()
    for _ in range(iterations):
        learner.iterate()
    return (time.perf_counter() - start) / iterations


if __name__ == "__main__":
    raise SystemExit(main())
