"""Measure how often 95 % intervals hold, and how often noise passes for a winner: `python -m benchmarks.intervals`.

Seeds are drawn whose truth is known, and judged by `analysis.statistics`, as reports and champions are; beside it by
what was rejected for it. The tables of docs/statistics.md are what this prints.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit
from unstuck.analysis.statistics import (
    INTERQUARTILE,
    compute_difference,
    compute_margin,
    compute_paired_difference,
    compute_welch,
)
from unstuck.analysis.sweep.verdicts import Answer, Reading, judge_reading

SEEDS = (3, 4, 5, 8, 10, 16)
SWEEPS = ((12, 3), (48, 4))
"""Trials and seeds of sweeps: the quickstart's, and the default."""

CHAMPION = (2, 8)
"""One trial beside the control, on fresh seeds: nothing was chosen."""

UNSTICKS = ((8, 1, 5), (12, 1, 5), (12, 3, 5), (12, 10, 5))
"""Arms beside the control, members of the run, and fresh repeats of an unstick."""

FINAL = 5
"""Values of an arm that the best one is chosen by, such as evaluations."""

SUITS, DIFFERS = 1.0, 2.0
"""Spread of how an arm suits single members by chance, and spread of the members, beside a repeat's noise of 1."""

WORKS, NOISE, COLLAPSED = 0.8, 0.05, 0.2
"""Seeds that collapse: level and spread of those that work, and the share at the worst value, 0."""

Values = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Values]
Method = Callable[[Values, Values], tuple[Values, Values]]
"""Lower and upper ends `[R]` of the difference, from `[R, N]` and `[R, M]`."""


def normal(generator: np.random.Generator, shape: tuple[int, ...], spread: float = 1.0) -> Values:
    """Draw normally distributed values with mean 0 and standard deviation `spread`."""
    return generator.normal(0.0, spread, shape)


def skewed(generator: np.random.Generator, shape: tuple[int, ...], scale: float = 1.0) -> Values:
    """Draw log-normal values (sigma 1), multiplied by `scale`."""
    return scale * np.exp(generator.normal(size=shape))


def at_a_ceiling(generator: np.random.Generator, shape: tuple[int, ...], level: float = 0.0) -> Values:
    """Draw normally distributed values (mean `level`, standard deviation 1), and set all positive values to 0."""
    return np.minimum(generator.normal(level, 1.0, shape), 0.0)


def collapsing(generator: np.random.Generator, shape: tuple[int, ...], level: float = WORKS) -> Values:
    """Draw scores of seeds: one in five is 0, the worst score; the others are normally distributed around `level`."""
    works = generator.normal(level, NOISE, shape)
    return np.where(generator.random(shape) < COLLAPSED, 0.0, works)


@dataclass(frozen=True)
class Case:
    """Distributions of the seeds' scores in two arms, and the true difference of the two means."""

    ours: Draw
    theirs: Draw
    truth: float


def _mean(draw: Draw) -> float:
    return float(draw(np.random.default_rng(1), (1_000_000,)).mean())


SAME = {
    "normal, spreads 1 : 1": Case(normal, normal, 0.0),
    "normal, spreads 1 : 3": Case(normal, partial(normal, spread=3.0), 0.0),
    "skew": Case(skewed, skewed, 0.0),
    "ceiling": Case(at_a_ceiling, at_a_ceiling, 0.0),
    "collapse": Case(collapsing, collapsing, 0.0),
}
"""Both arms alike: what intervals are held to."""


