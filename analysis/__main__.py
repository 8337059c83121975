"""Commands on runs: `python -m unstuck.analysis diagnose RUN`, `compare RUN RUN`, `report NAME`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # called by its path, from where Python does not find it by its name
    _ROOT = Path(__file__).resolve().parents[1]
    sys.path[0] = str(_ROOT if (_ROOT / "sweep.py").is_file() else _ROOT.parent)  # a checkout, or a package installed

from unstuck.analysis.errors import AnalysisError
from unstuck.records.as_json import format_json

from unstuck.command_line import OneLineParser, add_debug, answer_errors

if TYPE_CHECKING:
    from unstuck.analysis.document import Document
    from unstuck.analysis.history import History
    from unstuck.analysis.report.write import Place
    from unstuck.analysis.side_by_side import Comparison

_WORDS = {"true": True, "false": False, "null": None}
_RUNS = """\
A run is a file (a table, an event file of TensorBoard's, printed text, JSON, a notebook, evaluations.npz, mlflow.db), a
folder with such files, packed or not, or an mlruns/, - for standard input, a sweep's trial (NAME/7), or an MLflow run
id. Logs of the usual trainers are read as they are (docs/reading.md); for other names see --names."""


PROGRAM = "python -m unstuck.analysis"


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run the command (`diagnose`, `compare`, `report`) that the arguments name; return the exit code, 0 for success.

    Args:
        arguments: Words of the command line; by default those that this process was called with.
        program: Command that the user typed before these words, for the help.
    """
    words = sys.argv[1:] if arguments is None else arguments
    parser, _ = build_parsers(program)
    options = parser.parse_args(words)
    name = "analysis" if program == PROGRAM else f"unstuck {options.command}"

    def run() -> int:
        print(options.run_command(options), end="")
        return 0

    return answer_errors(name, words[1:], run)


def build_parsers(program: str = PROGRAM) -> tuple[OneLineParser, dict[str, OneLineParser]]:
    """Build the parsers of `python -m unstuck.analysis`: return the main parser, and each command's parser by name."""
    parser = OneLineParser(prog=PROGRAM if program == PROGRAM else "unstuck", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    diagnose = _command(
        commands,
        "diagnose",
        "say why a run is stuck, with the numbers, and what to try",
        "examples:\n"
        f"  {program} diagnose runs/horizon/7\n"
        f"  {program} diagnose horizon/7 --json\n"
        f"  {program} diagnose logs/ppo/CartPole-v1_1\n"
        f"  {program} diagnose logs/seed_*             # seeds of one configuration, read together\n"
        f"  {program} diagnose progress.csv --set ppo.gamma=0.99\n"
        f"  {program} diagnose - < log.txt             # what a program printed",
    )
    diagnose.add_argument("runs", metavar="RUN", nargs="+", help="the run; or several that differ in their seeds alone")
    diagnose.set_defaults(run_command=_diagnose)
    compare = _command(
        commands,
        "compare",
        "set runs beside the first of them: which is better, how sure, and what differs",
        f"examples:\n  {program} compare horizon/0 horizon/34\n  {program} compare before.csv after.csv --json",
    )
    compare.add_argument("runs", metavar="RUN", nargs="+", help="the runs, two or more; the first is the control")
    compare.set_defaults(run_command=_compare)
    report = _command(
        commands,
        "report",
        "write the report of a sweep, of a run, or of runs side by side, as Markdown and as one HTML page",
        "examples:\n"
        f"  {program} report horizon                   # runs/horizon/report/report.md and .html\n"
        f"  {program} report horizon/7                 # runs/horizon/trials/0007/report.md and .html\n"
        f"  {program} report progress.csv --out here\n"
        f"  {program} report before.csv after.csv      # side by side, the first is the control\n"
        f"  {program} report horizon --plots png,svg   # each figure as files too, in runs/horizon/report/plots",
    )
    report.add_argument("reported", metavar="NAME", nargs="+", help="a sweep's name or folder, or a run; several runs")
    report.add_argument(
        "--plots", metavar="FORMATS", help="each figure as files for papers and slides: png, svg or png,svg"
    )
    report.add_argument("--out", type=Path, help="folder to write into (default: report/ in the sweep's folder)")
    report.add_argument("--optuna-url", help="the ledger (default: optuna.db in the folder)")
    report.set_defaults(run_command=_report)
    return parser, commands.choices


def _command(commands: Any, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[:1].upper()}{summary[1:]}.\n\n{_RUNS}",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_debug(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="of the sweeps (default: runs)")
    parser.add_argument("--mlflow-url", help="MLflow's database or server (default: mlflow.db in the folder)")
    parser.add_argument("--names", type=Path, help="mapping file for other names; see analysis/history/mapping.py")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="a setting that the run's files do not hold, such as ppo.gamma=0.99, or finished=true for a run that has "
        "ended; may be given several times",
    )
    return parser


def _diagnose(options: argparse.Namespace) -> str:
    from unstuck.analysis.diagnosis import diagnose
    from unstuck.analysis.document import to_text
    from unstuck.analysis.report.as_json import diagnosis_json
    from unstuck.analysis.report.diagnosis import diagnosis_document

    _check_stores(options, options.runs)
    diagnosis = diagnose(_history(options, *options.runs))
    if options.json:
        return format_json(diagnosis_json(diagnosis)) + "\n"
    return to_text(diagnosis_document(diagnosis, options.folder))


def _compare(options: argparse.Namespace) -> str:
    from unstuck.analysis.document import to_text
    from unstuck.analysis.report.compare import comparison_document, comparison_json

    compared = _load_comparison(options, options.runs)
    return format_json(comparison_json(compared)) + "\n" if options.json else to_text(comparison_document(compared))


def _load_comparison(options: argparse.Namespace, runs: Sequence[str]) -> "Comparison":
    from unstuck.analysis.diagnosis import diagnose
    from unstuck.analysis.side_by_side import compare_runs, require_two_runs

    require_two_runs(runs)
    _check_stores(options, runs)
    return compare_runs([diagnose(_history(options, run)) for run in runs])


def _report(options: argparse.Namespace) -> str:
    from unstuck.analysis.report.write import write_document, write_plots

    formats = _plot_formats(options.plots) if options.plots is not None else ()
    document, place = _make_comparison(options) if len(options.reported) > 1 else _make_report(options)
    written = write_document(document, place.folder, place.stem)
    written += write_plots(document, place.plots, formats) if formats else []
    if options.json:
        return format_json({"written": [str(path) for path in written]}) + "\n"
    return "".join(f"wrote {path}\n" for path in written)


def _plot_formats(words: str) -> tuple[str, ...]:
    """Split the text of `--plots`, such as `png,svg`, into formats."""
    formats = tuple(dict.fromkeys(filter(None, words.lower().split(","))))
    if not formats or not set(formats) <= {"png", "svg"}:
        raise AnalysisError(f"--plots must be png, svg or png,svg, got {words!r}")
    return formats


def _make_comparison(options: argparse.Namespace) -> "tuple[Document, Place]":
    from unstuck.analysis.report.compare import comparison_document
    from unstuck.analysis.report.write import Place, make_stem

    if options.optuna_url:
        raise AnalysisError("--optuna-url must go with the report of a sweep, not of a comparison; leave it out")
    compared = _load_comparison(options, options.reported)
    names = "-".join(make_stem(one.name) for one in compared.runs)
    return comparison_document(compared), Place(options.out or options.folder / "reports", f"comparison-{names[:80]}")


def _make_report(options: argparse.Namespace) -> "tuple[Document, Place]":
    from unstuck.analysis.diagnosis import diagnose
    from unstuck.analysis.history import Stores
    from unstuck.analysis.history.files import find_sweep_folder
    from unstuck.analysis.report.run import run_document
    from unstuck.analysis.report.write import Place, place_run_report

    (name,) = options.reported
    found = find_sweep_folder(name, options.folder)
    for option, is_given in (("--set", options.set), ("--names", options.names), ("--optuna-url", options.optuna_url)):
        if is_given and (found is not None) is (option != "--optuna-url"):
            whose = "a run, not of a sweep" if found else "a sweep, not of a run"
            raise AnalysisError(f"{option} must go with the report of {whose}, got {name}; leave it out")
    if found:
        from unstuck.analysis.report.write_sweep import gather_findings, make_sweep_document  # late: it loads Optuna

        stores = Stores(found.parent, options.mlflow_url, options.names)
        document = make_sweep_document(gather_findings(found.name, stores, options.optuna_url))
        return document, Place(options.out or found / "report")
    _check_stores(options, [name])
    stores = Stores(options.folder, options.mlflow_url, options.names)
    diagnosis = diagnose(_history(options, name))
    return run_document(diagnosis, stores.folder), place_run_report(diagnosis, stores, options.out)


def _history(options: argparse.Namespace, *runs: str) -> "History":
    from unstuck.analysis.history import Stores, load, load_together

    added = dict(map(_setting, options.set))
    stores = Stores(options.folder, options.mlflow_url, options.names, added)
    return load(runs[0], stores) if len(runs) == 1 else load_together(runs, stores)


def _setting(word: str) -> tuple[str, Any]:
    """Split the text of one `--set SETTING=VALUE` option; return the setting's path and value."""
    from unstuck.analysis.history.known import check_setting
    from unstuck.analysis.history.settings import parse_literal

    path, equals, text = word.partition("=")
    if not equals:
        raise AnalysisError(f"--set must be SETTING=VALUE, such as ppo.gamma=0.99, got {word!r}")
    value = _WORDS[text] if text in _WORDS else parse_literal(text)
    check_setting("--set", path, value)
    return path, value


def _check_stores(options: argparse.Namespace, runs: Sequence[str]) -> None:
    """Raise an error for a wrong `--names` or `--mlflow-url`, or an option that has no effect on any of the runs."""
    from unstuck.analysis.history import is_file
    from unstuck.analysis.history.mapping import read_mapping
    from unstuck.analysis.history.tracked import check_url

    if options.names:
        read_mapping(options.names)
    if options.mlflow_url:
        check_url(options.mlflow_url)
    in_files = [is_file(run) for run in runs]
    if options.names and not any(in_files):
        raise AnalysisError(f"--names must go with a run in files, got {runs[0]}, which is none; leave it out")
    if options.mlflow_url and all(in_files):
        raise AnalysisError(f"--mlflow-url must go with a run in MLflow, got the file {runs[0]}; leave it out")


if __name__ == "__main__":
    sys.exit(main())
