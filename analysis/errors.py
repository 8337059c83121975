"""Errors of the analysis. Each message states the rule, the value and the remedy."""


class AnalysisError(Exception):
    """Error for the user: a run cannot be found or read, a name is unknown, or a report cannot be written."""
