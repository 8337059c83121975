"""What a process and all that it starts show to the outside: whom they listen to, and whom they ask."""

import ast
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

_EAVESDROPPER = Path(__file__).parent / "eavesdropper"


class Watch:
    """Watches processes that are started with its environment, and their children."""

    LISTENS = "0A"

    def __init__(self, folder: Path) -> None:
        self._log = folder / "eavesdropper.log"
        self._log.touch()

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(_EAVESDROPPER), os.environ.get("PYTHONPATH", "")]))
        # Under a CI variable MLflow reports nothing anyway.
        return {key: value for key, value in os.environ.items() if key not in ("CI", "GITHUB_ACTIONS")} | {
            "PYTHONPATH": path,
            "EAVESDROPPER_LOG": str(self._log),
        }

    def talked_to(self) -> set[str]:
        """Hosts beyond this machine that a Python process asked for, with who asked."""
        lines = (line.split(" ", 1) for line in self._log.read_text().splitlines())
        return {f"{host} {who}" for host, who in lines if not _is_here(ast.literal_eval(host))}

    @staticmethod
    def sockets(root: int) -> Iterator[tuple[int, str, str, str]]:
        """TCP sockets of a process and its descendants: process, local address, remote address, state."""
        rows = dict(_rows())
        for process in descendants(root):
            for inode in _inodes(process):
                if inode in rows:
                    local, remote, state = rows[inode]
                    yield process, _address(local), _address(remote), state

    @classmethod
    def ports(cls, process: int) -> set[int]:
        """Ports that a process itself listens on."""
        rows = dict(_rows())
        found = (rows[inode] for inode in _inodes(process) if inode in rows)
        return {int(local.partition(":")[2], 16) for local, _, state in found if state == cls.LISTENS}

    @classmethod
    def listening(cls, root: int) -> dict[int, set[str]]:
        """Addresses that a process and its descendants listen on."""
        found: dict[int, set[str]] = {}
        for process, local, _, state in cls.sockets(root):
            if state == cls.LISTENS:
                found.setdefault(process, set()).add(local)
        return found


def descendants(root: int) -> list[int]:
    """A process and all that it started, directly or not."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # gone meanwhile
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def _rows() -> Iterator[tuple[str, tuple[str, str, str]]]:
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            yield fields[9], (fields[1], fields[2], fields[3])


def _address(written: str) -> str:
    """The kernel writes words of 32 bits, each in the machine's order."""
    digits = written.partition(":")[0]
    raw = b"".join(bytes.fromhex(digits[start : start + 8])[::-1] for start in range(0, len(digits), 8))
    address = ipaddress.ip_address(raw)
    return str(getattr(address, "ipv4_mapped", None) or address)


def _inodes(process: int) -> Iterator[str]:
    try:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            target = os.readlink(entry)
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return  # gone meanwhile


def _is_here(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if not name or name.startswith("/") or name in ("localhost", os.uname().nodename):
        return True  # no host at all, a socket of the file system, or this machine
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False
