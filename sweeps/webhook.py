"""Tell a chat, or whatever listens, what happened to a sweep: a POST to a webhook, as Slack takes it (docs/webhook.md).

The URL is a secret, so it is no setting, and stands in no record: an environment variable holds it. Nothing is sent
without one, and what cannot be sent is a warning of one line.
"""

import http.client
import ipaddress
import json
import os
import urllib.request
from urllib.parse import urlsplit

from unstuck.records.errors import SweepError
from unstuck.records.redact import redact_url

VARIABLE = "UNSTUCK_NOTIFY_URL"
"""Environment variable with the webhook's URL."""

TIMEOUT_S = 5.0
"""Time that connecting, sending and each wait for an answer may take."""


def check_webhook() -> None:
    """Raise `SweepError` if the environment variable of the webhook holds anything but a web server's URL."""
    url = os.environ.get(VARIABLE, "").strip()
    if url and not _is_web(url):
        raise SweepError(
            f"{VARIABLE} must be the URL of a webhook, such as https://hooks.slack.com/services/..., got another text; "
            "set it anew, or unset it"
        )


def notify(text: str) -> str:
    """Send a text to the webhook URL in the environment, with secrets masked; return a warning text if sending failed.

    Args:
        text: What happened, in a few lines.

    Returns:
        Warning of one line without the URL, which is a secret; empty if the text was sent, or if no webhook is named.
    """
    url = os.environ.get(VARIABLE, "").strip()
    if not url:
        return ""
    try:
        check_webhook()
        data = json.dumps({"text": redact_url(text)}).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json; charset=utf-8"})
        handlers = [urllib.request.ProxyHandler({})] if _is_here(url) else []
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_S):
            return ""
    except (OSError, ValueError, http.client.HTTPException, SweepError) as error:
        said = " ".join(str(error).replace(url, "***").split())
        return f"warning: the webhook was not told: {said or type(error).__name__}; check {VARIABLE}"


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _is_here(url: str) -> bool:
    """Return True if a URL points to the local machine, which is reached without a proxy."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
