"""Environments: triage of flows, CartPole-v1, or any Gymnasium id whose observations are numbers.

Importing this package registers `unstuck/Triage-v0` with Gymnasium.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
from unstuck.rl.config import TRIAGE, EnvConfig
from unstuck.rl.data.types import FlowData
from unstuck.rl.envs.evaluate import Evaluator, make_evaluator
from unstuck.rl.envs.gym import GymVector, LaneEnv, make_gym_vec, try_lanes
from unstuck.rl.envs.spaces import Actions
from unstuck.rl.envs.triage import TriageVectorEnv
from unstuck.rl.errors import ConfigError
from unstuck.rl.metrics import ACTIONS

__all__ = ["Actions", "Evaluator", "LaneEnv", "action_names", "make_evaluator", "make_vec"]

gymnasium.register(TRIAGE, entry_point="unstuck.rl.envs.triage:TriageEnv")


def make_vec(env: EnvConfig, seeds: Sequence[int], data: FlowData | None) -> LaneEnv:
    """Make a training environment of parallel environments (lanes), one for each random seed.

    `rl.envs.lanes` describes the returned values.

    Args:
        env: The environment.
        seeds: Seeds of the lanes, one each; all lanes of all members of a trial step together.
        data: Triage: the flows; episodes are drawn from the training part, in the order of the flows.

    Raises:
        ConfigError: Triage has no data or too little, or the environment is unknown or not supported.
    """
    if env.id != TRIAGE:
        return make_gym_vec(env.id, len(seeds), env.vectorization)
    if data is None:
        raise ConfigError(f"{TRIAGE} needs flows to draw from, got none; pass data=rl.data.load_flows(...)")
    return TriageVectorEnv(len(seeds), data.train, env, data.order)


def check_env(env: EnvConfig, data: FlowData | None) -> None:
    """Raise an error for an environment that cannot be made, fails at once, or in which no learner can act.

    Args:
        env: The environment.
        data: Flows of triage; None for other environments.

    Raises:
        ConfigError: The environment is refused; the message says why.
    """
    lanes = make_vec(replace(env, vectorization="sync"), [0], data)
    try:
        if isinstance(lanes, GymVector):
            try_lanes(lanes, env.id)
    finally:
        lanes.close()


def list_action_names(env: EnvConfig, space: gymnasium.spaces.Space[Any]) -> tuple[str, ...]:
    """List the names of the actions, e.g. allow, block, quarantine and alert for triage of network flows.

    Other environments: "0", "1" and so on, "0.1" for option 1 of the first of several choices, no names for numbers.
    """
    from unstuck.rl.distributions import distribution_over  # late: it brings torch

    return ACTIONS if env.id == TRIAGE else distribution_over(space).choices
