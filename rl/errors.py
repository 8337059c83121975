"""Errors that a caller may catch. Each message states the rule, the value and the remedy."""


class ConfigError(ValueError):
    """Error: a setting, or a combination of settings, is not allowed; refused, never changed to an allowed value."""


class DataError(ValueError):
    """Error: a data set cannot be used with the settings: missing, malformed, too small or of one class only."""


class LittleLeftError(DataError):
    """Error: too few flows differ in the columns as read: no column varies, or a part has too few flows or one class.

    The reading of columns as numbers or names may be the cause.
    """


class CheckpointError(ValueError):
    """Error for a checkpoint that is missing, damaged, of another format or of another learner."""
