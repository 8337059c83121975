"""What the probe costs: the same training with and without it, iteration by iteration in turn, in one process.

Both train bit for bit the same, so all that differs is the probe's time. The process's own CPU time is taken, since
other work may run on the machine, and a machine that slows down slows both.
"""

import argparse
import itertools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gymnasium
import torch

import unstuck
from benchmarks import own_loop
from benchmarks.value_coef.tables import Table

LIMIT = 1.05
"""The probe may take 5 % of training."""

Train = Callable[[Path | None], Iterator[object]]
"""Function that trains, an iteration at each step of the iterator."""


@dataclass(frozen=True)
class Case:
    """One training: its name, and what trains, with a folder for the probe's log or without a probe."""

    name: str
    train: Train


def main(arguments: Sequence[str] | None = None) -> int:
    """Time each case in rounds; return 1 if a median ratio is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="pairs of trainings a case")
    parser.add_argument("--steps", type=int, default=49_152, help="environment steps a training")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cases = [
        Case("loop of its own, 8 x 64 steps, minibatch 128", _own_loop(own_loop.Settings(num_steps=64), given.steps)),
        Case(
            "loop of its own, 4 x 128 steps, minibatch 128",
            _own_loop(own_loop.Settings(num_envs=4, num_steps=128), given.steps),
        ),
        Case("Stable-Baselines3, 1 x 2,048 steps, minibatch 64", _sb3(1, 2048, 64, given.steps)),
        Case("Stable-Baselines3, 8 x 128 steps, minibatch 256", _sb3(8, 128, 256, given.steps)),
    ]
    rows, worst = [], 0.0
    for case in cases:
        pairs = _time(case, given.rounds)
        ratios = [probed / bare for bare, probed in pairs]
        bare, probed = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(ratios)
        worst = max(worst, ratio)
        spread = f"{ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        rows.append([case.name, f"{bare:.2f}", f"{probed:.2f}", spread, "kept" if ratio <= LIMIT else "missed"])
    columns = ["training", "without, s", "with, s", "ratio (min to max)", "goal"]
    caption = (
        f"CPU time of {given.steps:,} steps, median of {given.rounds} rounds; the goal is a ratio of at most {LIMIT}:"
    )
    print(Table(caption, columns, rows))
    load = os.getloadavg()[0]
    print(f"\n{platform.processor() or platform.machine()}, torch {torch.__version__}, load {load:.1f} at the end")
    return int(worst > LIMIT)


def _time(case: Case, rounds: int) -> list[tuple[float, float]]:
    """Return seconds without and with the probe, by round; the first iterations warm up, and do not count."""
    _train_in_turn(case, 3)
    return [_train_in_turn(case) for _ in range(rounds)]


def _train_in_turn(case: Case, most: int | None = None) -> tuple[float, float]:
    """Train once without and once with the probe, `most` iterations or all; return seconds of both."""
    seconds = {False: 0.0, True: 0.0}
    with tempfile.TemporaryDirectory() as folder:
        running = {probed: case.train(Path(folder) if probed else None) for probed in seconds}
        for iteration in itertools.count():
            for probed in (False, True) if iteration % 2 else (True, False):
                start = time.process_time()
                ended = next(running[probed], None) is None
                seconds[probed] += time.process_time() - start
            if ended or iteration + 1 == most:
                return seconds[False], seconds[True]
    raise AssertionError("itertools.count ends never")


def _own_loop(settings: own_loop.Settings, steps: int) -> Train:
    def train(folder: Path | None) -> Iterator[object]:
        whole = replace(settings, total_timesteps=steps)
        yield from own_loop.iterate(whole, str(folder), probed=folder is not None)

    return train


def _sb3(lanes: int, num_steps: int, minibatch: int, steps: int) -> Train:
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    def train(folder: Path | None) -> Iterator[object]:
        env = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * lanes)
        model = PPO("MlpPolicy", env, n_steps=num_steps, batch_size=minibatch, seed=0, device="cpu")
        callback = unstuck.SB3Probe(folder) if folder else None
        for done in range(0, steps, lanes * num_steps):
            yield model.learn(lanes * num_steps, callback=callback, reset_num_timesteps=done == 0)
        env.close()

    return train


if __name__ == "__main__":
    raise SystemExit(main())
