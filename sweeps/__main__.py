"""Commands on a sweep that has run: `python -m unstuck.sweeps champion NAME`, `... audit NAME`."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path

if not __package__:  # called by its path, from where Python does not find it by its name
    _ROOT = Path(__file__).resolve().parents[1]
    sys.path[0] = str(_ROOT if (_ROOT / "sweep.py").is_file() else _ROOT.parent)  # a checkout, or a package installed

from unstuck.records.as_json import format_json
from unstuck.records.errors import SweepError
from unstuck.records.machine import limit_threads
from unstuck.rl.own_modules import add_own_modules
from unstuck.sweeps.webhook import notify

from unstuck.command_line import OneLineParser, add_debug, answer_errors

PROGRAM = "python -m unstuck.sweeps"


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run the command (`champion` or `audit`) that the arguments name, on a recorded sweep; return the exit code.

    Args:
        arguments: Words of the command line; by default those that this process was called with.
        program: Command that the user typed before these words, for the help.

    Returns:
        Exit code: 0; 1 for records that differ, or a fault of ours; 2 for a refusal; 130 after Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else arguments
    parser, _ = build_parsers(program)
    options = parser.parse_args(words)
    name = "sweeps" if program == PROGRAM else f"unstuck {options.name}"
    limit_threads()
    add_own_modules(Path.cwd())
    return answer_errors(
        name, words[1:], lambda: int(options.command(options)), "stopped by the user; nothing was written"
    )


def build_parsers(program: str = PROGRAM) -> tuple[OneLineParser, dict[str, OneLineParser]]:
    """Build the parsers of `python -m unstuck.sweeps`: return the main parser, and each command's parser by name."""
    parser = OneLineParser(prog=PROGRAM if program == PROGRAM else "unstuck", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="name")
    champion = commands.add_parser(
        "champion",
        help="judge a sweep's best trial on fresh seeds and on data that the search never saw",
        description="Trains a sweep's best configuration again, and the control beside it, on seeds that the search\n"
        "did not use, and evaluates both on the test part. Adds what it found to report/champions.json in the\n"
        "sweep's folder.",
        epilog="examples:\n"
        f"  {program} champion quickstart-20260101-120000-a1b2c3\n"
        f"  {program} champion runs/quickstart-20260101-120000-a1b2c3 --seeds 16\n"
        f"  {program} champion kdd --trial 7 --data-path KDDTrain+.txt\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_debug(champion)
    champion.add_argument("sweep", help="the sweep's name, or its folder, such as runs/NAME")
    champion.add_argument("--folder", type=Path, default=Path("runs"), help="sweep.folder, for a name (default: runs)")
    champion.add_argument(
        "--seeds", type=int, default=8, help="fresh seeds for each configuration; 3 at least for a verdict (default: 8)"
    )
    champion.add_argument("--trial", type=int, help="judge this trial instead of the best completed one")
    champion.add_argument("--optuna-url", help="the ledger, if its URL holds a password")
    champion.add_argument("--mlflow-url", help="MLflow, if its URL holds a password")
    champion.add_argument(
        "--json", action="store_true", help="print the judgements as JSON, and the progress on stderr"
    )
    champion.add_argument("--data-path", help="where the flows lie now, if they were moved")
    champion.set_defaults(command=_champion)
    audit = commands.add_parser(
        "audit",
        help="whether a sweep's ledger, MLflow and checkpoints tell the same story",
        description="Compares what the ledger, MLflow and the checkpoints say of each trial, and prints what differs.",
        epilog="examples:\n"
        f"  {program} audit quickstart-20260101-120000-a1b2c3\n"
        f"  {program} audit runs/quickstart-20260101-120000-a1b2c3 --json\n"
        f"  {program} audit kdd --repair\n\n"
        "exit code: 0 nothing differs, 1 something does, 2 it cannot be read. See docs/audit.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_debug(audit)
    audit.add_argument("sweep", help="the sweep's name, or its folder, such as runs/NAME")
    audit.add_argument("--folder", type=Path, default=Path("runs"), help="sweep.folder, for a name (default: runs)")
    audit.add_argument("--optuna-url", help="the ledger, if its URL holds a password")
    audit.add_argument("--mlflow-url", help="MLflow, if its URL holds a password")
    audit.add_argument("--json", action="store_true", help="print what was found as JSON")
    audit.add_argument("--repair", action="store_true", help="first write MLflow again where it differs")
    audit.set_defaults(command=_audit)
    return parser, commands.choices


def _champion(options: argparse.Namespace) -> int:
    if options.seeds < 1:
        raise SweepError(f"--seeds must be at least 1, got {options.seeds}; try 8")
    from unstuck.sweeps.config.find import find_sweep

    where = options.sweep, options.folder, options.optuna_url, options.mlflow_url
    config = find_sweep(*where)
    from unstuck.sweeps.champion import describe_champion, judge_champion  # late: a refusal need not wait for torch
    from unstuck.sweeps.explain.reports import rewrite_reports

    if options.data_path is not None:
        config = replace(config, data=replace(config.data, path=options.data_path))
    with redirect_stdout(sys.stderr) if options.json else nullcontext():
        judgements = judge_champion(config, options.seeds, options.trial)
    metric, mode = config.sweep.metric, config.sweep.mode
    found = list(describe_champion(judgements, metric, mode))
    judged = {"sweep": config.sweep.name, "metric": metric, "mode": mode, "verdict": found}
    if options.json:
        print(format_json({**judged, "judgements": [asdict(one) for one in judgements.readings]}))
    else:
        print(*found, sep="\n")
    if warning := notify("\n".join([f"Unstuck: the champion of {config.sweep.name} was judged", *found])):
        print(warning, file=sys.stderr)
    rewritten = rewrite_reports(find_sweep(*where))  # read anew, since judging gives an old sweep its id
    print(rewritten, file=sys.stderr if options.json else sys.stdout)
    return 0


def _audit(options: argparse.Namespace) -> int:
    from unstuck.sweeps.audit.audit import audit_sweep, mend_sweep
    from unstuck.sweeps.config.find import find_sweep

    where = options.sweep, options.folder, options.optuna_url, options.mlflow_url
    if options.repair:
        for line in mend_sweep(find_sweep(*where)):
            print(f"repaired: {line}", file=sys.stderr if options.json else sys.stdout)
    found = audit_sweep(find_sweep(*where))  # anew: a repair gives an old sweep its id
    print(found.to_json() if options.json else "\n".join(found.describe()))
    return 0 if found.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
