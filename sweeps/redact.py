"""Secrets in URLs: what is written down or shown has `***` in their place (`analysis.redact` says of what)."""

from analysis.redact import MASK, redact_error, redact_url, redact_value
from sweeps.errors import SweepError

__all__ = ["MASK", "redact_error", "redact_url", "redact_value", "refuse_masked"]


def refuse_masked(option: str, url: str | None) -> None:
    """Raise `SweepError` for a URL from a sweep's folder whose secrets are gone; `option` is where to give it."""
    if url and MASK in url:
        raise SweepError(f"{option} must be given, since the sweep's folder keeps no password: {url}")
