"""P3 and P4: how the value loss reaches the policy, through the joint gradient clip and through a shared trunk."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from unstuck.rl import metrics
from unstuck.rl.learner import Learner

from benchmarks.value_coef.optimisers import networks_apart
from benchmarks.value_coef.tables import Table, Values, rank_correlation, spread
from benchmarks.value_coef.training import (
    NO_CLIP,
    Arm,
    History,
    Scale,
    by_arm,
    cartpole,
    gradient_sizes,
    gradients,
    side_by_side,
    train,
    triage,
)

EARLY = 20
"""Iterations over which KL is averaged in P3: later, the policies differ in what they have left to learn."""

JOINT, TINY_EPS, OWN, NONE = "joint", "joint, `adam_eps` 1e-8", "one for each network", "none"
CLIP_COLUMNS = ("clip", "value_coef", "binds", "c gV / gP", "kept", "KL")


def through_the_clip(scale: Scale) -> list[Table]:
    """Test prediction P3: with one joint clip, a large critic gradient shrinks the policy's, even below adam_eps."""
    rows: list[Sequence[str]] = []
    strengths: list[float] = []
    kls: list[float] = []
    for returns in ("none", "batch"):
        arms = _clipped_arms(scale, (0.05, 0.5, 5.0, 50.0), returns)
        learner = side_by_side([arm for _, arm in arms], scale.seeds, triage())
        history = train(learner, scale.iterations, f"P3, returns {returns}")
        measured = _strength(learner, history, arms)
        strengths += (measured[0] * measured[1])[:4].tolist()
        kls += measured[3][:4].mean(1).tolist()
        rows += [
            (returns, *row, spread(f1)) for row, f1 in zip(_rows(arms, measured), history[metrics.F1][-1], strict=True)
        ]
    caption = (
        f"Triage, {scale.seeds} seeds, {scale.iterations} iterations. Rank correlation of binds × c gV / gP with KL "
        f"over the {len(kls)} joint clips: {rank_correlation(np.array(strengths), np.array(kls)):.2f}"
    )
    return [Table(caption, ("returns", *CLIP_COLUMNS, "F1"), rows), _on_cartpole(scale)]


