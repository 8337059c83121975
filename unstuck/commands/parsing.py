"""Read a command's words, and answer a mistake in one line: what all commands of `unstuck` share."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.programs import unstuck_program
from unstuck.records.errors import SweepError, TrackingError
from unstuck.records.redact import redact_error
from unstuck.rl.errors import CheckpointError, ConfigError, DataError

SCHEMA = 1
"""Version of what `--json` prints; a key may be added in the same version, none changes or goes."""


class _Parser(argparse.ArgumentParser):
    """Parser whose errors are one line with a remedy."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: error: {message}; --help shows examples", file=sys.stderr)
        raise SystemExit(2)


def make_parser(name: str, summary: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of a command, whose help ends with examples that work where the user is.

    Args:
        name: Name of the command, such as `list`.
        summary: What the command does, in sentences.
        examples: Words after the command's name, one example each.
    """
    program = shlex.join(unstuck_program())
    shown = "\n".join(f"  {program} {name} {words}".rstrip() for words in examples)
    return _Parser(
        prog=f"unstuck {name}",
        description=summary,
        epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of all sweeps."""
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="folder of the sweeps (default: runs)")


def add_sweep(
    parser: argparse.ArgumentParser, what: str = "the sweep's name, or its folder, such as runs/NAME"
) -> None:
    """Add the argument and the options that name a sweep on record."""
    parser.add_argument("name", metavar="NAME", help=what)
    add_folder(parser)
    add_urls(parser)


def add_urls(parser: argparse.ArgumentParser) -> None:
    """Add the options for databases whose URLs hold a password, which a sweep's folder does not keep."""
    parser.add_argument("--optuna-url", help="the ledger, if its URL holds a password")
    parser.add_argument("--mlflow-url", help="MLflow, if its URL holds a password")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for programs that read what a command prints."""
    parser.add_argument("--json", action="store_true", help=f"print JSON for programs (schema {SCHEMA})")


def format_json(value: dict[str, Any]) -> str:
    """Convert what a command found to the JSON text that the command prints, with the version of the schema."""
    return json.dumps({"schema": SCHEMA, **value}, indent=2, default=str, allow_nan=False)


def run_refusing(name: str, words: Sequence[str], call: Callable[[], int]) -> int:
    """Call a command's body; return the body's exit code, or 2 after an error in one line, or 130 after Ctrl-C.

    Args:
        name: Name of the command.
        words: Words of the command line, whose secrets are masked in errors.
        call: The body.
    """
    try:
        return call()
    except (AnalysisError, CheckpointError, ConfigError, DataError, SweepError, TrackingError) as error:
        print(redact_error(f"unstuck {name}: error: {error}", *words), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by the user", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough
        sys.stderr.close()
        return 0
