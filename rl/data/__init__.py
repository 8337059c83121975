"""Flows to train and judge on, from any source: read, split, encode."""

import hashlib

import numpy as np
from numpy.random import SeedSequence

from rl.config import DataConfig
from rl.data.encode import encode, fit_features
from rl.data.nsl_kdd import read_nsl_kdd
from rl.data.raw import RawFlows
from rl.data.split import check_parts, leave_out_shared, split_shuffled, split_stream
from rl.data.synthetic import generate
from rl.data.table import read_csv
from rl.data.types import FlowData, Flows
from rl.seeding import child

__all__ = ["FlowData", "Flows", "fingerprint", "load_flows"]


def load_flows(config: DataConfig) -> FlowData:
    """Read or generate flows, split them three ways, and encode them by the statistics of the training part.

    The same configuration always gives the same flows.

    Raises:
        DataError: The data cannot be used as asked; the message states the rule, the value and the remedy.
        ConfigError: The settings of the generator contradict each other.
    """
    seed = SeedSequence(config.seed)
    generator_rng, split_rng = (np.random.default_rng(child(seed, index)) for index in range(2))
    raw = _read(config, generator_rng)
    share = None if config.source == "synthetic" else config.threat_share  # generated with its share already
    if config.order == "stream":
        rows = split_stream(raw.threat, share, config.eval_flows, split_rng)
    else:
        rows = split_shuffled(raw.threat, raw.vectors(), share, config.eval_flows, split_rng)
    features = fit_features(raw.take(rows.train))
    parts = tuple(Flows(encode(features, raw.take(part)), raw.threat[part]) for part in rows)
    train, validation, test = parts if config.order == "stream" else leave_out_shared(*parts)
    check_parts(train, validation, test)
    return FlowData(train, validation, test, tuple(feature.name for feature in features))


def fingerprint(data: FlowData) -> str:
    """Of the flows as they are trained and judged on, 64 hex digits: whatever source, path or setting they came by."""
    digest = hashlib.sha256("\n".join(data.feature_names).encode())
    for part in (data.train, data.validation, data.test):
        for array in (part.features, part.threat):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read(config: DataConfig, rng: np.random.Generator) -> RawFlows:
    if config.source == "nsl_kdd":
        return read_nsl_kdd(config)
    if config.source == "csv":
        return read_csv(config)
    return generate(config, rng)
