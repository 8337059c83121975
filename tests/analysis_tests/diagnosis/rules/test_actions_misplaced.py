"""Actions that are stored with other steps: where the rule fires, and where it must not."""

from dataclasses import replace

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import actions_misplaced

from tests.analysis_tests.diagnosis.asking import found, kind
from tests.analysis_tests.diagnosis.probed import HEALTHY, RISEN, probed


@pytest.mark.parametrize(
    ("early", "expected"), [(0.0, None), (0.01, None), (0.039, None), (0.041, Kind.FAULT), (0.74, Kind.FAULT)]
)
def test_noise_that_acts_before_it_is_drawn(early: float, expected: Kind | None) -> None:
    run = probed(RISEN, **{**HEALTHY, "action_shown_early": early})
    assert kind(actions_misplaced.RULE, run) is expected


@pytest.mark.parametrize(("second", "expected"), [(0.0, None), (0.039, None), (0.041, Kind.FAULT)])
def test_one_look_is_chance_where_a_policy_has_almost_decided(second: float, expected: Kind | None) -> None:
    run = probed(RISEN, **{**HEALTHY, "action_shown_early": 0.0})
    looks = np.full(len(run.table), np.nan)
    looks[[4, 16, 64]] = 0.5, second, 0.0
    run = replace(run, table=run.table.assign(**{"train/action_shown_early": looks}))
    assert kind(actions_misplaced.RULE, run) is expected


def test_it_is_a_bug_whatever_the_run_learns_and_no_setting_cures_it() -> None:
    finding = found(actions_misplaced.RULE, probed(RISEN, **{**HEALTHY, "action_shown_early": 0.74}))
    assert "the action stored with the next step explains 74 % of what a step brings" in finding.headline
    assert (finding.ground, finding.remedies) == (Ground.MEASURED, ())
    assert kind(actions_misplaced.RULE, probed(RISEN, **HEALTHY)) is None  # a probe does not measure it
