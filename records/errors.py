"""Define the errors that sweeps raise, beside `rl.errors`. Every message states the rule, the value and the remedy."""


class RefusedError(Exception):
    """Error that the user can mend: a request is refused. A command prints one line, and ends with exit code 2."""


class SweepError(RefusedError):
    """Error: a sweep cannot start or go on, e.g. a name is taken, a setting is unknown, or no configuration can run."""


class MissingLedgerError(SweepError):
    """Error: there is no ledger: the database file does not exist."""


class MissingStudyError(SweepError):
    """Error: the ledger holds no study of a sweep."""


class LedgerError(SweepError):
    """Error: the ledger (Optuna's database) can no longer be read or written, so the sweep must end.

    What is not on record did not happen.
    """


class DiskFullError(LedgerError):
    """Error: a checkpoint cannot be written since the disk is full, so the sweep must end.

    No record may get ahead of a checkpoint.
    """


class StartupError(SweepError):
    """Error: the first trials of a sweep all crashed with the same reason before any result, as further ones would."""


class TrackingError(RefusedError):
    """Error: the tracker (MLflow) cannot be written. The sweep goes on, and writes missing records later.

    The ledger holds what has to be written.
    """


class ExtensionError(SweepError):
    """Error: what another package brings (rule, judge, tracker, ...) cannot be used; the message names the package."""
