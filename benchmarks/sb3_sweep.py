"""What a sweep of Stable-Baselines3 configurations costs beside Stable-Baselines3 alone: wall time of both, in one run.

Alone means two processes that take configuration after configuration, each trained by `learn` and evaluated by
`evaluate_policy` as often as in the sweep. The sweep adds proposals, records, checkpoints, the probe and the report.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.sweeps.config.settings import SweepConfig

from benchmarks.value_coef.tables import Table

SWEEP = Path(__file__).parents[1] / "sweep.py"
PROCESSES = 2
MOST_SECONDS, MOST_SHARE = 15.0, 0.05
"""What the sweep may take longer: seconds, and a share of the time alone."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Pair:
    """Wall times in seconds of one comparison: of Stable-Baselines3 alone, and of the sweep right after.

    Attributes:
        alone: Time of Stable-Baselines3 alone.
        swept: Time of the sweep.
    """

    alone: float
    swept: float

    @property
    def difference(self) -> float:
        """Seconds that the sweep took longer."""
        return self.swept - self.alone

    @property
    def most(self) -> float:
        """Seconds that the sweep may take longer."""
        return self.alone * MOST_SHARE + MOST_SECONDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Time both in turn, print each pair of times and the medians; return 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--configs", type=int, default=12, help="configurations")
    parser.add_argument("--steps", type=int, default=50_000, help="environment steps each")
    parser.add_argument("--pairs", type=int, default=3, help="how often both are timed, in turn")
    given = parser.parse_args(arguments)
    if given.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {given.pairs}")
    os.environ.update(_ONE_THREAD)
    rates = [round(1e-4 * 1.4**number, 6) for number in range(given.configs)]
    pairs = []
    for _ in range(given.pairs):
        pairs.append(Pair(_time_alone(rates, given.steps), _time_sweep(rates, given.steps)))
        print(f"alone {pairs[-1].alone:.1f} s, swept {pairs[-1].swept:.1f} s", file=sys.stderr, flush=True)
    print(make_table(f"{given.configs} x {given.steps:,}", pairs))
    print(f"\n{PROCESSES} processes, torch {torch.__version__}, load {os.getloadavg()[0]:.1f} at the end")
    return int(not is_kept(pairs))


def is_kept(pairs: Sequence[Pair]) -> bool:
    """Return True if the median difference is at most the median of what the sweeps may take longer.

    A machine's speed may change by half from minute to minute, so that one pair of times says little.
    """
    return median(pair.difference for pair in pairs) <= median(pair.most for pair in pairs)


def make_table(size: str, pairs: Sequence[Pair]) -> Table:
    """Make the table of all pairs of wall times, in seconds, with a row of medians beside the goal."""
    caption = (
        f"Wall time of {size} steps. The goal: the median difference is at most the median of {MOST_SECONDS:g} s and "
        f"{MOST_SHARE:.0%} of the time alone; here it is {'kept' if is_kept(pairs) else 'missed'}:"
    )
    columns = ["pair", "alone, s", "sweep, s", "difference, s", "at most, s"]
    numbers = [(pair.alone, pair.swept, pair.difference, pair.most) for pair in pairs]
    medians = tuple(median(column) for column in zip(*numbers, strict=True))
    rows = [
        [name, f"{alone:.1f}", f"{swept:.1f}", f"{more:+.1f}", f"{most:+.1f}"]
        for name, (alone, swept, more, most) in zip(
            [*map(str, range(1, len(pairs) + 1)), "median"], [*numbers, medians], strict=True
        )
    ]
    return Table(caption, columns, rows)


def _make_config(rate: float, steps: int) -> SweepConfig:
    """Return the configuration of one run, as the sweep's command line makes it."""
    ppo = PPOConfig()
    iterations = max(1, steps // ppo.batch_size)
    return SweepConfig(
        env=EnvConfig(id="CartPole-v1"),
        ppo=replace(ppo, lr=rate, num_iterations=iterations, eval_every=min(ppo.eval_every, iterations)),
    )


def _train(config: SweepConfig) -> float:
    """Train one configuration by Stable-Baselines3 alone; return the last evaluation's mean return."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from unstuck.sweeps.trainers.sb3_model import make_model

    torch.set_num_threads(1)
    model, ppo = make_model(config, 0).ppo, config.ppo
    judged, done = 0.0, 0
    while done < ppo.num_iterations:
        more = min(ppo.eval_every, ppo.num_iterations - done)
        model.learn(more * ppo.batch_size, reset_num_timesteps=done == 0)
        done += more
        env = model.get_env()
        assert env is not None
        mean, _ = evaluate_policy(model, env, config.env.eval_episodes)
        judged = float(mean) if isinstance(mean, float) else 0.0
    return judged


def _time_alone(rates: Sequence[float], steps: int) -> float:
    start = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as executor:
        list(executor.map(_train, [_make_config(rate, steps) for rate in rates]))
    return time.perf_counter() - start


def _time_sweep(rates: Sequence[float], steps: int) -> float:
    ppo = _make_config(rates[0], steps).ppo
    points = ", ".join(f"{{ppo: {{lr: {rate}}}}}" for rate in rates)
    words = [
        *("trainer=sb3", "env.id=CartPole-v1", "sweep.seeds=1", f"resources.cpus={PROCESSES}", "sampler=points"),
        *("sweep.num_trials=null", f"sampler.points=[{points}]", "scheduler=none", "health=none"),
        *(f"ppo.num_iterations={ppo.num_iterations}", f"ppo.eval_every={ppo.eval_every}", f"ppo.lr={rates[0]}"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, str(SWEEP), *words, f"sweep.folder={folder}"], stdout=sys.stderr, check=True)
        return time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main())
