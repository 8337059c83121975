"""Measure each minibatch of an update inside Stable-Baselines3, which calls no callback there."""

from collections.abc import Iterator
from typing import Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor, nn

from unstuck.probe.loop import Probe
from unstuck.probe.measuring import compute_norm


class UpdateTap:
    """Interceptor of an update: passes each minibatch's log-probabilities and unclipped gradient to the logger.

    Stable-Baselines3 calls no callback during an update, so the tap passes through `evaluate_actions` and `parameters`
    of the policy, which `clip_grad_norm_` is given, and `get` of the rollout buffer, until it is removed.
    """

    def __init__(self, model: OnPolicyAlgorithm, probe: Probe) -> None:
        self._probe, self._policy, self._buffer = probe, model.policy, model.rollout_buffer
        self._evaluate, self._get = self._policy.evaluate_actions, self._buffer.get
        self._list_parameters = self._policy.parameters
        self._policy.evaluate_actions = self._pass_evaluation  # type: ignore[method-assign]
        self._policy.parameters = self._pass_parameters  # type: ignore[method-assign]
        self._buffer.get = self._pass_samples  # type: ignore[method-assign, assignment]
        self._on_step = self._policy.optimizer.register_step_pre_hook(self._take_minibatch)
        self._old: Tensor | None = None
        self._mask: Tensor | None = None
        self._new: Tensor | None = None
        self._norm: float | None = None
        self._wants_norm = False

    def is_of(self, model: OnPolicyAlgorithm) -> bool:
        """Return True if the model still has the rollout buffer that is intercepted."""
        return model.rollout_buffer is self._buffer

    def forget(self) -> None:
        """Drop a minibatch that was evaluated without an optimiser step, as when `target_kl` ends an update."""
        self._wants_norm, self._new, self._norm = False, None, None

    def remove(self) -> None:
        """Restore the policy's, the buffer's and the optimiser's original methods."""
        self.forget()
        self._on_step.remove()
        for name in ("evaluate_actions", "parameters"):
            vars(self._policy).pop(name)
        vars(self._buffer).pop("get")

    def _pass_samples(self, batch_size: int | None = None) -> Iterator[Any]:
        for samples in self._get(batch_size):
            self._old, self._mask = samples.old_log_prob, getattr(samples, "mask", None)
            yield samples

    def _pass_evaluation(self, *args: Any, **kwargs: Any) -> Any:
        spoken = self._evaluate(*args, **kwargs)
        if self._probe.wants_minibatch:
            self._new = spoken[1].detach()
            self._wants_norm = self._probe.wants_gradient
        return spoken

    def _pass_parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return the policy's parameters, after measuring the gradient that the caller is about to clip."""
        self._take_gradient()
        return self._list_parameters(recurse)

    def _take_gradient(self) -> None:
        """Measure the gradient as it is, if the minibatch that was evaluated last is to be measured."""
        if not self._wants_norm:
            return
        gradients = [one.grad for group in self._policy.optimizer.param_groups for one in group["params"]]
        self._norm = compute_norm(gradients)

    def _take_minibatch(self, *_: Any) -> None:
        if self._norm is None:
            self._take_gradient()  # not clipped, since nobody has asked
        ratio = self._new - self._old if self._new is not None and self._old is not None else None
        if ratio is not None and self._mask is not None:  # sequences of a recurrent policy, filled up to one length
            ratio = ratio[self._mask.flatten() > 0]
        self._probe.minibatch(logratio=ratio, grad_norm=self._norm)
        self.forget()
