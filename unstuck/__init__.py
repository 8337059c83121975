"""Find out why a PPO agent does not learn, and sweep a way out.

`diagnose`, `compare` and `load_run` are loaded on first use, and pandas with them.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unstuck.analysis.diagnosis.finding import Diagnosis
    from unstuck.analysis.errors import AnalysisError
    from unstuck.analysis.history.record import History
    from unstuck.analysis.side_by_side import Comparison
    from unstuck.api import compare, diagnose, load_run

__all__ = ["AnalysisError", "Comparison", "Diagnosis", "History", "compare", "diagnose", "load_run"]

_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "sweep.py").is_file() and (_CHECKOUT / "rl").is_dir():
    __path__.append(str(_CHECKOUT))  # the folders of a checkout are imported as unstuck.rl, unstuck.sweeps ...

_MODULES = {
    "AnalysisError": "unstuck.analysis.errors",
    "Comparison": "unstuck.analysis.side_by_side",
    "Diagnosis": "unstuck.analysis.diagnosis.finding",
    "History": "unstuck.analysis.history.record",
    "compare": "unstuck.api",
    "diagnose": "unstuck.api",
    "load_run": "unstuck.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
