"""`python -m unstuck COMMAND ...`: the console command, where it is not on the path."""

import sys
from pathlib import Path

if not __package__:  # called by its path, from where Python does not find it by its name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from unstuck.command import main

if __name__ == "__main__":
    sys.exit(main())
