"""Commands on a sweep that has run: `python -m unstuck.sweeps champion NAME`, `... audit NAME`."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

if not __package__:  # called by its path, from where Python does not find it by its name
    _ROOT = Path(__file__).resolve().parents[1]
    sys.path[0] = str(_ROOT if (_ROOT / "sweep.py").is_file() else _ROOT.parent)  # a checkout, or a package installed

from unstuck.analysis.errors import AnalysisError
from unstuck.records.errors import SweepError, TrackingError
from unstuck.records.machine import limit_threads
from unstuck.records.redact import redact_error
from unstuck.rl.errors import ConfigError, DataError


def main(arguments: list[str] | None = None) -> int:
    """Run a command (champion or audit) on a sweep that has run; return the exit code.

    Returns:
        Exit code: 0; 1 for records that differ; 2 for a refusal, said in one line; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    limit_threads()
    try:
        return int(options.command(options))
    except (AnalysisError, ConfigError, DataError, SweepError, TrackingError) as error:
        print(redact_error(f"sweeps: error: {error}", *sys.argv[1:]), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by the user; nothing was written", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m unstuck.sweeps", description=__doc__)
    commands = parser.add_subparsers(required=True)
    champion = commands.add_parser(
        "champion",
        help="judge a sweep's best trial on fresh seeds and on data that the search never saw",
        description="Trains a sweep's best configuration again, and the control beside it, on seeds that the search "
        "did not use, and evaluates both on the test part. Adds what it found to the sweep's report/champions.json.",
        epilog="example: python -m unstuck.sweeps champion runs/quickstart-20260101-120000-a1b2c3 --seeds 8",
    )
    champion.add_argument("sweep", help="the sweep's name, or its folder, such as runs/NAME")
    champion.add_argument("--folder", type=Path, default=Path("runs"), help="sweep.folder, for a name (default: runs)")
    champion.add_argument(
        "--seeds", type=int, default=8, help="fresh seeds for each configuration; 3 at least for a verdict (default: 8)"
    )
    champion.add_argument("--trial", type=int, help="judge this trial instead of the best completed one")
    champion.add_argument("--optuna-url", help="the ledger, if its URL holds a password")
    champion.add_argument("--mlflow-url", help="MLflow, if its URL holds a password")
    champion.add_argument("--data-path", help="where the flows lie now, if they were moved")
    champion.set_defaults(command=_champion)
    audit = commands.add_parser(
        "audit",
        help="whether a sweep's ledger, MLflow and checkpoints tell the same story",
        description="Compares what the ledger, MLflow and the checkpoints say of each trial, and prints what differs.",
        epilog="exit code: 0 nothing differs, 1 something does, 2 it cannot be read. See docs/audit.md",
    )
    audit.add_argument("sweep", help="the sweep's name, or its folder, such as runs/NAME")
    audit.add_argument("--folder", type=Path, default=Path("runs"), help="sweep.folder, for a name (default: runs)")
    audit.add_argument("--optuna-url", help="the ledger, if its URL holds a password")
    audit.add_argument("--mlflow-url", help="MLflow, if its URL holds a password")
    audit.add_argument("--json", action="store_true", help="print what was found as JSON")
    audit.add_argument("--repair", action="store_true", help="first write MLflow again where it differs")
    audit.set_defaults(command=_audit)
    return parser


def _champion(options: argparse.Namespace) -> int:
    if options.seeds < 1:
        raise SweepError(f"--seeds must be at least 1, got {options.seeds}; try 8")
    from unstuck.sweeps.champion import describe_champion, judge_champion  # late: a refusal need not wait for torch
    from unstuck.sweeps.config.find import find_sweep
    from unstuck.sweeps.explain.reports import rewrite_reports

    where = options.sweep, options.folder, options.optuna_url, options.mlflow_url
    config = find_sweep(*where)
    if options.data_path is not None:
        config = replace(config, data=replace(config.data, path=options.data_path))
    judgements = judge_champion(config, options.seeds, options.trial)
    print(*describe_champion(judgements, config.sweep.metric, config.sweep.mode), sep="\n")
    print(rewrite_reports(find_sweep(*where)))  # read anew, since judging gives an old sweep its id
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
