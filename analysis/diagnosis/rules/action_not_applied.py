"""Actions that are not done as they are taken: half of their range does nothing, or they hardly move observations."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rules import observation_incomplete
from unstuck.analysis.diagnosis.signal_signs import find_unrelated_observations
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.wrapped import acts_whole, make_evidence, read_fact
from unstuck.analysis.history.record import (
    ACTION_DELAY,
    ACTION_EFFECT,
    ACTION_HALVES,
    ACTION_SHOWN,
    EPISODE_LENGTH,
    REWARD_BY_OBSERVATION,
    REWARD_BY_STEP,
    WRAPPED_ACTION_CUT,
    WRAPPED_ACTION_DELAY,
    WRAPPED_ACTION_REACH,
    WRAPPED_ACTION_UNUSED,
)
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics

ONE_SIDED = 0.25
"""What the weaker half of every action's range does, as a share of the stronger: 0 to 0.15 where a half is cut off,
0.75 and more where none is. An engine that only pushes has such an action, beside others that steer."""

SHOWN = 0.02
"""Share of what comes next that actions must explain: of less, the two halves' shares are chance. 0.007 where lanes are
shown each other's observations."""

WEAK = 0.1
"""Spreads of what is seen that actions move in a whole episode: 4 and more in tasks that can be learned."""

OF_REWARD = 0.02
"""Share of the rewards that actions may explain beyond the observation at some look, since regressions on a few lanes
are noisy: where actions pay at once, they arrive, and show at every look."""

REACH = 0.1
"""Share of the environment's range that the policy's whole range reaches behind the wrappers."""

CUT = 0.4
"""Share of the policy's range that a wrapper makes one and the same action, at one end: a half is cut off."""

UNUSED = 0.5
"""Share of an action's numbers that change nothing the environment is given; fewer may be left out by design."""

LOOKS = 3


def examine(run: Signals) -> Finding | None:
    """Return a finding if half of the actions' range, or the actions at all, have almost no effect; else None."""
    fact = _wrapped(run)
    if fact is not None:
        return _make_finding(run, fact, Kind.FAULT, Ground.MEASURED)
    found = _halves(run) or _weak(run)
    if found is None or observation_incomplete.examine(run) is not None:
        return None  # where the state is not shown, what actions do to the state does not show either
    sided = found.metrics[0] == ACTION_HALVES
    if not sided and judge_standing(run).has_learned:
        return None  # by actions that pay later, and show in nothing else
    kind = Kind.SUSPECT if acts_whole(run) else Kind.FAULT  # what arrives whole, the environment answers so by itself
    return _make_finding(run, found, kind, Ground.MEASURED if sided else Ground.PACE)


def _make_finding(run: Signals, found: Evidence, kind: Kind, ground: Ground) -> Finding:
    """Return the fault with its evidence, and the causes that the evidence supports."""
    cut = found.metrics[0] in (ACTION_HALVES, WRAPPED_ACTION_CUT)
    return Finding(
        headline=f"What is done is not the action: {found.text}",
        kind=kind,
        sureness=Sureness.LIKELY,
        why=judge_standing(run).brief,
        evidence=(found,),
        causes=(
            Cause(
                "actions that are clipped to another range than the policy's, before the environment sees them",
                "print the action that the environment's own `step` is given beside the policy's",
                Support.SUPPORTED if cut else Support.OPEN,
                found.text if cut else "",
            ),
            Cause(
                "actions that are scaled twice, replaced or held back on their way",
                "print the action that the environment's own `step` is given beside the policy's",
                Support.OPEN if cut else Support.SUPPORTED,
                "" if cut else found.text,
            ),
            Cause("an environment whose actions do so little by nature", "step it by hand with either extreme action"),
        ),
        since=found.iterations[0] if found.iterations else None,
        ground=ground,
    )


