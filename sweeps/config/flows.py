"""Load the flows that a sweep trains on, and check that they are the same as before: other flows give other results."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unstuck.records import extensions
from unstuck.records.errors import SweepError
from unstuck.rl.config import TRIAGE
from unstuck.rl.data import AS_THEY_FIT, BY_SIZE, SOURCES, FlowData, Reader, fingerprint, load_flows
from unstuck.sweeps.config.settings import FORMAT, SweepConfig

DATA = "data"
"""Name of the sweep's attribute in the ledger that holds the fingerprint of the data."""

SHOWN_DIGITS = 12
"""Number of a fingerprint's digits that users see."""

_DIGITS = re.compile(rf"[0-9a-f]{{{SHOWN_DIGITS - 1}}}[0-9a-f]*?[a-df]")


def load_data(config: SweepConfig) -> tuple[FlowData | None, str | None]:
    """Load a sweep's flows, split by the rules of the sweep's format, and a fingerprint; both None for no flows.

    Raises:
        DataError, ConfigError: The data cannot be used as asked.
        SweepError: The flows are not those that `data.fingerprint` names, or a data source cannot be used.
    """
    if config.env.id != TRIAGE:
        return None, None
    data = load_flows(config.data, AS_THEY_FIT if config.format == 1 else BY_SIZE, load_sources())
    now, wanted = fingerprint(data), config.data.fingerprint
    if wanted is not None and not now.startswith(wanted):
        raise other_flows_error(config, f"those that data.fingerprint names, {shorten_fingerprint(wanted)}", now)
    return data, now


def load_sources() -> dict[str, Reader]:
    """Load all data sources by name: ours, and those that other packages add.

    Raises:
        ExtensionError: An entry point of `unstuck.data_sources` cannot be used.
    """
    wanted = "a function of DataConfig that returns RawFlows"
    found = extensions.load_extensions(extensions.DATA_SOURCES, SOURCES, callable, wanted)
    return {one.name: one.value for one in found}


def describe_data(data: FlowData | None) -> list[str]:
    """Describe loaded flows for the user, a line each; empty for an environment without flows."""
    return data.report.lines() if data and data.report else []


def load_same_data(config: SweepConfig, recorded: Mapping[str, Any]) -> tuple[FlowData | None, str | None]:
    """Load a sweep's flows and fingerprint once more, to train on the flows again.

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
    """Raise `SweepError` unless the flows are those that the sweep was started with.

    Args:
        config: Configuration that says where the flows are read now.
        recorded: Attributes of the sweep in the ledger.
        now: Fingerprint of the flows as read now.
    """
    before = recorded.get(DATA, now)
    if before != now:
        raise other_flows_error(config, f"those that the sweep was started with, {shorten_fingerprint(before)}", now)


def name_flows(config: SweepConfig, now: str | None) -> SweepConfig:
    """Set `data.fingerprint` in a configuration: training by the result gets the same flows, or is refused.

    A sweep of an older format splits flows by other rules than new sweeps do, so a fingerprint would match nothing.
    """
    if now is None or config.format != FORMAT:
        return config
    return replace(config, data=replace(config.data, fingerprint=now))


def fingerprint_words(config: SweepConfig) -> list[str]:
    """Return the word that pins the flows in a command that trains again; empty for no flows."""
    # Digits alone, or with an e among them, would be read as a number.
    named = _DIGITS.match(config.data.fingerprint or "")
    return [f"data.fingerprint={named[0]}"] if named else []


def shorten_fingerprint(fingerprint: object) -> str:
    """Shorten a fingerprint to the first `SHOWN_DIGITS` digits, in words; `none` for no flows."""
    return f"fingerprint {str(fingerprint)[:SHOWN_DIGITS]}" if fingerprint else "none"


def other_flows_error(config: SweepConfig, wanted: str, now: str | None) -> SweepError:
    """Make the error for flows that are not the wanted ones."""
    where = config.data.path or f"data.source={config.data.source}"
    return SweepError(
        f"the data ({where}) must be {wanted}, got {shorten_fingerprint(now)}: results on other flows do not compare; "
        "put the data back as it was, or start a new sweep on these flows (with data.fingerprint=null, if that is set)"
    )