def _on_cartpole(scale: Scale) -> Table:
    """Test prediction P3 on CartPole with raw returns and default settings; return the table."""
    half = scale.iterations // 2
    arms = _clipped_arms(scale, (0.05, 0.5, 5.0), "none")
    learner = side_by_side([arm for _, arm in arms], scale.seeds, cartpole())
    history = train(learner, half, "P3, CartPole")
    early, late = (history[metrics.TRAIN_RETURN][count - 1] for count in (half // 2, half))
    rows = [
        (*row, spread(early[arm], 0), spread(late[arm], 0))
        for arm, row in enumerate(_rows(arms, _strength(learner, history, arms)))
    ]
    columns = (*CLIP_COLUMNS, f"return at {half // 2}", f"at {half}")
    return Table(f"CartPole-v1, raw returns, {scale.seeds} seeds; iterations:", columns, rows)


def _clipped_arms(scale: Scale, coefficients: Sequence[float], returns: str) -> list[tuple[str, Arm]]:
    """Return arms to train, each with the name of the clip: joint, tiny epsilon, one for each network, or none."""
    joint = [scale.config(value_coef=value_coef, normalize_returns=returns) for value_coef in coefficients]
    free = dataclasses.replace(joint[-1], max_grad_norm=NO_CLIP)
    return [
        *((JOINT, Arm(config)) for config in joint),
        (TINY_EPS, Arm(dataclasses.replace(joint[-1], adam_eps=1e-8))),
        (OWN, Arm(free, network_clip=joint[-1].max_grad_norm)),
        (NONE, Arm(free)),
        (NONE, Arm(dataclasses.replace(free, value_coef=0.5))),
    ]


def _strength(learner: Learner, history: History, arms: Sequence[tuple[str, Arm]]) -> tuple[Values, ...]:
    """Measure for each arm how strongly the critic disturbs the policy, by four numbers.

    Returns:
        Share of the minibatches in which the joint clip binds; ratio of the critic's gradient to the policy's; share of
        the policy's step that adam_eps leaves, in the end; KL of the early updates, relative to the last arm's.
    """
    binds = history[metrics.GRAD_CLIPPED_SHARE].mean((0, 2))
    ratio = np.nanmedian(history[metrics.GRAD_NORM_VALUE] / history[metrics.GRAD_NORM_POLICY], axis=(0, 2))
    size = networks_apart(gradient_sizes(learner))[:, 0]
    kept = torch.where(size > 0, size / (size + learner.hyper.adam_eps), torch.nan).nanmean(-1)
    kl = history[metrics.APPROX_KL][:EARLY].mean(0)
    return binds, ratio, by_arm(kept, [arm for _, arm in arms]).mean(1).numpy(), kl / kl[-1]


def _rows(arms: Sequence[tuple[str, Arm]], measured: Sequence[Values]) -> list[tuple[str, ...]]:
    return [
        (name, f"{arm.config.value_coef:g}", f"{binds:.2f}", f"{ratio:.3g}", f"{kept:.3f}", spread(kl, 2))
        for (name, arm), binds, ratio, kept, kl in zip(arms, *measured, strict=True)
    ]


def through_the_trunk(scale: Scale) -> list[Table]:
    """Test prediction P4: in a shared trunk value_coef decides which loss directs the trunk; return tables."""
    rows: list[Sequence[str]] = []
    predicted: list[Sequence[str]] = []
    for returns, coefficients in (("none", (0.0005, 0.005, 0.5, 5.0)), ("batch", (0.05, 0.5, 5.0, 50.0))):
        joint = [
            scale.config(value_coef=value_coef, normalize_returns=returns, shared_trunk=True)
            for value_coef in coefficients
        ]
        free = [
            dataclasses.replace(joint[0], value_coef=value_coef, max_grad_norm=NO_CLIP) for value_coef in (0.5, 5.0)
        ]
        learner = side_by_side([Arm(config) for config in (*joint, *free)], scale.seeds, triage())
        legs = _legs(learner, scale, f"P4, returns {returns}")
        predicted += [(returns, *_predicted(leg, len(joint))) for leg in legs]
        kl = np.concatenate([leg.kl for leg in legs]).mean(0) * 1e4
        for arm, config in enumerate((*joint, *free)):
            clip = NONE if config in free else JOINT
            f1 = spread(legs[-1].f1[arm])
            ratios = ", ".join(f"{leg.ratio[arm].mean():.2g}" for leg in legs)
            rows.append((returns, clip, f"{config.value_coef:g}", ratios, spread(kl[arm], 2), f1))
    starts = ", ".join(str(leg.start) for leg in legs)
    columns = ("returns", "clip", "value_coef", f"c gV / gP after {starts}", "KL × 10⁴", "F1")
    return [
        Table(f"Triage, {scale.seeds} seeds, {scale.iterations} iterations:", columns, rows),
        Table(
            "Rank correlation with KL up to the next line, over joint clips and seeds:",
            ("returns", "after", "cosine", "of c gV / gP", "of the trunk's alignment"),
            predicted,
        ),
    ]


@dataclasses.dataclass(frozen=True)
class Leg:
    """One stretch of training, by arm and seed: the trunk's gradients before the stretch, KL and F1 in the stretch.

    Attributes:
        start: Iterations done before.
        ratio: Norm of the value gradient times value_coef over that of the policy gradient, `[arms, seeds]`.
        cosine: Of the two, `[arms, seeds]`.
        kl: Of each update in it, `[iterations, arms, seeds]`.
        f1: At its end, `[arms, seeds]`; NaN where nothing was evaluated.
    """

    start: int
    ratio: Values
    cosine: Values
    kl: Values
    f1: Values

    @property
    def alignment(self) -> Values:
        """Cosine between the policy's gradient and the weighted sum of policy and value gradients, `[arms, seeds]`."""
        along = 1 + self.ratio * self.cosine
        return along / np.sqrt(1 + 2 * self.ratio * self.cosine + self.ratio**2)


def _legs(learner: Learner, scale: Scale, title: str) -> list[Leg]:
    legs = []
    starts = (0, scale.iterations // 8, scale.iterations // 4, scale.iterations // 2, scale.iterations)
    for start, end in itertools.pairwise(starts):
        policy, value = gradients(learner)
        trunk = (policy != 0) & (value != 0)  # a head's gradient comes from one loss alone
        policy, value = policy * trunk, value * trunk
        cosine = torch.cosine_similarity(policy, value)
        ratio = learner.hyper.value_coef[:, 0] * value.norm(dim=1) / policy.norm(dim=1)
        history = train(learner, end - start, f"{title}, from {start}")
        shape = history[metrics.APPROX_KL].shape[1:]
        f1 = history[metrics.F1][-1] if metrics.F1 in history else np.full(shape, np.nan)
        ratio, cosine = (column.double().numpy().reshape(shape) for column in (ratio, cosine))
        legs.append(Leg(start, ratio, cosine, history[metrics.APPROX_KL], f1))
    return legs


def _predicted(leg: Leg, arms: int) -> tuple[str, ...]:
    kl = leg.kl.mean(0)[:arms]
    ratio, alignment = (rank_correlation(by[:arms], kl) for by in (leg.ratio, leg.alignment))
    return str(leg.start), spread(leg.cosine[:arms], 2), f"{ratio:.2f}", f"{alignment:.2f}"
