"""The discount forgets nothing: above 1 sums of rewards grow without bound, and at 1 all that is ahead counts alike."""

from unstuck.analysis.diagnosis.finding import (
    Cause,
    Evidence,
    Finding,
    Ground,
    Kind,
    Remedy,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.remedies import HORIZON, TRACES, USUAL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import EPISODE_LENGTH
from unstuck.analysis.words import number
from unstuck.rl import metrics

LONG = 200.0
"""Steps of an episode from which a gamma of 1 sums the noise of so many rewards that it is a doubt where nothing was
learned: 0.99 forgets in some 100 steps."""

GRACE = 0.25
"""Share of the run before a gamma of 1 is a doubt."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if gamma or gae_lambda is above 1, a doubt if gamma is 1 and nothing is learned; else None."""
    beyond = {path: value for path in (HORIZON, TRACES) if (value := run.read_number(path)) is not None and value > 1}
    if beyond:
        return _beyond(run, beyond)
    standing, lengths = judge_standing(run), run.select_all(EPISODE_LENGTH)
    if run.read_number(HORIZON) != 1 or run.is_triage or not standing.is_poor:
        return None
    if run.compute_progress(run.history.last_iteration) < GRACE or (lengths and lengths.median < LONG):
        return None
    text = "gamma 1 counts all rewards to come alike"
    long = f", and episodes last {number(lengths.median, 3)} steps" if lengths else ""
    return Finding(
        headline=f"The horizon may be too long: {text}{long}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why=f"the noise of all of them counts, too; {standing.brief}",
        evidence=(Evidence(text + long, (HORIZON, *((EPISODE_LENGTH,) if lengths else ()))),),
        causes=(
            Cause("noise of far rewards in every advantage", "branch at gamma 0.99: explained variance rises"),
            Cause("a task whose reward comes in the end: there gamma 1 is right", "look at when rewards come"),
        ),
        remedies=_restore(HORIZON),
        since=max(1, int(GRACE * run.history.length)),
        missing=() if lengths else (EPISODE_LENGTH,),
        ground=Ground.PACE,
    )


def _beyond(run: Signals, beyond: dict[str, float]) -> Finding:
    text = " and ".join(f"{path.rpartition('.')[2]} {number(value)}" for path, value in beyond.items())
    return Finding(
        headline=f"The discount is above 1: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why=f"what lies ahead counts the more the farther it is, so that targets grow without bound; "
        f"{judge_standing(run).brief}",
        evidence=(Evidence(f"{text}; 1 is the most that is defined", tuple(beyond)),),
        causes=(Cause("a setting that is mistyped", "correct it: 0.99 and 0.95 are usual", Support.SUPPORTED, text),),
        remedies=tuple(remedy for path in beyond for remedy in _restore(path)),
        since=1,
        ground=Ground.PROOF,
    )


def _restore(path: str) -> tuple[Remedy, ...]:
    watch = "a value loss that falls, and explained variance above 0"
    return (Remedy({path: USUAL[path].value}, "lets what lies far ahead count less", watch),)


RULE = Rule(
    name="horizon_long",
    title="Horizon too long",
    stage=Stage.SCALE,
    needs=((metrics.TRAIN_RETURN, metrics.EVAL_RETURN, metrics.VALUE_LOSS),),
    helps=(EPISODE_LENGTH,),
    explains=(
        *("value_explosion", "targets_beyond", "critic_underfits", "reward_scale", "policy_starved", "signal_lost"),
        *("numbers_not_finite", "entropy_collapsed", "entropy_pinned", "learned_and_lost", "oscillating"),
        *("greedy_collapsed", "updates_too_large", "updates_too_small", "normaliser_cold_start"),
    ),
    says="gamma or gae_lambda is above 1, or gamma is 1 where nothing is learned",
    threshold=(
        "gamma or gae_lambda above 1; a doubt where gamma is 1, episodes last 200 steps or more (or their length is "
        "not on record), and nothing was learned after a quarter of the run"
    ),
    source="Sutton and Barto 2018, 3.3 (0 <= gamma <= 1, and 1 only where episodes end); Schulman et al. 2016 (lambda)",
    examine=examine,
)
