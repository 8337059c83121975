"""Environments that are trained on side by side show the same: many lanes hold no more than a few do."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

ALIKE = 0.9
"""Share of the lanes that show what another one shows at the same step, beyond what they share at other steps: 1 where
lanes are doubles, 0 where each has a seed of its own."""

LOOKS = 3


def examine(run: Signals) -> Finding | None:
    """Return a fault if nearly every lane shows what another one shows at the same time; None otherwise."""
    alike = run.select_first(metrics.LANES_ALIKE, LOOKS)
    if alike is None or alike.median < ALIKE:
        return None
    lanes = run.read_number("ppo.num_envs")
    text = f"{percent(alike.median)} of the lanes show what another one shows at the same step"
    return Finding(
        headline=f"Environments side by side show the same: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why=(f"{number(lanes)} lanes hold the experience of a few; " if lanes else "") + judge_standing(run).brief,
        evidence=(Evidence(text, (metrics.LANES_ALIKE,), alike.reach),),
        causes=(
            Cause(
                "one seed for several environments",
                "print the first observation of each: no two may be equal; seed each by its number",
                Support.SUPPORTED,
                text,
            ),
            Cause("one environment that is listed several times", "compare the environments by `is`"),
        ),
        since=alike.iterations[0],
        ground=Ground.MEASURED,
    )


RULE = Rule(
    name="lanes_alike",
    title="Environments alike",
    stage=Stage.BUG,
    needs=((metrics.LANES_ALIKE,),),
    explains=(
        *("overfitting", "greedy_vs_sampled", "starts_alike", "signal_lost", "updates_too_large", "learned_and_lost"),
        *("oscillating", "greedy_collapsed", "entropy_collapsed", "critic_underfits", "value_explosion"),
    ),
    curable=False,
    says="environments that are trained on side by side show the same at the same time",
    threshold="90 % of the lanes show what another one does at the same step, beyond what they share at other steps",
    source="Gymnasium (vector environments: a seed for each); measured here",
    examine=examine,
)
