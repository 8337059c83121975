"""Replace files whole: at any moment a reader finds the old file or the new one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(file: Path) -> Iterator[Path]:
    """Yield a temporary path; if the block ends without error, the file there replaces `file` in one step.

    Example:
        >>> import tempfile
        >>> note = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with replace_file(note) as temporary:
        ...     _ = temporary.write_text("new")
        ...     note.exists()
        False
        >>> note.read_text()
        'new'
    """
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def find_left_behind(file: Path) -> list[Path]:
    """Find temporary files that `replace_file` could not remove because the process was killed."""
    return list(file.parent.glob(f"{file.name}.*.tmp"))
