"""Sum the rewards of a loop to the returns of its episodes, and tell the first observations of episodes apart."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from unstuck.probe.arrays import Rollout
from unstuck.rl import metrics
from unstuck.rl.episodes import MOST_STARTS, mark_starts, measure_start_repeats


class EpisodeReturns:
    """Returns and lengths of ended episodes, as given by the training loop, or summed from rewards.

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
        """Add a rollout's rewards to the running returns; skip scaled rewards, whose sum is not a return."""
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
        """Return mean return and length of the episodes that ended, by metric; the previous means if none ended."""
        ended = self._ended if returns is None else [float(one) for one in returns]
        long = [float(one) for one in lengths or ()]
        for name, values in ((metrics.TRAIN_RETURN, ended), (metrics.EPISODE_LENGTH, long)):
            if values:
                self.last[name] = sum(values) / len(values)  # fsum refuses inf beside -inf
        self._ended = []
        return dict(self.last)


class EpisodeStarts:
    """First observations of a run's episodes, up to `MOST_STARTS`, to find out how many are equal.

    Attributes:
        marks: Checksum of each first observation, in the order of the episodes.
    """

    def __init__(self) -> None:
        self.marks: list[int] = []
        self._begins: npt.NDArray[np.bool_] | None = None

    def add(self, rollout: Rollout) -> dict[str, float]:
        """Add the episodes that start in a rollout; return the share that started like an earlier one, as a metric."""
        if rollout.ends is None or rollout.observations is None:
            return {}
        ends = rollout.ends.cpu().numpy()
        if len(self.marks) < MOST_STARTS:
            known = self._begins is not None and len(self._begins) == rollout.lanes
            before = self._begins if self._begins is not None and known else np.zeros_like(ends[0])
            begins = np.concatenate([before[None], ends[:-1]])
            rows = np.flatnonzero(begins)[: MOST_STARTS - len(self.marks)]
            seen = rollout.flat_observations(torch.from_numpy(rows)) if len(rows) else None
            mark_starts(self.marks, () if seen is None else seen.cpu().numpy())
        self._begins = ends[-1]
        return {metrics.START_REPEATS: measure_start_repeats(self.marks)} if self.marks else {}
