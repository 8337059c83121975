"""Read a command's words, and answer a mistake in one line: what all commands of `unstuck` share."""

import argparse
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from unstuck.analysis.programs import unstuck_program
from unstuck.command_line import OneLineParser, add_debug, answer_errors
from unstuck.records.as_json import SCHEMA


def make_parser(name: str, summary: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of a command, whose help ends with examples that the user can type as they are.

    Args:
        name: Name of the command, such as `list`.
        summary: What the command does, in sentences.
        examples: Words after the command's name, one example each.
    """
    program = shlex.join(unstuck_program())
    shown = "\n".join(f"  {program} {name} {words}".rstrip() for words in examples)
    parser = OneLineParser(
        prog=f"unstuck {name}",
        description=summary,
        epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_debug(parser)
    return parser


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the option `--folder`, which names the folder of all sweeps, to a parser."""
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="folder of the sweeps (default: runs)")


def add_sweep(
    parser: argparse.ArgumentParser, what: str = "the sweep's name, or its folder, such as runs/NAME"
) -> None:
    """Add the argument and options that name a recorded sweep to a parser."""
    parser.add_argument("name", metavar="NAME", help=what)
    add_folder(parser)
    add_urls(parser)


def add_urls(parser: argparse.ArgumentParser) -> None:
    """Add the options for database URLs with a password, which a sweep's folder does not store, to a parser."""
    parser.add_argument("--optuna-url", help="the ledger, if its URL holds a password")
    parser.add_argument("--mlflow-url", help="MLflow, if its URL holds a password")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option `--json`, by which a command prints for programs, to a parser."""
    parser.add_argument("--json", action="store_true", help=f"print JSON for programs (schema {SCHEMA})")


def run_refusing(name: str, words: Sequence[str], call: Callable[[], int]) -> int:
    """Run the function of the command `unstuck NAME`; return the exit code, 2 for an error the user can correct."""
    return answer_errors(f"unstuck {name}", words, call)
