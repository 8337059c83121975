"""Errors that a caller may catch. Each message states the rule, the value and the remedy."""


class ConfigError(ValueError):
    """Error: a setting, or a combination of settings, is not allowed."""


class DataError(ValueError):
    """Error: a data set cannot be used: missing, malformed, too small, or with one kind of label only."""


class LittleLeftError(DataError):
    """Error: too few different flows are left: no column varies, or a part is too small or has one label only.

    The reading of columns as numbers or names may be the cause.
    """


class CheckpointError(ValueError):
    """Error: a checkpoint file is missing or damaged, has an unknown format, or was saved by a different learner."""
