"""Find out why a PPO agent does not learn, and sweep a way out.

Each name is loaded on first use, and pandas with most of them, torch with `Probe` and `SB3Probe` alone, and Ray never:
a sweep has a process of its own.
"""

import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unstuck.analysis.diagnosis.finding import Diagnosis
    from unstuck.analysis.errors import AnalysisError
    from unstuck.analysis.history.record import History
    from unstuck.analysis.side_by_side import Comparison
    from unstuck.api import compare, diagnose, load_run
    from unstuck.probe.loop import Probe
    from unstuck.probe.sb3 import SB3Probe
    from unstuck.records.errors import SweepError
    from unstuck.results import SweepResult, load_sweep
    from unstuck.running import run_sweep, stop_sweep

__all__ = [
    "AnalysisError",
    "Comparison",
    "Diagnosis",
    "History",
    "Probe",
    "SB3Probe",
    "SweepError",
    "SweepResult",
    "compare",
    "diagnose",
    "load_run",
    "load_sweep",
    "run_sweep",
    "stop_sweep",
]

_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "sweep.py").is_file() and (_CHECKOUT / "rl").is_dir():
    __path__.append(str(_CHECKOUT))  # the folders of a checkout are imported as unstuck.rl, unstuck.sweeps ...

_MODULES = {
    "AnalysisError": "unstuck.analysis.errors",
    "Comparison": "unstuck.analysis.side_by_side",
    "Diagnosis": "unstuck.analysis.diagnosis.finding",
    "History": "unstuck.analysis.history.record",
    "Probe": "unstuck.probe.loop",
    "SB3Probe": "unstuck.probe.sb3",
    "SweepError": "unstuck.records.errors",
    "SweepResult": "unstuck.results",
    "compare": "unstuck.api",
    "diagnose": "unstuck.api",
    "load_run": "unstuck.api",
    "load_sweep": "unstuck.results",
    "run_sweep": "unstuck.running",
    "stop_sweep": "unstuck.running",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, in a notebook without ipywidgets
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
