"""The console command `unstuck`: every command of the project under one name."""

import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "unstuck"

_USAGE = f"""\
usage: {PROGRAM} COMMAND ...

Finds out why a PPO agent does not learn, and sweeps its way out.

  sweep      run an experiment's trials: {PROGRAM} sweep +experiment=quickstart
  champion   judge a sweep's best trial on fresh seeds
  audit      whether a sweep's records tell the same story
  diagnose   say why a run is stuck, with the numbers, and what to try
  compare    set runs beside the first of them
  report     write the report of a sweep, or of a run

{PROGRAM} COMMAND --help says more.
"""
_ON_SWEEPS = ("champion", "audit")
_ON_RUNS = ("diagnose", "compare", "report")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand named by the first word, e.g. `sweep`; return the exit code, 2 if a request is refused."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    name = words[0] if words else ""
    if name == "sweep":  # each imports its own: a diagnosis need not wait for Hydra
        from unstuck.sweep_command import main as sweep

        return sweep(f"{PROGRAM} sweep", words[1:], Path.cwd())
    if name in _ON_SWEEPS:
        from unstuck.sweeps.__main__ import main as on_sweeps

        return on_sweeps(words)
    if name in _ON_RUNS:
        from unstuck.analysis.__main__ import main as on_runs

        return on_runs(words)
    if name in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    commands = ", ".join(("sweep", *_ON_SWEEPS, *_ON_RUNS))
    print(f"{PROGRAM}: error: a command must be one of {commands}, got {name!r}; see --help", file=sys.stderr)
    return 2
