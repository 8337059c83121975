"""Define the errors that sweeps raise, beside `rl.errors`. Every message states the rule, the value and the remedy."""


class SweepError(Exception):
    """Error: a sweep cannot start or go on, e.g. a name is taken, a key is unknown, or nothing in the space can run."""


class LedgerError(SweepError):
    """Error: the ledger can no longer be read or written. The sweep must end: what is not on record did not happen."""


class DiskFullError(LedgerError):
    """Error: a checkpoint cannot be written. The sweep must end, since no record may get ahead of a checkpoint."""


class StartupError(SweepError):
    """Error: the first trials crashed alike before a first result, as all the others would."""


class TrackingError(Exception):
    """Error: the tracker cannot be written. The sweep can go on, and write missing records later from the ledger."""


class ExtensionError(SweepError):
    """Error: another package's rule, judge, sampler or data source cannot be used; the message names the package."""
