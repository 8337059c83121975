"""What the probe costs: the same training with and without it, in turn, in one process; the ratio is printed.

Both train bit for bit the same, so all that differs is the probe's time. The process's own CPU time is taken, since
other work may run on the machine.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gymnasium
import torch

import unstuck
from benchmarks import own_loop
from benchmarks.value_coef.tables import Table

LIMIT = 1.05
"""The probe may take 5 % of training."""


@dataclass(frozen=True)
class Case:
    """One training: its name, and what trains, with a folder for the probe's log or without a probe."""

    name: str
    train: Callable[[Path | None], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Time each case in rounds; return 1 if a median ratio is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="pairs of trainings a case")
    parser.add_argument("--steps", type=int, default=24_576, help="environment steps a training")
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
    print(Table(f"CPU time, median of {given.rounds} rounds; the goal is a ratio of at most {LIMIT}:", columns, rows))
    load = os.getloadavg()[0]
    print(f"\n{platform.processor() or platform.machine()}, torch {torch.__version__}, load {load:.1f} at the end")
    return int(worst > LIMIT)


def _time(case: Case, rounds: int) -> list[tuple[float, float]]:
    """Return seconds without and with the probe, by round; a first pair warms up and does not count."""
    pairs = []
    for turn in range(rounds + 1):
        seconds = {}
        for probed in (False, True) if turn % 2 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                start = time.process_time()
                case.train(Path(folder) if probed else None)
                seconds[probed] = time.process_time() - start
        pairs.append((seconds[False], seconds[True]))
    return pairs[1:]


def _own_loop(settings: own_loop.Settings, steps: int) -> Callable[[Path | None], None]:
    def train(folder: Path | None) -> None:
        own_loop.train(replace(settings, total_timesteps=steps), str(folder), probed=folder is not None)

    return train


def _sb3(lanes: int, num_steps: int, minibatch: int, steps: int) -> Callable[[Path | None], None]:
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    def train(folder: Path | None) -> None:
        env = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * lanes)
        model = PPO("MlpPolicy", env, n_steps=num_steps, batch_size=minibatch, seed=0, device="cpu")
        model.learn(steps, callback=unstuck.SB3Probe(folder) if folder else None)
        env.close()

    return train


if __name__ == "__main__":
    raise SystemExit(main())
