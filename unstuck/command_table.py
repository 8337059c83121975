"""The commands of `unstuck`: what each does, and the parser of each one's words."""

import shlex
from argparse import ArgumentParser
from importlib import import_module

from unstuck.analysis.programs import unstuck_program

SWEEP = "sweep"
"""Command whose words Hydra parses; all other commands have a parser of ours."""

COMMANDS = {  # heading: commands, with what each does
    "run": {
        SWEEP: "run an experiment's trials side by side",
        "unstick": "branch a recorded run into candidate fixes beside an untouched control",
        "champion": "judge a sweep's best trial on fresh seeds",
    },
    "look": {
        "diagnose": "say why a run is stuck, with the numbers, and what to try",
        "compare": "set runs beside the first of them",
        "report": "write the report of a sweep, or of a run",
        "list": "the sweeps of a folder: outcomes, best trial, running or not",
        "show": "one sweep, or one trial: settings, values, outcome, reason, files",
        "ui": "open MLflow and Optuna's dashboard on what was run",
        "audit": "whether a sweep's records tell the same story",
    },
    "tidy": {
        "stop": "end a running sweep as Ctrl-C does",
        "delete": "delete one sweep: folder, study and MLflow runs",
    },
    "check": {
        "doctor": "say what this machine lacks",
        "completion": "print the lines that let a shell complete the words of `unstuck`",
    },
}

ON_SWEEPS = ("champion", "audit")
"""Commands of the room `sweeps`."""

ON_RUNS = ("diagnose", "compare", "report")
"""Commands of the room `analysis`."""


def list_commands() -> list[str]:
    """List the names of all `unstuck` commands."""
    return [name for group in COMMANDS.values() for name in group]


def find_parser(command: str) -> ArgumentParser:
    """Return the parser of a command's options; raise `KeyError` for `sweep`, whose arguments Hydra parses.

    Example:
        >>> find_parser("show").parse_args(["kdd/7", "--json"]).name
        'kdd/7'
    """
    program = shlex.join(unstuck_program())
    if command in ON_SWEEPS:
        from unstuck.sweeps.__main__ import build_parsers as build_for_sweeps

        return build_for_sweeps(program)[1][command]
    if command in ON_RUNS:
        from unstuck.analysis.__main__ import build_parsers as build_for_runs

        return build_for_runs(program)[1][command]
    if command == SWEEP or command not in list_commands():
        raise KeyError(command)
    parser: ArgumentParser = import_module(f"unstuck.commands.{command}").build_parser()
    return parser
