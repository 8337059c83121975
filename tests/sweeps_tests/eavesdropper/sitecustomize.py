"""Writes down whom the Python processes below talk to: every host asked for or connected to, a line each.

Python runs a module of this name at its start, so this reaches every Python process that inherits PYTHONPATH.
"""

import os
import sys

_LOG = os.environ.get("EAVESDROPPER_LOG")
_HOST_AT = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.connect": 1, "socket.sendto": 1}


def _note(event, arguments):
    if event in _HOST_AT:
        host = arguments[_HOST_AT[event]]
        host = host[0] if isinstance(host, tuple) else host
        with open(_LOG, "a") as file:
            file.write(f"{host!r} {event} {sys.argv[0]}\n")


if _LOG:
    sys.addaudithook(_note)
