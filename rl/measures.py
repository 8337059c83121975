"""Measure why a run does not learn, where no loss shows the cause.

Gradients by origin, saturated units, inputs, the first probability ratio, the agreement of updates with
advantages, and the difference between observations in evaluation and in training.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from unstuck.rl import metrics
from unstuck.rl.dynamics import SAMPLES, WIDEST, Bounds, Transitions, encode_actions, measure_steps
from unstuck.rl.envs import Actions
from unstuck.rl.envs.evaluate import Act
from unstuck.rl.episodes import (
    MOST_COLUMNS,
    choose_steps,
    mark_start,
    measure_lanes_alike,
    measure_most_usual,
    measure_scale,
    sum_sizes,
)
from unstuck.rl.estimates import (
    FOLLOWED,
    SATURATED,
    Weights,
    compute_correlations,
    compute_plain_losses,
    draw_rows,
    measure_input_scale,
    measure_ratio_deviation,
)
from unstuck.rl.networks import ActorCritic
from unstuck.rl.ppo import Batch, Hyperparameters
from unstuck.rl.progress import Progress
from unstuck.rl.rollout import Rollout

_COMPARED = 256
"""Observations of a member that are looked at, of a rollout and of what an evaluation shows."""


_STARTS = 4
"""Episodes of a member that must have begun before their starts are compared with evaluation's."""

_BY_CHANCE = 0.01
"""Chance that all episodes of an evaluation begin alike, beyond which that they do tells nothing."""


def measure_before_update(networks: ActorCritic, batch: Batch, hyper: Hyperparameters) -> dict[str, Tensor]:
    """Measure networks before an update: gradient norms, saturated hidden units, input scale; as metrics by name.

    Before an update each probability ratio must be 1, so PPO's objective has the plain policy gradient. The plain
    gradient is measured, the entropy bonus included, and the critic's gradient of the value loss times `value_coef`.

    Args:
        networks: Networks that acted.
        batch: `[P, B, ...]`, some samples of the rollout.
        hyper: Per-member settings.

    Returns:
        `metrics.NETWORKS` but for `ADVANTAGE_FOLLOWED`, `OBSERVATION_REPEATS` and `LANES_ALIKE`, each `[P]`.
    """
    *heads, inputs = networks.forward(batch.observations)
    outputs, values = (head.detach().requires_grad_() for head in heads)
    log_probs, entropies = networks.distribution.log_probs(outputs, batch.actions)
    weights = Weights(hyper.entropy_coef[:, 0], hyper.value_coef[:, 0])
    policy = log_probs, entropies
    policy_loss, value_loss = compute_plain_losses(policy, batch.advantages, values, batch.targets, weights)
    of_policy, of_value = torch.autograd.grad((policy_loss + value_loss).sum(), (outputs, values))
    if networks.num_towers == 2:  # neither loss reaches the other's tower: one pass serves both
        gradients = networks.backward(inputs, of_policy, of_value).view(len(values), 2, -1)
        norms = gradients.norm(dim=2).unbind(1)
    else:
        apart = (of_policy, torch.zeros_like(of_value)), (torch.zeros_like(of_policy), of_value)
        norms = tuple(networks.backward(inputs, *of_heads).norm(dim=1) for of_heads in apart)
    with torch.no_grad():
        return {
            metrics.GRAD_NORM_POLICY: norms[0],
            metrics.GRAD_NORM_VALUE: norms[1],
            metrics.RATIO_DEVIATION: measure_ratio_deviation(log_probs - batch.log_probs),
            metrics.SATURATED_SHARE: networks.share_of_units_beyond(SATURATED, inputs),
            metrics.INPUT_RMS_MAX: measure_input_scale(batch.observations),
        }


@torch.no_grad()
def measure_after_update(networks: ActorCritic, batch: Batch, advantages: Tensor) -> dict[str, Tensor]:
    """Measure if the update made good actions more likely: correlation of advantage and change of probability.

    A wrong sign, or advantages that lost their samples by a shuffle, show here.

    Args:
        networks: Networks after the update.
        batch: `[P, B, ...]`, the rollout that the update learned from.
        advantages: `[P, B]`, as computed from the rollout.

    Returns:
        `metrics.ADVANTAGE_FOLLOWED` `[P]`: over some samples the correlation of the advantage with the change of the
        log-probability of the action taken; 0 where either is constant.
    """
    rows = torch.from_numpy(draw_rows(advantages.shape[1], FOLLOWED)).to(advantages.device)
    observations, actions, before, wanted = (
        part.index_select(1, rows) for part in (batch.observations, batch.actions, batch.log_probs, advantages)
    )
    outputs = networks.policy(observations).transpose(1, 2).contiguous()
    moved = networks.distribution.log_probs(outputs, actions)[0] - before
    return {metrics.ADVANTAGE_FOLLOWED: compute_correlations(moved.double(), wanted.double())}


