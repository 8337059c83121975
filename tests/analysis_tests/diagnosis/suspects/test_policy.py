"""Both sides of each bound from which a run's numbers speak for a bonus, a collapse or raw inputs, or against."""

from collections.abc import Callable

import numpy as np
import pytest
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects import policy
from unstuck.analysis.diagnosis.suspects.policy import WIDENS
from unstuck.analysis.diagnosis.suspects.suspicion import HINTS, OPEN, SPEAKS, Suspicion

from tests.analysis_tests.diagnosis.suspects.bare import NOISE, TURN, run, weigh


@pytest.mark.parametrize(
    ("suspect", "signals", "factor"),
    [
        (policy.suspect_bonus, run(), None),
        (policy.suspect_bonus, run(settings={"ppo.entropy_coef": 0.04}), None),
        (policy.suspect_bonus, run(settings={"ppo.entropy_coef": 0.05}), SPEAKS),
        (policy.suspect_bonus, run(entropy=1.42 + 0.01 * TURN), WIDENS),
        (policy.suspect_bonus, run(entropy=1.42 + 0.0008 * TURN), None),  # by 0.04
        (policy.suspect_bonus, run(entropy=1.42 + 0.01 * TURN, settings={"ppo.entropy_coef": 0.0}), None),
        (policy.suspect_bonus, run(std=1.0 + 0.01 * TURN, entropy=1.0), WIDENS),
        (policy.suspect_bonus, run(entropy=1.42 - 0.01 * TURN, settings={"ppo.entropy_coef": 0.1}), None),
        (policy.suspect_bonus, run(entropy=1.42, settings={"ppo.entropy_coef": 0.1}), HINTS),
        (policy.suspect_collapse, run(), OPEN),
        (policy.suspect_collapse, run(5.0 - TURN + NOISE), SPEAKS),
        (policy.suspect_collapse, run(entropy=0.5), None),
        (policy.suspect_collapse, run(entropy=np.where(TURN < 4, 1.09, 0.39)), None),  # of ln 3
        (policy.suspect_collapse, run(entropy=np.where(TURN < 4, 1.09, 0.37)), HINTS),
        (policy.suspect_collapse, run(entropy=np.where(TURN < 4, 8.5, 7.6)), None),  # of numbers
        (policy.suspect_collapse, run(entropy=np.where(TURN < 4, 8.5, 7.4)), HINTS),
        (policy.suspect_raw_inputs, run(), OPEN),
        (policy.suspect_raw_inputs, run(settings={"ppo.normalize_observations": False}), HINTS),
        (policy.suspect_raw_inputs, run(settings={"ppo.normalize_observations": True}), None),
        (policy.suspect_raw_inputs, run(input_rms_max=1.0), None),
    ],
)
def test_what_speaks_for_the_policy(
    suspect: Callable[[Signals], Suspicion | None], signals: Signals, factor: float | None
) -> None:
    assert weigh(suspect(signals)) == factor
