"""Three faults that together give the stuck run's picture; none of them is a setting, and no record shows any.

Each is planted into a learner, as the faults of `benchmarks.diagnosis` are.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from unstuck.rl.envs import Actions
from unstuck.rl.envs.triage import TriageVectorEnv
from unstuck.rl.learner import Learner, Metrics


@dataclass(frozen=True)
class RewardOfNextFlow:
    """Fault: an action is paid by the label of the flow after the one that the policy saw."""

    def __call__(self, learner: Learner) -> Learner:
        """Shift the rewards of all lanes by one flow; return the learner.

        Raises:
            TypeError: The environment is not the triage of flows, whose episodes hold one flow more than is judged.
        """
        lanes = learner.env
        if not isinstance(lanes, TriageVectorEnv):
            raise TypeError(f"the reward of the next flow needs the triage of flows, got {type(lanes).__name__}")
        pay_for_shown, clock = lanes._advance, lanes._elapsed

        def pay_for_next(actions: Actions) -> Any:
            np.add(clock, 1, out=clock)
            try:
                return pay_for_shown(actions)
            finally:
                np.subtract(clock, 1, out=clock)

        lanes._advance = pay_for_next  # type: ignore[method-assign]
        return learner


@dataclass(frozen=True)
class BonusTooStrong:
    """Fault: the loss weighs the entropy bonus `times` as much as the coefficient says, as where a mean is a sum."""

    times: float

    def __call__(self, learner: Learner) -> Learner:
        """Make the learner's iterations use `times` the coefficient; return the learner.

        Whoever reads the settings in force, between iterations, reads the coefficient as it was set.
        """
        original = learner.iterate

        def iterate() -> Metrics:
            stated = learner.hyper
            learner.hyper = replace(stated, entropy_coef=self.times * stated.entropy_coef)
            try:
                return original()
            finally:
                learner.hyper = stated

        learner.iterate = iterate  # type: ignore[method-assign]
        return learner


@dataclass(frozen=True)
class GreedySeesNoNumbers:
    """Fault: the greedy policy's inputs are scaled by a normaliser that was never fed, so divided by a spread of 0.

    Infinite inputs of both signs add up to no number in each unit, so every flow looks the same. The largest of four
    logits that are no numbers is the first, by `argmax` in torch and in numpy: allow.
    """

    def __call__(self, learner: Learner) -> Learner:
        """Divide the observations of the greedy policy by 0; return the learner."""
        original = learner.greedy_actions

        def greedy_actions(observations: npt.NDArray[np.float32]) -> Actions:
            return original(divide_by_nothing(observations))

        learner.greedy_actions = greedy_actions  # type: ignore[method-assign]
        return learner


def divide_by_nothing(observations: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Normalise observations by mean 0 and spread 0, silently: infinite, and not a number where 0 is divided."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(observations / np.float32(0.0))


FAULTS: dict[str, Callable[[Learner], Learner]] = {
    "reward": RewardOfNextFlow(),
    "bonus": BonusTooStrong(20.0),
    "evaluation": GreedySeesNoNumbers(),
}


@contextmanager
def planted(names: Sequence[str], watch: Callable[[Learner, Metrics], None] | None = None) -> Iterator[None]:
    """Plant faults, by name, into every learner that is made inside the `with` block, by whomever.

    Args:
        names: Some of `FAULTS`.
        watch: Called after each iteration of each such learner, with the learner and the metrics, a value a member.
    """

    def make(*given: Any, **named: Any) -> Learner:
        learner = Learner(*given, **named)
        for name in names:
            learner = FAULTS[name](learner)
        return _watched(learner, watch) if watch else learner

    with patch("unstuck.rl.make_learner.Learner", make):
        yield


def _watched(learner: Learner, watch: Callable[[Learner, Metrics], None]) -> Learner:
    """Make a learner call a function after each iteration; return the learner."""
    original = learner.iterate

    def iterate() -> Metrics:
        measured = original()
        watch(learner, measured)
        return measured

    learner.iterate = iterate  # type: ignore[method-assign]
    return learner
