"""Targets beyond the returns of episodes: a sign of values that go on after an episode has ended, and never a proof.

A correct PPO may show the same. Where an episode is cut off, the value goes on by right (bootstrapping). Where steps
cost and the end pays, the rest of an episode is more than the whole. Where the episodes that return much are long, most
steps lie in long episodes, and the mean over episodes is less than the mean over steps. And returns that rise lag
behind targets.
"""

from dataclasses import replace

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.wrapped import make_evidence, read_fact
from unstuck.analysis.history.record import (
    ENDS_TRUNCATED,
    EPISODE_LENGTH,
    TRUNCATED_EARLY,
    TRUNCATED_LENGTHS,
    WRAPPED_ENDS,
)
from unstuck.analysis.statistics import fit_trend
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

TOO_MUCH = 1.25
"""Factor of an episode's return that the critic's targets may reach on average."""

LONG_HORIZON = 0.995
"""Above this gamma, even the episodes of `NEVER_BEYOND` that are cut off are shorter than the horizon."""

NEVER_BEYOND = ("CartPole-v0", "CartPole-v1", "Acrobot-v1")
"""Environments whose steps all pay the same, and whose episodes end by themselves or are cut off beyond the horizon:
what is left of an episode is less than all of it, and discounted. Healthy runs of our learner stay below 0.8. That is
no theorem: a critic that overshoots, or lanes whose episodes differ much in length, may show more for a while."""

BLIND = 0.3
"""Share of saturated units from which the critic's word counts for nothing."""

IN_A_ROW = 5

STILL = 0.05
"""Spread of targets, in a step's reward and in all, that is next to none: the last steps of an episode that ends are to
earn next to nothing, and its first ones the most."""

ALL_ENDS, LENGTHS, EARLY = 0.99, 10.0, 0.5
"""Share of the episodes that are truncated, number of their different lengths, and share that ended before the longest:
a time limit truncates at one length, and a limit that is changed in mid-run at a few."""

RETOLD = 0.9
"""Share of the environment's own ends that come out of the wrappers as something else."""

FAR = 2.0
"""Factor of the largest mean return on record that targets must exceed in a run that has learned: longer episodes count
for more among the targets than among the returns."""

SHORTER = 0.8
"""Share of the longest mean length below which episodes end by themselves: those at a limit are as long as any."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if the critic's targets are larger than whole episodes' returns; None otherwise.

    A fault in the environments of `NEVER_BEYOND`, in others a suspect if the run has not learned.
    """
    fact = find_targets_beyond_returns(run)
    told = _ends_retold(run) or _ends_told_as_truncations(run, fact)
    if told is not None:
        return told
    if fact is None:
        return _blind_to_ends(run)
    if run.setting("env.id") in NEVER_BEYOND:
        return Finding(
            headline=f"Targets exceed what episodes return: {fact.text}",
            kind=Kind.FAULT,
            sureness=Sureness.LIKELY,
            why="every step pays the same here, so the rest of an episode is less than the whole; no run without a "
            "fault has been seen to show this",
            evidence=(fact,),
            causes=(ENDS_FORGOTTEN,),
            since=fact.iterations[0] if fact.iterations else None,
        )
    if _pays_from_zero_up(run, fact):
        return Finding(
            headline=f"Targets exceed what episodes return: {fact.text}",
            kind=Kind.FAULT,
            sureness=Sureness.LIKELY,
            why="no iteration returned less than 0, and episodes end by themselves: the rest of one is no more than a "
            "whole",
            evidence=(fact,),
            causes=(ENDS_FORGOTTEN, TOLD_AS_TRUNCATIONS),
            since=fact.iterations[0] if fact.iterations else None,
            ground=Ground.MEASURED,
        )
    if judge_standing(run).has_learned:
        return None  # values that went on behind each end would have told its policy nothing
    return Finding(
        headline=f"Targets exceed what episodes return: {fact.text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why="a correct PPO may show this as well, and how episodes end and pay is not recorded",
        evidence=(fact,),
        causes=(
            Cause(
                "episodes that are cut off at a limit of steps: their values go on by right",
                "count how many episodes are cut off, or lower gamma until 1 / (1 - gamma) is less than an episode: "
                "the targets must fall below the returns",
            ),
            Cause(
                "steps that cost and an end that pays, or long episodes that return more than short ones",
                "weigh returns by the episodes' lengths, and compare with an episode's rest in its middle",
            ),
            ENDS_FORGOTTEN,
        ),
    )


