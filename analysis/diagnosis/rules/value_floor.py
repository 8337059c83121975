"""The value loss is at the floor: the rest is the future, which no critic can predict.

A probe measures the floor where the run has one (`train/value_floor`); else the formula in `analysis.floor` bounds the
floor, if returns are normalised. At the floor neither value_coef nor the learning rate can lower the loss. Gamma can.
"""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Remedy, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.remedies import HEAVY, RATE, USUAL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.floor import compute_explainable_share, infer_foreseen_share
from unstuck.analysis.words import format_uncertain, number
from unstuck.rl import metrics

HIGH = 0.5
"""A floor above this share of the targets' variance is worth knowing of."""

FITTED = "as a loss is measured while the critic fits the same steps, and the floor on steps left out"
"""Reason why a value loss can lie below the floor, and the excess below 0."""

AT_THE_FLOOR = 0.05
"""An excess below this share of the targets' variance is no more than the floor's own uncertainty."""

FAR_BELOW = 0.5
"""Share of the floor below which a loss is not at the floor: the critic fits what the floor takes for chance."""

LARGE = {"value_coef": HEAVY, "lr": USUAL[RATE].most}
"""Values above which a setting is not blamed for being too low."""

USUAL_GAMMA, USUAL_LAMBDA = 0.99, 0.95
"""Assumed, and said so, where a run does not say."""


def examine(run: Signals) -> Finding | None:
    """Judge if the value loss is as low as possible: a finding if so (`limit` if the floor is high), else None."""
    loss = run.select_last(metrics.VALUE_LOSS)
    if loss is None:
        return None
    floor = run.select_last(metrics.VALUE_FLOOR)
    if floor is None:
        return _unmeasured(run, loss)
    if 2 * floor.error >= floor.mean or loss.mean < FAR_BELOW * floor.mean:
        return None  # a floor that may lie anywhere, or a loss that is not there
    unit = compute_target_variance(run)
    excess = run.select_last(metrics.VALUE_LOSS_EXCESS)
    above = (excess.mean if excess else loss.mean - floor.mean) / unit
    if above > AT_THE_FLOOR + 2 * floor.error / unit:
        return None  # the critic's own business: critic_underfits
    texts = describe_loss_and_floor(loss, floor)
    evidence = (
        Evidence(texts + f" {floor.where}", (metrics.VALUE_LOSS, metrics.VALUE_FLOOR), floor.reach),
        *_explained(run),
    )
    if floor.mean / unit < HIGH:
        text = f"{texts}: the critic explains what can be explained"
        return Finding(text, Kind.FINE, Sureness.LIKELY, "the floor is measured", evidence)
    return Finding(
        headline=f"{texts}: neither value_coef nor lr can lower it{_because(run, 1 - floor.mean / unit)}",
        kind=Kind.LIMIT,
        sureness=Sureness.SURE if run.steps_are_independent else Sureness.LIKELY,
        why="the floor is measured in the run, by regressions that no setting of the learner touches",
        evidence=evidence,
        causes=_causes(run),
        remedies=_remedies(run),
        unsupported=_blamed(run, f"the floor is {number(floor.mean, 2)}, and no weight or step size moves a floor"),
        since=int(run.select_finite(metrics.VALUE_FLOOR).index[0]),
    )


def describe_loss_and_floor(loss: Window, floor: Window) -> str:
    """Format value loss and value floor as one phrase, with the reason if the loss lies below the floor."""
    text = f"value loss {number(loss.mean, 3)}, floor {format_uncertain(floor.mean, floor.spread)}"
    return f"{text} (below it, {FITTED})" if loss.mean < floor.mean else text


def compute_target_variance(run: Signals) -> float:
    """Return the variance of the critic's targets, in the value loss's unit; 1 if normalised or not recorded."""
    spread = run.select_last(metrics.TARGET_STD)
    return max(spread.mean**2, 1e-12) if run.returns_normalised is False and spread else 1.0


def _unmeasured(run: Signals, loss: Window) -> Finding | None:
    """Judge a value loss on normalised returns without a measured floor; None if it is clearly below 1."""
    if not run.returns_normalised or loss.mean < 0.85:
        return None
    gamma, gae_lambda = run.read_number("ppo.gamma"), run.read_number("ppo.gae_lambda")
    assumed = " and ".join(
        f"{name} {value:g}"
        for name, value, recorded in (("gamma", USUAL_GAMMA, gamma), ("gae_lambda", USUAL_LAMBDA, gae_lambda))
        if recorded is None
    )
    discount = USUAL_GAMMA if gamma is None else gamma
    low = 1 - compute_explainable_share(discount, USUAL_LAMBDA if gae_lambda is None else gae_lambda)
    whole = run.select_all(metrics.VALUE_LOSS) or loss
    bound = (
        f"independent flows at gamma {discount:g} would force it there"
        if run.is_triage
        else (f"independent steps at gamma {discount:g} would force it there")
    )
    return Finding(
        headline=f"Value loss {whole} on normalised returns is the level of a critic that explains nothing; {bound}, "
        "however good the critic",
        kind=Kind.LIMIT,
        sureness=Sureness.POSSIBLE,
        why="the floor was not measured"
        + (f", and {assumed} are assumed, as they were not recorded" if assumed else "")
        + f": a perfect critic of independent steps has a loss between {number(low, 2)} (rewards follow from what is "
        "observed) and 1 (they do not)",
        evidence=(
            Evidence(
                f"value loss {whole}: explained variance about {number(1 - loss.mean, 2)}", (loss.metric,), whole.reach
            ),
        ),
        causes=_causes(run),
        remedies=_remedies(run),
        unsupported=_blamed(run, "nothing in this run shows that the critic could do better"),
        since=whole.iterations[0],
        missing=(metrics.VALUE_FLOOR, metrics.EXPLAINED_VARIANCE, metrics.PROBE_EXPLAINED_VARIANCE_MC),
    )


