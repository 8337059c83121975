"""What the analysis refuses. Every message states the rule, the value it got and the remedy."""


class AnalysisError(Exception):
    """A run that cannot be found or read, or a name that means nothing."""
