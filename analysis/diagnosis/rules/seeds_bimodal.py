"""Seeds form two groups: some seeds have learned the task and some have not, and the mean describes neither group."""

import math

from unstuck.analysis.diagnosis.finding import Agreement, Cause, Evidence, Finding, Kind, Remedy, Rule, Stage, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import TRIVIAL_MARGIN
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics

LEAST, MANY = 3, 5
"""Number of seeds needed to look at all, and to call two groups a fault."""

GAP = 0.5
"""Share of the distance from the worst to the best seed that lies between the two groups."""

LATE = 0.5
"""Share of the run before which seeds may differ in when they begin to learn, not in whether they do."""

APART = 0.2
"""Distance between the groups' means: of F1, or as a share of the way that the better one has come."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether seeds' final scores form two groups; None for few seeds, or if unclear."""
    name = metrics.F1 if run.seeds(metrics.F1) else metrics.EVAL_RETURN
    seeds = {seed: value for seed, value in run.seeds(name).items() if math.isfinite(value)}
    if len(seeds) < LEAST:
        return None
    ordered = sorted(seeds.items(), key=lambda item: item[1])
    values = [value for _, value in ordered]
    reach = values[-1] - values[0]
    cut = max(range(1, len(values)), key=lambda i: values[i] - values[i - 1])
    worse, better = ordered[:cut], ordered[cut:]
    gap = values[cut] - values[cut - 1]
    low, high = (sum(value for _, value in group) / len(group) for group in (worse, better))
    text = ", ".join(f"seed {seed} {number(value, 3)}" for seed, value in ordered)
    fact = Evidence(f"{name} of each seed: {text}", (f"{name}/seed_<member>",))
    way = 1.0 if name == metrics.F1 else abs(high - _start(run, name))
    untaught = _untaught(run, name, low, high)
    if reach <= 0 or gap < GAP * reach or high - low < APART * way or not untaught:
        said = f"{pluralize(len(values), 'seed')} agree: {name} {number(values[0], 3)} to {number(values[-1], 3)}"
        alike = Agreement(tuple(sorted(seeds)), tuple(sorted(seeds)), compared=True)
        return Finding(said, Kind.FINE, Sureness.LIKELY, "", (fact,), seeds=alike) if reach < APART * way else None
    many = len(values) >= MANY
    return Finding(
        headline=f"Seeds fall into two groups: {pluralize(len(better), 'seed')} near {number(high, 3)}, "
        f"{pluralize(len(worse), 'seed')} near {number(low, 3)} ({name})",
        kind=Kind.FAULT if many and run.compute_progress(run.history.last_iteration) > LATE else Kind.SUSPECT,
        sureness=Sureness.LIKELY if many else Sureness.POSSIBLE,
        why=f"{pluralize(len(values), 'seed')}; the gap between the groups is {percent(gap / reach)} of the distance",
        evidence=(fact,),
        causes=(
            Cause(
                "luck in exploration: some seeds find early what pays",
                "run ten more seeds: the share that learns stays, whatever the length",
            ),
            Cause(
                "a slow start that some seeds have behind them",
                "run twice as long: the worse group catches up",
            ),
        ),
        remedies=_remedies(run),
        since=run.history.last_iteration,
        seeds=Agreement(tuple(sorted(seed for seed, _ in worse)), tuple(sorted(seeds)), compared=True),
    )


def _start(run: Signals, name: str) -> float:
    first = run.select_first(name, 1)
    return first.mean if first else 0.0


def _untaught(run: Signals, name: str, low: float, high: float) -> bool:
    """True if the seeds of the worse group have learned almost nothing."""
    if name == metrics.F1 and run.trivial_f1:
        return low <= max(run.trivial_f1.values()) + 0.1 + TRIVIAL_MARGIN
    start = min(_start(run, name), *(float(curve.min()) for curve in run.history.seeds(name).values()))
    return low - start < 0.3 * (high - start)


def _remedies(run: Signals) -> tuple[Remedy, ...]:
    weight = run.read_number("ppo.entropy_coef") or 0.0
    arms = [0.01, 0.03] if weight < 0.01 else [float(f"{weight * 3:.1g}")]
    watch = "every seed above the policies that have learned nothing; compare the worst seed, not the mean"
    return (Remedy({"ppo.entropy_coef": arms}, "more exploration before a seed settles", watch),)


RULE = Rule(
    name="seeds_bimodal",
    title="Seeds in two groups",
    stage=Stage.EXPLORATION,
    needs=((f"{metrics.F1}/seed_<member>", f"{metrics.EVAL_RETURN}/seed_<member>"),),
    says="some seeds have learned it, and some have not",
    threshold=(
        "a gap of half the distance between worst and best, the worse group untaught; a fault with 5 seeds or "
        "more in the second half"
    ),
    source="Agarwal et al. 2021, Deep RL at the edge of the statistical precipice (distributions, not means)",
    examine=examine,
)
