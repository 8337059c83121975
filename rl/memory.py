"""Estimate the memory of a learner from shapes alone, before the learner is made, within a factor of two."""

from itertools import pairwise
from math import prod

from gymnasium.spaces import Box, flatdim
from unstuck.rl.config import PPOConfig
from unstuck.rl.envs import LaneEnv

_FLOAT = 4
_PARAMETER_COPIES = 10
"""Copies of each parameter at the peak of an update: value, gradient, Adam's two moments and intermediate results."""

_FEATURE_COPIES = 3
"""Copies of each observation of a rollout: raw, normalised, and in measurements."""

_SAMPLE_NUMBERS = 50
"""Numbers of a sample beside the observation: actions, rewards, values, advantages, targets, intermediate results."""

_ACTIVATION_COPIES = 2
_JUDGED_NUMBERS = 12
"""Numbers beside each evaluated observation: actions, rewards, confusion counts."""

_PROBED_AT_ONCE, _PROBE_COLUMNS, _PROBE_COPIES = 4, 64, 6
"""Members that `rl.value_probe` measures together, columns that the probe adds to a sample, and copies held of them."""


def learner_bytes(config: PPOConfig, vector: LaneEnv, members: int, evaluated: int) -> int:
    """Estimate the most memory that a learner takes, in bytes, without the Python process and the data.

    Args:
        config: Settings of PPO. Where a device of its own holds the networks, they count nothing.
        vector: Lanes of the environment, for the shapes of what is observed and done.
        members: Number of members, P.
        evaluated: Observations that a member judges at once in an evaluation.
    """
    features = prod(vector.single_observation_space.shape or (1,))
    actions = vector.single_action_space
    outputs = flatdim(actions) * (2 if isinstance(actions, Box) else 1)  # a mean and a spread for each number
    towers = 1 if config.shared_trunk else 2
    sizes = (features, *config.hidden_sizes, outputs)
    parameters = towers * sum(above * below + below for above, below in pairwise(sizes))
    activations = config.minibatch_size * towers * sum(config.hidden_sizes)
    on_device = parameters * _PARAMETER_COPIES + activations * _ACTIVATION_COPIES
    learning = on_device if config.device == "cpu" else 0
    rollout = config.batch_size * (_FEATURE_COPIES * features + 2 * outputs + _SAMPLE_NUMBERS)
    evaluation = evaluated * (features + _JUDGED_NUMBERS)
    probe = min(members, _PROBED_AT_ONCE) * config.batch_size * (features + _PROBE_COLUMNS) * _PROBE_COPIES
    return _FLOAT * (members * (learning + rollout + evaluation) + probe)
