"""Let a user's own modules be imported, such as `mygrid` of `env.id=mygrid:Line-v0`, from the folder of the user."""

import sys
from pathlib import Path


def add_own_modules(folder: Path) -> None:
    """Append a folder to the import path, so that its modules are found, but hide no others.

    Args:
        folder: Folder of the user's modules, absolute; a folder that is missing, as on another machine, does no harm.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
