"""What is shown is not the present state: actions show in the observations some steps late."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.wrapped import acts_whole, make_evidence, read_fact
from unstuck.analysis.history.record import (
    ACTION_DELAY,
    ACTION_SHOWN,
    ACTION_SHOWN_LATE,
    REWARD_BY_LATER,
    REWARD_BY_NEXT,
    REWARD_BY_OBSERVATION,
    WRAPPED_ACTION_DELAY,
    WRAPPED_SIGHT_DELAY,
)
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics

CLEAR = 0.3
"""Share of what an observation leaves open of the next one that late actions must explain: 0.7 and more where frames
are late, in systems as different as a pole, a pendulum, an acrobot and a point that is moved."""

AT_ONCE = 0.1
"""Share of that which the present action may explain: 0.005 there, and 0.3 to 1 where observations are in time."""

FORETOLD = 0.6
"""Share of the rewards that an observation must foretell to be the present state's: 0.4 at most where frames are five
steps late, in a slow system."""

CLEARER, LEFT = 0.9, 0.5
"""Share of a step's reward that observations foretell which come as much later as actions show, and share of what the
present ones leave open that is then left: where frames are five steps late 0.97 and more, and 0.06 to 0.15."""

LOOKS = 3

AGREE = 0.5
"""Share of the looks that must find the same delay, more than: an old frame is as old at each look, and chance finds
another delay each time."""

GONE = 0.1
"""Share of its largest below which an entropy leaves no chance to the actions: each follows from what is shown, and no
regression tells what the action does from what the state does."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if the next observation depends on an earlier action and not on the last one; None otherwise."""
    held = read_fact(run, WRAPPED_SIGHT_DELAY)
    if held:
        return _held_back(run, held)
    return None if read_fact(run, WRAPPED_ACTION_DELAY) else _answers_late(run)  # what is done late shows late


def _held_back(run: Signals, held: float) -> Finding:
    """Return a fault, as a wrapper was seen to show what the environment showed some steps before."""
    steps = pluralize(round(held), "step")
    text = f"a wrapper shows what the environment showed {steps} before"
    return Finding(
        headline=f"What is shown is not the present state: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why=f"both sides of the wrapper were compared, step by step; {judge_standing(run).brief}",
        evidence=(make_evidence(run, text, WRAPPED_SIGHT_DELAY),),
        causes=(
            Cause(
                "an old frame of a stack, or a buffer that is read at the wrong end",
                "print what `step` returns inside and outside of each wrapper, for ten steps",
                Support.SUPPORTED,
                text,
            ),
        ),
        since=int(run.select_finite(WRAPPED_SIGHT_DELAY).index[0]),
        ground=Ground.MEASURED,
    )


def _answers_late(run: Signals) -> Finding | None:
    """Return a finding if by regressions the next observation depends on an earlier action alone; None otherwise."""
    delay, late, now = (run.select_first(name, LOOKS) for name in (ACTION_DELAY, ACTION_SHOWN_LATE, ACTION_SHOWN))
    if delay is None or late is None or now is None:
        return None
    standing = judge_standing(run)
    if delay.median < (2 if standing.has_learned else 1) or min(delay.values) == 0:
        return None  # an action that once showed at once shows at once, if all goes well
    agreeing = sum(value == delay.median for value in delay.values)
    if agreeing <= AGREE * len(delay.values) or _is_without_chance(run, delay.iterations[0]):
        return None
    if late.median < CLEAR or now.median > AT_ONCE * late.median:
        return None
    steps = pluralize(round(delay.median), "step")
    text = f"an action shows {steps} late, in {percent(late.median)} of what changes unforeseen"
    present = f"the present action shows in {percent(max(now.median, 0.0), 1)}"
    own = read_fact(run, WRAPPED_SIGHT_DELAY) == 0 and acts_whole(run)  # the environment is late by itself
    return Finding(
        headline=f"What is shown is not the present state: {text}; {present}",
        kind=Kind.SUSPECT if own else Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"where the present state is shown, the next observation answers the present action; {standing.brief}",
        evidence=(
            Evidence(text, (ACTION_DELAY, ACTION_SHOWN_LATE), delay.reach),
            Evidence(present, (ACTION_SHOWN,), now.reach),
        ),
        causes=(
            Cause(
                "an old frame of a stack, or a buffer that is read at the wrong end",
                "step the environment by hand: the observation that `step` returns must differ by the action at once",
                Support.SUPPORTED,
                f"the delay is {number(delay.median)} steps in every lane",
            ),
            Cause(
                "actuators or sensors that are late by nature",
                "append the last actions, as many as the delay is long, to the observation",
            ),
        ),
        since=delay.iterations[0],
        ground=Ground.STATE if _pays_by_sight(run) and not _pays_by_later(run) else Ground.MEASURED,
    )


def _is_without_chance(run: Signals, look: int) -> bool:
    """True if the policy chose next to nothing by chance at an iteration in which the probe looked."""
    entropy, most = run.select_finite(metrics.ENTROPY).loc[:look], run.entropy_range
    return not entropy.empty and most is not None and float(entropy.iloc[-1]) < GONE * most


def _pays_by_later(run: Signals) -> bool:
    """True if observations that come later predict a step's reward far better: what is paid for is shown too late."""
    present, later = run.select_first(REWARD_BY_NEXT, LOOKS), run.select_first(REWARD_BY_LATER, LOOKS)
    if present is None or later is None or later.median < CLEARER:
        return False
    return 1 - later.median <= LEFT * (1 - present.median)


def _pays_by_sight(run: Signals) -> bool:
    """True if the present observation predicts rewards, so that late effects of actions are natural."""
    seen = run.select_first(REWARD_BY_OBSERVATION, LOOKS)
    return seen is not None and seen.median >= FORETOLD


RULE = Rule(
    name="observation_late",
    title="Observations late",
    stage=Stage.BUG,
    needs=((ACTION_DELAY, WRAPPED_SIGHT_DELAY), (ACTION_SHOWN, WRAPPED_SIGHT_DELAY)),
    helps=(ACTION_SHOWN_LATE, REWARD_BY_LATER),
    explains=(
        *("observation_incomplete", "action_not_applied", "signal_lost", "critic_underfits", "entropy_pinned"),
        *("oscillating", "greedy_vs_sampled", "value_explosion", "learned_and_lost", "updates_too_large"),
    ),
    curable=False,
    says="the next observation answers an earlier action, and not the present one, or a wrapper shows an earlier one",
    threshold=(
        "at no look an action shows at once, most looks find the same delay, and the policy still chose by chance; one "
        "of 1 to 7 steps ago (2 to 7, if the run has learned) explains 30 % of what the observation leaves open of the "
        "next one, of the column that answers best, and the present action less than a tenth of that; in a run that "
        "has learned a fault where observations foretell less than 60 % of the rewards, or later ones leave less than "
        "half of what the present ones leave open; a wrapper's delay counts in any run, where 99 % of the observations "
        "are those of some steps before; where wrappers were seen to hold nothing back, the rest is a doubt"
    ),
    source="Katsikopoulos and Engelbrecht 2003, Markov decision processes with delays; measured here (the oldest of "
    f"frames shown in place of the newest); {metrics.EXPLAINED_VARIANCE} says nothing of it",
    examine=examine,
)
