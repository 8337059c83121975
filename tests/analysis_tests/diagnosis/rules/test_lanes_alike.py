"""Environments that show the same side by side: where the rule fires, and where it must not."""

import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import lanes_alike

from tests.analysis_tests.diagnosis.asking import found, kind
from tests.analysis_tests.diagnosis.probed import HEALTHY, RISEN, probed


@pytest.mark.parametrize(("alike", "expected"), [(0.0, None), (0.89, None), (0.91, Kind.FAULT), (1.0, Kind.FAULT)])
def test_how_many_are_doubles(alike: float, expected: Kind | None) -> None:
    assert kind(lanes_alike.RULE, probed(RISEN, **{**HEALTHY, "lanes_alike": alike})) is expected


def test_it_stands_before_what_it_brings_about() -> None:
    finding = found(lanes_alike.RULE, probed(RISEN, **{**HEALTHY, "lanes_alike": 1.0}))
    assert finding.headline == (
        "Environments side by side show the same: 100 % of the lanes show what another one shows at the same step"
    )
    assert finding.ground is Ground.MEASURED
    assert {"overfitting", "greedy_vs_sampled"} <= set(lanes_alike.RULE.explains)
    assert kind(lanes_alike.RULE, probed(RISEN, **HEALTHY)) is None
