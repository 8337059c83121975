"""Measure an agent and its critic from a rollout, as our learner measures itself, and leave both as they were."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from unstuck.probe.arrays import Observations, Rollout, select_rows
from unstuck.rl import metrics
from unstuck.rl.episodes import choose_steps, measure_lanes_alike
from unstuck.rl.estimates import (
    COUNTED,
    FOLLOWED,
    SATURATED,
    Weights,
    compute_correlations,
    compute_explained_variance,
    compute_plain_losses,
    describe_rollout,
    draw_rows,
    measure_input_scale,
    measure_ratio_deviation,
    measure_repeats,
)
from unstuck.rl.value_probe import ValueFloor

Array = npt.NDArray[np.float64]

Evaluate = Callable[[Any, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Function of observations and actions of n samples: log-probabilities, entropies and values, n numbers each."""

WIDEST = 1_024
"""Most columns of an observation for which the value floor is measured: the regression's cost grows with the cube."""


@lru_cache
def _find_pools() -> ThreadpoolController:
    return ThreadpoolController()


def use_one_thread() -> AbstractContextManager[Any]:
    """Make numpy multiply matrices in one thread inside the block, which is cheaper for small ones."""
    limit: AbstractContextManager[Any] = _find_pools().limit(limits=1, user_api="blas")
    return limit


class Shared(NamedTuple):
    """Answer to whether policy and critic share parameters, with the metrics that show the answer."""

    is_shared: bool
    measured: dict[str, float]


