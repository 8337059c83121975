"""Faults of data sets: each changes the training part, and leaves alone what policies are judged by."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import SeedSequence
from unstuck.rl.data.types import FlowData, Flows


@dataclass(frozen=True)
class LabelsExchanged:
    """Labels of the training part belong to other flows, for a share of them: two files joined in different orders."""

    share: float

    def __call__(self, data: FlowData) -> FlowData:
        """Plant it."""
        generator = np.random.default_rng(SeedSequence(10))
        threat = data.train.threat.copy()
        rows = np.flatnonzero(generator.random(len(threat)) < self.share)
        threat[rows] = threat[generator.permutation(rows)]
        return replace(data, train=Flows(data.train.features, threat))


@dataclass(frozen=True)
class FewFlows:
    """Only so many flows are trained on, over and over."""

    flows: int

    def __call__(self, data: FlowData) -> FlowData:
        """Plant it."""
        return replace(data, train=data.train.select_evenly(self.flows))
