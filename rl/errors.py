"""Errors that a caller may catch. Each message states the rule, the value and the remedy."""


class ConfigError(ValueError):
    """A setting, or a combination of settings, that cannot run. Refused, never clamped."""


class DataError(ValueError):
    """A data set that cannot be used as asked: missing, malformed, too small or of one class only."""


class LittleLeftError(DataError):
    """A data set whose columns, read as numbers or names, tell too few flows apart; the reading may be the cause."""


class CheckpointError(ValueError):
    """A file from which training cannot continue: no checkpoint, damaged, of another format or another learner."""
