"""Errors of the analysis. Each message states the rule, the value and the remedy."""


class AnalysisError(Exception):
    """A run that cannot be found or read, or an unknown name."""
