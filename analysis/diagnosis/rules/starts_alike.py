"""Training's episodes begin alike: each reset sets the seed, or evaluations, which begin elsewhere, are worse."""

from unstuck.analysis.diagnosis.finding import (
    Blind,
    Cause,
    Evidence,
    Finding,
    Ground,
    Kind,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.rules.greedy_vs_sampled import SCALED
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import evaluates_greedily, judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import EVAL_LENGTH, EVAL_MISSED, START_REPEATS, STARTS_RESEEDED
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

ALIKE = 0.9
"""Share of episodes that began as another one did. Where a task has one start, evaluations are as good."""

ALIKE_UNMET = 0.8
"""The same share where not one episode of the evaluation begins as one of training's: of eight lanes with one seed an
eighth begins as none before. At four fifths, chance leaves one in five to begin as none, and all of five in 3,000."""

COARSE = 0.5
"""Share of all observations that repeat from which starts repeat as anything does: 0.01 to 0.12 where resets are alike,
0.96 and more where numbers are cut off."""

WORSE, CLEAR = 0.1, 3.0
"""Share of all that the training return gained by which evaluations must lie below, and standard errors: where a
task has one start, a greedy policy gains what exploration costs, or goes the same circle at each evaluation."""

POINTS = 4

APART, EVALUATIONS = 1e-6, 4
"""Steps by which the mean length of an evaluation's episodes must miss a whole number to be of episodes that differ;
and the evaluations of which half must be so: a greedy policy goes the same way again where every reset sets the
seed."""

MISSED = 0.15
"""Share of the evaluations' late episodes that are worse than 99 % of training's: 0.16 and 0.24 where resets were
alike, and 0 in 15 healthy runs; of 25 episodes that are as training's, chance makes four in one run of 8,000."""

UNSEEN = 0.6
"""Share of the evaluation's episodes that must begin as none of training's did: 25 different starts at most among 256
episodes leave a chance of 1 in 10 for each, so three of five are no chance."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding if resets set the seed, or episodes start alike and evaluations are far worse; else None."""
    reseeded = run.select_last(STARTS_RESEEDED, share=0.0, least=1)
    if reseeded is not None and reseeded.mean >= ALIKE:
        return _reseeded(run, reseeded)
    if (found := _elsewhere(run) or _missed(run)) is not None:
        return found
    if not run.has(metrics.EVAL_RETURN):
        return Blind(((metrics.EVAL_RETURN,),), "episodes that begin alike are a fault where others are met later")
    alike = run.select_last(START_REPEATS, share=0.0, least=1)
    worse = _are_worse(run)
    if alike is None or worse is None or alike.mean < ALIKE:
        return None
    repeats, unseen = run.select_first(metrics.OBSERVATION_REPEATS), run.select_last(metrics.STARTS_UNSEEN)
    if repeats is not None and repeats.median > COARSE:
        return None
    if unseen is not None and unseen.median < UNSEEN:
        return None  # evaluations begin as training does: what makes them worse is something else
    text = f"{percent(alike.mean)} of the episodes begin as another one did"
    return Finding(
        headline=f"Training knows its few episodes by heart: {text}; {worse.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why="where every episode begins alike, a policy that knows one of them needs to look at nothing",
        evidence=(
            Evidence(text, (START_REPEATS,), alike.reach),
            worse,
        ),
        causes=(
            Cause(
                _SEEDED,
                "print the first observations of ten episodes",
                Support.SUPPORTED,
                text,
            ),
            Cause("evaluations in another environment, or with other wrappers", "evaluate in training's environment"),
        ),
        since=worse.iterations[0] if worse.iterations else None,
        ground=Ground.MEASURED,
    )


def _elsewhere(run: Signals) -> Finding | None:
    """Return a fault if training knows few starts and evaluation's are mostly others; None otherwise."""
    alike, unseen = run.select_last(START_REPEATS, share=0.0, least=1), _find_unseen(run)
    if alike is None or unseen is None or alike.mean < (ALIKE_UNMET if _meets_none(run) else ALIKE):
        return None
    text = f"{percent(alike.mean)} of the episodes begin as another one did"
    return Finding(
        headline=f"Training knows its few episodes by heart: {text}; {unseen.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"evaluation's seeds begin episodes that training never meets; {judge_standing(run).brief}",
        evidence=(Evidence(text, (START_REPEATS,), alike.reach), unseen),
        causes=(Cause(_SEEDED, "print the first observations of ten episodes", Support.SUPPORTED, text),),
        since=unseen.iterations[0] if unseen.iterations else None,
        ground=Ground.MEASURED,
    )


def _missed(run: Signals) -> Finding | None:
    """Return a doubt if some evaluation episodes go worse than training's ever do, and the others well; else None."""
    missed = run.select_last(EVAL_MISSED, share=0.0, least=1)
    if missed is None or missed.mean < MISSED:
        return None
    text = (
        f"{percent(missed.mean)} of the late evaluation episodes return less than 99 % of training's, and last no "
        "longer, while most return as much"
    )
    return Finding(
        headline=f"Evaluations meet what training does not: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why=f"one policy plays both, and training's episodes add the noise of exploration; {judge_standing(run).brief}",
        evidence=(Evidence(text, (EVAL_MISSED,), missed.reach),),
        causes=(
            Cause(_SEEDED, "print the first observations of ten episodes of training, and of evaluations"),
            Cause("evaluations in another environment, or with other wrappers", "evaluate in training's environment"),
            Cause(
                "a greedy policy that fails where exploration gets it out",
                "evaluate once more with actions drawn at random (deterministic=False)",
            ),
        ),
        since=missed.iterations[-1],
        missing=(START_REPEATS, STARTS_RESEEDED),
        ground=Ground.MEASURED,
    )


def _find_unseen(run: Signals) -> Evidence | None:
    """Return evidence that most of evaluation's episodes begin as none of training's, at the same size; else None."""
    unseen, scale = run.select_last(metrics.STARTS_UNSEEN), run.select_last(metrics.START_SCALE)
    if unseen is None or scale is None or unseen.median < UNSEEN:
        return None
    if not 1 / SCALED <= scale.median <= SCALED:
        return None  # evaluations are shown other numbers altogether
    others = f"{percent(unseen.median)} of the evaluation's episodes begin as none of these"
    return Evidence(others, (metrics.STARTS_UNSEEN,), unseen.reach)


def _meets_none(run: Signals) -> bool:
    """True if none of the evaluation's episodes begins as one of training's, at each late evaluation."""
    unseen = run.select_last(metrics.STARTS_UNSEEN)
    return unseen is not None and min(unseen.values) >= 1.0


def _are_worse(run: Signals) -> Evidence | None:
    """Return evidence that evaluations return clearly less than training, as where they begin elsewhere; else None."""
    trained, judged = run.select_last(metrics.TRAIN_RETURN), run.select_last(metrics.EVAL_RETURN)
    curve = run.select_finite(metrics.TRAIN_RETURN)
    if trained is None or judged is None or len(curve) < POINTS or min(judged.values) == max(judged.values):
        return None
    gap, gained = trained.mean - judged.mean, float(curve.max() - curve.min())
    error = (trained.error**2 + judged.error**2) ** 0.5
    if gap <= max(WORSE * gained, CLEAR * error) or gap <= 0:
        return None
    text = f"evaluations return {number(judged.mean)} of late, training {number(trained.mean)}"
    return Evidence(text, (metrics.EVAL_RETURN, metrics.TRAIN_RETURN), judged.reach)


def _begin_elsewhere(run: Signals) -> Evidence | None:
    """Return evidence that evaluations begin otherwise than as one another; None if unknown, or if they do not."""
    alike = run.select_last(metrics.STARTS_ALIKE, share=0.0, least=1)
    if alike is None or alike.mean >= ALIKE:
        return None
    return Evidence(f"{percent(alike.mean)} of the evaluations' episodes begin alike", (alike.metric,), alike.reach)


def _go_apart(run: Signals) -> Evidence | None:
    """Return evidence that episodes of one evaluation of the greedy policy differ in length; None otherwise.

    Where an environment sets its own seed at each reset, such a policy's episodes are all of one length, whose mean is
    a whole number.
    """
    lengths = run.select_all(EVAL_LENGTH)
    if lengths is None or len(lengths.values) < EVALUATIONS or not evaluates_greedily(run):
        return None
    broken = sum(abs(length - round(length)) > APART for length in lengths.values)
    if 2 * broken < len(lengths.values):
        return None
    text = f"episodes of one greedy evaluation last differently long in {broken} of {len(lengths.values)} evaluations"
    return Evidence(text, (EVAL_LENGTH,), lengths.reach)


def _reseeded(run: Signals, reseeded: Window) -> Finding:
    """Return a finding on resets that set the seed: a fault if evaluations begin elsewhere, differ, or are worse.

    An environment may set its own seed by design, so that the task has one start; nothing in training tells the two
    apart.
    """
    harm = _find_unseen(run) or _begin_elsewhere(run) or _are_worse(run) or _go_apart(run)
    text = (
        f"after {percent(reseeded.mean)} of the resets the environment's random numbers begin as after the one before"
    )
    return Finding(
        headline=f"Every episode of training begins with one seed: {text}" + (f"; {harm.text}" if harm else ""),
        kind=Kind.FAULT if harm else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="where every episode begins alike, a policy that knows one of them needs to look at nothing; "
        + ("" if harm else "a task may have one start by design, which no number of training tells; ")
        + judge_standing(run).brief,
        evidence=(Evidence(text, (STARTS_RESEEDED,), reseeded.reach), *([harm] if harm else [])),
        causes=(
            Cause(
                _SEEDED,
                "print the first observations of ten episodes; hand the seed to the first reset alone",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "an environment that sets its own seed at each reset, so that the task has one start",
                "read its reset, and evaluate on other seeds: returns must be those of training",
                Support.RULED_OUT if harm else Support.OPEN,
                harm.text if harm else "",
            ),
        ),
        since=reseeded.iterations[0],
        ground=Ground.MEASURED,
    )


_SEEDED = "resets with a fixed seed: `reset(seed=...)` at each episode, in place of at the first alone"

RULE = Rule(
    name="starts_alike",
    title="Episodes that begin alike",
    stage=Stage.BUG,
    needs=((START_REPEATS, STARTS_RESEEDED, EVAL_MISSED),),
    helps=(
        *(metrics.OBSERVATION_REPEATS, metrics.EVAL_RETURN, metrics.STARTS_UNSEEN, metrics.STARTS_ALIKE),
        *(metrics.START_SCALE, EVAL_LENGTH),
    ),
    explains=("greedy_vs_sampled", "overfitting", "greedy_collapsed", "learned_and_lost", "paid_otherwise"),
    curable=False,
    says="every reset sets the seed, or every episode of training begins as another did and evaluations are far worse",
    threshold=(
        "90 % of the first 256 episodes repeat a first observation, half of all observations at most repeat, and "
        "evaluations, not all the same, lie below the training return by a tenth of all that the return ever gained, "
        "and by three standard errors, unless less than 60 % of their episodes are known to begin as none of "
        "training's; or 90 % repeat, and 60 % of the evaluation's episodes begin as none of training's, at the same "
        "size, or 80 % and all of them; or 90 % of the resets set the environment's random numbers back: a doubt, and "
        "a fault where evaluations begin elsewhere, are as much worse, or differ in length from episode to episode "
        "although the policy is greedy; a doubt where 15 % of the late evaluation episodes are worse than 99 % of "
        "training's and last no longer, and the median is no worse"
    ),
    source="Cobbe et al. 2019, Quantifying generalization in reinforcement learning; Gymnasium (reset)",
    examine=examine,
)
