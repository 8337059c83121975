"""Errors that a caller may catch. Each message states the rule, the value and the remedy."""


class ConfigError(ValueError):
    """Error: a setting, or a combination of settings, cannot run. Such a setting is refused, never clamped."""


class DataError(ValueError):
    """Error: a data set cannot be used as asked: missing, malformed, too small or of one class only."""


class LittleLeftError(DataError):
    """Error: the columns, as read, tell too few flows apart: none varies, or a part has too few flows or one class.

    The reading of columns as numbers or names may be the cause.
    """


class CheckpointError(ValueError):
    """Error: training cannot continue from a file: no checkpoint, damaged, of another format or another learner."""
