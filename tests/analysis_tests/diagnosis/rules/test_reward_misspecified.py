"""Reward and F1 disagree: by the table itself, or by a return that is nearly the best there is."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import reward_misspecified
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, found, kind
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = reward_misspecified.RULE
GROWING = np.linspace(0, 1, LENGTH)
ALLOWED = {"env.reward_threat": (1.0, 0.0, 0.0, 0.0)}
"""Allowing a threat pays, as allowing a benign flow does."""

CAUTIOUS = {"env.reward_benign": (1, -20, -20, -20), "env.reward_threat": (-0.5, 0.5, 0, 0)}
"""Blocking pays from a certainty of 21 / 22 on: 21 are lost where it is wrong, and 1 is won."""


def certain(loss: float) -> dict[str, Any]:
    """A table under which blocking must be sure by loss / (loss + 1)."""
    return {"env.reward_benign": (0.0, -loss, -loss, -loss), "env.reward_threat": (-1.0, 0.0, -0.5, -0.5)}


def earning(gone: float, **changed: Any) -> History:
    """A run of F1 0 whose greedy return has gone so far from drawing evenly to a perfect policy, and rises.

    With 174 threats of 1,600 flows a uniform policy earns -1.758 a flow, and a perfect one 1.315625.
    """
    returns = 1000 * (-1.758 + gone * (1.315625 + 1.758))
    return untaught(**{"eval/episode_return": returns, "train/episode_return": -1750 + 2500 * GROWING, **changed})


def test_a_table_that_pays_for_threats_let_through_is_a_sure_fault() -> None:
    finding = found(RULE, untaught(settings=ALLOWED))
    table = "the reward table pays most for allow on threats as on benign flows"
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 80)
    assert finding.headline == f"The reward pays for something else than F1: {table}"
    assert facts(finding) == [
        "F1 0, of policies that have learned nothing 0.197 at best",
        "greedy return -650",
        table,
    ]
    assert finding.why == "by the table itself; the run has nothing to show for it"
    misses = cause(finding, "a reward table under which")
    assert (misses.support, misses.why) == (Support.SUPPORTED, table)
    assert cause(finding, "rewards of other steps").support is Support.OPEN
    (change,) = changes(finding)
    assert set(change) == {"env.reward_threat", "env.reward_benign"}


def test_one_that_asks_for_certainty_is_a_fault_where_threats_are_missed_for_it() -> None:
    finding = found(RULE, healthy(recall=0.5, precision=0.9, settings=CAUTIOUS))
    assert facts(finding)[2:] == [
        "recall 0.5, precision 0.9: few false alarms, many missed threats",
        "under the table block pays only from 95 % certainty on",  # 21 / 22
    ]
    assert finding.kind is Kind.FAULT


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (healthy(recall=0.79, precision=0.9, settings=CAUTIOUS), Kind.FAULT),
        (healthy(recall=0.81, precision=0.9, settings=CAUTIOUS), None),
        (healthy(recall=0.5, precision=0.9, settings=certain(9.1)), Kind.FAULT),  # 9.1 / 10.1
        (healthy(recall=0.5, precision=0.9, settings=certain(8.9)), Kind.FINE),  # 8.9 / 9.9
        (healthy(recall=None, settings=CAUTIOUS), None),
        (untaught(settings=CAUTIOUS), Kind.FAULT),  # F1 is poor already
        (untaught(f1=0.206, settings=ALLOWED), Kind.FAULT),
        (untaught(f1=0.208, settings=ALLOWED), None),
        (untaught(), None),
        (healthy(), Kind.FINE),
        (earning(0.91), Kind.FAULT),
        (earning(0.89), None),
        (earning(0.91, f1=0.5), Kind.FINE),
        (earning(0.91, **{"train/episode_return": -1750.0}), None),  # good from the start: nothing was learned
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_a_return_that_is_nearly_the_best_with_a_poor_f1_is_likely_one() -> None:
    finding = found(RULE, earning(0.95))
    assert finding.sureness is Sureness.LIKELY
    assert finding.why.startswith("the return is nearly the best there is; ")
    assert facts(finding)[-1] == "a perfect policy earns 1.32 a flow, drawing evenly -1.76"
    misses = cause(finding, "a reward table under which")
    assert (misses.support, misses.why) == (Support.OPEN, "")


def test_a_table_that_agrees_is_said_to() -> None:
    """Blocking a benign flow loses 5.5, allowing a threat 18: it pays from 5.5 / 23.5 on."""
    assert found(RULE, healthy()).headline == "the reward agrees with F1: block pays where a threat is 23 % likely"


def test_without_f1_or_returns_the_rule_is_blind_and_without_the_table_it_says_nothing() -> None:
    assert blind(RULE, healthy(f1=None)) == ((metrics.F1,),)
    nothing = {"train/episode_return": None, "eval/episode_return": None}
    assert blind(RULE, healthy(**nothing)) == ((metrics.EVAL_RETURN, metrics.TRAIN_RETURN),)
    assert ask(RULE, healthy(settings={"env.reward_benign": None})) is None
    assert ask(RULE, untaught(settings={"env.reward_benign": None})) is None
    assert len(facts(found(RULE, untaught(settings=ALLOWED, **{"eval/episode_return": None})))) == 2
    untold = {"f1_flag_all": None, "tp": None}
    assert ask(RULE, untaught(settings=ALLOWED, **untold)) is None  # what trivial policies reach is not known
