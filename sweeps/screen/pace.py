"""Measure how fast a sweep goes on: environment steps per second, and the time left."""

import time
from dataclasses import dataclass

from unstuck.sweeps.stopping.live_trial import LiveTrial


@dataclass
class _Part:
    """Progress of a trial as a share of the full length: now, and when the present process began."""

    num_received: int = 0
    reached: float = 0.0
    before: float = 0.0


class Pace:
    """Speed of a sweep, computed from the iterations that trials have delivered to this process.

    What an earlier process trained, and a worker only delivers again, does not count.

    Args:
        length: Units (iterations or environment steps) of a whole trial.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._parts: dict[int, _Part] = {}
        self._began: float | None = None
        self._began_ms = time.time() * 1000
        self._latest = 0.0
        self._steps = 0
        self._ended = 0.0

    def start(self, trial: LiveTrial) -> None:
        """Add a trial that has started to the measurement of speed."""
        if self._began is None:
            self._began = self._latest = time.monotonic()
        self._parts[trial.number] = _Part()

    def deliver(self, trial: LiveTrial) -> None:
        """Count a running trial's iterations that have arrived since the last call, to measure the speed."""
        part = self._parts.get(trial.number)
        if part is None:
            return
        for record in trial.records[part.num_received :]:
            share = record.step / self._length if self._length else 0.0
            if record.timestamp_ms >= self._began_ms:
                self._steps += trial.config.ppo.batch_size * trial.config.sweep.seeds
            else:
                part.before = min(share, 1.0)
            part.reached = min(share, 1.0)
        part.num_received = len(trial.records)
        self._latest = time.monotonic()

    def end(self, trial: LiveTrial, counts: bool) -> None:
        """Remove an ended trial from the speed measurement; `counts` is True if the trial counts among those to run."""
        self.deliver(trial)
        part = self._parts.pop(trial.number, None)
        if part is not None and counts:
            self._ended += 1.0 - part.before

    @property
    def steps_per_second(self) -> float | None:
        """Environment steps of all trials and seeds per second; None before the first evaluation has arrived."""
        seconds = self._latest - self._began if self._began is not None else 0.0
        return self._steps / seconds if self._steps and seconds > 0 else None

    @property
    def under_way(self) -> float:
        """Sum of the running trials' progress, in whole trials: two half-trained trials count 1."""
        return sum(part.reached for part in self._parts.values())

    def estimate_left(self, trials: float) -> float | None:
        """Estimate the seconds until so many trials have ended, by the speed so far; None before any result.

        Args:
            trials: Number of trials that have not ended, running ones included.
        """
        here = self._ended + sum(part.reached - part.before for part in self._parts.values())
        if self._began is None or here <= 0 or self._latest <= self._began:
            return None
        pace = here / (self._latest - self._began)
        return max((trials - self.under_way) / pace - (time.monotonic() - self._latest), 0.0)