def apart() -> Mapping[str, Case]:
    """Return test cases by name in which the two arms' scores have different distributions, hard for intervals."""
    spread = float(skewed(np.random.default_rng(1), (1_000_000,)).std())
    arms: dict[str, tuple[Draw, Draw]] = {
        "skew, twice as large": (partial(skewed, scale=2.0), skewed),
        "skew, against normal of its spread": (skewed, partial(normal, spread=spread)),
        "skew, against normal of a third": (skewed, partial(normal, spread=spread / 3)),
        "ceiling, against one spread below": (at_a_ceiling, partial(at_a_ceiling, level=-1.0)),
        "ceiling, against normal": (at_a_ceiling, partial(normal, spread=0.58)),
        "collapse, 0.8 against 0.6": (collapsing, partial(collapsing, level=0.6)),
        "collapse, against none": (collapsing, partial(normal, spread=NOISE)),
    }
    return {name: Case(ours, theirs, _mean(ours) - _mean(theirs)) for name, (ours, theirs) in arms.items()}


def by_welch(ours: Values, theirs: Values, comparisons: int = 1, trim: float = 0.0) -> tuple[Values, Values]:
    """Compute 95 % intervals of the mean difference by Welch's t, the project's method, or Yuen's t if `trim` > 0."""
    found, error, freedom = compute_welch(ours, theirs, trim)
    half = compute_margin(error, freedom, comparisons)
    return found - half, found + half


def by_least_freedom(ours: Values, theirs: Values) -> tuple[Values, Values]:
    """Compute Welch's 95 % intervals of the mean difference, with the degrees of freedom of the smaller arm."""
    found, error, _ = compute_welch(ours, theirs)
    half = compute_margin(error, min(ours.shape[-1], theirs.shape[-1]) - 1)
    return found - half, found + half


def by_pooling(ours: Values, theirs: Values) -> tuple[Values, Values]:
    """Compute Student's 95 % intervals of the mean difference, with one variance pooled from both arms."""
    n, m = ours.shape[-1], theirs.shape[-1]
    variance = ((n - 1) * ours.var(axis=-1, ddof=1) + (m - 1) * theirs.var(axis=-1, ddof=1)) / (n + m - 2)
    found = ours.mean(axis=-1) - theirs.mean(axis=-1)
    half = stdtrit(n + m - 2, 0.975) * np.sqrt(variance * (1 / n + 1 / m))
    return found - half, found + half


def by_percentiles(ours: Values, theirs: Values, resamples: int = 400) -> tuple[Values, Values]:
    """Compute 95 % intervals of the mean difference by the percentile bootstrap, the project's method before Welch."""
    generator = np.random.default_rng(0)
    ends = []
    for start in range(0, len(ours), 500):
        means = []
        for values in (ours[start : start + 500], theirs[start : start + 500]):
            picks = generator.integers(0, values.shape[-1], (len(values), resamples, values.shape[-1]))
            means.append(np.take_along_axis(values[:, None, :], picks, axis=2).mean(axis=2))
        ends.append(np.percentile(means[0] - means[1], [2.5, 97.5], axis=1))
    low, high = np.concatenate(ends, axis=1)
    return low, high


METHODS: Mapping[str, tuple[Method, int]] = {
    "Welch's t (used)": (by_welch, 1),
    "Welch, least freedom": (by_least_freedom, 1),
    "Student's t, pooled": (by_pooling, 1),
    "percentile bootstrap (before)": (by_percentiles, 10),
}
"""And by how much fewer repetitions are run of it, since it takes longer."""


def coverage(case: Case, seeds: int, repetitions: int, method: Method = by_welch) -> float:
    """Compute the share of simulated 95 % intervals that contain the true difference; skip draws without any spread."""
    generator = np.random.default_rng(seeds)
    ours, theirs = case.ours(generator, (repetitions, seeds)), case.theirs(generator, (repetitions, seeds))
    spread = (np.ptp(ours, axis=1) > 0) | (np.ptp(theirs, axis=1) > 0)
    low, high = method(ours[spread], theirs[spread])
    return float(((low <= case.truth) & (case.truth <= high)).mean())


