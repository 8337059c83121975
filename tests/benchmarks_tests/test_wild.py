"""The score on strangers' runs: what passes, what fails, and that no constant answer does."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import RULES
from unstuck.analysis.history import History, load

from benchmarks.wild import (
    CUTS,
    LABELS,
    Answer,
    Score,
    ask_diagnosis,
    cut_history,
    judge_case,
    list_cases,
    main,
    score_cases,
)

RUNS = {  # returns by case, what is true of it, and the labels that count
    "01": ("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", "healthy", []),
    "02": ("5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n", "healthy", []),
    "03": ("-1\n-1\n-1\n-1\n-1\n-1\n-1\n-1\n-1\n-1\n", "fault", ["return_frozen"]),
    "04": ("-2\n-2\n-2\n-2\n-2\n-2\n-2\n-2\n-2\n-2\n", "fault", ["return_frozen", "reward_sparse"]),
    "05": ("3\n1\n2\n3\n1\n2\n3\n1\n2\n3\n", "unscored", []),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (text, _, _) in RUNS.items():
        (tmp_path / "wild" / name).mkdir(parents=True)
        (tmp_path / "wild" / name / "log.csv").write_text(f"return\n{text}")
    cases = {name: {"truth": truth, "accept": accept} for name, (_, truth, accept) in RUNS.items()}
    cases["04"]["scored"] = "log.csv"
    (tmp_path / "wild" / "truth.json").write_text(json.dumps({"labels": {}, "cases": cases}))
    return tmp_path


def scored(folder: Path, answer: Callable[[History], Answer]) -> Score:
    return score_cases([judge_case(case, answer) for case in list_cases(folder)], {})


def right(history: History) -> Answer:
    """A diagnosis that tells the made runs apart."""
    if history.curve("train/episode_return").iloc[0] < 0:
        return Answer("return_frozen", Kind.FAULT, False, "Stuck: the return no longer varies (likely).")
    return Answer(verdict="No fault found: return 10.")


def test_a_diagnosis_that_is_right_passes(folder: Path) -> None:
    result = scored(folder, right)
    assert result == Score({}, (2, 2), (2, 2), (), (0, 18), (), ())
    assert result.youden == 1.0
    assert result.failures() == []


@pytest.mark.parametrize("kind", [Kind.FAULT, Kind.SUSPECT, Kind.LIMIT])
@pytest.mark.parametrize("rule", LABELS)
def test_a_diagnosis_that_says_the_same_of_every_run_fails(folder: Path, rule: str, kind: Kind) -> None:
    result = scored(folder, lambda _: Answer(rule, kind, False, "Stuck."))
    assert result.youden <= 0
    assert any("an answer that is the same for every run does as well" in text for text in result.failures())


def test_an_all_clear_for_every_run_fails(folder: Path) -> None:
    result = scored(folder, lambda _: Answer(verdict="No fault found: return 3."))
    assert result.cleared == ("03", "04")
    assert len(result.failures()) == 2


def test_each_wrong_that_a_diagnosis_can_do_fails_it(folder: Path) -> None:
    def accuse_cuts(history: History) -> Answer:
        short = history.last_iteration < 2
        return replace(right(history), rule="oscillating", kind=Kind.FAULT, sure=True) if short else right(history)

    result = scored(folder, accuse_cuts)
    assert result.cut_accused == (2, 18)
    assert result.sure == ("01 at 10%", "02 at 10%")
    assert result.accused == ()
    assert len(result.failures()) == 2
    assert replace(scored(folder, right), misread={"wild/01": ["rows 3, not 4"]}).failures() == [
        "1 files are read wrongly: wild/01"
    ]


def test_a_healthy_run_is_cut_at_each_tenth(folder: Path) -> None:
    history = load(str(folder / "wild" / "01"))
    assert [cut_history(history, share).last_iteration for share in CUTS] == list(range(1, 10))


def test_what_is_said_first_is_taken_from_the_diagnosis(folder: Path) -> None:
    answer = ask_diagnosis(load(str(folder / "wild" / "01")))
    assert not answer.accuses
    assert answer.verdict


def test_labels_are_given_to_rules_that_there_are() -> None:
    assert {rule for rule in LABELS if rule not in {rule.name for rule in RULES}} <= {"return_frozen"}


def test_without_cases_it_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("skipped: no cases in ")
