"""Score the diagnosis on runs of strangers: what is read, what is said first, and what of healthy runs cut short.

    make bench-wild
    make bench-wild ARGS="--details"          # what was said of each run
    make bench-wild ARGS=FOLDER               # $UNSTUCK_CASES, or ../shared/cases beside the repository

The folder holds `wild/`, a folder for each run and `truth.json` with what is true of each: healthy (no fault may come
first), a fault (the labels of which one must be the first finding's), or unscored. It is no part of the repository;
without it the command says so and ends well. What must be read stands in `benchmarks/wild_expected.py`.

A healthy run is looked at whole and cut at 10, 20 ... 90 % of its iterations. The command fails (exit status 1) if a
file is read wrongly, if a healthy run, whole or cut, is accused for sure, if a fault comes first in more than 5 % of
the cut looks, if a run with a fault gets an all-clear, or if Youden's J is not above 0: the share of faults named
right, plus the share of healthy runs of which nothing wrong is said first, less 1. No answer that is the same for every
run gets above 0.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind, Sureness
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import History, load
from unstuck.analysis.history.record import FINISHED
from unstuck.analysis.report.verdict import state_verdict

from benchmarks.wild_expected import expected

LABELS = {
    **{
        rule: rule
        for rule in (
            *("entropy_collapsed", "policy_frozen", "return_frozen", "reward_misspecified", "updates_too_large"),
            *("reward_scale", "updates_too_small", "value_explosion"),
        )
    },
    "advantage_scale": "reward_scale",
    "doing_nothing_pays": "doing_nothing_pays",
    "kl_outlives_rate": "stale_log_probability",
    "numbers_not_finite": "observations_not_finite",
    "reward_sparse": "reward_sparse",
    "rollout_short": "rollout_too_short",
    "critic_underfits": "critic_explains_nothing",
    "normaliser_cold_start": "reward_scale",
    "policy_starved": "critic_takes_the_gradient",
    "reward_not_found": "reward_sparse",
    "signal_lost": "reward_independent_of_actions",
}
"""Label of `truth.json` by the rule that says it; other rules name no cause of the closed list."""

CUTS = tuple(percent / 100 for percent in range(10, 100, 10))
ACCUSED_AT_MOST = 0.05
"""Share of the looks at healthy runs cut short in which a fault may come first."""

_ALL_CLEAR = "No fault found"
_WRONG = (Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)


@dataclass(frozen=True)
class Answer:
    """Short form of a diagnosis: the rule of the first finding, the finding's kind and certainty, and the verdict.

    Attributes:
        rule: Rule of the first finding; empty if nothing is wrong.
        kind: Kind of the first finding.
        sure: True if the first finding is sure.
        verdict: First sentence of the report.
    """

    rule: str = ""
    kind: Kind = Kind.FINE
    sure: bool = False
    verdict: str = ""

    @property
    def accuses(self) -> bool:
        """True if the first finding is a fault."""
        return self.kind is Kind.FAULT

    @property
    def clears(self) -> bool:
        """True if the verdict on the run is an all-clear."""
        return self.verdict.startswith(_ALL_CLEAR)


Ask = Callable[[History], Answer]


def ask_diagnosis(history: History) -> Answer:
    """Diagnose a run; return the first fault or suspect in short form, with the verdict."""
    diagnosis = diagnose(history)
    verdict = state_verdict(diagnosis)
    first = next((one for one in diagnosis.findings if one.finding.kind in _WRONG), None)
    if first is None:
        return Answer(verdict=verdict)
    return Answer(first.rule.name, first.finding.kind, first.finding.sureness is Sureness.SURE, verdict)


@dataclass(frozen=True)
class Case:
    """A run by other people, with the known truth: healthy, or the names of the fault.

    Attributes:
        name: Number of the run.
        path: File or folder that counts.
        truth: `healthy`, `fault` or `unscored`.
        accept: Labels of which one must be the first finding's.
    """

    name: str
    path: Path
    truth: str
    accept: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """Answers of the diagnosis on one run: on the whole run, and on a healthy run cut short at several shares."""

    case: Case
    whole: Answer
    cut: Mapping[float, Answer]

    @property
    def is_right(self) -> bool:
        """True if the first finding names a faulty run's fault, or is no fault on a healthy run."""
        if self.case.truth == "fault":
            return LABELS.get(self.whole.rule, "") in self.case.accept
        return not self.whole.accuses


