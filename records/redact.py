"""Mask secrets in URLs: every part that may be secret becomes `***`. In doubt, a part is masked.

Shown are scheme, host, port and path, or a database's name, and the parameters in `_HARMLESS`. A user's name is masked,
since a token may stand in its place.
"""

import re
from urllib.parse import unquote

from unstuck.records.errors import SweepError

MASK = "***"

_HARMLESS = {  # parameter: the values that it may be shown with
    "sslmode": "disable|allow|prefer|require|verify-ca|verify-full",
    "charset": "utf8|utf8mb4|utf-8|latin1|ascii",
    "mode": "ro|rw|rwc|memory",
    "cache": "shared|private",
    **dict.fromkeys(("timeout", "connect_timeout", "read_timeout", "pool_timeout"), r"\d{1,6}"),
    **dict.fromkeys(("uri", "immutable", "nolock", "check_same_thread"), "0|1|true|false"),
}
_NAMES = re.compile(
    r"user|username|login|\w*(?:pass|pwd|secret|token|credential)\w*|\w*(?:api|access)_?key\w*|sig|signature|key|auth|"
    r"code|odbc_connect|host|port|dbname|database|driver",
    re.IGNORECASE,
)
"""Parameters of which the name may be shown, though not the value."""

_OPTION = re.compile(
    r"(?<!\w)\w*(?:pass|pwd|secret|token|credential|access_?key|api_?key|odbc_connect)\w*=([^&\s]*)", re.IGNORECASE
)
"""Options outside of URLs, as in a database driver's message: a secret is known by the option's name alone."""

_LOCAL = re.compile(r"(?:sqlite|file)(?:\+\w+)?:///", re.IGNORECASE)
"""URLs of local files, which name no user: `@` and `#` belong to the path."""

_HOOK = re.compile(r"https?://(?=[^?#]*hook)[^/?#]*/", re.IGNORECASE)
"""Start of a webhook's URL, up to the path, which is the secret."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_URL = re.compile(rf"{_SCHEME.pattern}\S*|(?<=\S)\?[\w.%-]+=\S*")
"""Pattern of a URL in a text, or of the end of one without its start."""

_BREAKS = re.compile(r"[@:/?#&=;\s]+")
"""Characters at which a library that misreads a URL may split the URL."""


def redact_url(text: str) -> str:
    """Mask the secrets (passwords, keys) of each URL in a text as `***`.

    >>> redact_url("cannot reach postgresql://me:secret@db/mlflow?sslmode=require")
    'cannot reach postgresql://***@db/mlflow?sslmode=require'
    """
    text = _URL.sub(lambda match: _mask_secrets(match[0]), text)
    return _OPTION.sub(lambda match: match[0].removesuffix(match[1]) + MASK, text)


def redact_value(value: str) -> str:
    """Mask the secrets in a value, or in a `key=value` word, that is a URL as a whole; quotes around the URL stay.

    >>> redact_value("tracking.optuna_url=postgresql://me:my secret@db/runs")
    'tracking.optuna_url=postgresql://***@db/runs'
    """
    scheme = _SCHEME.search(value)
    if scheme:
        before, url = value[: scheme.start()], value[scheme.start() :]
        quote = before[-1:] if before[-1:] in ("'", '"') and url.endswith(before[-1:]) else ""
        return before + _mask_secrets(url.removesuffix(quote)) + quote
    return redact_url(re.sub(r"^((?:--)?[\w.-]+=)?[^:/=]*:.*@", rf"\g<1>{MASK}@", value, flags=re.DOTALL))


def redact_error(text: str, *values: str) -> str:
    """Mask secrets in a library's error message, even if only part of a secret is quoted: `no such host 'cret@db'`.

    Args:
        text: Message, in which other URLs are masked too.
        values: URLs, or words that hold one; their secrets, and parts of these secrets, are masked wherever they stand.
    """
    for value in values:
        text = text.replace(value, redact_value(value))
        secrets = "|".join(map(re.escape, sorted(_list_forms(value), key=len, reverse=True)))
        text = re.sub(rf"(?<!\w)(?:{secrets})(?!\w)", MASK, text) if secrets else text
    return redact_url(text)


def explain_error(error: BaseException, *values: str) -> tuple[str, str]:
    """Return the type of an error's innermost cause, and the first line of its message, with secrets masked.

    Libraries wrap each other's errors: Optuna, or MLflow, wraps SQLAlchemy wraps the driver, which says it best.

    Args:
        error: Error that a library raised.
        values: URLs, or words that hold one, as in `redact_error`.

    Example:
        >>> error = OSError("wrapped")
        >>> error.__cause__ = ValueError("no such host 'cret@db'")
        >>> explain_error(error, "postgresql://me:se:cret@db/runs")
        ('ValueError', "no such host '***@db'")
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__, redact_error(str(error), *values).strip().partition("\n")[0]