def _wrapped(run: Signals) -> Evidence | None:
    """Return evidence that a wrapper holds actions back, or lets little of their range through; None otherwise."""
    delay = read_fact(run, WRAPPED_ACTION_DELAY)
    if delay:
        text = f"a wrapper does what the policy chose {pluralize(round(delay), 'step')} before"
        return make_evidence(run, text, WRAPPED_ACTION_DELAY)
    cut, reach = read_fact(run, WRAPPED_ACTION_CUT), read_fact(run, WRAPPED_ACTION_REACH)
    if cut is not None and cut >= CUT:
        text = f"a wrapper makes {percent(cut)} of the actions' range one and the same action"
        return make_evidence(run, text, WRAPPED_ACTION_CUT)
    unused = read_fact(run, WRAPPED_ACTION_UNUSED)
    if unused is not None and unused >= UNUSED:
        text = f"{percent(unused)} of an action's numbers change nothing of what the environment is given"
        return make_evidence(run, text, WRAPPED_ACTION_UNUSED)
    if reach is None or reach > REACH:
        return None
    text = f"behind the wrappers all that the policy can choose is {percent(reach)} of what the environment takes"
    return make_evidence(run, text, WRAPPED_ACTION_REACH)


def _halves(run: Signals) -> Evidence | None:
    """Return evidence that one half of each action's range has no effect; None otherwise.

    A half that acts at the first look is not cut off: a battery that a policy keeps empty cannot be emptied further.
    """
    halves, shown = run.select_first(ACTION_HALVES, LOOKS), run.select_first(ACTION_SHOWN, LOOKS)
    if halves is None or max(halves.median, halves.values[0]) > ONE_SIDED:
        return None
    if shown is not None and shown.median < SHOWN:
        return None
    text = f"one half of the actions' range does {percent(halves.median)} of what the other half does"
    return Evidence(text, (ACTION_HALVES,), halves.reach)


def _weak(run: Signals) -> Evidence | None:
    """Return evidence that actions hardly change the observations in a whole episode; None otherwise."""
    effect, length = run.select_first(ACTION_EFFECT, LOOKS), run.select_first(EPISODE_LENGTH, LOOKS)
    seen, step = run.select_first(REWARD_BY_OBSERVATION, LOOKS), run.select_first(REWARD_BY_STEP, LOOKS)
    if run.is_triage:
        return None  # no action changes which flow comes next
    if effect is None or length is None or effect.median * length.median > WEAK:
        return None
    late = run.select_first(ACTION_DELAY, LOOKS)
    if late is not None and late.median > 0:
        return None
    if seen is None or step is None:
        return None
    explained = [one - other for one, other in zip(step.values, seen.values, strict=False)]
    if (max(explained) if run.is_ours else min(explained)) > OF_REWARD:
        return None  # lanes of all our members are regressed on together, so that one look tells
    if find_unrelated_observations(run) is not None:
        return None  # what is shown are others' observations, and does not tell what actions do
    text = (
        f"in the {number(length.median, 3)} steps of an episode actions move what is seen by "
        f"{percent(effect.median * length.median)} of its spread, and explain none of the rewards"
    )
    return Evidence(text, (ACTION_EFFECT, EPISODE_LENGTH), effect.reach)


RULE = Rule(
    name="action_not_applied",
    title="Actions not applied",
    stage=Stage.BUG,
    needs=((ACTION_HALVES, ACTION_EFFECT, WRAPPED_ACTION_DELAY, WRAPPED_ACTION_REACH),),
    helps=(EPISODE_LENGTH, REWARD_BY_STEP),
    explains=(
        *("signal_lost", "entropy_pinned", "oscillating", "critic_underfits", "greedy_vs_sampled", "policy_frozen"),
        *("updates_too_large", "learned_and_lost", "return_frozen", "observation_incomplete", "paid_otherwise"),
    ),
    curable=False,
    says="half of the actions' range does nothing, all of the range next to nothing, or a wrapper holds actions back",
    threshold=(
        "the weaker half of the range of each bounded action does less than a quarter of the stronger, at the "
        "first look as well, where actions explain 2 % of what comes next; or the effect "
        "of an action on the next observation, times the steps of an episode, is below a tenth of a column's spread, "
        "and actions explain less than 2 % of the rewards at some look; in any run, where a wrapper does 99 % of the "
        "actions some steps late, makes 40 % of the range one action, drops half of an action's numbers, or reaches a "
        "tenth of the environment's range; "
        "where the environment was seen to be given what the policy chose, the rest is a doubt"
    ),
    source="Schulman 2017 (look at what the agent does); Stable-Baselines3's documentation (actions are clipped to "
    f"their space, wrappers behind come on top); measured here; {metrics.ENTROPY} does not tell",
    examine=examine,
)
