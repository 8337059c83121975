"""Measure the minibatches of an update, as the loop hands each of them over."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unstuck.rl import metrics
from unstuck.rl.estimates import estimate_kl, measure_clipping, measure_ratio_deviation

MINIBATCHES = 4
"""Minibatches of an update that are measured, evenly spread, where there are twice as many or more: all would cost time
and hardly say more."""


class UpdateMeasures:
    """Measurements of an update's minibatches, kept as tensors until the update's end, so that no GPU waits.

    All minibatches of an update are then computed together, which costs less than one by one.

    Attributes:
        expected: Minibatches of the update before, by which they are thinned out.
    """

    def __init__(self, clip_range: float | None, max_grad_norm: float | None) -> None:
        self._clip = clip_range
        self._max_grad_norm = max_grad_norm
        self.expected = 0
        self._counted = 0
        self._values: dict[str, list[Tensor | float]] = {}
        self._first: Tensor | None = None
        self._log_ratios: list[Tensor] = []
        self._errors: list[Tensor] = []

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
        if value is None or not self.is_middle:
            return
        if isinstance(value, Tensor):  # copied, since the loop may go on with its own tensor
            value = value.detach().float().mean() if value.ndim else value.detach().clone()
        is_far = isinstance(value, Tensor) and value.device.type != "cpu"  # a GPU is waited for at the end
        self._values.setdefault(name, []).append(value if is_far else float(value))

    def add_ratio(self, logratio: Tensor | None) -> None:
        """Add a minibatch for KL and clip fraction, and the first one for the deviation of the ratio from 1."""
        if logratio is None:
            return
        if logratio.ndim > 1 and logratio.numel() > max(logratio.shape):
            raise ValueError(
                f"logratio must hold one number a sample, got {list(logratio.shape)}: one log-probability had the "
                "shape [n, 1]; flatten both"
            )
        logs = logratio.detach().clone()  # the loop may go on with its own tensor
        if self._counted == 0:
            self._first = logs
        if self.is_middle:
            self._log_ratios.append(logs)

    def add_critic(self, values: Tensor | None, returns: Tensor | None) -> None:
        """Add the critic's mean squared error on a minibatch, without any loss weight."""
        if values is None or returns is None or not self.is_middle:
            return
        if values.numel() != returns.numel():
            raise ValueError(
                f"values and returns must be of the same samples, got {list(values.shape)} and {list(returns.shape)}"
            )
        if values.shape != returns.shape:
            values, returns = values.flatten(), returns.flatten()
        self._errors.append(values.detach() - returns.detach())

    def finish(self) -> dict[str, float]:
        """Return the means over the measured minibatches by metric, and reset for the next update."""
        each = {name: _read_numbers(values) for name, values in self._values.items()}
        if self._log_ratios:
            each |= self._measure_ratios()
        if self._errors:
            each[metrics.VALUE_LOSS] = _join([same.square().mean(-1) for same in _join_alike(self._errors)])
        found = {name: sum(numbers) / len(numbers) for name, numbers in each.items()}  # fsum refuses inf beside -inf
        if metrics.GRAD_NORM in each and self._max_grad_norm is not None:
            norms = each[metrics.GRAD_NORM]
            found[metrics.GRAD_CLIPPED_SHARE] = sum(norm > self._max_grad_norm for norm in norms) / len(norms)
        if self._first is not None:
            found[metrics.RATIO_DEVIATION] = measure_ratio_deviation(_make_row(self._first)).item()
        self.expected, self._counted, self._values, self._first = self._counted, 0, {}, None
        self._log_ratios, self._errors = [], []
        return found

    def _measure_ratios(self) -> dict[str, list[float]]:
        """Return KL and clip fraction of each minibatch measured."""
        kls, shares = [], []
        for logs in _join_alike(self._log_ratios):
            ratios = logs.exp()
            kls.append(estimate_kl(ratios, logs))
            if self._clip is not None:
                shares.append(measure_clipping(ratios, self._clip))
        found = {metrics.APPROX_KL: _join(kls)}
        return found | ({metrics.CLIP_FRACTION: _join(shares)} if shares else {})


def _read_numbers(values: Sequence[Tensor | float]) -> list[float]:
    """Return the values of the minibatches as numbers; a GPU that holds some of them is waited for once."""
    device = next((one.device for one in values if isinstance(one, Tensor) and one.device.type != "cpu"), None)
    if device is None:
        return [float(one) for one in values]
    return _join([torch.as_tensor(one, dtype=torch.float64, device=device).reshape(1) for one in values])


def _join(parts: Sequence[Tensor]) -> list[float]:
    """Return the numbers of some tensors `[k]` as one list."""
    numbers: list[float] = (parts[0] if len(parts) == 1 else torch.cat([*parts])).tolist()
    return numbers


def _make_row(numbers: Tensor) -> Tensor:
    """Return the numbers of a tensor as one row `[1, n]` of float32."""
    return numbers.reshape(1, -1).float()


def _join_alike(rows: Sequence[Tensor]) -> list[Tensor]:
    """Join tensors of equally many numbers as rows `[k, n]`; the last minibatch of an epoch may be shorter."""
    by_length: dict[int, list[Tensor]] = {}
    for row in rows:
        by_length.setdefault(row.numel(), []).append(row if row.ndim == 1 else row.flatten())
    return [torch.stack(same).float() for same in by_length.values()]