def refuse_masked(option: str, url: str | None) -> None:
    """Raise `SweepError` if a URL has a masked password (`***`); the message names the option for the full URL.

    Args:
        option: Name of the option by which to give the URL.
        url: URL from the folder; None is accepted.
    """
    if url and MASK in url:
        raise SweepError(f"{option} must be given, since the sweep's folder keeps no password: {url}")


def _mask_secrets(url: str) -> str:
    """Return a URL or its query with each secret replaced by `***`."""
    kept, reached = "", 0
    for start, end in _find_secrets(url):
        if start > reached or not kept:
            kept += url[reached:start] + MASK
        reached = max(reached, end)
    return kept + url[reached:]


def _find_secrets(url: str) -> list[tuple[int, int]]:
    """Find start and end of each secret in a URL, also of passwords with an unescaped @."""
    scheme, found = _SCHEME.match(url), []
    start, fragment = scheme.end() if scheme else 0, len(url)
    if not _LOCAL.match(url):
        found = [(start, end) for end in (url.rfind("@", start), _login_end(url, start)) if end > start]
        fragment = url.find("#", start) if "#" in url[start:] else len(url)
        found += [(fragment + 1, len(url))]
    if hook := _HOOK.match(url):
        found.append((hook.end(), fragment))
    place = url.find("?", start)
    while -1 < place < fragment:
        ends = [end for end in (url.find("&", place + 1), fragment) if end > -1]
        found += [(_value_start(url, place + 1, min(ends)), min(ends))]
        place = min(ends) if min(ends) < fragment else -1
    return sorted(span for span in found if span[1] > span[0] and url[slice(*span)] != MASK)


def _login_end(url: str, start: int) -> int:
    """Find the position where the login before a URL's host ends; -1 if there is no login."""
    host = re.compile(r"[^/?#]*").match(url, start)
    return url.rfind("@", start, host.end() if host else start)


def _value_start(url: str, start: int, end: int) -> int:
    """Find where the secret in a URL parameter begins; return the parameter's end if there is none."""
    name, equals, value = url[start:end].partition("=")
    harmless = _HARMLESS.get(name.lower())
    if equals and harmless and re.fullmatch(harmless, value, re.IGNORECASE):
        return end
    return start + len(name) + 1 if equals and (harmless or _NAMES.fullmatch(name)) else start


def _list_forms(value: str) -> set[str]:
    """List the secrets in a value in all forms that messages may quote: as written, decoded, quoted, in parts."""
    scheme = _SCHEME.search(value)
    if scheme:
        url = value[scheme.start() :]
        found = {url[start:end] for start, end in _find_secrets(url)}
    else:
        head, mask, tail = redact_value(value).partition(MASK)
        found = {value[len(head) : len(value) - len(tail)]} if mask else set()
    found |= {secret.partition(":")[2] for secret in found}
    found |= {unquote(secret) for secret in found}
    found |= {secret[: at.start()] for secret in found for at in re.finditer("@", secret)}
    found |= {repr(secret)[1:-1] for secret in found}
    parts = {part for secret in found for part in _BREAKS.split(secret) if len(part) > 2}
    return {secret for secret in found | parts if secret.strip("*:")}