def claims(
    draw: Draw, trials: int, seeds: int, sweeps: int, method: Method | None = None, effect: float = 0.0
) -> float:
    """Compute the share of simulated sweeps whose best trial is declared better than the control (trial 0).

    Args:
        draw: Every seed of every trial.
        trials: Of a sweep, the control included.
        seeds: Of a trial.
        sweeps: To simulate.
        method: None: the project's, which pays for choosing the best.
        effect: By which one trial is better than all others.
    """
    values = draw(np.random.default_rng(trials), (sweeps, trials, seeds))
    values[:, 1] += effect
    best = values[:, 1:].mean(axis=2).argmax(axis=1) + 1
    ours, theirs = values[np.arange(sweeps), best], values[:, 0]
    judge = method or partial(by_welch, comparisons=trials - 1)
    low, _ = judge(ours, theirs)
    spread = (np.ptp(ours, axis=1) > 0) | (np.ptp(theirs, axis=1) > 0)
    return float(((low > 0) & spread).mean())


@dataclass(frozen=True)
class Shares:
    """Shares of unsticks whose best arm is said to win.

    Attributes:
        this_run: By the verdict on the run.
        alike: By the verdict on runs like it.
        maximum: By a value above the control's, whatever the noise.
        same_repeats: By an interval of the values that the arm was chosen by.
        same_members: By an interval over members of the values that the arm was chosen by.
    """

    this_run: float
    alike: float
    maximum: float
    same_repeats: float
    same_members: float


