"""Environments that show the same side by side: where the rule fires, and where it must not."""

import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import lanes_alike

from tests.analysis_tests.diagnosis.asking import found, kind
from tests.analysis_tests.runs import healthy


@pytest.mark.parametrize(("alike", "expected"), [(0.0, None), (0.89, None), (0.91, Kind.FAULT), (1.0, Kind.FAULT)])
def test_how_many_are_doubles(alike: float, expected: Kind | None) -> None:
    assert kind(lanes_alike.RULE, healthy(**{"train/lanes_alike": alike})) is expected


def test_they_stand_before_what_they_bring_about() -> None:
    run = healthy(**{"train/lanes_alike": 1.0, "f1_train": 0.99, "f1": 0.5})
    finding = found(lanes_alike.RULE, run)
    assert finding.headline == (
        "Environments side by side show the same: 100 % of the lanes show what another one shows at the same step"
    )
    assert finding.ground is Ground.MEASURED
    assert [one.rule.name for one in diagnose(run).select_findings(Kind.FAULT)][:2] == ["lanes_alike", "overfitting"]
