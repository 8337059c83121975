"""Flows to train and judge on, from any source: read, split, encode."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.random import SeedSequence
from unstuck.rl.config import DataConfig
from unstuck.rl.data.encode import encode, fit_features
from unstuck.rl.data.hints import list_hints
from unstuck.rl.data.notation import Notation
from unstuck.rl.data.nsl_kdd import read_nsl_kdd
from unstuck.rl.data.raw import RawFlows, number_rows
from unstuck.rl.data.report import make_report
from unstuck.rl.data.split import check_parts, leave_out_shared, split_by_size, split_stream
from unstuck.rl.data.split_as_they_fit import split_as_they_fit
from unstuck.rl.data.synthetic import generate
from unstuck.rl.data.table import read_csv
from unstuck.rl.data.types import FlowData, Flows
from unstuck.rl.errors import DataError, LittleLeftError
from unstuck.rl.seeding import derive_child

__all__ = ["AS_THEY_FIT", "BY_SIZE", "SOURCES", "FlowData", "Flows", "Reader", "fingerprint", "load_flows"]

BY_SIZE, AS_THEY_FIT = "by_size", "as_they_fit"
"""Ways to split shuffled flows: see `rl.data.split.split_by_size` and `rl.data.split_as_they_fit`."""


Reader = Callable[[DataConfig], RawFlows]
"""A data source: reads or makes the flows that the settings ask for."""


def read_synthetic(config: DataConfig) -> RawFlows:
    """Generate artificial network flows at random, the same for equal `data.seed`."""
    return generate(config, np.random.default_rng(derive_child(SeedSequence(config.seed), 0)))


SOURCES: Mapping[str, Reader] = {"synthetic": read_synthetic, "nsl_kdd": read_nsl_kdd, "csv": read_csv}
"""Our data sources, by `data.source`."""


def load_flows(config: DataConfig, split: str = BY_SIZE, sources: Mapping[str, Reader] = SOURCES) -> FlowData:
    """Read or generate network flows; return training, validation and test parts with scaled features.

    The same configuration always gives the same flows.

    Args:
        config: Source of the flows, and their number for evaluation.
        split: Way to keep equal vectors in one part, in shuffled order: `BY_SIZE`, or `AS_THEY_FIT` as in old sweeps.
        sources: Data sources by name, those of other packages too.

    Raises:
        DataError: The data cannot be used as asked; the message states the rule, the value and the remedy.
        ConfigError: The settings of the generator contradict each other.
    """
    split_rng, hints_rng = (np.random.default_rng(derive_child(SeedSequence(config.seed), index)) for index in (1, 2))
    raw = _read(config, sources)
    known = (
        () if config.source == "synthetic" else list_hints(raw, Notation(config.decimal, config.thousands), hints_rng)
    )
    share = None if config.source == "synthetic" else config.threat_share  # generated with its share already
    vectors, alone = None, 0
    try:
        if config.order == "stream":
            rows = split_stream(raw.threat, share, config.eval_flows, split_rng)
        elif split == AS_THEY_FIT:
            rows = split_as_they_fit(raw.threat, raw.vectors(), share, config.eval_flows, split_rng)
        else:
            vectors = number_rows(encode(fit_features(raw), raw))  # as the agent sees them: rare names are one
            rows, alone = split_by_size(raw.threat, vectors, share, config.eval_flows, split_rng)
        features = fit_features(raw.select_rows(rows.train))
        parts = tuple(Flows(encode(features, raw.select_rows(part)), raw.threat[part]) for part in rows)
        train, validation, test = parts if config.order == "stream" else leave_out_shared(*parts)
        check_parts(train, validation, test)
    except LittleLeftError as error:
        raise LittleLeftError("; ".join([str(error), *known])) from None
    summary = make_report(config, raw, features, [part.threat for part in (train, validation, test)], known)
    if vectors is not None:
        summary = replace(summary, vectors=len(np.unique(vectors[np.concatenate(rows)])), alone=alone)
    return FlowData(train, validation, test, tuple(feature.name for feature in features), summary, config.order)


def compute_fingerprint(data: FlowData) -> str:
    """Compute a fingerprint (64 hex digits) of network flows, equal for equal flows from any file."""
    digest = hashlib.sha256("\n".join(data.feature_names).encode())
    for part in (data.train, data.validation, data.test):
        for array in (part.features, part.threat):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read(config: DataConfig, sources: Mapping[str, Reader]) -> RawFlows:
    if config.source not in sources:
        raise DataError(f"data.source must be one of {', '.join(sources)} here, got {config.source!r}")
    raw = sources[config.source](config)
    if not isinstance(raw, RawFlows):
        raise DataError(f"data.source={config.source} must return RawFlows (unstuck.rl.data.raw), got {raw!r:.100}")
    return raw
