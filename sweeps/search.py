"""Ray Tune asks, the driver proposes. (Tune's own OptunaSearch mixes up outcomes: see DESIGN D1.)"""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from sweeps.assignment import ASSIGNMENT, Assignment


class LedgerSearch(Searcher):
    """A searcher that hands out assignments; outcomes reach the ledger through the scheduler and the callback.

    Args:
        propose: Gives the next assignment, or None when there is none left.

    Attributes:
        numbers: The trial's number by Tune's id.
    """

    def __init__(self, propose: Callable[[], Assignment | None]) -> None:
        super().__init__()
        self._propose = propose
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]  # FINISHED is a str
        """See `Searcher.suggest`."""
        assignment = self._propose()
        if assignment is None:
            return Searcher.FINISHED
        self.numbers[trial_id] = assignment.number
        return {ASSIGNMENT: assignment}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to do: the driver has recorded the end before Tune acts on it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a resume starts from the ledger, never from Tune's own state."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher to disk; what this one holds leads to database URLs.
        return {}
