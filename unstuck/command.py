"""The console command `unstuck`: every command of the project under one name."""

import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from unstuck.analysis.programs import unstuck_program
from unstuck.command_line import DEBUG, answer_errors
from unstuck.command_table import COMMANDS, ON_RUNS, ON_SWEEPS, SWEEP, list_commands
from unstuck.records.machine import collect_garbage_seldom
from unstuck.rl.wording import find_nearest

PROGRAM = "unstuck"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand named by the first word, e.g. `sweep`; return the exit code, 2 if a request is refused."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if DEBUG in words:  # may stand before the command; each command knows it behind
        words = [*(word for word in words if word != DEBUG), DEBUG]
    name = words[0] if words else ""
    collect_garbage_seldom()
    return answer_errors(f"{PROGRAM} {name}".rstrip(), words, lambda: _run(name, words))


def _run(name: str, words: Sequence[str]) -> int:
    """Run the command of the given name with the command line's words (name included); return the exit code.

    Each command imports its own modules: a diagnosis need not wait for Hydra.
    """
    if name in ("-h", "--help"):
        print(describe_commands(), end="")
        return 0
    if name in ("-V", "--version"):
        from unstuck.records.provenance import find_own_version

        print(f"unstuck {find_own_version()}")
        return 0
    if name == SWEEP:
        from unstuck.sweep_command import main as sweep

        return sweep(f"{PROGRAM} sweep", words[1:], Path.cwd())
    program = shlex.join(unstuck_program())
    if name in ON_SWEEPS:
        from unstuck.sweeps.__main__ import main as on_sweeps

        return on_sweeps(words, program)
    if name in ON_RUNS:
        from unstuck.analysis.__main__ import main as on_runs

        return on_runs(words, program)
    if name in list_commands():
        return int(import_module(f"unstuck.commands.{name}").main(words[1:]))
    if not words:
        print(describe_commands(), end="")
    known = list_commands()
    hint = f"did you mean {find_nearest(name, known)}?" if name else "see --help"
    print(f"{PROGRAM}: error: a command must be one of {', '.join(known)}, got {name!r}; {hint}", file=sys.stderr)
    return 2


def describe_commands() -> str:
    """Describe all commands for `--help`, in groups, with examples that the user can type as they are."""
    program = shlex.join(unstuck_program())
    groups = "\n".join(
        f"{heading}\n" + "".join(f"  {name:<10} {what}\n" for name, what in group.items())
        for heading, group in COMMANDS.items()
    )
    return f"""\
usage: {PROGRAM} COMMAND ...

Finds out why a PPO agent does not learn, and sweeps its way out.

{groups}
examples:
  {program} diagnose progress.csv
  {program} sweep +experiment=quickstart
  {program} list

{PROGRAM} COMMAND --help says more, with examples; --version says which version this is; {DEBUG} shows tracebacks.
"""
