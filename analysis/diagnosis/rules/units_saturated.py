"""Units saturated, or died, during training: the weights of dead units hardly learn any more."""

from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Remedy, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.remedies import RATE, change_rate, find_unusual
from unstuck.analysis.diagnosis.rules import critic_underfits, inputs_unscaled
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

SATURATED = 0.3
"""Share of the hidden units' activations beyond 0.97 at the end."""

NEARLY_ALL = 0.7
"""Share that is a fault for any score: healthy runs stay below 0.25."""

GROWN = 0.15
"""Growth that training alone accounts for."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether many hidden units saturated during the run; None if unrecorded or so at first."""
    start, late = run.select_first(metrics.SATURATED_SHARE, 1), run.select_last(metrics.SATURATED_SHARE)
    if start is None or late is None:
        return None
    text = f"saturated hidden units: {percent(start.mean)} {start.where}, {percent(late.mean)} {late.where}"
    facts = (Evidence(text, (late.metric,), (start.iterations[0], late.iterations[-1])),)
    if late.mean < SATURATED:
        return Finding(text, Kind.FINE, Sureness.SURE, "", facts)
    inputs = inputs_unscaled.examine(run)
    if late.mean - start.mean < GROWN and inputs is not None and inputs.kind is not Kind.FINE:
        return None  # there from the start: a matter of the inputs
    standing, critic = judge_standing(run), critic_underfits.examine(run)
    # With networks of their own, a critic that is lost accounts for its own half of the units.
    of_critic = (
        run.setting("ppo.shared_trunk") is False
        and late.mean < NEARLY_ALL
        and critic is not None
        and critic.kind is Kind.FAULT
    )
    falls = standing.state is State.FALLING and standing.trivial is not False
    harmed = not of_critic and (standing.is_poor or falls or late.mean > NEARLY_ALL)
    rate, kl = run.rate, run.select_last(metrics.APPROX_KL)
    return Finding(
        headline=f"Hidden units saturate: {percent(start.mean)} {start.where}, {percent(late.mean)} in the end",
        kind=Kind.FAULT if harmed else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=standing.brief,
        evidence=facts,
        causes=(
            Cause(
                "learning rate too high: weights grow until tanh is flat",
                "branch at a third of it from the start",
                Support.SUPPORTED if rate is not None and rate > 2e-3 else Support.OPEN,
                "" if rate is None else f"lr {number(rate)}" + (f", KL {number(kl.mean, 2)}" if kl else ""),
            ),
            Cause(
                "targets that move or have large units, which the critic's layers chase",
                "branch with normalize_returns=batch",
                Support.RULED_OUT if run.returns_normalised else Support.OPEN,
                "returns are normalised" if run.returns_normalised else "",
            ),
            Cause(
                "weights initialised too large",
                "look at the share before the first update: it must be near 0",
                Support.RULED_OUT if start.mean < GROWN else Support.SUPPORTED,
                f"{percent(start.mean)} {start.where}",
            ),
            Cause("inputs that drift away from the scale that they had", "compare the inputs' spread early and late"),
        ),
        remedies=_remedies(run, start.mean),
        since=late.iterations[0],
    )


def _remedies(run: Signals, first: float) -> tuple[Remedy, ...]:
    """Propose smaller steps as remedies; none if units were saturated from the start and steps are of usual size."""
    if first >= GROWN and find_unusual(run, RATE) is None:
        return ()
    watch = "saturated share below 0.2 at the same iteration"
    return change_rate(run, (1 / 3,), "smaller steps keep weights small", watch)


RULE = Rule(
    name="units_saturated",
    title="Saturated units",
    stage=Stage.SCALE,
    needs=((metrics.SATURATED_SHARE,),),
    helps=(metrics.UPDATE_NORM,),
    explains=(
        *("entropy_collapsed", "critic_underfits", "greedy_collapsed", "signal_lost", "updates_too_small"),
        *("normaliser_cold_start", "learns_backwards", "value_explosion", "policy_frozen"),
    ),
    says="hidden units saturated, though inputs are scaled",
    threshold=(
        "more than 30 % beyond 0.97; more than 70 % is a fault whatever the score; up to then no fault where a "
        "critic with a network of its own is lost"
    ),
    source="Sokar et al. 2023, The dormant neuron phenomenon (units that no longer learn); beyond 0.97 tanh passes on "
    "less than 6 % of a gradient",
    examine=examine,
)
