"""The return swings without a trend: nothing is learned, and nothing is unlearned."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.remedies import RATE, USUAL, find_unusual
from unstuck.analysis.diagnosis.rewards import compute_rewards
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import EPISODE_LENGTH
from unstuck.analysis.words import format_uncertain, number, pluralize
from unstuck.rl import metrics

FEW, MANY = 4.0, 20.0
"""Episodes in a rollout below which their noise may hide what is learned, and above which it hardly does."""

POINTS = 8
"""Fewer say nothing about a trend."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if a low return does not rise: fault if the run is over, else suspect; None otherwise.

    Fine if the return rises; None if too few returns are on record, if the run is not poor, or if the return rises by
    too little to stand above its start. Of our own learner's runs other rules tell more.
    """
    returns = run.select_all(metrics.TRAIN_RETURN)
    if returns is None or len(returns.values) < POINTS:
        return None
    curve = run.trend(metrics.TRAIN_RETURN)
    change = f"{number(100 * curve.slope, 2)} in 100 iterations (Mann-Kendall p {number(curve.p, 2)})"
    standing = judge_standing(run)
    if curve.rises:
        if standing.is_untaught and standing.score == returns.metric:
            return None
        text = f"the return of training episodes rises: {change}"
        return Finding(text, Kind.FINE, Sureness.SURE, "", (Evidence(text, (returns.metric,), returns.reach),))
    if not standing.is_poor:
        return None
    verdict = "falls" if curve.falls else "has no trend"
    return Finding(
        headline=f"The return {verdict}: {_level(run, returns)}, {change}",
        kind=Kind.FAULT if run.has_ended and not run.is_ours else Kind.SUSPECT,
        sureness=Sureness.SURE,
        why=standing.brief,
        evidence=(
            Evidence(
                f"{pluralize(len(returns.values), 'value')}, {format_uncertain(returns.mean, returns.spread)}",
                (returns.metric,),
                returns.reach,
            ),
            *_chance(run),
            *_seeds(run),
        ),
        causes=_causes(run),
        since=returns.iterations[POINTS - 1],
        missing=tuple(name for name in (metrics.APPROX_KL, metrics.EVAL_RETURN) if not run.has(name)),
        ground=Ground.PACE,
    )


def _causes(run: Signals) -> tuple[Cause, ...]:
    """Return causes that the curve alone does not tell apart, in the order of what the record supports."""
    rivals = (
        Cause(
            "a learning rate outside the usual range",
            f"branch with lr {number(USUAL[RATE].value)}: the return leaves its range",
            *_by_rate(run),
        ),
        Cause(
            "rollouts that hold too few episodes beside the noise of their returns",
            "branch with rollouts four times as long: the swings halve, and a trend shows",
            *_by_episodes(run),
        ),
        Cause(
            "something is learned and lost again (updates too large)",
            "set returns beside the KL of updates: drops that follow large ones",
            *_by_updates(run),
        ),
        Cause(
            "nothing is learned, and the swings are chance: each rollout holds other steps",
            "freeze the policy (lr 0) for ten rollouts: the return swings as much",
            *_by_chance(run),
        ),
        Cause(
            "a task that cannot be learned as it stands: actions without effect, a state that is not shown, a reward "
            "that is hardly met",
            "log with unstuck.Probe: these are measured in the first rollouts",
        ),
    )
    return tuple(sorted(rivals, key=lambda cause: _ORDER[cause.support]))


_ORDER = {Support.SUPPORTED: 0, Support.OPEN: 1, Support.RULED_OUT: 2}


def _by_rate(run: Signals) -> tuple[Support, str]:
    if run.rate is None:
        return Support.OPEN, ""
    odd = find_unusual(run, RATE) is not None
    usual = f"{number(USUAL[RATE].least)} to {number(USUAL[RATE].most)} is usual"
    return Support.SUPPORTED if odd else Support.RULED_OUT, f"lr {number(run.rate)}, where {usual}"


def _by_episodes(run: Signals) -> tuple[Support, str]:
    lanes, steps = run.read_number("ppo.num_envs") or 1.0, run.read_number("ppo.num_steps")
    lengths = run.select_all(EPISODE_LENGTH)
    if steps is None or lengths is None:
        return Support.OPEN, ""
    episodes = lanes * steps / max(lengths.median, 1.0)
    support = Support.SUPPORTED if episodes < FEW else Support.RULED_OUT if episodes > MANY else Support.OPEN
    return support, f"{number(episodes, 2)} episodes in a rollout"


def _level(run: Signals, returns: Window) -> str:
    """Describe a run's return in words: first and last quarter if it falls, else its range."""
    return returns.way if run.trend(metrics.TRAIN_RETURN).falls and returns.went_down else str(returns)


def _chance(run: Signals) -> list[Evidence]:
    """Return evidence with the mean return of an episode under random actions, by the reward table."""
    rewards, flows = compute_rewards(run), run.read_number("env.flows_per_episode")
    if rewards is None or not flows:
        return []
    text = f"drawing actions evenly returns {number(rewards.uniform * flows)} an episode, by the reward table"
    return [Evidence(text, ("env.reward_benign", "env.reward_threat"))]


def _seeds(run: Signals) -> list[Evidence]:
    name = metrics.EVAL_RETURN
    seeds = list(run.seeds(name).values())
    if len(seeds) < 2:
        return []
    text = f"seeds differ: {number(min(seeds))} to {number(max(seeds))} in the last evaluations"
    return [Evidence(text, (f"{name}/seed_<member>",))]


def _by_chance(run: Signals) -> tuple[Support, str]:
    kl = run.select_all(metrics.APPROX_KL)
    if kl is None:
        return Support.OPEN, ""
    return (
        Support.SUPPORTED if kl.median < 1e-4 else Support.OPEN
    ), f"KL of an update {number(kl.median, 2)} in the median"


def _by_updates(run: Signals) -> tuple[Support, str]:
    kl = run.select_all(metrics.APPROX_KL)
    if kl is None:
        return Support.OPEN, ""
    support = Support.SUPPORTED if kl.median > 0.03 else Support.RULED_OUT if kl.median < 1e-3 else Support.OPEN
    return support, f"KL of an update {number(kl.median, 2)} in the median"


RULE = Rule(
    name="oscillating",
    title="Return without a trend",
    stage=Stage.BEHAVIOUR,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(metrics.APPROX_KL, metrics.EVAL_RETURN),
    describes=True,
    says=(
        "the return goes up and down without a trend: a fault in a run that has ended with nothing learned, where no "
        "cause is named or suspected"
    ),
    threshold="Mann-Kendall p > 0.05, corrected for autocorrelation, and nothing learned",
    source="Mann 1945, Kendall 1975; Henderson et al. 2018 (seeds alone can look like an effect)",
    examine=examine,
)