def wins(draw: Draw, size: tuple[int, int, int], sweeps: int, effect: float = 0.0, suits: float = 0.0) -> Shares:
    """Compute the shares of simulated unsticks whose best arm is said to win, by several methods.

    All arms but one are as good as the control. Members differ from each other, and each arm may suit some members
    better than others, by chance: what the best arm was chosen by then stays with it in the repeats.

    Args:
        draw: Noise of each value.
        size: Arms, members and repeats, as in `UNSTICKS`.
        sweeps: Unsticks to simulate.
        effect: By which one arm is better than all others.
        suits: Spread of how an arm suits single members.
    """
    arms, members, repeats = size
    generator = np.random.default_rng(arms * members)
    truth = DIFFERS * generator.normal(size=(sweeps, 1, members))
    truth = truth + suits * generator.normal(size=(sweeps, arms + 1, members))
    truth[:, 1] += effect
    searched = truth[..., None, :] + draw(generator, (sweeps, arms + 1, FINAL, members))
    fresh = truth[..., None, :] + draw(generator, (sweeps, arms + 1, repeats, members))
    values = searched.mean(axis=(2, 3))
    best = values[:, 1:].argmax(axis=1) + 1
    told = np.zeros((sweeps, len(fields(Shares))))
    for sweep, arm in enumerate(best):
        ours, theirs = (tuple(map(tuple, fresh[sweep, one].tolist())) for one in (arm, 0))
        verdict = judge_reading(
            Reading(trial=int(arm), searched=0.0, arm=ours, control=theirs, chosen_among=arms, values={}), 1
        )
        told[sweep, 0] = verdict.answer is Answer.WINS
        told[sweep, 1] = verdict.alike is not None and verdict.alike.answer is Answer.WINS
        told[sweep, 2] = values[sweep, arm] > values[sweep, 0]
        told[sweep, 3] = compute_difference(searched[sweep, arm].mean(axis=1), searched[sweep, 0].mean(axis=1)).side > 0
        over_members = searched[sweep, arm].mean(axis=0), searched[sweep, 0].mean(axis=0)
        told[sweep, 4] = compute_paired_difference(*over_members).side > 0
    return Shares(*told.mean(axis=0).tolist())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of interval methods that docs/statistics.md shows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.intervals", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a hundredth of the repetitions: a second instead of a minute"
    )
    quick = 100 if parser.parse_args(arguments).quick else 1
    repetitions = 100_000 // quick
    head = ("", *(f"{seeds} seeds" for seeds in SEEDS))
    for name, (method, fewer) in METHODS.items():
        rows = [(case, *_row(SAME[case], repetitions // fewer, method)) for case in SAME]
        _show(f"Coverage in %, both arms alike: {name}", head, rows)
    _show(
        "Coverage in %, arms that differ: Welch's t",
        head,
        [(name, *_row(c, repetitions)) for name, c in apart().items()],
    )
    trimmed = partial(by_welch, trim=INTERQUARTILE)
    rows = [(name, *_row(SAME[name], repetitions, trimmed)) for name in SAME]
    _show("Coverage in %, interquartile means (Yuen's t)", head, rows)
    _show(*_claims(20_000 // quick))
    for table in _unsticks(2_000 // quick):
        _show(*table)
    return 0


def _row(case: Case, repetitions: int, method: Method = by_welch) -> list[str]:
    return [f"{100 * coverage(case, seeds, repetitions, method):.1f}" for seeds in SEEDS]


def _claims(sweeps: int) -> tuple[str, Sequence[str], list[tuple[str, ...]]]:
    draws: dict[str, tuple[Draw, float]] = {
        "noise: normal": (normal, 0.0),
        "noise: skew": (skewed, 0.0),
        "noise: ceiling": (at_a_ceiling, 0.0),
        "noise: collapse": (collapsing, 0.0),
        "one trial better by 2 spreads": (normal, 2.0),
        "one trial better by 4 spreads": (normal, 4.0),
        "one trial better by 8 spreads": (normal, 8.0),
    }
    rows = []
    for name, (draw, effect) in draws.items():
        cells = [
            f"{100 * claims(draw, *size, sweeps // fewer, method, effect):.1f}"
            for method, fewer, sizes in ((None, 1, (*SWEEPS, CHAMPION)), (by_percentiles, 10, SWEEPS))
            for size in sizes
        ]
        rows.append((name, *cells))
    sizes = [f"{trials} x {seeds}" for trials, seeds in SWEEPS]
    head = ["", *sizes, f"champion, {CHAMPION[1]} fresh seeds", *(f"{size}, before" for size in sizes)]
    return "Sweeps in % that tell their best trial from the control (trials x seeds)", head, rows


def _unsticks(sweeps: int) -> list[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    cases: dict[str, tuple[Draw, float]] = {
        "noise: normal": (normal, 0.0),
        "noise: skew": (skewed, 0.0),
        "noise: ceiling": (at_a_ceiling, 0.0),
        "one arm better by 2 spreads": (normal, 2.0),
        "one arm better by 4 spreads": (normal, 4.0),
    }
    several = [size for size in UNSTICKS if size[1] > 1]
    run, alike = [], []
    for name, (draw, effect) in cases.items():
        found = {size: wins(draw, size, sweeps, effect) for size in UNSTICKS}
        single = found[UNSTICKS[1]]
        shares = [*(one.this_run for one in found.values()), single.maximum, single.same_repeats]
        run.append((name, *(f"{100 * share:.1f}" for share in shares)))
        suiting = [wins(draw, size, sweeps, effect, SUITS) for size in several]
        shares = [*(one.alike for one in suiting), suiting[-1].maximum, suiting[-1].same_members]
        alike.append((name, *(f"{100 * share:.1f}" for share in shares)))
    return [
        ("Unsticks in % whose best arm wins, for this run (arms x seeds)", _head(UNSTICKS, UNSTICKS[1]), run),
        ("Unsticks in % whose best arm wins, for runs like this one", _head(several, several[-1]), alike),
    ]


def _head(sizes: Sequence[tuple[int, int, int]], naive: tuple[int, int, int]) -> tuple[str, ...]:
    names = [f"{arms} x {members}" for arms, members, _ in (*sizes, naive)]
    return ("", *names[:-1], f"{names[-1]}, bare maximum", f"{names[-1]}, by the values it was chosen by")


def _show(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    print(f"{caption}:\n", *(f"| {' | '.join(line)} |" for line in lines), "", sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
