"""The form in which flows leave this package, whatever their source."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from unstuck.rl.data.report import LoadReport


@dataclass(frozen=True)
class Flows:
    """Flows in the order in which they were recorded.

    Attributes:
        features: float32 `[n, num_features]`, scaled by statistics of the training part alone.
        threat: bool `[n]`.
    """

    features: npt.NDArray[np.float32]
    threat: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.threat)

    def select_evenly(self, count: int) -> "Flows":
        """`count` of them from all over, or all if there are fewer."""
        rows = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(np.int64)
        return Flows(self.features[rows], self.threat[rows])


@dataclass(frozen=True)
class FlowData:
    """Three parts that share no feature vector (shuffled order) or no stretch of time (stream order).

    Attributes:
        train: What the agent is trained on.
        validation: What search and pruning are judged by.
        test: Read once, by the champion stage.
        feature_names: One for each column of `features`.
        report: What became of the source's rows and columns; None where the flows have none.
    """

    train: Flows
    validation: Flows
    test: Flows
    feature_names: tuple[str, ...]
    report: LoadReport | None = None

    @property
    def num_features(self) -> int:
        """Width of an observation."""
        return len(self.feature_names)
