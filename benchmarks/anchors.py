"""Returns beside published ones: CleanRL's PPO configuration on three classic environments, all seeds fused.

    make bench-anchors

Published: CleanRL's docs, 3 seeds, 500,000 steps, training returns: CartPole-v1 490.04 +- 6.12, Acrobot-v1 -86.36 +-
1.32, MountainCar-v0 -200.00 +- 0.00. The last is a negative control: with these settings nobody finds its reward.
A difference that remains: a truncated episode is bootstrapped here and counts as terminated there. Our value_coef is
0.25: their loss has a factor 0.5.
"""

import argparse
import statistics
import time
from collections import deque
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from rl.config import EnvConfig, PPOConfig
from rl.seeding import evaluation_seed, member_seeds
from rl.training import make_learner

STEPS = 500_000
CLEANRL = PPOConfig(
    num_iterations=STEPS // 512,
    num_envs=4,
    num_steps=128,
    minibatch_size=128,
    num_epochs=4,
    lr=2.5e-4,
    lr_schedule="linear",
    clip_range_vf=0.2,
    entropy_coef=0.01,
    value_coef=0.25,
    eval_every=STEPS // 512,
)
LAST_EPISODES = 100


@dataclass(frozen=True)
class Anchor:
    """An environment, the mean return that CleanRL publishes, and how far from it ours may lie."""

    env: str
    published: float
    tolerance: float


ANCHORS = (
    Anchor("CartPole-v1", 490.04, 15.0),
    Anchor("Acrobot-v1", -86.36, 10.0),
    Anchor("MountainCar-v0", -200.0, 0.0),
)


def main() -> int:
    """Train all anchors and print the table; returns 1 if one lies outside its tolerance."""
    options = _options()
    torch.set_num_threads(1)
    table = Table(
        title=f"CleanRL's configuration, {STEPS:,} steps, {options.seeds} seeds, mean of the last 100 returns"
    )
    for column in ("environment", "published", "ours", "seeds", "within", "seconds"):
        table.add_column(column)
    failed = 0
    for anchor in ANCHORS:
        start = time.perf_counter()
        returns = train(anchor.env, options.seeds)
        mean = statistics.fmean(returns)
        holds = abs(mean - anchor.published) <= anchor.tolerance
        failed += not holds
        table.add_row(
            anchor.env,
            f"{anchor.published:g}",
            f"{mean:.2f} ± {statistics.stdev(returns):.2f}",
            " ".join(f"{value:.0f}" for value in returns),
            f"{anchor.tolerance:g}: {'yes' if holds else 'NO'}",
            f"{time.perf_counter() - start:.0f}",
        )
    Console(width=160).print(table)
    return int(failed > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="members, trained together (default: 10)")
    return parser.parse_args()


def train(env: str, seeds: int) -> list[float]:
    """Mean return of each seed's last 100 training episodes (sampled actions)."""
    learner = make_learner(CLEANRL, EnvConfig(id=env, eval_episodes=1), member_seeds(0, seeds), evaluation_seed(0))
    last: list[deque[float]] = [deque(maxlen=LAST_EPISODES) for _ in range(seeds)]
    for _ in range(CLEANRL.num_iterations):
        learner.iterate()
        for returns, ended in zip(last, learner.rollout.episode_returns, strict=True):
            returns.extend(ended)
    return [statistics.fmean(returns) for returns in last]


if __name__ == "__main__":
    raise SystemExit(main())