def _explained(run: Signals) -> list[Evidence]:
    found = []
    for name, words in (
        (metrics.EXPLAINED_VARIANCE_MC, "the critic explains {} of the variance of Monte Carlo returns"),
        (metrics.PROBE_EXPLAINED_VARIANCE_MC, "the best regression from the observation explains {} of it"),
    ):
        window = run.select_last(name)
        if window:
            found.append(Evidence(words.format(number(window.mean, 2)), (name,), window.reach))
    return found


def _because(run: Signals, explained: float) -> str:
    """Describe in words why the value floor is so high, and how low it would be at gamma 0.5."""
    gamma, gae_lambda = run.read_number("ppo.gamma"), run.read_number("ppo.gae_lambda")
    if gamma is None or gae_lambda is None or not run.steps_are_independent:
        return ""
    words = f"; gamma {gamma:g} on independent flows makes it so"
    if gamma <= 0.5:
        return words
    best = 1 - compute_explainable_share(0.5, gae_lambda)
    now = 1 - compute_explainable_share(0.5, gae_lambda, infer_foreseen_share(explained, gamma, gae_lambda))
    words += f"; at gamma 0.5 the floor is near {number(best, 2)} for a policy whose rewards follow from the flow"
    return words + (f", and {number(now, 2)} for today's" if now - best > 0.05 else "")


def _causes(run: Signals) -> tuple[Cause, ...]:
    independent = run.steps_are_independent
    return (
        Cause(
            "the steps are independent, so what follows an action cannot be foreseen from the observation, and gamma "
            "weighs it in",
            "branch at gamma 0.5 and 0 beside a control: the loss falls to the formula's floor at once",
            Support.SUPPORTED if independent else Support.RULED_OUT if independent is False else Support.OPEN,
            "flows are drawn independently (data.order shuffled)"
            if independent
            else "successive steps of this environment depend on each other"
            if independent is False
            else "",
        ),
        Cause(
            "what decides the return is not in the observation",
            "regress the return, on held-out rollouts, on observations with what may be missing (time left, history)",
            Support.RULED_OUT if independent else Support.OPEN,
            "independent flows alone account for the floor" if independent else "",
        ),
    )


def _remedies(run: Signals) -> tuple[Remedy, ...]:
    gamma = run.read_number("ppo.gamma")
    if run.steps_are_independent is False:
        change: dict[str, object] = {"ppo.gamma": [0.95, 0.9]}
        why = "a shorter horizon is easier to foresee; too short a one forgets what the task rewards"
    else:
        change = {"ppo.gamma": [0.5, 0.0]}
        why = "where steps are independent a discount above 0 adds noise to the advantages, and nothing to learn from"
    if gamma is not None and gamma <= 0.5:
        return ()
    watch = "value loss below 0.5 within 10 iterations at gamma 0.5; the score above the control's at the end"
    return (Remedy(change, why, watch),)


def _blamed(run: Signals, why: str) -> tuple[Cause, ...]:
    """Return two open causes, value_coef and learning rate, which usually explain a high value loss.

    A value that is already larger than usual is no explanation, and is left out.
    """
    return tuple(
        Cause(
            f"{name} too low{'' if value is None else f' ({number(value)})'}",
            "branch the run with it changed, beside an untouched control, and compare at equal iterations",
            Support.OPEN,
            f"not supported until a branch beats a control: {why}",
            {} if value is None else {f"ppo.{name}": [float(f"{value * factor:.2g}") for factor in factors]},
        )
        for name, factors, value in (
            ("value_coef", (2, 10 / 3), run.read_number("ppo.value_coef")),
            ("lr", (10 / 3,), run.read_number("ppo.lr")),
        )
        if value is None or value <= LARGE[name]
    )


RULE = Rule(
    name="value_floor",
    title="Value loss at its floor",
    stage=Stage.CEILING,
    needs=((metrics.VALUE_LOSS,),),
    helps=(metrics.VALUE_FLOOR, metrics.PROBE_EXPLAINED_VARIANCE_MC, metrics.EXPLAINED_VARIANCE),
    says="the value loss is at its floor: neither value_coef nor lr can lower it; gamma can",
    threshold="excess at most 5 % of the targets' variance, floor above half of it; nothing is said of a floor whose "
    "two standard errors reach 0, or of a loss below half of the floor",
    source="the formula in analysis/floor.py, checked by simulation; Schulman 2017, Nuts and bolts of deep RL "
    "(explained variance 0: the critic predicts a constant)",
    examine=examine,
)
