"""Errors of the analysis. Each message states the rule, the value and the remedy."""

from unstuck.records.errors import RefusedError


class AnalysisError(RefusedError):
    """Error to show to the user: a run cannot be found or read, a name is unknown, or a report cannot be written."""
