"""The flows that a sweep trains on. Whoever trains loads them here, so that results on other flows are never mixed."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unstuck.records.errors import SweepError
from unstuck.rl.config import TRIAGE
from unstuck.rl.data import AS_THEY_FIT, BY_SIZE, FlowData, fingerprint, load_flows
from unstuck.sweeps.config.settings import FORMAT, SweepConfig

DATA = "data"
"""Attribute of a sweep in the ledger: its data's fingerprint."""

SHOWN_DIGITS = 12
"""Of a fingerprint."""

_DIGITS = re.compile(rf"[0-9a-f]{{{SHOWN_DIGITS - 1}}}[0-9a-f]*?[a-df]")


def load_data(config: SweepConfig) -> tuple[FlowData | None, str | None]:
    """A sweep's flows, split as when it began, and their fingerprint; None and None for an environment without.

    Raises:
        DataError, ConfigError: The data cannot be used as asked.
        SweepError: They are not the flows that `data.fingerprint` names.
    """
    if config.env.id != TRIAGE:
        return None, None
    data = load_flows(config.data, AS_THEY_FIT if config.format == 1 else BY_SIZE)
    now, wanted = fingerprint(data), config.data.fingerprint
    if wanted is not None and not now.startswith(wanted):
        raise other_flows_error(config, f"those that data.fingerprint names, {shorten_fingerprint(wanted)}", now)
    return data, now


def describe_data(data: FlowData | None) -> list[str]:
    """What a user should know of flows that were loaded, a line each; nothing for an environment without."""
    return data.report.lines() if data and data.report else []


def load_same_data(config: SweepConfig, recorded: Mapping[str, Any]) -> tuple[FlowData | None, str | None]:
    """A sweep's flows once more, to train on again.

    Args:
        config: As the sweep was recorded.
        recorded: The sweep's attributes in the ledger.

    Raises:
        DataError, ConfigError: The data cannot be used as asked.
        SweepError: They are not the flows that the sweep was started with.
    """
    data, now = load_data(config)
    require_same_flows(config, recorded, now)
    return data, now


def require_same_flows(config: SweepConfig, recorded: Mapping[str, Any], now: str | None) -> None:
    """Raise `SweepError` unless the flows are those that the sweep was started with.

    Args:
        config: It says where the flows are read now.
        recorded: The sweep's attributes in the ledger.
        now: Fingerprint of the flows as they are now.
    """
    before = recorded.get(DATA, now)
    if before != now:
        raise other_flows_error(config, f"those that the sweep was started with, {shorten_fingerprint(before)}", now)


def name_flows(config: SweepConfig, now: str | None) -> SweepConfig:
    """The configuration with `data.fingerprint`: whoever trains by it gets these flows, or is refused.

    A sweep of an older format splits its flows as no new sweep does, so its fingerprint would name nothing.
    """
    if now is None or config.format != FORMAT:
        return config
    return replace(config, data=replace(config.data, fingerprint=now))


def fingerprint_words(config: SweepConfig) -> list[str]:
    """The word of a command that trains again by which it gets the same flows, or is refused; none without flows."""
    # Digits alone, or with an e among them, would be read as a number.
    named = _DIGITS.match(config.data.fingerprint or "")
    return [f"data.fingerprint={named[0]}"] if named else []


def shorten_fingerprint(fingerprint: object) -> str:
    """A fingerprint in words."""
    return f"fingerprint {str(fingerprint)[:SHOWN_DIGITS]}" if fingerprint else "none"


def other_flows_error(config: SweepConfig, wanted: str, now: str | None) -> SweepError:
    """The refusal of flows that are not the wanted ones."""
    where = config.data.path or f"data.source={config.data.source}"
    return SweepError(
        f"the data ({where}) must be {wanted}, got {shorten_fingerprint(now)}: results on other flows do not compare; "
        "put the data back as it was, or start a new sweep on these flows (with data.fingerprint=null, if that is set)"
    )
