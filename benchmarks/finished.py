"""Results of finished runs, one JSON line each, so that a benchmark that was interrupted goes on."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from unstuck import rl


class Finished:
    """The results that some settings gave, by seed.

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
        """What there is so far, by seed."""
        if not self._path.exists():
            return {}
        rows = [json.loads(line) for line in self._path.read_text().splitlines()]
        return {row["seed"]: row["result"] for row in rows}

    def missing(self, seeds: int) -> list[int]:
        """The seeds below this number that have no result."""
        done = self.results()
        return [seed for seed in range(seeds) if seed not in done]

    def add(self, seed: int, result: Any) -> None:
        """Write down one more."""
        with self._path.open("a") as file:
            file.write(json.dumps({"seed": seed, "result": result}) + "\n")


@cache
def code_digest() -> str:
    """Of the source of `rl` as it was when first asked: results of another learner are not those of this one."""
    digest = hashlib.sha256()
    for path in sorted(Path(rl.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
