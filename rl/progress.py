"""What adds up along a run: epochs done, the last episodes' lengths, and the first observations of episodes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from unstuck.rl import metrics
from unstuck.rl.episodes import MOST_COLUMNS, MOST_STARTS, mark_starts, measure_start_repeats, sum_sizes
from unstuck.rl.rollout import Rollout


@dataclass
class Progress:
    """Sums over a run, one for each member (seed).

    Attributes:
        epochs: Passes over rollouts that updates have made.
        lengths: Mean length in steps of the episodes that ended last; None before one has ended.
        starts: Checksums of the first observations of the run's first episodes.
        sizes: Sizes of these observations by column, see `sum_sizes`; none in a state from before these were kept.
    """

    epochs: list[float]
    lengths: list[float | None]
    starts: list[list[int]]
    sizes: list[list[list[float]]]

    @classmethod
    def start(cls, members: int) -> "Progress":
        """Return the sums of a run that has not begun."""
        return cls([0.0] * members, [None] * members, [[] for _ in range(members)], [[] for _ in range(members)])

    @classmethod
    def load(cls, state: Mapping[str, Any] | None, members: int) -> "Progress":
        """Return the sums of a saved state; those of a run that has not begun for a state that holds none."""
        return cls(**{"sizes": [[] for _ in range(members)], **state}) if state else cls.start(members)

    def state(self) -> dict[str, Any]:
        """Copy the sums as a dict for JSON."""
        return asdict(self)

    def add(self, rollout: Rollout, epochs: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
        """Add an iteration to the sums; return `metrics.PROGRESS` by name, without the parameters' norm, `[P]`.

        Args:
            rollout: The iteration's rollout.
            epochs: Passes that the update made over the rollout, `[P]`.
        """
        ends, shown = (rollout.terminated | rollout.truncated).numpy(), rollout.raw_observations.numpy()
        for member, lengths in enumerate(rollout.episode_lengths):
            self.epochs[member] += float(epochs[member])
            self.lengths[member] = float(np.mean(lengths)) if lengths else self.lengths[member]
            steps, lanes = ends[member].nonzero()
            begun = shown[member, steps + 1, lanes][: MOST_STARTS - len(self.starts[member])]
            mark_starts(self.starts[member], begun)
            if len(begun):
                sizes = sum_sizes(begun[:, :MOST_COLUMNS])
                known = self.sizes[member]
                self.sizes[member] = (sizes + np.array(known) if known else sizes).tolist()
        found = {metrics.EPOCHS_DONE: np.array(self.epochs)}
        if all(length is not None for length in self.lengths):
            found[metrics.EPISODE_LENGTH] = np.array(self.lengths, dtype=np.float64)
        if all(self.starts):
            found[metrics.START_REPEATS] = np.array([measure_start_repeats(marks) for marks in self.starts])
        return found
