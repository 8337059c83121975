"""Results of finished runs, one JSON line each, so that a benchmark that was interrupted goes on."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from unstuck import rl


class Finished:
    """JSON Lines file of a benchmark's result for each seed, so that an interrupted benchmark can continue.

    Args:
        folder: Made if it is not there.
        name: Begins the name of the file.
        settings: All that the results depend on, as JSON can hold it; other settings have another file.
    """

    def __init__(self, folder: Path, name: str, settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(settings, sort_keys=True)
        self._path = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.jsonl"

    def results(self) -> dict[int, Any]:
        """Return all results saved so far, by seed."""
        if not self._path.exists():
            return {}
        rows = [json.loads(line) for line in self._path.read_text().splitlines()]
        return {row["seed"]: row["result"] for row in rows}

    def missing(self, seeds: int) -> list[int]:
        """Return the seeds from 0 to `seeds` - 1 that have no saved result."""
        done = self.results()
        return [seed for seed in range(seeds) if seed not in done]

    def add(self, seed: int, result: Any) -> None:
        """Append the result of one seed to the file."""
        with self._path.open("a") as file:
            file.write(json.dumps({"seed": seed, "result": result}) + "\n")


@cache
def code_digest() -> str:
    """Return the SHA-256 of all source files of `rl` (cached): saved results are valid for the same code only."""
    digest = hashlib.sha256()
    for path in sorted(Path(rl.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
