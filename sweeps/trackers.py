"""Make the trackers beside MLflow: TensorBoard's and W&B's files, and trackers of other packages.

A tracker may fail, and a sweep must not: whatever a tracker raises becomes a `TrackingError`, after which
`sweeps.mirror` tells the user, goes on, and writes what is missing later.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unstuck.records import extensions
from unstuck.records.errors import ExtensionError, TrackingError
from unstuck.records.event_files import make_event_files
from unstuck.records.extensions import Extension
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.reference import SweepReference
from unstuck.records.tracker import SweepHeader, Tracker
from unstuck.records.wandb_files import make_wandb_files

TrackerFactory = Callable[[SweepReference], Tracker]

TRACKERS: Mapping[str, TrackerFactory] = {"tensorboard": make_event_files, "wandb": make_wandb_files}
"""Our trackers beside MLflow, by their names in `tracking.also`; each needs the extra of its name."""


def load_trackers(names: Sequence[str]) -> tuple[Extension[TrackerFactory], ...]:
    """Load the functions that make the trackers (TensorBoard, W&B ...) of the given names, also from other packages.

    Raises:
        ExtensionError: An entry point of `unstuck.trackers` cannot be used.
    """
    if not names:
        return ()
    wanted = "a function of SweepReference that returns a Tracker"
    found = extensions.load_extensions(extensions.TRACKERS, TRACKERS, callable, wanted)
    return tuple(one for one in found if one.name in names)


def check_trackers(names: Sequence[str]) -> None:
    """Raise `ExtensionError` for a tracker that cannot be used, e.g. because the package that it needs is missing."""
    for one in load_trackers(names):
        if one.is_ours and find_spec(one.name) is None:
            raise ExtensionError(
                f"tracking={one.name} needs package {one.name}, which is not installed; pip install "
                f"'unstuck[{one.name}]'"
            )


def make_trackers(names: Sequence[str], reference: SweepReference) -> dict[str, Tracker]:
    """Make the trackers (TensorBoard, W&B ...) of a sweep, by name; each raises only `TrackingError`.

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
        raise ExtensionError(
            f"tracker {name} of package {made_by.package} cannot be made: {_describe_error(error)}"
        ) from error
    if not callable(getattr(tracker, "start_sweep", None)):
        raise ExtensionError(f"tracker {name} of package {made_by.package} must make a Tracker, got {tracker!r:.100}")
    return _NamedTracker(tracker, name)


class _NamedTracker:
    """Tracker that passes each call to another tracker, and raises each error as a `TrackingError` with its name.

    Written out method by method, so that mypy finds one that the protocol has and this class lacks.
    """

    def __init__(self, tracker: Tracker, name: str) -> None:
        self._tracker, self._name = tracker, name

    def start_sweep(self, sweep: SweepHeader, config_yaml: str, tags: Mapping[str, str]) -> None:
        with self._name_errors():
            self._tracker.start_sweep(sweep, config_yaml, tags)

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        with self._name_errors():
            return self._tracker.start_trial(number, searched, fixed, tags, config_yaml)

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        with self._name_errors():
            return self._tracker.find_incomplete(outcomes)

    def log(self, number: int, records: Sequence[Record]) -> None:
        with self._name_errors():
            self._tracker.log(number, records)

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        with self._name_errors():
            self._tracker.tag_trial(number, tags)

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        with self._name_errors():
            self._tracker.end_trial(number, verdict, summary)

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        with self._name_errors():
            self._tracker.end_sweep(outcome, tags)

    def find_experiment(self) -> str:
        with self._name_errors():
            return self._tracker.find_experiment()

    def attach(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        with self._name_errors():
            self._tracker.attach(number, files, note, figures)

    @contextmanager
    def _name_errors(self) -> Iterator[None]:
        """Convert every error inside the block to a `TrackingError` whose message begins with the tracker's name."""
        try:
            yield
        except Exception as error:
            raise TrackingError(f"tracker {self._name} fails: {_describe_error(error)}") from error


def _describe_error(error: Exception) -> str:
    """Format an error in one line: place and reason for a file's error, else the type and the first line."""
    if isinstance(error, OSError) and error.filename:
        return f"{Path(error.filename)}: {error.strerror}"
    if isinstance(error, TrackingError):
        return str(error)
    return f"{type(error).__name__}: {error}".partition("\n")[0]
