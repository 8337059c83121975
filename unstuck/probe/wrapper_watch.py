"""Watch the first steps of a training's environments, and measure what their wrappers change."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium

from unstuck.probe.lane_tap import STEPS, stack_steps, tap_lane, unstack_steps
from unstuck.probe.wrappers import FEWEST, measure_wrappers

LANES = 8
"""Most environments that are watched."""


class WrapperWatch:
    """Taps of a training's environments, for as many steps as tell.

    Args:
        envs: The environments; those of another kind than Gymnasium's are left alone.
    """

    def __init__(self, envs: Sequence[Any]) -> None:
        own = {id(env): env for env in envs if isinstance(env, gymnasium.Env)}
        self._taps = [tap for env in [*own.values()][:LANES] if (tap := tap_lane(env)) is not None]
        self._measured = 0

    def measure(self) -> dict[str, float]:
        """Return the metrics of all steps so far; empty unless twice as many steps as at the last time are there."""
        count = sum(len(tap.steps) for tap in self._taps)
        if count < FEWEST or count < min(2 * self._measured, STEPS):
            return {}
        self._measured = count
        found = measure_wrappers(self._taps)
        if count >= STEPS:
            self.stop()
        return found

    def capture_state(self) -> dict[str, Any]:
        """Return all that was recorded so far as numbers and arrays, for a checkpoint; see `restore_state`."""
        return {"measured": self._measured, "steps": [stack_steps(tap.steps) for tap in self._taps]}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `capture_state` returned; stop if the environments were no longer watched by then."""
        self._measured = int(state["measured"])
        if len(state["steps"]) != len(self._taps):
            self.stop()
        for tap, stacked in zip(self._taps, state["steps"], strict=False):
            tap.steps = unstack_steps(stacked)

    def stop(self) -> None:
        """Restore all environments, and forget what was recorded."""
        for tap in self._taps:
            tap.stop()
        self._taps = []
