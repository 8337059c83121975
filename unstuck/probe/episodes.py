"""Sum the rewards of a loop to the returns of its episodes."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from unstuck.analysis.history.record import EPISODE_LENGTH
from unstuck.probe.arrays import Rollout
from unstuck.rl import metrics


class EpisodeReturns:
    """Returns and lengths of the episodes that ended, from what the loop hands over, or summed from its rewards.

    Attributes:
        last: Means of the last rollout in which an episode ended, by metric.
        running: Return so far of each lane's episode, `[N]`.
    """

    def __init__(self, scaled: bool) -> None:
        self._scaled = scaled
        self.last: dict[str, float] = {}
        self.running: npt.NDArray[np.float64] | None = None
        self._ended: list[float] = []

    def add(self, rollout: Rollout) -> None:
        """Sum the rewards of a rollout, unless they are scaled, so that their sum is no return."""
        if rollout.rewards is None or rollout.ends is None or self._scaled:
            return
        rewards, ends = rollout.rewards.double().cpu().numpy(), rollout.ends.cpu().numpy()
        if self.running is None or len(self.running) != rollout.lanes:
            self.running = np.zeros(rollout.lanes)
        totals = rewards.cumsum(axis=0) + self.running
        gone = [0.0] * rollout.lanes
        for lane, total in zip(ends.nonzero()[1].tolist(), totals[ends].tolist(), strict=True):
            self._ended.append(total - gone[lane])
            gone[lane] = total
        self.running = totals[-1] - np.array(gone)

    def finish(self, returns: Iterable[float] | None, lengths: Iterable[float] | None) -> dict[str, float]:
        """Return the means by metric, carried over from the last rollout in which an episode ended."""
        ended = self._ended if returns is None else [float(one) for one in returns]
        long = [float(one) for one in lengths or ()]
        for name, values in ((metrics.TRAIN_RETURN, ended), (EPISODE_LENGTH, long)):
            if values:
                self.last[name] = math.fsum(values) / len(values)
        self._ended = []
        return dict(self.last)
