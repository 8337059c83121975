"""Branch a run: a learner with settings of its own goes on from the training state that another learner saved.

Weights, Adam's moments, normalisers, lanes and random generators go on as saved, so that branches from one checkpoint
meet the same randomness and differ by their settings alone. Named parts of the state can start anew instead. The
iterations of a branch count from the branch; schedules go on where the run was (`rl.budget`).
"""

import os
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from unstuck.rl import checkpoint
from unstuck.rl.checkpoint import Snapshot
from unstuck.rl.config import require
from unstuck.rl.learner import Learner
from unstuck.rl.learner_state import LANE_ARRAY, Arrays


class Part(StrEnum):
    """Parts of a training state, such as the value head, that can be reset when another run starts from the state.

    Attributes:
        POLICY_HEAD: Weights and biases of the policy's outputs.
        VALUE_HEAD: Weights and bias of the critic's output.
        ADAM: Moments and step counts of the optimiser, for all parameters.
        RETURN_NORMALIZER: Mean and spread of the critic's targets.
        OBSERVATION_NORMALIZER: Mean and spread of observations.
    """

    POLICY_HEAD = "policy_head"
    VALUE_HEAD = "value_head"
    ADAM = "adam"
    RETURN_NORMALIZER = "return_normalizer"
    OBSERVATION_NORMALIZER = "observation_normalizer"


_ARRAYS = {
    Part.ADAM: ("adam.exp_avg", "adam.exp_avg_sq", "adam.steps"),
    Part.RETURN_NORMALIZER: ("returns.",),
    Part.OBSERVATION_NORMALIZER: ("observations.",),
}
"""Names of a part's arrays, or how the names begin."""

_ROLLOUT, _FLOOR, _MEASURED_AT = "rollout.", "value_floor.", "value_floor.measured_at"

_FREE = ("members", "ppo.num_envs")
"""Entries of the layout in which a branch may differ: members are counted apart, and lanes can start anew."""


def start_branch(
    path: str | os.PathLike[str], learner: Learner, reset: Collection[Part] = (), fresh: bool = False
) -> None:
    """Load another run's checkpoint file into an untrained learner, which keeps its settings and starts at iteration 0.

    Lanes start anew, from the members' own seeds, where the saved ones do not fit: another number of lanes, episodes of
    another length, or an environment whose lanes cannot be saved. `learner.resumed_exactly` is then False.

    Args:
        path: File that `checkpoint.save` wrote.
        learner: Untrained learner; its budget says which environment steps were done before. With `fresh` there may be
            several times as many members as were saved: all saved ones, then all again, each with seeds of its own.
        reset: Parts that stay as in the untrained learner. Adam's moments of a head go with `Part.ADAM` alone.
        fresh: True to draw actions, order of samples and episodes from the seeds of the learner's own members, instead
            of going on with the saved generators and lanes.

    Raises:
        CheckpointError: The file is not a whole checkpoint, or the learner cannot go on from it. The learner is then
            unchanged.
    """
    path = Path(path)
    snapshot = checkpoint.read_snapshot(path)
    with checkpoint.name_misfit(path, "a checkpoint that the learner can go on from"):
        carry_over(snapshot, learner, reset, fresh)


def carry_over(snapshot: Snapshot, learner: Learner, reset: Collection[Part] = (), fresh: bool = False) -> None:
    """Load a training state into an untrained learner, which keeps its own settings and starts at iteration 0.

    Raises:
        ValueError: The learner cannot go on from the snapshot; the learner is then unchanged.
    """
    saved, header = snapshot
    own, rest = learner.state()
    require(rest["iteration"] == 0, f"a learner that branches must be untrained, got {rest['iteration']} iterations")
    layout = {name: value for name, value in checkpoint.describe_layout(learner).items() if name not in _FREE}
    checkpoint.require_layout(header["layout"], layout)
    copies = _count_copies(int(header["layout"]["members"]), len(learner.members), fresh)
    lanes_go_on = not fresh and _fit_lanes(own, saved)
    anew = tuple(name for part in reset for name in _ARRAYS.get(Part(part), ()))
    anew += () if lanes_go_on else (_ROLLOUT, LANE_ARRAY)
    anew += (_FLOOR,) if _has_other_targets(header["configs"] * copies, learner, reset) else ()
    before = header["learner"]
    arrays = {name: array for name, array in own.items() if name.startswith(anew)}
    for name, array in saved.items():
        if name == _MEASURED_AT and not name.startswith(anew):
            arrays[name] = np.asarray(array - before["iteration"])
        elif not name.startswith(anew):
            arrays[name] = np.concatenate([array] * copies)
    generators = rest if fresh else before
    rest |= {name: generators[name] for name in ("act_generators", "shuffle_generators")}
    rest |= {"last_returns": before["last_returns"] * copies}
    if "progress" in before:
        rest |= {"progress": {name: values * copies for name, values in before["progress"].items()}}
    rest |= {"running_lengths": before["running_lengths"]} if lanes_go_on and "running_lengths" in before else {}
    untrained = [view.clone() for view in _list_heads(learner, reset)]
    learner.load_state(arrays, rest)
    for view, first in zip(_list_heads(learner, reset), untrained, strict=True):
        view.copy_(first)
    learner.resumed_exactly &= lanes_go_on and checkpoint.rounds_as_saved(header, learner)


def _list_heads(learner: Learner, reset: Collection[Part]) -> list[Tensor]:
    """List the weights and biases of the output layers to reset, as views of the learner's parameters."""
    networks = learner.networks
    policy = networks.policy_head() if Part.POLICY_HEAD in reset else []
    return [*policy, *(networks.value_head() if Part.VALUE_HEAD in reset else [])]


def _count_copies(saved: int, own: int, fresh: bool) -> int:
    """Return how many times the saved seeds fit into a learner; raise `ConfigError` if that is not a whole number."""
    require(
        own == saved or (fresh and own % saved == 0),
        f"members must be {saved}{' or a multiple' if fresh else ''}, as many as were saved, got {own}; make as many",
    )
    return own // saved


def _fit_lanes(own: Arrays, saved: Arrays) -> bool:
    """Return True if saved environment states have the shapes of the learner's own, where both are saved."""
    names = [name for name in own.keys() & saved.keys() if name.startswith((LANE_ARRAY, _ROLLOUT))]
    return all(own[name].shape == saved[name].shape for name in names)


def _has_other_targets(configs: Sequence[Mapping[str, Any]], learner: Learner, reset: Collection[Part]) -> bool:
    """Return True if the critic now learns other targets, so that the floor of its loss has to be measured again."""
    own = [(member.config.gamma, member.config.gae_lambda) for member in learner.members]
    saved = [(config["gamma"], config["gae_lambda"]) for config in configs]
    return own != saved or not set(reset) <= {Part.POLICY_HEAD, Part.ADAM}
