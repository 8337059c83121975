"""Measure the minibatches of an update, as the loop hands each of them over."""

import torch
from torch import Tensor

from unstuck.rl import metrics
from unstuck.rl.estimates import estimate_kl, measure_clipping, measure_ratio_deviation

MINIBATCHES = 4
"""Minibatches of an update that are measured, evenly spread, where there are twice as many or more: all would cost time
and hardly say more."""


class UpdateMeasures:
    """Measurements of an update's minibatches, kept as tensors until the update's end, so that no GPU waits.

    Attributes:
        expected: Minibatches of the update before, by which they are thinned out.
    """

    def __init__(self, clip_range: float | None, max_grad_norm: float | None) -> None:
        self._clip_range = None if clip_range is None else torch.tensor([[clip_range]], device="cpu")
        self._max_grad_norm = max_grad_norm
        self.expected = 0
        self._counted = 0
        self._values: dict[str, list[Tensor]] = {}
        self._first_ratio: Tensor | None = None

    @property
    def begins(self) -> bool:
        """True before the update's first minibatch."""
        return self._counted == 0

    @property
    def wants(self) -> bool:
        """True if the next minibatch is measured: the first one, and the middle one of each stretch of minibatches."""
        return self._counted == 0 or self.is_middle

    @property
    def is_middle(self) -> bool:
        """True if the next minibatch is the middle one of a stretch, which stands for the others."""
        stretch = max(1, self.expected // MINIBATCHES)
        return self._counted % stretch == stretch // 2

    def count(self) -> None:
        """Count one more minibatch of the update."""
        self._counted += 1

    def add(self, name: str, value: Tensor | float | None) -> None:
        """Add a metric of the present minibatch, if it is one to measure; of several values, the mean."""
        if value is not None and self.is_middle:
            each = value.detach() if isinstance(value, Tensor) else torch.tensor(float(value), device="cpu")
            self._values.setdefault(name, []).append(each.float().mean() if each.ndim else each)

    def add_ratio(self, logratio: Tensor | None) -> None:
        """Add KL and clip fraction of a minibatch; for the first one, also how far the ratio is from 1."""
        if logratio is None:
            return
        if logratio.ndim > 1 and logratio.numel() > max(logratio.shape):
            raise ValueError(
                f"logratio must hold one number a sample, got {list(logratio.shape)}: one log-probability had the "
                "shape [n, 1]; flatten both"
            )
        logs = logratio.detach().float().reshape(1, -1)
        if self._counted == 0:
            self._first_ratio = measure_ratio_deviation(logs)[0]
        if not self.is_middle:
            return
        ratio = logs.exp()
        self.add(metrics.APPROX_KL, estimate_kl(ratio, logs))
        if self._clip_range is not None:
            self.add(metrics.CLIP_FRACTION, measure_clipping(ratio, self._clip_range.to(ratio.device)))

    def add_critic(self, values: Tensor | None, returns: Tensor | None) -> None:
        """Add the critic's mean squared error on a minibatch, without any loss weight."""
        if values is None or returns is None or not self.is_middle:
            return
        if values.numel() != returns.numel():
            raise ValueError(
                f"values and returns must be of the same samples, got {list(values.shape)} and {list(returns.shape)}"
            )
        self.add(metrics.VALUE_LOSS, (values.reshape(-1) - returns.reshape(-1)).square())

    def finish(self) -> dict[str, float]:
        """Return the means over the measured minibatches by metric, and reset for the next update."""
        measured = {name: torch.stack(values).double() for name, values in self._values.items()}
        found = {name: values.mean().item() for name, values in measured.items()}
        if metrics.GRAD_NORM in measured and self._max_grad_norm is not None:
            clipped = measured[metrics.GRAD_NORM] > self._max_grad_norm
            found[metrics.GRAD_CLIPPED_SHARE] = clipped.double().mean().item()
        if self._first_ratio is not None:
            found[metrics.RATIO_DEVIATION] = self._first_ratio.item()
        self.expected, self._counted, self._values, self._first_ratio = self._counted, 0, {}, None
        return found
