"""Measure the time of each part of an iteration, beside the core's peak speed, and the gains of compiling and malloc.

    make bench-profile

Times are those of the process on its core. The core's peak is that of a large matrix product. A product counts two
operations for each multiplication; those of padding are left out.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple
from unittest import mock

import torch
from rich.console import Console
from rich.table import Table
from unstuck.rl import ppo
from unstuck.rl.adam import Adam
from unstuck.rl.config import TRIAGE, DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.errors import ConfigError
from unstuck.rl.learner import Learner
from unstuck.rl.machine import require_machine, use_one_thread
from unstuck.rl.make_learner import make_learner
from unstuck.rl.networks import ActorCritic
from unstuck.rl.rollout import Rollout
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

EAGER = PPOConfig(num_iterations=10**9, eval_every=10**9)
COMPILED = replace(EAGER, compile=True)
MEMBERS = 8
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
"""Blocks up to 32 MB, the most that glibc takes, and free memory up to 1 GB stay with the process."""


class Part(NamedTuple):
    """A method to time, counted only within calls of the method `within`, with the operations of one iteration."""

    owner: Any
    method: str
    within: str = ""
    operations: float = 0.0


@use_one_thread()
def main() -> None:
    """Print the time of each part of an iteration, and the gains of compiling and of other malloc settings."""
    options = _options()
    if options.compiling or options.members:
        print(
            _seconds_of_compiling() if options.compiling else _seconds_an_iteration(options.members, options.iterations)
        )
        return
    peak = _peak()
    console = Console(width=100)
    console.print(f"The core's peak: {peak / 1e9:.0f} GFLOP/s, float32, product of 1024 x 1024 matrices")
    configs = [EAGER, COMPILED]
    try:
        require_machine(COMPILED)
    except ConfigError as error:
        console.print(f"eager only: {error}")
        configs.pop()
    for config in configs:
        for env, features in (("CartPole-v1", 4), (TRIAGE, 20), (TRIAGE, 118)):
            console.print(_table(_learner(config, env, features, MEMBERS), peak, options.iterations))
    if COMPILED in configs:
        console.print(_worth_of_compiling(options.iterations))
    for members in (4, 16):
        console.print(_worth_of_keeping(members, options.iterations))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=20, help="iterations a measurement (default: 20)")
    parser.add_argument("--compiling", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--members", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _learner(config: PPOConfig, env: str, features: int, members: int) -> Learner:
    data = load_flows(DataConfig(num_features=features)) if env == TRIAGE else None
    learner = make_learner(config, EnvConfig(id=env), make_member_seeds(0, members), make_evaluation_seed(0), data)
    learner.iterate()  # warm-up
    return learner


def _peak() -> float:
    """Return the core's peak speed in floating-point operations per second, measured by a large matrix product."""
    matrix = torch.ones(1024, 1024)
    return 2 * 1024**3 / min(_seconds(lambda: matrix @ matrix) for _ in range(20))


def _table(learner: Learner, peak: float, iterations: int) -> Table:
    """Build a table of the times of an iteration's parts; an indented part lies within the part above."""
    parts = _parts(learner)
    spent = dict.fromkeys([*parts, "all"], 0.0)
    with _timed(parts, spent):
        for _ in range(iterations):
            spent["all"] += _seconds(learner.iterate)
    mode = "compiled" if learner.config.compile else "eager"
    table = Table(title=f"{learner.networks.sizes[0]} features, {MEMBERS} members, {mode}")
    for column in ("part", "ms an iteration", "share", "GFLOP/s", "of the peak"):
        table.add_column(column, justify="left" if column == "part" else "right")
    operations = {name: part.operations for name, part in parts.items()}
    operations["all"] = sum(part.operations for part in parts.values() if not part.within)
    for name, seconds in spent.items():
        if seconds:
            rate = operations[name] * iterations / seconds
            speed = (f"{rate / 1e9:.1f}", f"{rate / peak:.0%}") if rate else ("", "")
            label = f"  {name}" if name in parts and parts[name].within else name
            table.add_row(label, f"{seconds / iterations * 1e3:.2f}", f"{seconds / spent['all']:.0%}", *speed)
    return table


