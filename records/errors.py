"""What a sweep refuses, beside `rl.errors`. Every message states the rule, the value it got and the remedy."""


class SweepError(Exception):
    """A sweep that cannot start or go on: a name taken, an unknown key, a space that holds nothing feasible."""


class LedgerError(SweepError):
    """The ledger cannot be read or written any more. The sweep must end: what is not on record there did not happen."""


class DiskFullError(LedgerError):
    """A checkpoint cannot be written, and the records must not get ahead of it: the sweep must end just the same."""


class StartupError(SweepError):
    """The first trials crashed alike before a first result: the rest would as well."""


class TrackingError(Exception):
    """A record that could not be written. The ledger stays the truth: a sweep can go on and write it again later."""
