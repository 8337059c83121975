"""Actions are stored with other steps than they were done at: a step's effects answer the action stored after it."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import ACTION_SHOWN, ACTION_SHOWN_EARLY
from unstuck.analysis.words import percent
from unstuck.rl import metrics

EARLY = 0.04
"""Share of a step's effects that the noise of the next step's action explains: 0 by reason, since the noise was drawn
later; 0 to 0.01 by the noise of regressions, 0.4 and more where all actions are stored one step late."""

LOOKS, TWICE = 3, 2
"""First looks that count, and how many of them must show it: where a policy has all but decided, an action that it
seldom draws explains by chance whatever happened there, at one look."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if what a step brings depends on the noise in the action stored after the step; None otherwise."""
    early, now = run.select_first(ACTION_SHOWN_EARLY, LOOKS), run.select_first(ACTION_SHOWN, LOOKS)
    if early is None or sum(value >= EARLY for value in early.values) < TWICE:
        return None
    text = f"the action stored with the next step explains {percent(max(early.values))} of what a step brings"
    facts = [Evidence(text, (ACTION_SHOWN_EARLY,), early.reach)]
    if now is not None:
        shown = f"the action stored with the step explains {percent(max(now.median, 0.0))} of what is seen next"
        facts.append(Evidence(shown, (ACTION_SHOWN,), now.reach))
    return Finding(
        headline=f"Actions are stored with other steps than they were done at: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why="what the policy draws for a step cannot change what came before; " + judge_standing(run).brief,
        evidence=tuple(facts),
        causes=(
            Cause(
                "a buffer that is written one step late, or shifted on its way to the update",
                "print the action given to `step` beside the one that the update reads, for ten steps",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "an environment that holds back actions, with the held ones stored",
                "print the action that the environment carries out at each step",
            ),
        ),
        since=early.iterations[0],
        ground=Ground.MEASURED,
    )


RULE = Rule(
    name="actions_misplaced",
    title="Actions stored with other steps",
    stage=Stage.BUG,
    needs=((ACTION_SHOWN,),),
    helps=(ACTION_SHOWN_EARLY,),
    explains=(
        *("action_not_applied", "observation_incomplete", "observation_late", "signal_lost", "entropy_pinned"),
        *("greedy_vs_sampled", "oscillating", "learned_and_lost", "critic_underfits", "updates_too_large"),
        *("entropy_collapsed", "greedy_collapsed", "policy_frozen", "learns_backwards", "reward_turned"),
    ),
    curable=False,
    says="what a step brings answers the action that is stored with the next step",
    threshold=(
        "the noise that the policy drew for the next step explains 4 % of what a step changes in a column, or pays, "
        "and the observations leave open, at two of the first three looks"
    ),
    source="Schulman 2017 (look at the data that the update sees); measured here; what is drawn later cannot act "
    f"earlier, and {metrics.RATIO_DEVIATION} does not tell where log-probabilities are computed from what is stored",
    examine=examine,
)
