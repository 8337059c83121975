"""What is shown does not tell the state: the step before foretells what the present observation does not."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.diagnosis.wrapped import make_evidence, read_fact, shows_whole
from unstuck.analysis.history.record import (
    COLUMNS_CLIPPED,
    COLUMNS_CONSTANT,
    NEXT_BY_PAST,
    NEXT_BY_STEP,
    REWARD_BY_OBSERVATION,
    REWARD_BY_PAST,
    REWARD_BY_STEP,
    WRAPPED_ACTION_DELAY,
    WRAPPED_COLUMNS_BLANK,
    WRAPPED_SIGHT_DELAY,
    WRAPPED_SIGHT_LOST,
)
from unstuck.analysis.words import percent
from unstuck.rl import metrics

GAIN, LITTLE = 0.4, 0.4
"""Share of the next observation, or of the reward, that the step before must add, and the share that the present step
may foresee by itself. Hidden velocities: 0.75 to 0.98 beside 0 to 0.1. Healthy: 0.05 at most is added."""

FORETOLD = 0.8
"""Share of the reward that the step before must foretell."""

UNEXPLAINED = 0.5
"""Explained variance of the critic up to which its training, on many more lanes than a regression sees, has not found
in the observation what foretells rewards either."""

GROWN_UP = 0.4
"""Share of our own runs from which what a critic does not explain tells anything."""

REPEATED, SOME, NOTHING = 0.5, 0.04, 0.25
"""Share of observations that are one of the others again, what the step before then adds, and the share of the next
observation that the present one foresees: states that are whole by themselves leave nothing to the step before."""

COARSE, MORE, MUCH_MORE = 0.9, 0.1, 0.3
"""Share of observations that repeat, and what the step before then adds to the next observation, or to the reward,
where numbers are cut off beyond doubt: 0.14 and 0.39 and more in whole numbers; states that are whole by themselves
leave nothing to the step before, however few they are."""

BLIND, CLEARLY = 0.1, 0.08
"""Explained variance of the critic below which the critic, like a regression, sees nothing of rewards that the step
before foretells; and what the step before must add to the reward beside blank observations, where regressions on whole
states differ by 0.03."""

BLANK = 0.9
"""Share of observations that repeat beside columns that never vary, from which on hardly anything is shown."""

CUT = 0.16
"""Share of a column's values at each of its two ends, exactly: a normal number that is cut off at one spread. Healthy:
0.03 at most, of a place between two walls; 0.27 to 0.38 in a pendulum whose speed is cut off. A battery that is full or
empty by nature has 0.22, and is learned well: so the share counts where little is learned. What is cut off is lost, and
told by the step before: `SOME` must be added to the next observation. To pendulums, poles and arms of two links whose
columns are cut off 0.05 to 0.27 is added; to stocks that are full or empty by nature 0.01 at most, learned or not."""

MOSTLY = 0.5
"""Share of the columns that never vary, from which on most of what an environment shows is left out or zeroed: then
`MORE` that the step before adds to the next observation tells that something was lost. A grid whose columns never vary
either leaves nothing to the step before."""

WHOLE = 0.6
"""Share of the next observation that is foreseen from observations that are states, few as they may be."""

POOR = 0.15
"""Share of the reward that such observations may foresee."""

TAKEN = 0.5
"""Share of a column's variance that a wrapper takes away: as much as is left. Rounding to a tenth of the spread takes
0.001, and clipping at three spreads as much."""

PARTLY = 0.25
"""The same share, from which so much is taken away where half of what is shown repeats as well: 0.43 and 0.53 of whole
numbers. Clipping at one spread takes 0.06."""

LOOKS = 3


def examine(run: Signals) -> Finding | None:
    """Return a finding if earlier steps predict what the present observation does not; None otherwise."""
    if read_fact(run, WRAPPED_ACTION_DELAY) or read_fact(run, WRAPPED_SIGHT_DELAY):
        return None  # of what is late, the step before foretells what comes
    taken = _taken_away(run)
    far = taken or _next(run) or _hidden(run) or _coarse(run) or _cut_off(run)
    found = far or _reward(run) or _repeated(run) or _blank(run)
    if found is None:
        return _left_out(run)
    constant, standing = run.select_first(COLUMNS_CONSTANT, LOOKS), judge_standing(run)
    own = taken is None and shows_whole(run)  # the environment hides its state by itself: it may have its reasons
    facts = [found]
    if constant and constant.median > 0:
        text = f"{percent(constant.median)} of the observation's columns never vary"
        facts.append(Evidence(text, (COLUMNS_CONSTANT,), constant.reach))
    return Finding(
        headline=f"What is shown does not tell the state: {'; '.join(fact.text for fact in facts)}",
        kind=Kind.SUSPECT if own else Kind.FAULT,
        sureness=Sureness.SURE if taken else Sureness.LIKELY,
        why=f"both sides of the wrappers were compared, step by step; {standing.brief}"
        if taken
        else f"where an observation tells the state, the step before adds nothing to it; {standing.brief}",
        evidence=tuple(facts),
        causes=_causes(constant),
        since=found.iterations[0] if found.iterations else None,
        ground=Ground.MEASURED if far or _unseen(run) else Ground.STATE,
    )


def _taken_away(run: Signals) -> Evidence | None:
    """Return evidence that a wrapper takes away what the environment shows; None otherwise."""
    blank, lost = read_fact(run, WRAPPED_COLUMNS_BLANK), read_fact(run, WRAPPED_SIGHT_LOST)
    if blank:
        text = f"a wrapper makes {percent(blank)} of the columns constant that vary in the environment"
        return make_evidence(run, text, WRAPPED_COLUMNS_BLANK)
    repeats = run.select_first(metrics.OBSERVATION_REPEATS, LOOKS)
    coarse = repeats is not None and repeats.median >= REPEATED
    if lost is None or lost < (PARTLY if coarse else TAKEN):
        return None
    text = f"a wrapper takes away {percent(lost)} of a column's variance: it shows many numbers as one and the same"
    if coarse and repeats is not None:
        text = f"{text}, and {percent(repeats.median)} of the observations are one of the others again"
    return make_evidence(run, text, WRAPPED_SIGHT_LOST)


def _left_out(run: Signals) -> Finding | None:
    """Return a doubt if a saved optimiser shows columns that never vary, in a run that has learned nothing."""
    constant, standing = run.select_last(COLUMNS_CONSTANT), judge_standing(run)
    if run.has(NEXT_BY_STEP) or run.has(REWARD_BY_PAST):
        return None  # a probe measured more
    if constant is None or constant.values[-1] == 0 or standing.has_learned:
        return None
    text = f"{percent(constant.values[-1])} of the observation's columns never vary"
    return Finding(
        headline=f"What is shown may not tell the state: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why=f"columns that never vary are left out, or of no use; {standing.brief}",
        evidence=(Evidence(text, (COLUMNS_CONSTANT,), constant.reach),),
        causes=_causes(constant),
        since=constant.iterations[-1],
        missing=(NEXT_BY_PAST, REWARD_BY_PAST),
        ground=Ground.STATE,
    )


def _next(run: Signals) -> Evidence | None:
    """Return evidence that the previous step, not the present one, predicts the next observation; else None."""
    step, past = run.select_first(NEXT_BY_STEP, LOOKS), run.select_first(NEXT_BY_PAST, LOOKS)
    if step is None or past is None or step.median > LITTLE or past.median - step.median < GAIN:
        return None
    text = (
        f"of what changes to the next observation {percent(step.median)} is foreseen, "
        f"{percent(past.median)} with the step before"
    )
    return Evidence(text, (NEXT_BY_STEP, NEXT_BY_PAST), past.reach)


def _hidden(run: Signals) -> Evidence | None:
    """Return evidence that most columns never vary, and by two looks the previous step predicts more; else None."""
    constant, past = run.select_first(COLUMNS_CONSTANT, LOOKS), run.select_first(NEXT_BY_PAST, LOOKS)
    added = _added(run)
    if constant is None or past is None or added is None or len(past.values) < 2:
        return None
    if constant.median < MOSTLY or added < MORE:
        return None
    text = f"the step before adds {percent(added)} to what is foreseen of the next observation"
    return Evidence(text, (COLUMNS_CONSTANT, NEXT_BY_STEP, NEXT_BY_PAST), past.reach)


def _cut_off(run: Signals) -> Evidence | None:
    """Return evidence that values of a column are cut off at both ends, and lost; None otherwise."""
    clipped, added = run.select_first(COLUMNS_CLIPPED, LOOKS), _added(run)
    if clipped is None or clipped.median < CUT or judge_standing(run).has_learned:
        return None
    if added is None or added < SOME:
        return None  # full or empty by nature
    text = (
        f"{percent(2 * clipped.median)} of the values of a column or more are exactly its least or its largest, and "
        f"the step before adds {percent(added)} to what is foreseen of the next observation"
    )
    return Evidence(text, (COLUMNS_CLIPPED, NEXT_BY_STEP, NEXT_BY_PAST), clipped.reach)


def _added(run: Signals) -> float | None:
    """Return the share of the next observation that only the previous step predicts; None if not recorded."""
    step, past = run.select_first(NEXT_BY_STEP, LOOKS), run.select_first(NEXT_BY_PAST, LOOKS)
    return past.median - step.median if step and past else None


def _reward(run: Signals) -> Evidence | None:
    """Return evidence that the reward follows the previous one, not the observation or critic; else None."""
    known, past = _known(run), run.select_first(REWARD_BY_PAST, LOOKS)
    explained = run.select_last(metrics.EXPLAINED_VARIANCE)
    if known is None or past is None or len(past.values) < 2:
        return None  # at a first look a normaliser's statistics still move from step to step
    if known > LITTLE or past.median < max(FORETOLD, known + GAIN):
        return None
    if explained is None or explained.mean > UNEXPLAINED:
        return None
    if run.is_ours and (known > POOR or run.compute_progress(run.history.last_iteration) < GROWN_UP):
        return None  # of slow systems the last reward tells the next better than few samples of a state do
    text = (
        f"of the rewards {percent(known)} is foreseen from observation and action, {percent(past.median)} with the "
        f"step before; the critic explains {percent(max(explained.mean, 0.0))} of the returns"
    )
    return Evidence(text, (REWARD_BY_STEP, REWARD_BY_PAST, explained.metric), past.reach)


def _coarse(run: Signals) -> Evidence | None:
    """Return evidence that nearly all observations repeat, and the previous step predicts far more; None otherwise."""
    repeats = run.select_first(metrics.OBSERVATION_REPEATS, LOOKS)
    step, past = run.select_first(NEXT_BY_STEP, LOOKS), run.select_first(NEXT_BY_PAST, LOOKS)
    known, paid = _known(run), run.select_first(REWARD_BY_PAST, LOOKS)
    if repeats is None or repeats.median < COARSE:
        return None
    seen = f"{percent(repeats.median)} of the observations are one of the others again"
    if step is not None and past is not None and past.median - step.median >= MORE:
        text = f"{percent(step.median)} is foreseen of the next one, {percent(past.median)} with the step before"
        return Evidence(f"{seen}, and {text}", (repeats.metric, NEXT_BY_STEP, NEXT_BY_PAST), past.reach)
    if known is not None and paid is not None and paid.median - known >= MUCH_MORE:
        text = f"{percent(known)} is foreseen of the rewards, {percent(paid.median)} with the step before"
        return Evidence(f"{seen}, and {text}", (repeats.metric, REWARD_BY_STEP, REWARD_BY_PAST), paid.reach)
    return None


def _unseen(run: Signals) -> bool:
    """True if, by every measure, the previous step predicts rewards and the observations hardly do."""
    known, past = _known(run), run.select_first(REWARD_BY_PAST, LOOKS)
    explained = run.select_last(metrics.EXPLAINED_VARIANCE)
    if known is None or past is None or explained is None or known > POOR:
        return False
    blank = _blank(run) is not None and past.median - known >= CLEARLY
    return blank or (past.median >= FORETOLD and explained.mean < BLIND)


def _repeated(run: Signals) -> Evidence | None:
    """Return evidence that coarse observations repeat, and the previous step predicts more; None otherwise."""
    repeats, step = run.select_first(metrics.OBSERVATION_REPEATS, LOOKS), run.select_first(NEXT_BY_STEP, LOOKS)
    past = run.select_first(NEXT_BY_PAST, LOOKS)
    if repeats is None or step is None or past is None or repeats.median < REPEATED:
        return None
    if step.median > NOTHING or past.median - step.median < SOME:
        return None
    text = (
        f"{percent(repeats.median)} of the observations are one of the others again, and the step before adds "
        f"{percent(past.median - step.median)} to the {percent(step.median)} that is foreseen of the next one"
    )
    return Evidence(text, (repeats.metric, NEXT_BY_STEP, NEXT_BY_PAST), past.reach)


def _blank(run: Signals) -> Evidence | None:
    """Return evidence that observations hardly vary, with constant columns, and predict no reward; else None."""
    repeats, constant = run.select_first(metrics.OBSERVATION_REPEATS, LOOKS), run.select_first(COLUMNS_CONSTANT, LOOKS)
    known, past = _known(run), run.select_first(REWARD_BY_PAST, LOOKS)
    step = run.select_first(NEXT_BY_STEP, LOOKS)
    if repeats is None or constant is None or known is None or past is None or len(past.values) < 2:
        return None  # rewards that are met seldom are foretold by chance at a first look
    if step is not None and step.median > WHOLE:
        return None
    if repeats.median < BLANK or constant.median == 0 or known > POOR or past.median - known < SOME:
        return None
    text = (
        f"{percent(repeats.median)} of the observations are one of the others again, and foresee {percent(known)} of "
        f"the rewards ({percent(past.median)} with the step before)"
    )
    return Evidence(text, (repeats.metric, REWARD_BY_STEP, REWARD_BY_PAST), repeats.reach)


def _known(run: Signals) -> float | None:
    """Return the share of the rewards that regressions predict without the previous step; None if not recorded."""
    seen, step = run.select_first(REWARD_BY_OBSERVATION, LOOKS), run.select_first(REWARD_BY_STEP, LOOKS)
    return max(seen.median, step.median) if seen and step else None


def _causes(constant: Window | None) -> tuple[Cause, ...]:
    blank = constant is not None and constant.median > 0
    why = f"{percent(constant.median)} never vary" if constant is not None else ""
    return (
        Cause(
            "columns that are left out, zeroed or never filled",
            "print the spread of each column of one rollout's observations: none may be 0 that the task needs",
            Support.SUPPORTED if blank else Support.OPEN,
            why,
        ),
        Cause(
            "numbers that are cut off: stored as integers, or clipped before they are scaled",
            "count the different values of each column, and how many lie exactly at the least or the largest",
        ),
        Cause(
            "a state with a memory: velocities or a goal that no single observation holds",
            "stack the last observations (or use a recurrent policy), and give the goal as columns",
        ),
    )


RULE = Rule(
    name="observation_incomplete",
    title="Observations do not tell the state",
    stage=Stage.BUG,
    needs=((NEXT_BY_PAST, REWARD_BY_PAST, COLUMNS_CONSTANT, WRAPPED_SIGHT_LOST),),
    helps=(COLUMNS_CONSTANT, metrics.OBSERVATION_REPEATS, metrics.EXPLAINED_VARIANCE),
    explains=(
        *("signal_lost", "critic_underfits", "entropy_pinned", "oscillating", "greedy_vs_sampled", "value_explosion"),
        *("learned_and_lost", "action_not_applied", "greedy_collapsed", "updates_too_large"),
    ),
    curable=False,
    says="the step before foretells what the present observation does not",
    threshold=(
        "the step before adds 40 % of the next observation to 40 % at most; or of the reward, of which 80 % is then "
        "foreseen, while the critic explains half of the returns at most; or half of the observations repeat, and 4 % "
        "are added to 25 % at most; or 90 % repeat, and 10 % of the next observation, or 30 % of the reward, are "
        "added; or half of the columns never vary, and 10 % of the next observation are added in two looks; or 90 % "
        "repeat, with columns that never vary, and foresee 15 % of the rewards, with 4 % added; or 16 % of a column's "
        "values lie at each of its ends, 4 % of the next observation are added, and nothing is learned; a doubt where "
        "a saved optimiser shows columns that never vary and nothing is learned; in any run, where a wrapper makes "
        "columns constant, or takes away half of a column's variance, or a quarter while half of the observations "
        "repeat; where wrappers leave observations whole, the rest is a doubt"
    ),
    source="Kaelbling et al. 1998 (partial observability); Schulman 2017 (look at the observations as the agent "
    "does); measured here",
    examine=examine,
)
