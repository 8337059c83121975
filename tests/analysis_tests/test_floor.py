"""The floor formula against a simulation of independent steps, and against itself turned round."""

import numpy as np
import pytest
from unstuck.analysis.floor import compute_explainable_share, infer_foreseen_share


@pytest.mark.parametrize(
    ("gamma", "gae_lambda", "rho", "expected"),
    [
        (0.99, 1.0, 1.0, 0.0199),  # (1 - gamma^2) rho
        (0.99, 0.95, 1.0, 0.1054),
        (0.98, 0.8, 1.0, 0.2863),
        (0.99, 0.0, 0.3, 0.2318),
        (0.0, 0.5, 0.3, 0.3),
        (0.99, 0.95, 0.0, 0.0),
    ],
)
def test_a_perfect_critic_explains_what_the_formula_says(
    gamma: float, gae_lambda: float, rho: float, expected: float
) -> None:
    assert compute_explainable_share(gamma, gae_lambda, rho) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("gamma", "gae_lambda", "rho"), [(0.9, 0.95, 0.3), (0.5, 0.95, 1.0), (0.99, 0.0, 0.3)])
def test_a_simulation_of_independent_steps_agrees(gamma: float, gae_lambda: float, rho: float) -> None:
    draws = np.random.default_rng(0)
    steps = 200_000
    foreseen, rest = draws.standard_normal((2, steps)) * np.sqrt([[rho], [1 - rho]])
    values = foreseen  # V(s) = E[r|s] up to a constant, since what follows cannot be foreseen
    deltas = foreseen + rest + gamma * np.append(values[1:], 0.0) - values
    advantages = np.zeros(steps)
    ahead = 0.0
    for t in range(steps - 1, -1, -1):
        advantages[t] = ahead = deltas[t] + gamma * gae_lambda * ahead
    targets = advantages + values
    assert 1 - (targets - values).var() / targets.var() == pytest.approx(
        compute_explainable_share(gamma, gae_lambda, rho), abs=0.01
    )


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.6, 1.0])
def test_the_share_that_can_be_foreseen_is_found_back(rho: float) -> None:
    assert infer_foreseen_share(compute_explainable_share(0.99, 0.95, rho), 0.99, 0.95) == pytest.approx(rho)


def test_more_than_can_be_explained_is_taken_for_all() -> None:
    assert infer_foreseen_share(0.9, 0.99, 0.95) == 1.0
    assert infer_foreseen_share(-0.1, 0.99, 0.95) == 0.0


def test_a_horizon_without_end_leaves_nothing_to_explain() -> None:
    """The limit of (1 - gamma^2) rho as gamma goes to 1, and of its inverse."""
    assert compute_explainable_share(1.0, 1.0) == 0.0
    assert compute_explainable_share(1 - 1e-9, 1.0) == pytest.approx(0.0, abs=1e-8)
    assert infer_foreseen_share(0.1, 1.0, 1.0) == 1.0
    assert infer_foreseen_share(0.0, 1.0, 1.0) == 0.0
    assert compute_explainable_share(1.0, 0.95) == pytest.approx(1 / (1 + 1 / (1 - 0.95**2)))
