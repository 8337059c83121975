"""Running statistics of each member, for observations and for the critic's targets."""

import torch
from torch import Tensor

_MIN_STD = 1e-6
"""Below this a column counts as constant and is only centred."""


class RunningMoments:
    """Running mean and standard deviation of each column of samples, for each seed (Chan et al. 1983).

    Attributes:
        mean: float64 `[P, 1, F]`.
        count: Samples seen, float64 `[P, 1, 1]`.
    """

    def __init__(self, num_members: int, num_columns: int, device: torch.device | None = None) -> None:
        self.mean = torch.zeros(num_members, 1, num_columns, dtype=torch.float64, device=device)
        self.squares = torch.zeros_like(self.mean)
        self.count = torch.zeros(num_members, 1, 1, dtype=torch.float64, device=device)

    def update(self, samples: Tensor) -> None:
        """Add samples to the running mean and standard deviation, for each member (seed).

        The samples are `[P, B, F]`.
        """
        samples = samples.double()
        size = samples.shape[1]
        mean = samples.mean(1, keepdim=True)
        squares = (samples - mean).square().sum(1, keepdim=True)
        delta = mean - self.mean
        total = self.count + size
        self.mean += delta * (size / total)
        self.squares += squares + delta.square() * (self.count * size / total)
        self.count = total

    def state(self) -> dict[str, Tensor]:
        """Return the running statistics' tensors by name: mean, sum of squares and count.

        Mean and squares are `[P, 1, F]`, the count `[P, 1, 1]`.
        """
        return {"mean": self.mean, "squares": self.squares, "count": self.count}

    @property
    def std(self) -> Tensor:
        """Standard deviation of each column; 1 for constant columns or before any sample.

        float64 `[P, 1, F]`.
        """
        std = (self.squares / self.count.clamp(min=1)).sqrt()
        return torch.where(std < _MIN_STD, 1.0, std)


class ObservationNormalizer:
    """Normaliser of observations to mean 0 and standard deviation 1, by statistics of earlier rollouts.

    Statistics move between iterations only, so that the ratio of new to old policy starts at 1.
    """

    CLIP = 10.0

    def __init__(self, num_members: int, num_features: int, device: torch.device | None = None) -> None:
        self.moments = RunningMoments(num_members, num_features, device)

    def __call__(self, observations: Tensor) -> Tensor:
        """Scale observations to mean 0 and standard deviation 1, and clip to ±10.

        The observations are `[P, B, F]`.
        """
        mean, std = self.moments.mean, self.moments.std
        return ((observations - mean.float()) / std.float()).clamp(-self.CLIP, self.CLIP)


class ReturnNormalizer:
    """Converter between returns and the critic's scaled predictions, for each seed: return = mean + std * prediction.

    `none` leaves returns unchanged, `batch` takes mean and spread of each rollout, `running` those of the run so far.
    Predictions are turned into returns before entering the advantages, by the statistics that the critic was last
    trained with, so rewards and advantages stay in real units (van Hasselt et al. 2016).

    Attributes:
        mean: `[P, 1]`.
        std: `[P, 1]`.
    """

    def __init__(self, mode: str, num_members: int, device: torch.device | None = None) -> None:
        self.mode = mode
        self.mean = torch.zeros(num_members, 1, device=device)
        self.std = torch.ones(num_members, 1, device=device)
        self.moments = RunningMoments(num_members, 1, device)

    def to_returns(self, predictions: Tensor) -> Tensor:
        """Convert the critic's scaled predictions to returns, in the unit of the rewards.

        Both are `[P, B]`.
        """
        return predictions * self.std + self.mean

    def to_targets(self, returns: Tensor) -> Tensor:
        """Convert returns to the critic's scale, as targets of its training.

        Both are `[P, B]`; the statistics are the current ones.
        """
        return (returns - self.mean) / self.std

    def update(self, returns: Tensor) -> None:
        """Compute mean and standard deviation from a rollout's returns again; no change in the mode `none`.

        The returns are `[P, B]`.
        """
        if self.mode != "running":  # for `none` as well: a checkpoint may have brought another unit
            self.moments = RunningMoments(len(returns), 1, returns.device)
        if self.mode != "none":
            self.moments.update(returns.unsqueeze(-1))
        self.mean = self.moments.mean[:, 0].to(returns.dtype)
        self.std = self.moments.std[:, 0].to(returns.dtype)

    def state(self) -> dict[str, Tensor]:
        """Return the normaliser's tensors by name: mean, standard deviation and running statistics.

        `mean` and `std` are `[P, 1]`.
        """
        moments = {f"moments.{name}": tensor for name, tensor in self.moments.state().items()}
        return {"mean": self.mean, "std": self.std, **moments}
