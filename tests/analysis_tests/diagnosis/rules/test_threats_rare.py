"""Rare threats: at each bound, and where they are found all the same."""

from typing import Any

import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import threats_rare
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import found, kind
from tests.analysis_tests.diagnosis.rules.test_labels_differ import trained_on
from tests.analysis_tests.runs import untaught

RULE = threats_rare.RULE


def judged(threats: float, flows: float, **changed: Any) -> History:
    """A run that finds no threat among the flows judged."""
    return untaught(**{"tp": 0.0, "fn": threats, "fp": 0.0, "tn": flows - threats, **changed})


@pytest.mark.parametrize(
    ("threats", "flows", "expected"),
    [(31, 1600, Kind.SUSPECT), (33, 1600, None), (29, 1000, Kind.SUSPECT), (30, 1000, None)],
)
def test_both_bounds(threats: float, flows: float, expected: Kind | None) -> None:
    assert kind(RULE, judged(threats, flows)) is expected


def test_threats_that_are_found_are_no_doubt_and_no_setting_is_offered() -> None:
    assert kind(RULE, judged(16, 1600, f1=0.91)) is None
    finding = found(RULE, judged(16, 1600, f1=0.89))
    assert finding.headline == "Threats are rare: 16 threats among 1,600 flows judged, 1.0 %"
    assert finding.remedies == ()
    assert "always the same action earns" in finding.evidence[1].text


def test_threats_that_training_hardly_shows_stand_before_the_labels() -> None:
    """Judged are 10.9 % threats; the returns of a policy that allows all tell how many are trained on."""
    finding = found(RULE, trained_on(0.01))
    assert finding.kind is Kind.FAULT
    assert finding.headline.startswith("Threats are rare in training: by their returns 1.")
    assert [one.rule.name for one in diagnose(trained_on(0.01)).select_findings(Kind.FAULT)][:2] == [
        "threats_rare",
        "labels_differ",
    ]
    assert kind(RULE, trained_on(0.06)) is None  # more than one in twenty
    assert kind(RULE, trained_on(0.42)) is None
