"""The first sentence: which state it names, and of which finding."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind, Ranked, Sureness
from unstuck.analysis.history import History, load
from unstuck.analysis.history.record import FINISHED
from unstuck.analysis.report.verdict import lower_first_letter, shorten_headline, state_verdict
from unstuck.rl import metrics

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


def others(returns: Any, dialect: str = "sb3", **parts: Any) -> History:
    """A run of another program, on a task of its own."""
    unnamed = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    run = healthy(seeds=0, f1=None, **{"eval/episode_return": None, "train/episode_return": returns}, **unnamed)
    return replace(run, settings={"env.id": "Own-v1"}, dialect=dialect, **parts)


LOSSES = [name for name in healthy().table if name.startswith("train/") and "return" not in name]


@pytest.mark.parametrize(
    ("run", "beginning"),
    [
        (others(1.0 * TURN), "No fault found: return 99 over the last 3 iterations; still rising."),
        (others(np.where(TURN % 2 == 0, 5.0, -5.0)), "Cannot tell: return "),  # who knows how long it takes
        (others(-1.0 * TURN), "Getting worse, and why is not settled: return -99"),
        (
            others(np.where(TURN <= 3, TURN * 1.0, math.nan)),
            "Cannot tell: return 2 over the last 3 iterations; too few",
        ),
        (
            others(np.where(TURN <= 25, -20.0, -0.76)),
            "Cannot tell solved from stuck: the last 75 returns are the same; return -0.76 over the last 3 iterations; "
            "risen since the start, now level.",
        ),
        (
            others(np.full(LENGTH, 200.0)),  # CartPole at 200 of 200 from the first epoch, of 50,000 steps
            "Cannot tell solved from stuck: all 100 returns are the same; return 200 over the last 3 iterations",
        ),
        (others(np.full(LENGTH, -5.0), has_ended=True), "Stuck, and none of the rules"),  # as bad as can be, perhaps
        (others(None), "Cannot tell whether it learns: no returns were recorded."),
        (
            others(1.0 * TURN, unrecognised=("critic/error", "grad", "a", "b")),
            "Not read: critic/error, grad, a and 1 more, which may matter (say what they are: --names). Learning: ",
        ),
    ],
)
def test_no_all_clear_is_given_without_evidence_of_learning_at_the_end(run: History, beginning: str) -> None:
    text = state_verdict(diagnosed(run=run))
    assert text.startswith(beginning)
    assert ("No fault found" in text) == beginning.startswith("No fault found")


def test_returns_alone_are_no_ground_for_an_all_clear() -> None:
    run = others(1.0 * TURN)
    bare = replace(run, table=run.table.drop(columns=[name for name in LOSSES if name in run.table]))
    text = state_verdict(diagnosed(run=bare))
    assert text.startswith("Learning: return 99")
    assert text.endswith("nothing of the updates is on record, so no rule could look for a fault.")


def test_an_all_clear_says_how_many_rules_could_not_look() -> None:
    text = state_verdict(diagnosed(run=others(1.0 * TURN), blind=("a", "b")))
    assert text.startswith("No fault found (2 rules could not look): ")


def test_a_doubt_is_told_where_a_run_cannot_be_judged() -> None:
    text = state_verdict(diagnosed(SUSPECT, run=others(np.where(TURN % 2 == 0, 5.0, -5.0))))
    assert text.startswith("Cannot tell: return ")
    asked = "; if the run has ended, --set finished=true says so."
    assert text.endswith(f"; a doubt: the return has no trend{asked}")
    goes_on = replace(others(np.where(TURN % 2 == 0, 5.0, -5.0)), settings={"finished": False})
    assert asked not in state_verdict(diagnosed(SUSPECT, run=goes_on))


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


def test_an_all_clear_names_an_entropy_that_was_gone_early() -> None:
    """Entropy starts at ln 4, so four actions are told; what our own rules judge by F1 they judge there."""

    def said(wide: Any) -> str:
        run = others(1.0 * TURN)
        entropy = np.where(wide, math.log(4), 0.08)
        return state_verdict(diagnosed(run=replace(run, table=run.table.assign(**{metrics.ENTROPY: entropy}))))

    assert said(TURN <= 12).endswith(
        "; still rising; entropy mostly below 10 % of its maximum from iteration 13 on: solved, or no longer exploring."
    )
    assert said(TURN <= 60).endswith("; still rising.")
    assert said((TURN <= 12) | (TURN % 2 == 0)).endswith("; still rising.")


@pytest.mark.parametrize(
    ("column", "learner"),
    [("rollout/exploration_rate", "DQN"), ("losses/qf1_loss", "SAC, TD3 or DDPG"), ("train/ent_coef_loss", "SAC")],
)
def test_a_log_of_another_algorithm_is_said_to_be_one(column: str, learner: str) -> None:
    def made(*columns: str, **parts: Any) -> History:
        run = others(1.0 * TURN, left_out=("time/fps", column), **parts)
        return replace(run, table=run.table[[metrics.TRAIN_RETURN, *columns]])

    said = f"{column} is logged by {learner}, not by PPO: only the return is judged. Learning: return 99"
    assert state_verdict(diagnosed(run=made())).startswith(said)
    assert diagnose(made()).questions == {}
    assert "logged by" not in state_verdict(diagnosed(run=made(metrics.APPROX_KL)))


def test_another_algorithm_is_found_among_however_many_columns(tmp_path: Path) -> None:
    others_first = [f"custom/{number:02d}" for number in range(30)]
    columns = ["time/total_timesteps", "rollout/ep_rew_mean", *others_first, "rollout/exploration_rate"]
    rows = [",".join([str(64 * row), str(row), *(["0.5"] * 31)]) for row in range(1, 31)]
    (tmp_path / "progress.csv").write_text("\n".join([",".join(columns), *rows]))
    run = load(str(tmp_path / "progress.csv"))
    assert state_verdict(diagnose(run)).startswith("rollout/exploration_rate is logged by DQN, not by PPO")


def alone(**settings: Any) -> History:
    """An ended run of another program: its returns go nowhere, and nothing else is on record."""
    wanders = np.convolve(np.random.default_rng(1).normal(size=62), np.ones(3) / 3**0.5, "valid")
    table = pd.DataFrame({metrics.TRAIN_RETURN: 5.0 + wanders}, index=np.arange(1, 61))
    return History("bare", "made", table, settings={FINISHED: True, **settings}, dialect="plain")


def test_suspects_of_which_no_number_tells_are_not_said_to_be_why() -> None:
    assert state_verdict(diagnose(alone())).startswith("Stuck, and no number on record says why: return ")
    assert state_verdict(diagnose(alone())).endswith(
        "; usual suspects: steps may be too large, the reward may be met too seldom, inputs may not be scaled."
    )
    hinted = state_verdict(diagnose(alone(**{"ppo.lr": 6e-4})))  # above the usual 3e-4
    assert hinted.startswith("Stuck, and why is not settled: steps may be too large; return ")
