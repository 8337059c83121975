"""Evaluations show observations that are not scaled, to a policy that was trained on scaled ones."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history.known import EVALUATION_NORMALISED
from unstuck.rl import metrics


def examine(run: Signals) -> Finding | None:
    """Return a fault if the record says that training scales observations and evaluations do not; None otherwise."""
    if run.setting(EVALUATION_NORMALISED) is not False or run.setting("ppo.normalize_observations") is False:
        return None
    text = "training scales observations by running statistics, and evaluations do not"
    return Finding(
        headline=f"Evaluations see other observations than training: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why="a policy answers numbers in the unit in which it saw them, so these evaluations say nothing of the policy",
        evidence=(Evidence(text, (EVALUATION_NORMALISED, "ppo.normalize_observations")),),
        causes=(
            Cause(
                "environments of evaluation without training's normaliser, or with norm_obs off",
                "wrap them as training's, VecNormalize(norm_obs=True, norm_reward=False, training=False), and copy the "
                "statistics before each evaluation; whoever uses the policy later needs these statistics as well",
                Support.SUPPORTED,
                text,
            ),
        ),
        since=1,
        ground=Ground.PROOF,
    )


RULE = Rule(
    name="evaluation_unscaled",
    title="Evaluations not scaled",
    stage=Stage.BUG,
    needs=((metrics.EVAL_RETURN, metrics.TRAIN_RETURN),),
    explains=(
        *("greedy_vs_sampled", "paid_otherwise", "starts_alike", "greedy_collapsed", "return_frozen", "oscillating"),
        *("learned_and_lost", "learns_backwards", "signal_lost"),
    ),
    curable=False,
    says="training scales observations, and evaluations show them unscaled",
    threshold="the probe (logger) found training's environments to scale observations, and an evaluation's not to",
    source="Stable-Baselines3's documentation (VecNormalize, EvalCallback)",
    examine=examine,
)
