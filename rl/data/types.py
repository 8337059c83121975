"""Define the flows that the package returns, from any source: encoded features and labels, by part."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from unstuck.rl.config import DataConfig
from unstuck.rl.data.report import LoadReport


@dataclass(frozen=True)
class Flows:
    """Network flows ready for training: scaled features and labels (threat or benign), in recorded order.

    Attributes:
        features: float32 `[n, num_features]`, scaled by statistics of the training part alone.
        threat: bool `[n]`.

    Example:
        >>> flows = Flows(np.zeros((10, 2), dtype=np.float32), np.arange(10) % 5 == 0)
        >>> len(flows), len(flows.select_evenly(3))
        (10, 3)
    """

    features: npt.NDArray[np.float32]
    threat: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.threat)

    def select_evenly(self, count: int) -> "Flows":
        """Select `count` network flows at equal distances in the order of recording, or all if there are fewer."""
        rows = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(np.int64)
        return Flows(self.features[rows], self.threat[rows])


@dataclass(frozen=True)
class FlowData:
    """Training, validation and test network flows; parts share no equal flows, or (`stream`) no stretch of time.

    Attributes:
        train: Flows that the agent is trained on.
        validation: Flows that search and pruning judge by.
        test: Flows read once, by the champion stage.
        feature_names: Names of the columns of `features`.
        report: Fate of the source's rows and columns; None where the flows have none.
        order: Order of the flows in training episodes: `shuffled` or `stream`, as `DataConfig.order`.
    """

    train: Flows
    validation: Flows
    test: Flows
    feature_names: tuple[str, ...]
    report: LoadReport | None = None
    order: str = DataConfig.order

    @property
    def num_features(self) -> int:
        """Number of features of a network flow, which is the size of an observation."""
        return len(self.feature_names)
