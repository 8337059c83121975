"""Errors that a caller may catch. Each message states the rule, the value and the remedy."""


class ConfigError(ValueError):
    """A setting, or a combination of settings, that cannot run. Refused, never clamped."""


class DataError(ValueError):
    """A data set that cannot be used as asked: missing, malformed, too small or of one class only."""


class LittleLeftError(DataError):
    """A data set whose columns, as they were read, tell too few flows apart: how they were read may be the cause."""


class CheckpointError(ValueError):
    """A file from which training cannot continue: no checkpoint, damaged, of another format, or of another learner."""
