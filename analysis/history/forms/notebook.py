"""Find what a notebook's cells printed: a training's log often stands nowhere else."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

SUFFIX = ".ipynb"


def list_outputs(text: str) -> list[str]:
    """List the printed text of each cell of a Jupyter notebook that printed any; empty if the text is no notebook."""
    try:
        cells = json.loads(text)["cells"]
        return [printed for cell in cells if (printed := "".join(_list_prints(cell)))]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _list_prints(cell: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of a cell's outputs: what was printed, and a value shown as text."""
    for output in cell.get("outputs") or ():
        shown = output.get("text") or (output.get("data") or {}).get("text/plain") or ""
        yield shown if isinstance(shown, str) else "".join(shown)