def _pays_from_zero_up(run: Signals, fact: Evidence) -> bool:
    """True if no return was negative, episodes end by themselves, and targets are far beyond any return."""
    targets, returns, lengths = (
        run.select_last(name) for name in (metrics.TARGET_MEAN, metrics.TRAIN_RETURN, EPISODE_LENGTH)
    )
    if not run.is_ours or targets is None or returns is None or lengths is None:
        return False
    paid, long = run.select_finite(metrics.TRAIN_RETURN), float(run.select_finite(EPISODE_LENGTH).max())
    ended = lengths.median < SHORTER * long
    return ended and float(paid.min()) >= 0 and targets.median > FAR * float(paid.max())


def _blind_to_ends(run: Signals) -> Finding | None:
    """Return a fault if the critic's targets are all equal though episodes can end early; None otherwise.

    Only of a probe's record: means over 100 episodes are of episodes long past.
    """
    spread, lengths, returns = (
        run.select_last(name) for name in (metrics.TARGET_STD, EPISODE_LENGTH, metrics.TRAIN_RETURN)
    )
    if run.is_ours or not run.is_measured_by_us or spread is None or lengths is None or returns is None:
        return None
    step = abs(returns.median) / max(lengths.median, 1.0)
    longest = float(run.select_finite(EPISODE_LENGTH).max())
    if lengths.median >= SHORTER * longest or spread.median >= STILL * min(1.0, step):
        return None
    text = (
        f"what the critic is to predict has a spread of {number(spread.median, 2)}, though episodes end after "
        f"{number(lengths.median, 3)} steps, and have lasted {number(longest, 3)}"
    )
    return Finding(
        headline=f"Targets do not see that episodes end: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"where an end counts, the last steps of an episode are worth less than the first; a step pays "
        f"{number(step, 2)}",
        evidence=(Evidence(text, (spread.metric, lengths.metric), spread.reach),),
        causes=(
            replace(TOLD_AS_TRUNCATIONS, why=text),
            ENDS_FORGOTTEN,
        ),
        since=spread.iterations[0],
        ground=Ground.MEASURED,
    )


def _ends_retold(run: Signals) -> Finding | None:
    """Return a fault if wrappers were seen to tell the environment's ends as something else; None otherwise."""
    share = read_fact(run, WRAPPED_ENDS)
    if share is None or share < RETOLD:
        return None
    text = f"a wrapper tells {percent(share)} of the environment's ends as truncations, or not at all"
    return Finding(
        headline=f"Ends of episodes are told as truncations: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why="where the environment ends, nothing follows, and values that go on behind the end are of no state",
        evidence=(make_evidence(run, text, WRAPPED_ENDS),),
        causes=(replace(TOLD_AS_TRUNCATIONS, why=text),),
        since=int(run.select_finite(WRAPPED_ENDS).index[0]),
        ground=Ground.MEASURED,
    )


def _ends_told_as_truncations(run: Signals, beyond: Evidence | None) -> Finding | None:
    """Return a finding if all episodes are truncated, at many lengths, as no time limit does; None otherwise.

    An environment may truncate by design where its state goes out of bounds: the values that go on behind the end are
    then right. So the finding is a fault only where targets are measured beyond what episodes return as well.
    """
    ends, lengths, early = (
        run.select_last(name, share=0.0, least=1) for name in (ENDS_TRUNCATED, TRUNCATED_LENGTHS, TRUNCATED_EARLY)
    )
    if ends is None or lengths is None or early is None:
        return None
    if ends.mean < ALL_ENDS or lengths.mean < LENGTHS or early.mean < EARLY:
        return None
    text = (
        f"{percent(ends.mean)} of the episodes are told as truncated, at {number(lengths.mean)} different lengths, "
        f"{percent(early.mean)} of them before the longest"
    )
    return Finding(
        headline=f"Ends of episodes are told as truncations: {text}",
        kind=Kind.FAULT if beyond else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="a time limit truncates at one length; what ends an episode earlier is an end, behind which nothing "
        + ("follows" if beyond else "follows, unless the environment truncates by design, which no number here tells"),
        evidence=(
            Evidence(text, (ENDS_TRUNCATED, TRUNCATED_LENGTHS, TRUNCATED_EARLY), ends.reach),
            *([beyond] if beyond else []),
        ),
        causes=(
            TOLD_AS_TRUNCATIONS,
            Cause(
                "an environment that truncates by design where its state goes out of bounds",
                "ask what would be paid if the episode went on: if nothing, the end is a termination",
            ),
        ),
        since=ends.iterations[0],
        ground=Ground.MEASURED,
    )


