"""P1, P2 and P6: what a factor before a loss does to an optimiser's steps. Separate networks, no clip."""

import dataclasses

from torch import Tensor
from unstuck.rl import metrics
from unstuck.rl.adam import Adam

from benchmarks.value_coef.optimisers import Sgd, networks_apart
from benchmarks.value_coef.tables import Table, spread
from benchmarks.value_coef.training import (
    NEVER,
    NO_CLIP,
    Arm,
    Scale,
    by_arm,
    float64,
    gradient_sizes,
    late,
    side_by_side,
    train,
    triage,
)

UNCLIPPED = {"normalize_returns": "batch", "max_grad_norm": NO_CLIP}
UNJUDGED = {**UNCLIPPED, "num_iterations": NEVER, "eval_every": NEVER}


def exactly_inert(scale: Scale) -> list[Table]:
    """Test prediction P1: with Adam in float64, without clip or epsilon, value_coef changes nothing; return a table."""
    small = scale.config(**UNJUDGED, num_steps=32, minibatch_size=64, hidden_sizes=(32, 32))
    cases = (
        ("`adam_eps` 1e-12", {"adam_eps": 1e-12}, (1.0, 0.1, 10.0)),
        ("`adam_eps` 1e-300, powers of two", {"adam_eps": 1e-300}, (1.0, 0.125, 8.0)),
        ("`adam_eps` 1e-5", {"adam_eps": 1e-5}, (1.0, 0.1, 10.0)),
        ("`adam_eps` 1e-12, joint clip 0.5", {"adam_eps": 1e-12, "max_grad_norm": 0.5}, (1.0, 0.1, 10.0)),
        ("`adam_eps` 1e-12, shared trunk", {"adam_eps": 1e-12, "shared_trunk": True}, (1.0, 0.1, 10.0)),
    )
    rows = []
    for name, settings, coefficients in cases:
        config = dataclasses.replace(small, **settings)
        arms = [Arm(dataclasses.replace(config, value_coef=value_coef)) for value_coef in coefficients]
        with float64():
            learner = side_by_side(arms, scale.few, triage())
            train(learner, scale.iterations, f"P1, {name}")
            parameters = by_arm(learner.networks.parameters, arms)
        rows.append([name, ", ".join(f"{c:g}" for c in coefficients), f"{_apart(parameters[1:], parameters[:1]):.0e}"])
    caption = f"Parameters of the first value_coef and of the others, {scale.iterations} updates, {scale.few} seeds:"
    return [Table(caption, ("case", "value_coef", "largest relative difference"), rows)]


def slowed_by_epsilon(scale: Scale) -> list[Table]:
    """Test prediction P2: in float32 with adam_eps 1e-5, a small value_coef slows the critic by a known factor."""
    config = scale.config(**UNCLIPPED, gamma=0.5)
    coefficients = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
    exact = dataclasses.replace(config, value_coef=1.0, adam_eps=1e-12)
    arms = [Arm(exact), *(Arm(dataclasses.replace(config, value_coef=value_coef)) for value_coef in coefficients)]
    learner = side_by_side(arms, scale.few, triage())
    start = learner.networks.parameters.clone()
    train(learner, 1, "P2, first update")
    policies, critics = networks_apart(by_arm(learner.networks.parameters - start, arms)).unbind(2)
    size = networks_apart(by_arm(gradient_sizes(learner), arms))[0, :, 1]
    rest = train(learner, scale.iterations - 1, "P2, the others")
    rows = [
        [
            f"{value_coef:g}",
            f"{value_coef * float(size[size > 0].median()) / config.adam_eps:.2g}",
            f"{_apart(critics[arm], critics[0]):.2g}",
            f"{_apart(critics[0] * value_coef * size / (value_coef * size + config.adam_eps), critics[0]):.2g}",
            f"{_apart(policies[arm], policies[-1]):g}",
            spread(late(rest[metrics.EXPLAINED_VARIANCE])[arm]),
            spread(rest[metrics.F1][-1, arm]),
        ]
        for arm, value_coef in enumerate(coefficients, start=1)
    ]
    columns = ("value_coef c", "c g / eps", "critic's move", "formula", "policy's move", "EV", "F1")
    return [Table(f"{scale.few} seeds, {scale.iterations} iterations, gamma 0.5:", columns, rows)]


def critic_rate_under_sgd(scale: Scale) -> list[Table]:
    """Test prediction P6: value_coef × 3 acts as critic lr × 3 under gradient descent, but not under Adam."""
    rows = []
    for optimiser, lr in ((Sgd, 0.03), (Adam, 3e-4)):
        config = scale.config(**UNJUDGED, num_steps=64, hidden_sizes=(32, 32), gamma=0.5, lr=lr)
        arms = [
            Arm(config),
            Arm(dataclasses.replace(config, value_coef=3 * config.value_coef)),
            Arm(config, critic_lr=3.0),
        ]
        with float64():
            learner = side_by_side(arms, scale.few, triage(), optimiser)
            start = learner.networks.parameters.clone()
            history = train(learner, scale.iterations // 2, f"P6, {optimiser.__name__}")
            _, moves = networks_apart(by_arm(learner.networks.parameters - start, arms)).unbind(2)
        foreseen = late(history[metrics.EXPLAINED_VARIANCE])
        rows.append(
            [
                f"{optimiser.__name__}, lr {lr:g}",
                f"{_apart(moves[1], moves[2]):.0e}",
                f"{_apart(moves[1], moves[0]):.0e}",
                *(spread(foreseen[arm]) for arm in range(3)),
            ]
        )
    columns = (
        "optimiser",
        "from critic lr × 3",
        "from the unchanged",
        "EV, unchanged",
        "value_coef × 3",
        "critic lr × 3",
    )
    caption = f"Critics after {scale.iterations // 2} updates: how far value_coef × 3 is from the others, float64:"
    return [Table(caption, columns, rows)]


def _apart(moved: Tensor, reference: Tensor) -> float:
    """Compute the largest relative distance between vectors of `moved` and of `reference`, along the last axis."""
    return float(((moved - reference).norm(dim=-1) / reference.norm(dim=-1)).max())