def list_cases(folder: Path) -> list[Case]:
    """Return the runs with known truth that `wild/truth.json` lists."""
    truths: Mapping[str, Mapping[str, Any]] = json.loads((folder / "wild" / "truth.json").read_text())["cases"]
    return [
        Case(name, folder / "wild" / name / truth.get("scored", "."), truth["truth"], tuple(truth["accept"]))
        for name, truth in truths.items()
    ]


def cut_history(history: History, share: float) -> History:
    """Return a run's history with only the first `share` of the rows, as of a run that goes on."""
    return say_finished(replace(history, table=history.table.iloc[: math.ceil(share * len(history.table))]), False)


def say_finished(history: History, has_ended: bool) -> History:
    """Return a history with its owner's word on whether the run has ended, as `--set finished=true` gives it."""
    return replace(history, settings={**history.settings, FINISHED: has_ended})


def judge_case(case: Case, ask: Ask = ask_diagnosis) -> Judged:
    """Diagnose a run, and if the run is healthy also shortened copies of the run."""
    history = say_finished(load(str(case.path)), True)
    cuts = CUTS if case.truth == "healthy" else ()
    return Judged(case, ask(history), {share: ask(cut_history(history, share)) for share in cuts})


@dataclass(frozen=True)
class Score:
    """Result of the diagnosis over all runs: counts of right answers, and lists of errors.

    Attributes:
        misread: What was read otherwise than expected, by file; empty where all was right.
        named: Runs with a fault whose first finding has a right label, and all of them.
        quiet: Healthy runs of which nothing wrong is said first, and all of them.
        accused: Healthy runs, whole, with a fault first.
        cut_accused: Looks at healthy runs cut short with a fault first, and all of them.
        sure: Healthy runs, whole or cut, that were accused for sure.
        cleared: Runs with a fault that got an all-clear.
    """

    misread: Mapping[str, Sequence[str]]
    named: tuple[int, int]
    quiet: tuple[int, int]
    accused: tuple[str, ...]
    cut_accused: tuple[int, int]
    sure: tuple[str, ...]
    cleared: tuple[str, ...]

    @property
    def youden(self) -> float:
        """Youden's J: 1 for a diagnosis that is always right, 0 or less for one that says the same of every run."""
        return self.named[0] / max(self.named[1], 1) + self.quiet[0] / max(self.quiet[1], 1) - 1

    def failures(self) -> list[str]:
        """Return the reasons why the diagnosis fails; empty if the diagnosis passes."""
        cut, looks = self.cut_accused
        wrong = [
            (bool(self.misread), f"{len(self.misread)} files are read wrongly: {', '.join(self.misread)}"),
            (bool(self.sure), f"healthy runs are accused for sure: {', '.join(self.sure)}"),
            (cut > ACCUSED_AT_MOST * looks, f"a fault comes first in {cut} of {looks} looks at healthy runs cut short"),
            (bool(self.cleared), f"runs with a fault get an all-clear: {', '.join(self.cleared)}"),
            (
                self.youden <= 0,
                f"Youden's J is {self.youden:.2f}: an answer that is the same for every run does as well",
            ),
        ]
        return [text for is_wrong, text in wrong if is_wrong]