@dataclass(frozen=True)
class Agent:
    """Agent to measure: its networks, and the function that evaluates actions.

    Attributes:
        modules: The networks.
        evaluate: What the agent says of given actions.
    """

    modules: nn.Module
    evaluate: Evaluate

    def measure_before_update(self, rollout: Rollout, size: int, weights: Weights | None) -> Shared | None:
        """Measure gradients of each loss, ratios, units and inputs on a rollout's first samples, before the update.

        Args:
            rollout: The rollout.
            size: Number of samples, those of a minibatch.
            weights: Coefficients of entropy and value loss in the agent's loss; None: gradients are not measured.

        Returns:
            The metrics; None where observations or actions were not handed over.
        """
        if rollout.observations is None or rollout.actions is None:
            return None
        rows = torch.arange(min(size, rollout.samples), device="cpu")
        with leave_as_is(self.modules), torch.enable_grad(), _Units(self.modules) as units:
            spoken = self._evaluate(rollout, rows)
            found = units.measure(select_rows(rollout.observations, rows))
            if rollout.log_probs is not None:
                log_ratio = spoken[0].detach() - rollout.log_probs.flatten()[rows].to(spoken[0])
                found[metrics.RATIO_DEVIATION] = measure_ratio_deviation(log_ratio[None]).item()
            if weights is None or rollout.advantages is None or rollout.returns is None:
                return Shared(False, found)
            log_probs, entropies, values = (part[None] for part in spoken)
            wanted = (part.flatten()[rows][None].to(log_probs) for part in (rollout.advantages, rollout.returns))
            advantages, targets = wanted
            there = Weights(*(weight.to(log_probs) for weight in weights))
            losses = compute_plain_losses((log_probs, entropies), advantages, values, targets, there)
            parameters = [one for one in self.modules.parameters() if one.requires_grad]
            of_policy, of_value = (_compute_gradients(loss.sum(), parameters) for loss in losses)
        both = [one is not None and other is not None for one, other in zip(of_policy, of_value, strict=True)]
        norms = {metrics.GRAD_NORM_POLICY: compute_norm(of_policy), metrics.GRAD_NORM_VALUE: compute_norm(of_value)}
        return Shared(any(both), found | norms)

    def measure_after_update(self, rollout: Rollout) -> dict[str, float]:
        """Measure if the update made actions with positive advantage more likely; empty if arrays are missing."""
        if rollout.observations is None or rollout.actions is None:
            return {}
        if rollout.log_probs is None or rollout.advantages is None:
            return {}
        rows = torch.from_numpy(draw_rows(rollout.samples, FOLLOWED))
        with leave_as_is(self.modules), torch.no_grad():
            now = self._evaluate(rollout, rows)[0]
        moved = now.double() - rollout.log_probs.flatten()[rows].to(now).double()
        wanted = rollout.advantages.flatten()[rows].to(now).double()
        return {metrics.ADVANTAGE_FOLLOWED: compute_correlations(moved[None], wanted[None]).item()}

    def _evaluate(self, rollout: Rollout, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if rollout.observations is None or rollout.actions is None:
            raise ValueError("obs and actions must be handed over to evaluate the agent, got none")
        spoken = self.evaluate(select_rows(rollout.observations, rows), rollout.actions[rows])
        if not isinstance(spoken, tuple) or len(spoken) != 3:
            raise ValueError(
                "evaluate must return three tensors: log-probabilities, entropies and values of the actions given, got "
                f"{len(spoken)} results"
                if isinstance(spoken, tuple)
                else f"evaluate must return a tuple, got {spoken}"
            )
        log_probs, entropies, values = spoken
        for name, part in zip(("log-probabilities", "values"), (log_probs, values), strict=True):
            if part.numel() != len(rows):
                raise ValueError(
                    f"evaluate must return one number a sample as {name}, {len(rows)} in all, got {list(part.shape)}"
                )
        return log_probs.reshape(-1), entropies.reshape(-1), values.reshape(-1)


def measure_rollout(rollout: Rollout) -> dict[str, float]:
    """Measure returns, advantages and explained variance of a rollout, without its networks; return metrics by name."""
    found: dict[str, Tensor] = {}
    if rollout.returns is None:
        return {}
    returns = rollout.returns.reshape(1, -1)
    if rollout.advantages is not None:
        found |= describe_rollout(rollout.advantages.reshape(1, -1), returns)
    if rollout.values is not None:
        found[metrics.EXPLAINED_VARIANCE] = compute_explained_variance(rollout.values.reshape(1, -1), returns)
    return {name: value.item() for name, value in found.items()}


def measure_observations(rollout: Rollout) -> dict[str, float]:
    """Measure which share of the observations repeats, and if lanes show the same; empty without observations."""
    flat = rollout.unscaled.flat_observations(torch.from_numpy(draw_rows(rollout.samples, COUNTED)))
    if flat is None:
        return {}
    found = {metrics.OBSERVATION_REPEATS: float(measure_repeats(flat.cpu().numpy()[None])[0])}
    rows = torch.from_numpy(choose_steps(rollout.steps)[:, None] * rollout.lanes + np.arange(rollout.lanes))
    shown = rollout.unscaled.flat_observations(rows.flatten())
    if shown is not None:
        found[metrics.LANES_ALIKE] = measure_lanes_alike(shown.cpu().numpy().reshape(*rows.shape, -1))
    return found


def read_shape(modules: nn.Module) -> tuple[int, ...]:
    """Return the sizes of the hidden layers in the first chain of layers in an agent; empty without one."""
    for chain in modules.modules():
        if isinstance(chain, nn.Sequential):
            units = [layer.out_features if isinstance(layer, nn.Linear) else None for layer in chain]
            hidden = tuple(unit for unit in units[:-1] if unit is not None)
            if hidden:
                return hidden
    return ()


class Critic:
    """Measurement of how well the critic predicts returns, and how well a regression does.

    Args:
        gamma: Discount of the run.
    """

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma
        with _make_on_cpu():
            self.floor = ValueFloor(1)

    def measure(self, iteration: int, rollout: Rollout) -> dict[str, float]:
        """Measure value floor and Monte Carlo returns, as metrics by name; empty if a needed array is missing."""
        flat = rollout.flat_observations() if rollout.num_columns <= WIDEST else None
        values, returns, rewards, ends = rollout.values, rollout.returns, rollout.rewards, rollout.ends
        if flat is None or values is None or returns is None or rewards is None or ends is None:
            return {}
        monte_carlo = self._monte_carlo(returns, rewards, ends)
        targets = torch.stack([returns, monte_carlo, rewards], dim=-1)[None].cpu().float()
        observations = flat.view(1, rollout.steps, rollout.lanes, -1).cpu()
        values = values[None].cpu().float()
        with _make_on_cpu():
            self.floor.update(iteration, observations, targets)
            found = self.floor.floor_metrics(values, targets[..., 0], torch.ones(1, 1))
        found[metrics.EXPLAINED_VARIANCE_MC] = compute_explained_variance(values.flatten(1), targets[..., 1].flatten(1))
        return {name: value.item() for name, value in found.items()}

    def _monte_carlo(self, returns: Tensor, rewards: Tensor, ends: Tensor) -> Tensor:
        """Compute discounted returns to the end of the episode, or of the rollout plus the value there, `[T, N]`.

        Where an episode or the rollout ends, the loop's own return holds one reward and the value that the loop took
        for what follows: none at a termination.
        """
        last = ends.clone()
        last[-1] = True
        sums = torch.where(last, returns, rewards).double().cpu().numpy()
        return torch.from_numpy(sum_discounted(sums, last.cpu().numpy(), self.gamma)).to(returns)


def sum_discounted(rewards: Array, ends: npt.NDArray[np.bool_], gamma: float) -> Array:
    """Sum rewards `[T, N]` from each step to the next end, discounted, by sums over 1, 2, 4 ... steps; return them."""
    sums, weights, steps = rewards.copy(), np.where(ends, 0.0, gamma), 1
    with np.errstate(invalid="ignore"):  # the product of a weight of 0 and an infinite reward
        while steps < len(sums):
            sums[:-steps] += weights[:-steps] * sums[steps:]
            weights[:-steps] *= weights[steps:]
            steps *= 2
    return sums


def _compute_gradients(loss: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Compute a loss's gradient by parameter; None for each if all layers behind the loss are frozen."""
    if not loss.requires_grad:
        return [None] * len(parameters)
    return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)


def compute_norm(parts: Sequence[Tensor | None]) -> float:
    """Compute the L2 norm of all tensors together; None counts as zeros."""
    known = [part.detach() for part in parts if part is not None]
    if len({(part.device, part.dtype) for part in known}) == 1:  # one call instead of one a part
        return float(torch.linalg.vector_norm(torch.cat([part.flatten() for part in known])))
    return float(get_total_norm(known))


def _make_on_cpu() -> AbstractContextManager[Any]:
    """Make torch put new tensors on the CPU inside the block, if a script has set another default device.

    Where the default is the CPU nothing is set, since each operation inside such a block takes several times as long.
    """
    return nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")


@contextmanager
def leave_as_is(modules: nn.Module) -> Iterator[None]:
    """Set modules to evaluation mode inside the block; then restore modes, buffers and torch's random state."""
    modes = [(module, module.training) for module in modules.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in modules.buffers()]
    devices = sorted({one.device.index or 0 for one in modules.parameters() if one.device.type == "cuda"})
    with torch.inference_mode(False), torch.random.fork_rng(devices):
        modules.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)


