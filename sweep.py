"""Run one sweep: compose the experiment, check the settings, train. `python sweep.py --help` says how."""

import sys

from unstuck.sweep_command import main

if __name__ == "__main__":
    sys.exit(main())
