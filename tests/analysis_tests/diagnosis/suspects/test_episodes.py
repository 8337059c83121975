"""Both sides of each bound from which a run's numbers speak for episodes of the wrong length, or against."""

from collections.abc import Callable

import pytest
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects import episodes
from unstuck.analysis.diagnosis.suspects.suspicion import HINTS, SPEAKS, Suspicion

from tests.analysis_tests.diagnosis.suspects.bare import run, weigh


@pytest.mark.parametrize(
    ("suspect", "signals", "factor"),
    [
        (episodes.suspect_short_sight, run(lengths=41.0, settings={"ppo.gamma": 0.95}), HINTS),
        (episodes.suspect_short_sight, run(lengths=39.0, settings={"ppo.gamma": 0.95}), None),
        (episodes.suspect_short_sight, run(lengths=41.0, settings={"ppo.gamma": 0.9}), SPEAKS),
        (episodes.suspect_short_sight, run(lengths=999.0, settings={"ppo.gamma": 0.96}), None),
        (episodes.suspect_early_ends, run(lengths=10.0), HINTS),
        (episodes.suspect_early_ends, run(lengths=11.0), None),
        (episodes.suspect_small_rollouts, run(lengths=300.0, settings={"ppo.num_steps": 128}), SPEAKS),
        (episodes.suspect_small_rollouts, run(lengths=100.0, settings={"ppo.num_steps": 128}), None),
        (episodes.suspect_small_rollouts, run(lengths=3000.0, settings={"ppo.num_steps": 512}), None),
    ],
)
def test_what_speaks_for_the_length_of_episodes(
    suspect: Callable[[Signals], Suspicion | None], signals: Signals, factor: float | None
) -> None:
    assert weigh(suspect(signals)) == factor
