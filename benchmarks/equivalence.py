"""Learning beside Stable-Baselines3's: the same configurations, steps and kinds of episodes, many seeds a side.

    make bench-equivalence
    make bench-equivalence ARGS="--cases pendulum-zoo --side sb3"

Both sides have learnt alike if the 95 % interval of the difference in interquartile mean of the area under
the learning curve lies within 5 % of the environment's range. Value clipping and normalisers are off on both sides:
they are not the same there and here.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from unstuck.analysis.statistics import INTERQUARTILE, Interval, compute_difference, compute_interquartile_mean
from unstuck.rl.config import PPOConfig, require
from unstuck.rl.seeding import make_member_seeds

from benchmarks import curves, ours, sb3
from benchmarks.finished import Finished, code_digest
from benchmarks.published import CLEANRL, ZOO, lasting

MARGIN = 0.05
_CLEANRL = replace(CLEANRL, clip_range_vf=None)


@dataclass(frozen=True)
class Case:
    """One environment and PPO configuration that our PPO and Stable-Baselines3 train, with the range of returns.

    Attributes:
        name: As the table shows it.
        env: The environment's id.
        config: Of both sides.
        low: Lower end of the range of returns.
        high: Its upper end.
        seeds: Of each side.
    """

    name: str
    env: str
    config: PPOConfig
    low: float
    high: float
    seeds: int = 10

    def __post_init__(self) -> None:
        require(
            self.config.num_iterations % curves.BINS == 0,
            f"{self.name} must have a multiple of {curves.BINS} rollouts, got {self.config.num_iterations}; "
            "change its steps",
        )

    @property
    def steps(self) -> int:
        """Number of environment steps in each run of the case."""
        return self.config.num_iterations * self.config.batch_size

    @property
    def margin(self) -> float:
        """Largest difference in return that counts as equivalent: both ends of the interval must be closer to 0."""
        return MARGIN * (self.high - self.low)


# Ranges: CartPole's and Acrobot's follow from their rules. Pendulum goes from a random policy's mean return to the
# best, LunarLander from a random policy's to the one that counts as solved: their rules allow for far worse.
CASES = (
    Case("cartpole-cleanrl", "CartPole-v1", lasting(102_400, _CLEANRL), 0, 500, seeds=60),
    Case("cartpole-zoo", "CartPole-v1", lasting(99_840, ZOO["CartPole-v1"]), 0, 500, seeds=60),
    Case("acrobot-cleanrl", "Acrobot-v1", lasting(199_680, _CLEANRL), -500, 0),
    Case("pendulum-zoo", "Pendulum-v1", lasting(122_880, ZOO["Pendulum-v1"]), -1230, 0),
    Case("lunarlander-zoo", "LunarLander-v3", lasting(327_680, ZOO["LunarLander-v3"]), -180, 200),
)


def main() -> int:
    """Train all unfinished runs and print the table; return 1 if our PPO is not equivalent in a case."""
    options = _options()
    torch.set_num_threads(1)
    cases = [case for case in CASES if case.name in options.cases]
    for side, train in (("ours", train_ours), ("sb3", train_sb3)):
        for case in cases:
            if options.side in (side, "both"):
                train(case, _finished(options.folder, side, case))
    table = Table(
        title=f"Area under the learning curve, interquartile mean; Stable-Baselines3 {version('stable-baselines3')}"
    )
    for column in ("case", "steps", "seeds", "ours", "SB3", "difference (95 %)", "within"):
        table.add_column(column, justify="left" if column == "case" else "right")
    verdicts = [_judge(case, options.folder, table) for case in cases]
    Console(width=140).print(table)
    return int(not all(verdicts))


def _options() -> argparse.Namespace:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=names, default=names, metavar="CASE", help=", ".join(names))
    parser.add_argument("--side", choices=("ours", "sb3", "both"), default="both", help="to train (default: both)")
    parser.add_argument("--folder", type=Path, default=Path("runs/equivalence"), help="results of finished runs")
    return parser.parse_args()


def train_ours(case: Case, finished: Finished) -> None:
    """Train our PPO on the seeds without a saved result, all at once; save the learning curves."""
    missing = finished.missing(case.seeds)
    if missing:
        seeds = make_member_seeds(0, case.seeds)
        runs, _ = ours.train(case.env, case.config, [seeds[seed] for seed in missing])
        for seed, returns in zip(missing, runs, strict=True):
            finished.add(seed, curves.learning_curve(returns))


def train_sb3(case: Case, finished: Finished) -> None:
    """Train Stable-Baselines3 on the seeds without a saved result, one by one; save each learning curve at once."""
    seeds = make_member_seeds(0, case.seeds)
    for seed in finished.missing(case.seeds):
        finished.add(seed, curves.learning_curve(sb3.train(case.env, case.config, seeds[seed])))


def _finished(folder: Path, side: str, case: Case) -> Finished:
    """Return the file of saved results of one side (ours or `sb3`), valid for the current settings and code only."""
    if side == "ours":
        of = {"config": asdict(case.config), "code": code_digest()}
    else:
        packages = {name: version(name) for name in ("stable-baselines3", "gymnasium", "torch")}
        of = {"config": sb3.settings(case.config), "lanes": case.config.num_envs, "steps": case.steps, **packages}
    return Finished(folder, f"{case.name}-{side}", {"env": case.env, "bins": curves.BINS, **of})


def _judge(case: Case, folder: Path, table: Table) -> bool:
    """Add a case's row to the table; return True if our PPO and Stable-Baselines3 are equivalent in the case."""
    one, other = (_areas(_finished(folder, side, case), case.seeds) for side in ("ours", "sb3"))
    if not one or not other:
        table.add_row(case.name, f"{case.steps:,}", f"{len(one)} + {len(other)}", "", "", "", "not run")
        return False
    found = compute_difference(one, other, trim=INTERQUARTILE)
    ends = found.interval
    within = isinstance(ends, Interval) and -case.margin < ends.low and ends.high < case.margin
    table.add_row(
        case.name,
        f"{case.steps:,}",
        f"{len(one)} + {len(other)}",
        *(f"{compute_interquartile_mean(areas):.1f}" for areas in (one, other)),
        f"{found.mean:+.1f} ({f'{ends.low:+.1f} to {ends.high:+.1f}' if isinstance(ends, Interval) else ends})",
        f"{case.margin:.1f}: {'yes' if within else 'NO'}",
    )
    return within


def _areas(finished: Finished, seeds: int) -> Sequence[float]:
    results = finished.results()
    return [curves.area(results[seed]) for seed in range(seeds) if seed in results]


if __name__ == "__main__":
    raise SystemExit(main())