def _parts(learner: Learner) -> dict[str, Part]:
    networks, config = learner.networks, learner.config
    layers = list(pairwise(networks.sizes))
    samples = 2.0 * len(learner.members) * config.batch_size
    forward = samples * sum(rows * columns for rows, columns in layers)
    backward = forward + samples * sum(rows * columns for rows, columns in layers[1:])  # no gradient of the inputs
    forward_all = forward * networks.num_towers
    epochs = config.num_epochs * networks.num_towers
    return {
        "rollout": Part(Rollout, "collect", "", forward),
        "policy": Part(ActorCritic, "policy", "rollout", forward),
        "environment": Part(type(learner.env), "step", "rollout"),
        "values and advantages": Part(Learner, "_batch", "", forward_all),
        "update": Part(ppo, "update", "", epochs * (forward + backward)),
        "shuffling": Part(ppo.Batch, "shuffled", "update"),
        "forward": Part(ActorCritic, "forward", "update", epochs * forward),
        "gradient of the loss": Part(torch.autograd, "grad", "update"),
        "backward": Part(ActorCritic, "backward", "update", epochs * backward),
        "Adam": Part(Adam, "step", "update"),
    }


@contextmanager
def _timed(parts: dict[str, Part], spent: dict[str, float]) -> Iterator[None]:
    """Measure inside the `with` block the CPU seconds of each part, and add the seconds to `spent`."""
    running: list[str] = []

    def timed(name: str, within: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if within and within not in running:
                return method(*args, **options)
            running.append(name)
            start = time.process_time()
            try:
                return method(*args, **options)
            finally:
                spent[name] += time.process_time() - start
                running.pop()

        return call

    with ExitStack() as patches:
        for name, part in parts.items():
            replacement = timed(name, part.within, getattr(part.owner, part.method))
            patches.enter_context(mock.patch.object(part.owner, part.method, replacement))
        yield


def _worth_of_compiling(iterations: int) -> str:
    """Return a sentence on the seconds that compiling costs (with and without a cache), and when the cost is repaid."""
    with tempfile.TemporaryDirectory() as folder:
        first, again = (_in_a_process("--compiling", TORCHINDUCTOR_CACHE_DIR=folder) for _ in range(2))
    members = 4
    learners = [_learner(config, TRIAGE, 20, members) for config in (EAGER, COMPILED)]
    rounds = [[_seconds(learner.iterate) for learner in learners] for _ in range(iterations)]
    eager, compiled = (statistics.median(times) for times in zip(*rounds, strict=True))
    saved = eager - compiled
    after = [seconds / saved * members * EAGER.batch_size / 1e6 for seconds in (first, again)]
    return (
        f"Compiling takes {first:.0f} s of a core, {again:.0f} s where the program is on disk already. With {members} "
        f"members and 20 features it saves {saved * 1e3:.1f} of {eager * 1e3:.1f} ms an iteration. It has paid after "
        f"{first / saved:,.0f} iterations, {after[0]:.2f} million steps of all members, or {again / saved:,.0f}, "
        f"{after[1]:.2f} million"
    )


def _seconds_of_compiling() -> float:
    """Measure the CPU seconds that the first, compiling iteration takes more than a later iteration."""
    data = load_flows(DataConfig())
    learner = make_learner(COMPILED, EnvConfig(), make_member_seeds(0, 1), make_evaluation_seed(0), data)
    before = os.times()
    learner.iterate()
    after = os.times()
    return sum(after[:4]) - sum(before[:4]) - _seconds(learner.iterate)


def _worth_of_keeping(members: int, iterations: int) -> str:
    """Return a sentence on the speed gained if glibc's malloc keeps large freed blocks for later use."""
    sides = ({}, KEEPING)
    rounds = [
        [_in_a_process("--members", members, "--iterations", iterations, **side) for side in sides] for _ in range(3)
    ]
    ratios = sorted(usual / keeping for usual, keeping in rounds)
    settings = " ".join(f"{name}={value}" for name, value in KEEPING.items())
    return f"{settings}: {members} members train {ratios[1]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) times as fast"


def _seconds_an_iteration(members: int, iterations: int) -> float:
    learner = _learner(EAGER, TRIAGE, 20, members)
    return statistics.median(_seconds(learner.iterate) for _ in range(iterations))


def _in_a_process(*arguments: object, **environment: str) -> float:
    """Run the benchmark in a separate process with given arguments; return the number that the process prints."""
    command = [sys.executable, "-m", "benchmarks.profile", *map(str, arguments)]
    own = {**os.environ, **environment}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=own).stdout.split()[-1])


def _seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
