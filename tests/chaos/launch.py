"""`sweep.py` that kills itself: `launch.py kill-at-commit N ...` ends as by kill -9, before the Nth commit.

`launch.py count-commits FILE ...` runs to the end and writes down how many there were. Commits are where records could
come apart: one before has been written, the one after has not.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

import sqlalchemy

ROOT = Path(__file__).parents[2]


def _watch(mode: str, argument: str) -> None:
    commits = 0

    def commit(connection: sqlalchemy.Connection) -> None:
        nonlocal commits
        commits += 1
        if mode == "count-commits":
            Path(argument).write_text(str(commits))
        elif commits == int(argument):
            os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", commit)


if __name__ == "__main__":
    _watch(*sys.argv[1:3])
    sys.argv[:3] = [str(ROOT / "sweep.py")]
    sys.path[0] = str(ROOT)
    runpy.run_path(str(ROOT / "sweep.py"), run_name="__main__")
