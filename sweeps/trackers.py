"""Make the trackers beside MLflow: TensorBoard's and W&B's files, and trackers of other packages.

A tracker may fail, and a sweep must not: whatever a tracker raises becomes a `TrackingError`, after which
`sweeps.mirror` tells the user, goes on, and writes what is missing later.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from unstuck.records import extensions
from unstuck.records.errors import ExtensionError, TrackingError
from unstuck.records.event_files import make_event_files
from unstuck.records.extensions import Extension
from unstuck.records.reference import SweepReference
from unstuck.records.tracker import Tracker
from unstuck.records.wandb_files import make_wandb_files

TrackerFactory = Callable[[SweepReference], Tracker]

TRACKERS: Mapping[str, TrackerFactory] = {"tensorboard": make_event_files, "wandb": make_wandb_files}
"""Our trackers beside MLflow, by their names in `tracking.also`; each needs the extra of its name."""


def load_trackers(names: Sequence[str]) -> tuple[Extension[TrackerFactory], ...]:
    """Load the functions that make the given trackers, built-in or of other packages.

    Raises:
        ExtensionError: An entry point of `unstuck.trackers` cannot be used.
    """
    if not names:
        return ()
    wanted = "a function of SweepReference that returns a Tracker"
    found = extensions.load_extensions(extensions.TRACKERS, TRACKERS, callable, wanted)
    return tuple(one for one in found if one.name in names)


def check_trackers(names: Sequence[str]) -> None:
    """Raise `ExtensionError` for a tracker that cannot be used, e.g. since the package that it needs is missing."""
    for one in load_trackers(names):
        if one.is_ours and find_spec(one.name) is None:
            raise ExtensionError(
                f"tracking={one.name} needs package {one.name}, which is not installed; pip install "
                f"'unstuck[{one.name}]'"
            )


def make_trackers(names: Sequence[str], reference: SweepReference) -> dict[str, Tracker]:
    """Make the given trackers for a sweep, by name, each of which raises nothing but `TrackingError`.

    Args:
        names: Names of trackers, as in `tracking.also`.
        reference: The sweep.

    Raises:
        ExtensionError: A tracker of another package cannot be used.
    """
    return {one.name: _make_tracker(one, reference) for one in load_trackers(names)}


def _make_tracker(made_by: Extension[TrackerFactory], reference: SweepReference) -> Tracker:
    name = made_by.name
    try:
        tracker = made_by.value(reference)
    except Exception as error:
        raise ExtensionError(f"tracker {name} of package {made_by.package} cannot be made: {_say(error)}") from error
    if not callable(getattr(tracker, "start_sweep", None)):
        raise ExtensionError(f"tracker {name} of package {made_by.package} must make a Tracker, got {tracker!r:.100}")
    return cast(Tracker, _Shielded(tracker, name))


class _Shielded:
    """Tracker whose errors are all `TrackingError`, which name the tracker."""

    def __init__(self, tracker: Tracker, name: str) -> None:
        self._tracker, self._name = tracker, name

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._tracker, name)

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            """Call the tracker's method; raise whatever it raises as `TrackingError`."""
            try:
                return method(*arguments, **named)
            except Exception as error:
                raise TrackingError(f"tracker {self._name} fails: {_say(error)}") from error

        return call


def _say(error: Exception) -> str:
    """Say an error in one line: of a file the place and the reason, of others the type and the first line."""
    if isinstance(error, OSError) and error.filename:
        return f"{Path(error.filename)}: {error.strerror}"
    if isinstance(error, TrackingError):
        return str(error)
    return f"{type(error).__name__}: {error}".partition("\n")[0]
