"""Define the errors that sweeps raise, beside `rl.errors`. Every message states the rule, the value and the remedy."""


class RefusedError(Exception):
    """Error that the user can correct: a request is refused. A command prints one line, and exits with code 2."""


class SweepError(RefusedError):
    """Error: a sweep cannot start or continue, e.g. a name is taken, or a setting is unknown."""


class MissingLedgerError(SweepError):
    """Error: the database file with the sweep's ledger (Optuna study) does not exist."""


class MissingStudyError(SweepError):
    """Error: the database holds no Optuna study of the sweep."""


class LedgerError(SweepError):
    """Error: the ledger (Optuna's database) can no longer be read or written, so the sweep must end.

    What is not on record did not happen.
    """


class DiskFullError(LedgerError):
    """Error: a checkpoint cannot be written because the disk is full, so the sweep must end.

    No record may get ahead of a checkpoint.
    """


class StartupError(SweepError):
    """Error: the first trials of a sweep all crashed for the same reason, so that later ones would crash too."""


class LibraryError(SweepError):
    """Error: a worker cannot import what its trainer needs, so that no trial of the sweep can start."""


class TrackingError(RefusedError):
    """Error: the tracker (MLflow) cannot be written. The sweep goes on, and writes missing records later.

    The ledger holds what has to be written.
    """


class ExtensionError(SweepError):
    """Error: an extension (rule, judge, tracker ...) of another package cannot be used; the message names which."""
