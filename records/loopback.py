"""Ask servers on the same machine directly, since no proxy that the environment names could reach one."""

import os

_HERE = ("localhost", "127.0.0.0/8", "::1")
"""Hosts in the form in which `requests`, the library that MLflow asks by, reads NO_PROXY."""


def spare_loopback() -> None:
    """Add the local machine to the environment variable NO_PROXY, for this process and its children."""
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if exempt.strip() != "*":
        hosts = dict.fromkeys([*filter(None, (host.strip() for host in exempt.split(","))), *_HERE])
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)