def measure_dynamics(rollout: Rollout, noise: Tensor, bounds: Bounds) -> dict[str, npt.NDArray[np.float64]]:
    """Measure how actions, observations and rewards of a rollout belong together; return metrics by name, `[P]`.

    Lanes of all members are measured together, which costs as much for many members as for one: each metric has one
    value, the same for all members. In an environment with more than `WIDEST` columns nothing is measured.

    Args:
        rollout: The rollout, as the update sees it.
        noise: What the policies drew, see `Distribution.split_noise`, `[P, T, N, K']`.
        bounds: Kind and bounds of the actions.
    """
    members, steps, lanes = rollout.rewards.shape
    if rollout.raw_observations.shape[-1] > WIDEST:
        return {}
    every = members * lanes
    order = np.concatenate([np.arange(0, every, 2), np.arange(1, every, 2)])  # both halves of what differs by lane
    some = order[np.linspace(0, every - 1, min(every, max(1, SAMPLES // steps))).astype(np.int64)]

    def select(tensor: Tensor) -> npt.NDArray[np.float64]:
        """Return the chosen lanes' first steps of a tensor `[P, T, N, ...]` as an array `[T, L, K]`."""
        chosen = tensor[some // lanes, :SAMPLES, some % lanes].double().numpy()
        return np.ascontiguousarray(chosen.reshape(*chosen.shape[:2], -1).transpose(1, 0, 2))

    ends = rollout.terminated | rollout.truncated
    actions = encode_actions(select(rollout.actions), bounds)
    observations, rewards = select(rollout.raw_observations[:, :-1]), select(rollout.rewards)[..., 0]
    found = measure_steps(Transitions(observations, actions, rewards, select(ends)[..., 0] > 0, select(noise)), bounds)
    return {name: np.full(members, value) for name, value in found.items()}


def measure_alike(rollout: Rollout) -> dict[str, npt.NDArray[np.float64]]:
    """Measure if a member's lanes show the same at the same step; return the metric, `[P]`."""
    shown = rollout.raw_observations[:, choose_steps(rollout.rewards.shape[1])].numpy()
    return {metrics.LANES_ALIKE: np.array([measure_lanes_alike(member) for member in shown])}


class ObservationComparer:
    """Evaluation policy that also keeps its first observations, to compare them with training's.

    Only the first: later observations depend on the policy, and on the length of other members' episodes.

    Args:
        act: Greedy policy: actions `[P, B, ...]` for observations float32 `[P, B, F]`.
        rollout: Observations of training, float32 `[P, B, F]`, as the environment gave them.
    """

    def __init__(self, act: Act, rollout: npt.NDArray[np.float32]) -> None:
        self._act, self._rollout = act, rollout
        self._shown: npt.NDArray[np.float32] | None = None

    def __call__(self, observations: npt.NDArray[np.float32]) -> Actions:
        """Return the most probable actions for observations; at the first call, keep a sample of these."""
        if self._shown is None:
            self._shown = observations[:, draw_rows(observations.shape[1], _COMPARED)]
        return self._act(observations)

    def shift(self) -> npt.NDArray[np.float64]:
        """Compute how far evaluation's observations are from training's in mean and spread, for each seed.

        Returns the values of `metrics.OBSERVATION_SHIFT`, `[P]`.
        """
        trained_on = self._rollout[:, draw_rows(self._rollout.shape[1], _COMPARED)]
        shown = trained_on if self._shown is None else self._shown
        (mean, spread), (other_mean, other_spread) = (
            (part.mean(axis=1, dtype=np.float64), part.std(axis=1, dtype=np.float64)) for part in (trained_on, shown)
        )
        varies = spread > 0
        apart = np.hypot(other_mean - mean, other_spread - spread) / np.where(varies, spread, 1.0)
        medians = [np.median(one[kept]) if kept.any() else 0.0 for one, kept in zip(apart, varies, strict=True)]
        return np.array(medians, dtype=np.float64)

    def compare_starts(self, begun: Progress) -> dict[str, npt.NDArray[np.float64]]:
        """Compare first observations of evaluation's and of training's episodes; return metrics by name, `[P]`.

        Empty where fewer than `_STARTS` episodes of a member began. Whether evaluation's begin alike is told where
        training's begin so differently that chance accounts for no such thing.
        """
        if self._shown is None or min(map(len, begun.starts)) < _STARTS or not all(begun.sizes):
            return {}
        marks = [[mark_start(start) for start in shown] for shown in self._shown]
        scales = [
            measure_scale(sum_sizes(shown[:, :MOST_COLUMNS]), np.array(sizes))
            for shown, sizes in zip(self._shown, begun.sizes, strict=True)
        ]
        unseen = [np.isin(own, known, invert=True).mean() for own, known in zip(marks, begun.starts, strict=True)]
        found = {metrics.START_SCALE: np.array(scales), metrics.STARTS_UNSEEN: np.array(unseen)}
        most = max(map(measure_most_usual, begun.starts))
        if most ** (self._shown.shape[1] - 1) <= _BY_CHANCE:
            found[metrics.STARTS_ALIKE] = np.array(list(map(measure_most_usual, marks)))
        return found