def score_cases(judged: Sequence[Judged], misread: Mapping[str, Sequence[str]]) -> Score:
    """Count the right and wrong answers of the diagnosis over all runs."""
    faults = [one for one in judged if one.case.truth == "fault"]
    healthy = [one for one in judged if one.case.truth == "healthy"]
    cut = [(one, share, answer) for one in healthy for share, answer in one.cut.items()]
    sure = [one.case.name for one in healthy if one.whole.accuses and one.whole.sure]
    sure += [f"{one.case.name} at {share:.0%}" for one, share, answer in cut if answer.accuses and answer.sure]
    return Score(
        misread=misread,
        named=(sum(one.is_right for one in faults), len(faults)),
        quiet=(sum(not one.whole.rule for one in healthy), len(healthy)),
        accused=tuple(one.case.name for one in healthy if one.whole.accuses),
        cut_accused=(sum(answer.accuses for *_, answer in cut), len(cut)),
        sure=tuple(sure),
        cleared=tuple(one.case.name for one in faults if one.whole.clears),
    )


def list_differences(history: History, wanted: Mapping[str, Any]) -> list[str]:
    """Return texts on what was read from a run's files differently from the expected values."""
    found = {"iterations": history.last_iteration, "rows": len(history.table)}
    wrong = [f"{name} {got}, not {wanted[name]}" for name, got in found.items() if got != wanted[name]]
    for metric, summary in wanted.items():
        if not isinstance(summary, dict):
            continue
        curve = history.curve(metric)
        ends = curve.iloc[[0, -1]] if len(curve) else (math.nan, math.nan)
        values = [len(curve), *map(float, ends), float(curve.mean())]
        if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(values, summary.values(), strict=True)):
            wrong.append(f"{metric} {values}, not {list(summary.values())}")
    return wrong


def read_all(folder: Path) -> dict[str, list[str]]:
    """Read all files of the cases; return texts on wrongly read values, by file."""
    wrong: dict[str, list[str]] = {}
    for name, wanted in expected(folder).items():
        try:
            texts = list_differences(load(str(folder / name)), wanted)
        except AnalysisError as error:
            texts = [f"not read: {error}"]
        if texts:
            wrong[name] = texts
    return wrong


def tabulate(judged: Sequence[Judged]) -> Iterator[str]:
    """Yield the lines of a Markdown table with the first finding on each run, whole and cut short."""
    yield "| case | truth | first finding | right | a fault first, cut at |"
    yield "|---|---|---|---|---|"
    for one in judged:
        answer = one.whole
        first = f"{answer.rule} ({answer.kind}{', sure' if answer.sure else ''})" if answer.rule else "nothing wrong"
        truth = " or ".join(one.case.accept) or one.case.truth
        right = "" if one.case.truth == "unscored" else "yes" if one.is_right else "no"
        cuts = ", ".join(f"{share:.0%} {each.rule}" for share, each in one.cut.items() if each.accuses)
        yield f"| {one.case.name} | {truth} | {first} | {right} | {cuts} |"


def state_score(result: Score) -> Iterator[str]:
    """Yield lines of text on the score, and on the reasons if the diagnosis fails."""
    named, quiet, cut = (f"{part} of {whole}" for part, whole in (result.named, result.quiet, result.cut_accused))
    yield f"cause named right first: {named} runs with a known one"
    yield f"healthy runs with a fault first: {len(result.accused)} of {result.quiet[1]}"
    yield f"healthy runs of which nothing wrong is said first: {quiet}"
    yield f"healthy runs cut short with a fault first: {cut} looks"
    yield f"Youden's J: {result.youden:.2f}"
    yield from (f"fails: {text}" for text in result.failures())


def main(arguments: list[str] | None = None) -> int:
    """Print the score of the diagnosis; return 0 if the diagnosis passes or no runs are found, else 1."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "cases"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(os.environ.get("UNSTUCK_CASES", beside)))
    parser.add_argument("--details", action="store_true", help="print the verdict on each run")
    options = parser.parse_args(arguments)
    if not (options.folder / "wild" / "truth.json").is_file():
        print(f"skipped: no cases in {options.folder}; set UNSTUCK_CASES")
        return 0
    misread = read_all(options.folder)
    judged = [judge_case(case) for case in list_cases(options.folder)]
    print("\n".join(tabulate(judged)), end="\n\n")
    if options.details:
        print("\n".join(f"{one.case.name}: {one.whole.verdict}" for one in judged), end="\n\n")
    result = score_cases(judged, misread)
    print("\n".join(state_score(result)))
    return 1 if result.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
