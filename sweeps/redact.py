"""Passwords in URLs: what is written down or shown has `***` in their place; never too little, at times too much."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from sweeps.errors import SweepError

MASK = "***"

_OPTIONS = r"(?<!\w)\w*(?:pass|pwd|secret|token|credential|access_?key|api_?key|odbc_connect)\w*="
# Up to the last @, since a password may hold one. A space ends a URL in the middle of a text, but not one by itself.
_IN_VALUE = (
    re.compile(r"(?:://|^(?!.*://))[^:/]*:(.*)@", re.DOTALL),  # or from the start: a URL may lack its scheme
    re.compile(rf"{_OPTIONS}([^&]*)", re.IGNORECASE),
)
_IN_TEXT = (
    re.compile(r"://[^\s:/]*:(\S*)@"),
    re.compile(rf"{_OPTIONS}([^&\s]*)", re.IGNORECASE),
)
_BREAKS = re.compile(r"[@:/?#&\s]+")
"""Where whoever reads a URL wrongly takes it apart."""


def redact_url(text: str) -> str:
    """Mask the password of each URL in a text.

    >>> redact_url("cannot reach postgresql://me:secret@db/mlflow")
    'cannot reach postgresql://me:***@db/mlflow'
    """
    return _masked(text, _spans(text, _IN_TEXT))


def redact_value(value: str) -> str:
    """Mask the password of a value, or of a word of a command, that holds one URL and nothing else.

    >>> redact_value("tracking.optuna_url=postgresql://me:my secret@db/runs")
    'tracking.optuna_url=postgresql://me:***@db/runs'
    """
    return _masked(value, _spans(value, _IN_VALUE))


def redact_error(text: str, *values: str) -> str:
    """Mask passwords in what a library says of a URL, which may be a part of it: `no such host 'cret@db'`.

    Args:
        text: Is also searched for other URLs.
        values: URLs, or words that hold one; their passwords, and parts of these, are masked wherever they stand.
    """
    for value in values:
        text = text.replace(value, redact_value(value))
        secrets = "|".join(map(re.escape, sorted(_secrets(value), key=len, reverse=True)))
        text = re.sub(rf"(?<!\w)(?:{secrets})(?!\w)", MASK, text) if secrets else text
    return redact_url(text)


def refuse_masked(option: str, url: str | None) -> None:
    """Raise `SweepError` for a URL from a sweep's folder whose password is gone; `option` is where to give it."""
    if url and MASK in url:
        raise SweepError(f"{option} must be given, since the sweep's folder keeps no password: {url}")


def _spans(text: str, patterns: Iterable[re.Pattern[str]]) -> Iterator[tuple[int, int]]:
    for pattern in patterns:
        yield from (match.span(1) for match in pattern.finditer(text))


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with one mask for each run of spans that touch or overlap: an @ or a = may belong to either kind."""
    kept, reached = "", -1
    for start, end in sorted(spans):
        if start > reached:
            kept += text[max(reached, 0) : start] + MASK
        reached = max(reached, end)
    return kept + text[max(reached, 0) :]


def _secrets(value: str) -> set[str]:
    """The passwords in a value, as they stand, decoded and quoted, and the parts of each."""
    found = {value[start:end] for start, end in _spans(value, _IN_VALUE)}
    found |= {secret[: at.start()] for secret in found for at in re.finditer("@", secret)}
    found |= {unquote(secret) for secret in found}
    found |= {repr(secret)[1:-1] for secret in found}
    parts = {part for secret in found for part in _BREAKS.split(secret) if len(part) > 2}
    return (found | parts) - {""}
