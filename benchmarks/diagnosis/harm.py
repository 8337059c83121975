"""Harm of faults: scores of a fault's runs against those of healthy runs in the same world.

A fault that leaves the score within the noise of the healthy runs need not be found by a diagnosis, and does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Harm:
    """Effect of a fault on the score: mean scores of healthy and faulty runs, and the difference's 95 % interval.

    Attributes:
        healthy: Mean score of the healthy runs.
        faulty: Mean score of the faulty ones.
        low: Lower end of the difference's 95 % interval, faulty minus healthy.
        high: Upper end.
    """

    healthy: float
    faulty: float
    low: float
    high: float

    @property
    def hurts(self) -> bool:
        """True if the fault lowers the score: the interval of the difference lies wholly below 0."""
        return self.high < 0


def harm_of(faulty: Sequence[float], healthy: Sequence[float]) -> Harm:
    """Compare the scores of faulty and healthy runs, with the 95 % interval of the difference (Welch 1947).

    The spreads may differ, as they do where a fault makes some seeds fail.

    Args:
        faulty: Scores, one a seed, at least two.
        healthy: Likewise.
    """
    ours, theirs = sum(faulty) / len(faulty), sum(healthy) / len(healthy)
    if max(faulty) == min(faulty) and max(healthy) == min(healthy):
        return Harm(theirs, ours, ours - theirs, ours - theirs)
    interval = stats.ttest_ind(faulty, healthy, equal_var=False).confidence_interval(0.95)
    return Harm(theirs, ours, float(interval.low), float(interval.high))


def clopper_pearson(hits: int, tries: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of the probability behind the share `hits / tries` (Clopper and Pearson 1934).

    Args:
        hits: How often.
        tries: Out of how many, at least one.
        level: Of confidence.
    """
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, hits, tries - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, tries - hits)) if hits < tries else 1.0
    return low, high
