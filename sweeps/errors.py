"""What a sweep refuses, beside `rl.errors`. Every message states the rule, the value it got and the remedy."""


class SweepError(Exception):
    """A sweep that cannot start or go on: a name taken, an unknown key, a space that holds nothing feasible."""
