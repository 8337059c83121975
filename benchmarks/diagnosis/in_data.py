"""Faults of data sets: each changes the training part, and leaves alone what policies are judged by."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import SeedSequence
from unstuck.rl.data.types import FlowData, Flows


@dataclass(frozen=True)
class LabelsExchanged:
    """Fault: a share of the training flows have labels of other flows, as if two files were wrongly joined."""

    share: float

    def __call__(self, data: FlowData) -> FlowData:
        """Return the data with the labels of a share of the training flows exchanged."""
        generator = np.random.default_rng(SeedSequence(10))
        threat = data.train.threat.copy()
        rows = np.flatnonzero(generator.random(len(threat)) < self.share)
        threat[rows] = threat[generator.permutation(rows)]
        return replace(data, train=Flows(data.train.features, threat))


@dataclass(frozen=True)
class FewFlows:
    """Fault: training uses only `flows` flows, over and over."""

    flows: int

    def __call__(self, data: FlowData) -> FlowData:
        """Return the data with the training part cut to `flows` flows."""
        return replace(data, train=data.train.select_evenly(self.flows))


@dataclass(frozen=True)
class LabelsFlipped:
    """Fault: a share of the training flows have the other label, as where people label by guess."""

    share: float

    def __call__(self, data: FlowData) -> FlowData:
        """Return the data with the labels of a share of the training flows flipped."""
        generator = np.random.default_rng(SeedSequence(11))
        flipped = generator.random(len(data.train)) < self.share
        return replace(data, train=Flows(data.train.features, data.train.threat ^ flipped))


@dataclass(frozen=True)
class ThreatsTakenForBenign:
    """Fault: a share of the training part's threats are labelled as benign, as where nobody noticed the attack."""

    share: float

    def __call__(self, data: FlowData) -> FlowData:
        """Return the data with a share of the training part's threats labelled as benign."""
        generator = np.random.default_rng(SeedSequence(12))
        missed = generator.random(len(data.train)) < self.share
        return replace(data, train=Flows(data.train.features, data.train.threat & ~missed))


@dataclass(frozen=True)
class FewThreats:
    """Fault: the training part holds only the first `threats` of its threats, and all of its benign flows."""

    threats: int

    def __call__(self, data: FlowData) -> FlowData:
        """Return the data without the other threats of the training part."""
        train = data.train
        kept = ~train.threat | (np.cumsum(train.threat) <= self.threats)
        return replace(data, train=Flows(train.features[kept], train.threat[kept]))
