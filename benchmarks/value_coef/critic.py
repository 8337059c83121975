"""P5 and P7: what moves a critic's explained variance, how fast and how far."""

import dataclasses

from unstuck.rl import metrics

from benchmarks.value_coef.independent import IndependentRewards, highest_explained_variance
from benchmarks.value_coef.tables import Table, difference, spread
from benchmarks.value_coef.training import Arm, Scale, Scene, Unjudged, late, side_by_side, train, triage


def faster(scale: Scale) -> list[Table]:
    """Test prediction P5: the critic learns faster by a higher critic learning rate, not by a higher value_coef."""
    rows = []
    config = scale.config(gamma=0.5, normalize_returns="batch")
    arms = {
        "unchanged": Arm(config),
        "value_coef × 3": Arm(dataclasses.replace(config, value_coef=3 * config.value_coef)),
        "value_coef / 3": Arm(dataclasses.replace(config, value_coef=config.value_coef / 3)),
        "critic lr × 3": Arm(config, critic_lr=3.0),
        "critic lr / 3": Arm(config, critic_lr=1 / 3),
    }
    iterations = scale.iterations * 2 // 5
    for name, scene in (("triage", triage()), ("independent rewards", independent(1.0))):
        learner = side_by_side(list(arms.values()), scale.seeds, scene)
        foreseen = train(learner, iterations, f"P5, {name}")[metrics.EXPLAINED_VARIANCE]
        mean = foreseen.mean(0)
        for arm, label in enumerate(arms):
            gain = difference(mean[arm], mean[0]) if arm else ""
            rows.append((name, label, spread(mean[arm]), gain, spread(foreseen[-1, arm])))
    columns = ("environment", "setting", f"mean EV of {iterations} iterations", "difference (95 %)", "EV at the end")
    return [Table(f"Separate networks, gamma 0.5, returns batch, {scale.seeds} seeds:", columns, rows)]


def further(scale: Scale) -> list[Table]:
    """Test prediction P7: on independent steps gamma and gae_lambda, not value_coef or lr, limit explained variance."""
    return [_on_known_rewards(scale), _on_flows(scale)]


def _on_known_rewards(scale: Scale) -> Table:
    discounts = ((0.99, 0.95), (0.99, 0.0), (0.98, 0.8), (0.9, 0.95), (0.0, 0.95))
    settings = [(value_coef, lr) for lr in (3e-4, 3e-3) for value_coef in (0.1, 10.0)]
    rows = []
    for share in (1.0, 0.3):
        arms = [
            Arm(
                scale.config(
                    gamma=gamma,
                    gae_lambda=gae_lambda,
                    value_coef=value_coef,
                    lr=lr,
                    hidden_sizes=(16,),
                    normalize_returns="batch",
                )
            )
            for gamma, gae_lambda in discounts
            for value_coef, lr in settings
        ]
        learner = side_by_side(arms, scale.few, independent(share))
        history = train(learner, scale.iterations, f"P7, share {share:g}")
        reached = late(history[metrics.EXPLAINED_VARIANCE]).reshape(len(discounts), len(settings), -1)
        for (gamma, gae_lambda), found in zip(discounts, reached, strict=True):
            limits = [highest_explained_variance(share, gamma, gae_lambda, steps) for steps in (4096, 128)]
            numbers = (f"{number:.3f}" for number in (*limits, *found.mean(-1)))
            rows.append((f"{share:g}", f"{gamma:g}", f"{gae_lambda:g}", *numbers))
    columns = ("share", "gamma", "lambda", "limit", "in 128 steps", *(f"c {c:g}, lr {lr:g}" for c, lr in settings))
    return Table(f"Independent rewards, EV, {scale.few} seeds, {scale.iterations} iterations:", columns, rows)


def _on_flows(scale: Scale) -> Table:
    gammas, coefficients = (0.0, 0.5, 0.9, 0.99), (0.05, 0.5, 5.0)
    arms = [
        Arm(scale.config(gamma=gamma, value_coef=value_coef, normalize_returns="batch"))
        for gamma in gammas
        for value_coef in coefficients
    ]
    learner = side_by_side(arms, scale.few, triage())
    history = train(learner, scale.iterations, "P7, triage")
    shape = (len(gammas), len(coefficients), scale.few)
    foreseen, f1 = late(history[metrics.EXPLAINED_VARIANCE]).reshape(shape), history[metrics.F1][-1].reshape(shape)
    share = float(foreseen[0].mean())  # at gamma 0 the return is the reward
    rows = [
        (f"{gamma:g}", f"{highest_explained_variance(share, gamma, 0.95, 128):.3f}", *map(spread, (*ours, *judged)))
        for gamma, ours, judged in zip(gammas, foreseen, f1, strict=True)
    ]
    columns = ("gamma", "formula", *(f"{name}, c {c:g}" for name in ("EV", "F1") for c in coefficients))
    return Table(
        f"Triage, {scale.few} seeds, {scale.iterations} iterations, share {share:.2f} by gamma 0:", columns, rows
    )


def independent(share: float) -> Scene:
    """Return a scene of independent rewards, with `share` of the variance predictable from the observations."""
    return Scene(lambda lanes: IndependentRewards(lanes, share), Unjudged(), "01")
