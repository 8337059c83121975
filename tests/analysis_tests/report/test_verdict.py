"""The first sentence: which state it names, and of which finding."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Ranked, Sureness
from unstuck.analysis.history import History
from unstuck.analysis.report.verdict import lower_first_letter, shorten_headline, state_verdict

from tests.analysis_tests.report.made import diagnosed, ranked
from tests.analysis_tests.runs import LENGTH, healthy, untaught

TURN = np.arange(1, LENGTH + 1)
FAULT = ranked(Kind.FAULT, "Updates are too large: KL 0.2", sureness=Sureness.SURE)
SUSPECT = ranked(Kind.SUSPECT, "The return has no trend: -1 to 1")
NOTHING: dict[str, Any] = {"f1": None, "eval/episode_return": None, "train/episode_return": None}
FALLING = healthy(f1=np.where(TURN <= 20, 0.3, np.where(TURN <= 70, 0.9, 0.6)), **{"train/episode_return": None})


@pytest.mark.parametrize(
    ("findings", "run", "beginning"),
    [
        ((FAULT,), untaught(), "Stuck: updates are too large (sure); F1 0 over "),
        ((FAULT,), healthy(), "Held back: updates are too large (sure); F1 0.89"),
        ((FAULT,), FALLING, "Getting worse: updates are too large (sure); F1 0.600 ± 0.005 over "),
        ((SUSPECT, FAULT), healthy(), "Held back: updates are too large (sure); "),
        ((SUSPECT,), untaught(), "Stuck, and why is not settled: the return has no trend; F1 0 over "),
        ((SUSPECT,), healthy(), "Learning, with a doubt: the return has no trend; F1 0.89"),
        ((ranked(Kind.LIMIT),), untaught(), "Stuck, and none of the rules that could look says why; F1 0 over "),
        ((ranked(Kind.FINE),), healthy(), "No fault found: F1 0.89"),
        ((), healthy(), "No fault found: F1 0.89"),
        ((), healthy(**NOTHING), "Cannot tell whether it learns: no returns were recorded."),
        (
            (SUSPECT,),
            healthy(**NOTHING),
            "Cannot tell whether it learns: no returns were recorded; a doubt: the return has ",
        ),
        (
            (FAULT,),
            healthy(**NOTHING),
            "Fault found: updates are too large (sure); no returns were recorded.",
        ),
    ],
)
def test_the_state_of_a_run_in_one_sentence(findings: tuple[Ranked, ...], run: History, beginning: str) -> None:
    text = state_verdict(diagnosed(*findings, run=run))
    assert text.startswith(beginning)
    assert text.endswith(".")


def test_the_first_fault_is_named() -> None:
    other = ranked(Kind.FAULT, "Inputs are not scaled: 90 %", sureness=Sureness.POSSIBLE)
    assert state_verdict(diagnosed(other, FAULT)).startswith("Held back: inputs are not scaled (possible); ")


@pytest.mark.parametrize(
    ("text", "within"),
    [("Updates are", "updates are"), ("F1 is", "F1 is"), ("KL is", "KL is"), ("A bug", "a bug"), ("a", "a"), ("", "")],
)
def test_names_keep_their_capitals(text: str, within: str) -> None:
    assert lower_first_letter(text) == within


def test_a_claim_is_what_stands_before_its_numbers() -> None:
    assert shorten_headline(FAULT) == "Updates are too large"
    assert shorten_headline(ranked(Kind.FAULT, "No numbers")) == "No numbers"