_BOUNDED = {nn.Tanh: SATURATED, nn.Sigmoid: SATURATED, nn.Softsign: SATURATED}
_RECTIFIED = (nn.ReLU, nn.ReLU6)
_WEIGHING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class _Units(ExitStack):
    """Observer of activations during an evaluation: share of saturated or dead units, and the first input's size."""

    def __init__(self, modules: nn.Module) -> None:
        super().__init__()
        self._stuck: list[Tensor] = []
        self._units = 0
        self._inputs: Tensor | None = None
        for module in modules.modules():
            if isinstance(module, _WEIGHING):
                self.callback(module.register_forward_pre_hook(self._enter).remove)
            elif isinstance(module, (*_BOUNDED, *_RECTIFIED)):
                self.callback(module.register_forward_hook(self._leave).remove)

    def measure(self, observations: Observations) -> dict[str, float]:
        """Return the share of saturated or dead units, and the size of the first layer's inputs, as metrics by name."""
        found = {}
        if self._units:
            found[metrics.SATURATED_SHARE] = float(sum(part.item() for part in self._stuck)) / self._units
        inputs = self._inputs if self._inputs is not None or not isinstance(observations, Tensor) else observations
        if inputs is not None:
            found[metrics.INPUT_RMS_MAX] = measure_input_scale(inputs.float().reshape(1, len(inputs), -1)).item()
        return found

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self._inputs is None and inputs and isinstance(inputs[0], Tensor):
            self._inputs = inputs[0].detach()

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        units = output.detach()
        if isinstance(module, _RECTIFIED):
            stuck = (units.flatten(1) <= 0).all(0).sum() * len(units)
        else:
            bounded = 2 * units - 1 if isinstance(module, nn.Sigmoid) else units
            stuck = (bounded.abs() > SATURATED).sum()
        self._stuck.append(stuck)
        self._units += units.numel()
