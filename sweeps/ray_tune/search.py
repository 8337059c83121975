"""Let Ray Tune ask the driver for trials; Tune's own OptunaSearch mixes up outcomes (docs/design.md, D1)."""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher
from unstuck.sweeps.worker.assignment import ASSIGNMENT, Assignment


class LedgerSearch(Searcher):
    """Ray Tune searcher that gets each next trial from the driver, and ignores results.

    Outcomes reach the ledger through the scheduler and the callback.

    Args:
        propose: Returns the next assignment, or None when there is none left.

    Attributes:
        numbers: Number of the trial by Tune's id.
    """

    def __init__(self, propose: Callable[[], Assignment | None]) -> None:
        super().__init__()
        self._propose = propose
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]  # FINISHED is a str
        """Return the driver's next assignment in a dict, or FINISHED if no trial is left; see `Searcher.suggest`."""
        assignment = self._propose()
        if assignment is None:
            return Searcher.FINISHED
        self.numbers[trial_id] = assignment.number
        return {ASSIGNMENT: assignment}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the driver has recorded the end before Tune acts."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: a resume starts from the ledger, never from Tune's state, which lacks the rungs (ray#30838)."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: a resume starts from the ledger; see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the searcher to disk, and the driver behind `propose` holds database URLs.
        return {}
