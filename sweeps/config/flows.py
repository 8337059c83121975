"""Load a sweep's network flows, and check that the flows are unchanged: other data would give other results."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unstuck.records import extensions
from unstuck.records.errors import SweepError
from unstuck.records.names import DATA
from unstuck.rl.config import TRIAGE
from unstuck.rl.data import AS_THEY_FIT, BY_SIZE, SOURCES, FlowData, Reader, compute_fingerprint, load_flows
from unstuck.sweeps.config.settings import SweepConfig

SHOWN_DIGITS = 12
"""Number of a fingerprint's digits that users see."""

_DIGITS = re.compile(rf"[0-9a-f]{{{SHOWN_DIGITS - 1}}}[0-9a-f]*?[a-df]")


def load_data(config: SweepConfig) -> tuple[FlowData | None, str | None]:
    """Load and split a sweep's network flows; return flows and fingerprint, or `(None, None)` if no flows are needed.

    The format of the sweep decides by which rules the flows are split.

    Raises:
        DataError, ConfigError: The data cannot be used as asked.
        SweepError: The flows are not those that `data.fingerprint` names, or a data source cannot be used.
    """
    if config.env.id != TRIAGE:
        return None, None
    data = load_flows(config.data, AS_THEY_FIT if config.format == 1 else BY_SIZE, load_sources())
    now, wanted = compute_fingerprint(data), config.data.fingerprint
    if wanted is not None and not now.startswith(wanted):
        raise make_other_flows_error(config, f"those that data.fingerprint names, {shorten_fingerprint(wanted)}", now)
    return data, now


def load_sources() -> dict[str, Reader]:
    """Return the functions that read network flows, by name of the data source: built-in and from other packages.

    Raises:
        ExtensionError: An entry point of `unstuck.data_sources` cannot be used.
    """
    wanted = "a function of DataConfig that returns RawFlows"
    found = extensions.load_extensions(extensions.DATA_SOURCES, SOURCES, callable, wanted)
    return {one.name: one.value for one in found}


def describe_data(data: FlowData | None) -> list[str]:
    """Describe in lines of text how the data set of network flows was read and split; no lines without a data set."""
    return data.report.lines() if data and data.report else []


def load_same_data(config: SweepConfig, recorded: Mapping[str, Any]) -> tuple[FlowData | None, str | None]:
    """Load a recorded sweep's network flows and their fingerprint; raise `SweepError` if the flows have changed.

    Args:
        config: Configuration of the sweep, as recorded.
        recorded: Attributes of the sweep in the ledger.

    Raises:
        DataError, ConfigError: The data cannot be used as asked.
        SweepError: The flows are not those that the sweep was started with.
    """
    data, now = load_data(config)
    require_same_flows(config, recorded, now)
    return data, now


def require_same_flows(config: SweepConfig, recorded: Mapping[str, Any], now: str | None) -> None:
    """Raise `SweepError` if the network flows' fingerprint `now` differs from the one recorded at the sweep's start.

    Args:
        config: Configuration that says where the flows are read now.
        recorded: Attributes of the sweep in the ledger.
        now: Fingerprint of the flows as read now.
    """
    before = recorded.get(DATA, now)
    if before != now:
        raise make_other_flows_error(
            config, f"those that the sweep was started with, {shorten_fingerprint(before)}", now
        )


def add_fingerprint(config: SweepConfig, now: str | None) -> SweepConfig:
    """Set `data.fingerprint` in a configuration, so that a later training refuses any other data set.

    A sweep of format 1 splits flows by other rules than new sweeps do, so a fingerprint would match nothing.
    """
    if now is None or config.format == 1:
        return config
    return replace(config, data=replace(config.data, fingerprint=now))


def make_fingerprint_words(config: SweepConfig) -> list[str]:
    """Return `["data.fingerprint=DIGITS"]`, for a command to train on the same data; empty without a fingerprint."""
    # Digits alone, or with an e among them, would be read as a number.
    named = _DIGITS.match(config.data.fingerprint or "")
    return [f"data.fingerprint={named[0]}"] if named else []


def shorten_fingerprint(fingerprint: object) -> str:
    """Shorten a data set's fingerprint for a message: `fingerprint ` and the first `SHOWN_DIGITS` digits, or `none`."""
    return f"fingerprint {str(fingerprint)[:SHOWN_DIGITS]}" if fingerprint else "none"


def make_other_flows_error(config: SweepConfig, wanted: str, now: str | None) -> SweepError:
    """Make the `SweepError` which says that the network flows are not the recorded ones, and what to do."""
    where = config.data.path or f"data.source={config.data.source}"
    return SweepError(
        f"the data ({where}) must be {wanted}, got {shorten_fingerprint(now)}: results on other flows do not compare; "
        "put the data back as it was, or start a new sweep on these flows (with data.fingerprint=null, if that is set)"
    )
