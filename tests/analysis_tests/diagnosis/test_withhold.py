"""No setting is named where no setting can help: beside a fault that none mends, and for what follows from it."""

from typing import Any

import pytest
from unstuck.analysis.diagnosis.finding import Cause, Finding, Kind, Ranked, Remedy, Rule, Stage, Sureness
from unstuck.analysis.diagnosis.withhold import is_unmended, withhold_remedies

RATE = {"ppo.lr": 1e-3}


def one(
    name: str,
    kind: Kind,
    stage: Stage = Stage.STEP,
    change: dict[str, Any] | None = None,
    follows_from: tuple[str, ...] = (),
    curable: bool = True,
) -> Ranked:
    """Return a finding with at most one remedy, and with a cause that may be tried out."""
    rule = Rule(name, name, stage, (), "nowhere", lambda run: None, curable=curable)
    blamed = Cause("lr too low", "branch", change={"ppo.lr": 3e-3})
    remedies = (Remedy(change, "why", "watch"),) if change else ()
    return Ranked(
        rule,
        Finding("headline", kind, Sureness.SURE, "seen", remedies=remedies, unsupported=(blamed,)),
        follows_from,
    )


def offered(*findings: Ranked) -> list[str]:
    return [found.rule.name for found in withhold_remedies(findings) if found.finding.remedies]


BUG = one("bug", Kind.FAULT, Stage.BUG)
DATA = one("data", Kind.FAULT, Stage.CEILING, curable=False)
BEHAVIOUR = one("behaviour", Kind.FAULT, Stage.BEHAVIOUR)
SUSPECT = one("suspect", Kind.SUSPECT, change=RATE)
LIMIT = one("limit", Kind.LIMIT, Stage.CEILING, RATE)


def test_what_follows_from_a_fault_that_no_setting_mends_offers_none() -> None:
    low = one("low", Kind.FAULT, change=RATE, follows_from=("bug",))
    kept = withhold_remedies([BUG, low])[1].finding
    assert kept.remedies == ()
    assert kept.unsupported[0].change == {}
    assert kept.why == "seen; no setting cures what it follows from"
    mended = one("bug", Kind.FAULT, Stage.BUG, RATE)
    assert offered(mended, low) == ["bug", "low"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (BUG, []),
        (DATA, []),
        (BEHAVIOUR, ["suspect"]),
        (one("step", Kind.FAULT, change=RATE), ["step", "suspect", "limit"]),
    ],
)
def test_suspects_offer_none_beside_a_bug_and_limits_none_beside_any_unmended_fault(
    fault: Ranked, expected: list[str]
) -> None:
    assert offered(fault, SUSPECT, LIMIT) == expected


def test_another_fault_keeps_its_remedy_and_what_is_blamed_can_be_tried_out() -> None:
    assert offered(BUG, one("other", Kind.FAULT, change=RATE)) == ["other"]
    assert withhold_remedies([BUG, LIMIT])[1].finding.unsupported[0].change == {"ppo.lr": 3e-3}
    assert offered(SUSPECT, LIMIT) == ["suspect", "limit"]


def test_a_consequence_without_a_remedy_is_no_fault_that_none_mends() -> None:
    assert is_unmended(BUG)
    assert is_unmended(one("data", Kind.FAULT, change={"env.reward_threat": 1}, curable=False))
    assert not is_unmended(one("low", Kind.FAULT, follows_from=("large",)))
    assert not is_unmended(one("doubt", Kind.SUSPECT, curable=False))
