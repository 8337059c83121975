"""Evaluations that do not scale observations as training does: a plain fact, and nothing where it is not on record."""

from typing import Any

import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import evaluation_unscaled

from tests.analysis_tests.diagnosis.asking import found, kind
from tests.analysis_tests.diagnosis.probed import RISEN
from tests.analysis_tests.elsewhere import elsewhere

RULE = evaluation_unscaled.RULE
UNSCALED: dict[str, Any] = {"eval.normalize_observations": False, "ppo.normalize_observations": True}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (UNSCALED, Kind.FAULT),
        ({**UNSCALED, "eval.normalize_observations": True}, None),
        ({**UNSCALED, "ppo.normalize_observations": False}, None),
        ({"ppo.normalize_observations": True}, None),  # nothing was evaluated, or nobody looked
    ],
)
def test_its_borders(settings: dict[str, Any], expected: Kind | None) -> None:
    assert kind(RULE, elsewhere(RISEN, settings=settings)) is expected


def test_it_stands_first_and_is_sure_in_a_run_that_learns() -> None:
    run = elsewhere(RISEN, settings=UNSCALED, more={"eval/episode_return": 10.0})
    finding = found(RULE, run)
    assert finding.headline.startswith("Evaluations see other observations than training")
    assert finding.ground is Ground.PROOF
    assert diagnose(run).select_findings(Kind.FAULT)[0].rule is RULE
