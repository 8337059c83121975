"""Servers on this machine are asked directly, whatever proxy the environment names: no proxy could reach them."""

import os

_HERE = ("localhost", "127.0.0.0/8", "::1")
"""As `requests` reads NO_PROXY, by which MLflow asks."""


def spare_loopback() -> None:
    """Exempt this machine from this process's proxies, and its children's; what is exempt already stays so."""
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if exempt.strip() != "*":
        hosts = dict.fromkeys([*filter(None, (host.strip() for host in exempt.split(","))), *_HERE])
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)
