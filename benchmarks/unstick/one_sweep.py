"""Run one sweep by the words of `sweep.py`'s command line, its trials trained in this process instead of by Ray.

Nothing else differs, and the numbers are the same; starting Ray some thirty times would take longer than the training.
"""

import sys

from benchmarks.in_process import no_ray
from unstuck.sweep_command import main

if __name__ == "__main__":
    with no_ray():
        sys.exit(main())