def find_targets_beyond_returns(run: Signals) -> Evidence | None:
    """Return evidence that the critic's late targets are larger than whole episodes' returns; else None.

    None as well where rising returns explain the excess.
    """
    targets, returns = run.select_finite(metrics.TARGET_MEAN), run.select_finite(metrics.TRAIN_RETURN)
    gamma = run.read_number("ppo.gamma")
    saturated = run.select_last(metrics.SATURATED_SHARE)
    if saturated is not None and saturated.mean > BLIND:
        return None  # such a critic may say anything
    if run.is_triage or gamma is None or gamma > LONG_HORIZON or "env.id" not in run.history.settings:
        return None
    share = (targets / returns.rolling(IN_A_ROW, min_periods=1).mean()).dropna().iloc[-IN_A_ROW:]
    if len(share) < IN_A_ROW or float(share.median()) < TOO_MUCH or float(share.min()) < 1:
        return None
    lately = returns.iloc[-2 * IN_A_ROW :]
    if fit_trend(lately.index.to_list(), lately.to_list()).rises:
        return None
    target, back = float(targets.loc[share.index].mean()), float(returns.loc[share.index].mean())
    text = f"the critic is to predict {number(target, 3)} on average, and whole episodes return {number(back, 3)}"
    reach = int(share.index[0]), int(share.index[-1])
    return Evidence(text, (metrics.TARGET_MEAN, metrics.TRAIN_RETURN), reach)


TOLD_AS_TRUNCATIONS = Cause(
    "ends that are told as truncations, so that values go on behind them",
    "print terminated and truncated of the last step of ten episodes: an end is terminated",
    Support.SUPPORTED,
)

ENDS_FORGOTTEN = Cause(
    "ends of episodes that are not stored, so that values go on into the next one",
    "compare one rollout's targets with a brute-force sum of rewards up to each episode's end",
)

RULE = Rule(
    name="targets_beyond",
    title="Targets beyond returns",
    stage=Stage.BEHAVIOUR,  # last: it is hardly ever more than a property of the environment
    needs=((metrics.TARGET_MEAN,), (metrics.TRAIN_RETURN,)),
    helps=(ENDS_TRUNCATED,),
    explains=(
        *("policy_frozen", "updates_too_large", "updates_too_small", "entropy_collapsed", "entropy_pinned"),
        *(
            "critic_underfits",
            "greedy_collapsed",
            "oscillating",
            "signal_lost",
            "greedy_vs_sampled",
            "learns_backwards",
        ),
        *("return_frozen", "learned_and_lost"),
    ),
    says=(
        "targets beyond what episodes return: likely a fault in CartPole and Acrobot, where what is left of "
        "an episode is less than all of it; elsewhere ends of episodes that are not stored, or, with nothing "
        "wrong, episodes that are cut off, steps that cost before an end that pays, long episodes that return"
        " more than short ones: there a doubt; no doubt in a run that learns"
    ),
    threshold=(
        "targets 1.25 times the return, which does not rise; or, in a probe's record, targets of a spread below 0.05 "
        "and below a twentieth of a step's reward, with episodes below 0.8 of the longest; "
        "or 99 % of the episodes truncated at 10 different lengths, half of them before the longest: a doubt, and a "
        "fault where targets exceed the returns as well; or a wrapper tells 90 % of the environment's ends as "
        "something else"
    ),
    source=("Pardo et al. 2018, Time limits in reinforcement learning (values go on where an episode is cut off)"),
    examine=examine,
)
