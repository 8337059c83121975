"""`unstuck unstick RUN [...]`: the short form of `unstuck sweep +experiment=unstick run=RUN [...]`."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from unstuck.commands.parsing import make_parser

_EXAMPLES = (
    "quickstart-20260131-174500-a1b2c3/0",
    "runs/kdd/trials/0007 milestones=stuck_run",
    "kdd/7 'arms=[prescribed, {ppo: {lr: 1e-3}}]' unstick.iterations=100",
)


def build_parser() -> ArgumentParser:
    """Build the parser of the command `unstuck unstick`."""
    parser = make_parser(
        "unstick",
        "Branches a recorded run from its checkpoint into candidate fixes beside an untouched control, trains all of\n"
        "them, and says which one worked. See docs/unstick.md.",
        _EXAMPLES,
    )
    parser.add_argument("run", metavar="RUN", help="a trial such as NAME/7, a checkpoint's folder, or an MLflow run id")
    parser.add_argument("settings", metavar="SETTING=VALUE", nargs="*", help="as for `sweep`: unstick.*, arms, ...")
    return parser


def main(words: Sequence[str]) -> int:
    """Branch a recorded stuck run into possible fixes beside an unchanged control; return the sweep's exit code."""
    if not words or words[0].startswith("-"):
        build_parser().parse_args(words)
    run, *others = words
    if "=" in run.partition("/")[0] and not Path(run).exists():
        print(
            f"unstuck unstick: error: the first word must be the run to branch, such as NAME/7, got {run!r}; "
            "settings come after the run",
            file=sys.stderr,
        )
        return 2
    from unstuck.sweep_command import main as sweep

    return sweep("unstuck unstick", ["+experiment=unstick", f"run={run}", *others], Path.cwd())
