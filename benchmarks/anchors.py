"""Returns beside published ones, 10 seeds each, fused: CleanRL's configuration and RL-Zoo's tuned ones.

    make bench-anchors
    make bench-anchors ARGS="--anchors acrobot-zoo pendulum-zoo"

CleanRL publishes the mean return of training episodes (3 seeds, 500,000 steps); beside it stands the mean of each
seed's last 100. RL-Zoo publishes a deterministic policy's (one run); beside it stands the mean of 100 greedy episodes
after the last update. Accepted ranges were set before the first run. Differences that remain: CleanRL counts truncated
episodes as terminated; RL-Zoo's Acrobot divides rewards by a running spread, where ours normalises the critic's
targets; its Pendulum explores by a noise that depends on the state; its LunarLander was v2.
"""

import argparse
import statistics
import time
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table
from unstuck.rl.config import PPOConfig
from unstuck.rl.seeding import make_member_seeds

from benchmarks import ours
from benchmarks.finished import Finished, code_digest
from benchmarks.published import CLEANRL, ZOO

EPISODES = 100


@dataclass(frozen=True)
class Anchor:
    """Published mean return of a PPO configuration, with the range in which the mean return of our PPO must lie.

    Attributes:
        name: As the table shows it.
        env: The environment's id.
        config: As published.
        figure: `training` or `greedy`: which returns are compared.
        published: Mean return.
        low: Least mean over seeds that is accepted.
        high: The most.
    """

    name: str
    env: str
    config: PPOConfig
    figure: str
    published: float
    low: float
    high: float


# 500 is the most that CartPole gives. MountainCar is a negative control: so configured, nobody finds its reward.
ANCHORS = (
    Anchor("cartpole-cleanrl", "CartPole-v1", CLEANRL, "training", 490.04, 475, 500),
    Anchor("acrobot-cleanrl", "Acrobot-v1", CLEANRL, "training", -86.36, -96.36, -76.36),
    Anchor("mountaincar-cleanrl", "MountainCar-v0", CLEANRL, "training", -200.0, -200, -200),
    Anchor("cartpole-zoo", "CartPole-v1", ZOO["CartPole-v1"], "greedy", 500.0, 495, 500),
    Anchor("acrobot-zoo", "Acrobot-v1", ZOO["Acrobot-v1"], "greedy", -73.51, -83.51, -63.51),
    Anchor("pendulum-zoo", "Pendulum-v1", ZOO["Pendulum-v1"], "greedy", -172.23, -222.23, -122.23),
    Anchor("lunarlander-zoo", "LunarLander-v3", ZOO["LunarLander-v3"], "greedy", 242.12, 200, 320),
)


def main() -> int:
    """Train all unfinished runs and print the table; return 1 if an anchor's mean lies outside the accepted range."""
    options = _options()
    table = Table(title=f"{options.seeds} seeds, trained together on one core")
    for column in ("anchor", "steps", "returns", "published", "ours", "each seed", "accepted", "within"):
        table.add_column(column)
    verdicts = []
    for anchor in ANCHORS:
        if anchor.name in options.anchors:
            verdicts.append(_judge(anchor, returns(anchor, options.seeds, options.folder), table))
    Console(width=180).print(table)
    return int(not all(verdicts))


def _options() -> argparse.Namespace:
    names = [anchor.name for anchor in ANCHORS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--seeds", type=int, default=10, help="members, trained together (default: 10)")
    parser.add_argument("--folder", type=Path, default=Path("runs/anchors"), help="results of finished runs")
    return parser.parse_args()


def returns(anchor: Anchor, seeds: int, folder: Path) -> list[float]:
    """Return each seed's mean return in training or greedy episodes; train the seeds without a saved result first."""
    finished = Finished(
        folder, anchor.name, {"env": anchor.env, "config": asdict(anchor.config), "code": code_digest()}
    )
    missing = finished.missing(seeds)
    if missing:
        start = time.perf_counter()
        sequences = make_member_seeds(0, seeds)
        runs, greedy = ours.train(anchor.env, anchor.config, [sequences[seed] for seed in missing], EPISODES)
        for seed, run, evaluated in zip(missing, runs, greedy, strict=True):
            last = statistics.fmean(list(chain(*run))[-EPISODES:])
            finished.add(seed, {"training": last, "greedy": evaluated})
        print(f"{anchor.name}: {len(missing)} seeds in {time.perf_counter() - start:,.0f} s", flush=True)
    results = finished.results()
    return [results[seed][anchor.figure] for seed in range(seeds)]


def _judge(anchor: Anchor, values: list[float], table: Table) -> bool:
    """Add an anchor's row to the table; return True if our mean return lies in the anchor's accepted range."""
    mean = statistics.fmean(values)
    within = anchor.low <= mean <= anchor.high
    table.add_row(
        anchor.name,
        f"{anchor.config.num_iterations * anchor.config.batch_size:,}",
        anchor.figure,
        f"{anchor.published:g}",
        f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}",
        " ".join(f"{value:.0f}" for value in values),
        f"{anchor.low:g} to {anchor.high:g}",
        "yes" if within else "NO",
    )
    return within


if __name__ == "__main__":
    raise SystemExit(main())
