"""Lowest value loss where steps are independent: the formula behind the measured floor.

Let r be a step's reward and rho = Var(E[r|s]) / Var(r) the share of the reward's variance that follows from the
observation. If observations are independent draws, a perfect critic of lambda-returns explains

    EV_max = rho / (rho + ((1 - rho) + gamma^2 rho) / (1 - (gamma lambda)^2))

of the returns' variance. With targets of spread 1 the critic's squared error is 1 - EV_max, for any learning rate and
any weight of the loss. At lambda = 1, EV_max = (1 - gamma^2) rho. The rest is the future: rewards of steps that nobody
has seen.
"""


def compute_explainable_share(gamma: float, gae_lambda: float, rho: float = 1.0) -> float:
    """Compute the largest share of lambda-returns' variance that any critic can explain if steps are independent.

    Args:
        gamma: Discount, 0 to 1.
        gae_lambda: Weight of later steps in a lambda-return, 0 to 1.
        rho: Share of the reward's variance that follows from the observation, 0 to 1.

    Example:
        >>> round(compute_explainable_share(gamma=0.5, gae_lambda=1.0), 3)
        0.75
        >>> round(compute_explainable_share(gamma=0.99, gae_lambda=0.95), 2)
        0.11
    """
    horizon = 1 - (gamma * gae_lambda) ** 2
    if rho <= 0 or horizon <= 0:
        return 0.0  # without an end to it, the future is all that there is
    ahead = ((1 - rho) + gamma**2 * rho) / horizon
    return rho / (rho + ahead)


def infer_foreseen_share(explained: float, gamma: float, gae_lambda: float) -> float:
    """Compute rho, the predictable share of the rewards' variance, from the explained variance of lambda-returns."""
    horizon = 1 - (gamma * gae_lambda) ** 2
    if explained <= 0 or horizon <= 0:
        return float(explained > 0)
    # EV (rho + (1 - rho + gamma^2 rho) / h) = rho, solved for rho.
    rho = (explained / horizon) / (1 - explained + explained * (1 - gamma**2) / horizon)
    return min(1.0, rho)
