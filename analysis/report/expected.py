"""Expected against actual: what theory, an untrained policy and the rules' thresholds let expect of a run."""

from collections.abc import Iterator

from unstuck.analysis.diagnosis.rewards import compute_rewards
from unstuck.analysis.diagnosis.rules.critic_underfits import NOTHING
from unstuck.analysis.diagnosis.rules.entropy_collapsed import COLLAPSED
from unstuck.analysis.diagnosis.rules.entropy_pinned import PINNED
from unstuck.analysis.diagnosis.rules.units_saturated import SATURATED
from unstuck.analysis.diagnosis.rules.updates_too_large import LARGE_CLIP, LARGE_KL, USUAL_KL
from unstuck.analysis.diagnosis.rules.value_floor import describe_loss_and_floor
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.document import Heading, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.floor import compute_explainable_share
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

Row = tuple[str, str, str, str]
"""Quantity, what was to be expected, what was measured, and where the expectation comes from."""

USUAL_GAMMA, USUAL_LAMBDA = 0.99, 0.95
"""Assumed where a run has not recorded the settings."""


def expected_blocks(run: Signals, title: str = "Expected against actual") -> list[Block]:
    """Return a table that compares a run's metrics with expected values, under a heading; empty without any."""
    rows = list_run_expectations(run)
    header = ("quantity", "expected", "actual", "where the expectation is from")
    return [Heading(title), Table("", header, tuple(rows))] if rows else []


def list_run_expectations(run: Signals) -> list[Row]:
    """Return a row for each metric of a run whose expected value (by theory or an untrained policy) is known."""
    return [*_compare_score(run), *_compare_value_loss(run), *_compare_updates(run), *_compare_behaviour(run)]


def _compare_score(run: Signals) -> Iterator[Row]:
    f1, trivial = run.select_last(metrics.F1), run.trivial_f1
    if f1 is not None and trivial:
        best = max(trivial, key=lambda name: trivial[name])
        yield "F1", f"above {number(trivial[best], 3)}, by now", number(f1.mean, 3), f"the policy {_name(best)}"
    rewards, flows = compute_rewards(run), run.read_number("env.flows_per_episode")
    returns = run.select_last(metrics.EVAL_RETURN, 0.0)
    if rewards and returns and flows:
        expected = f"{number(rewards.uniform * flows)} by drawing evenly, {number(rewards.perfect * flows)} at best"
        source = "`env.reward_benign`, `env.reward_threat`"
        yield "greedy return of an episode", expected, number(returns.mean), source


def _name(policy: str) -> str:
    return f'"{policy.replace("_", " ")}", which has learned nothing'


def _compare_value_loss(run: Signals) -> Iterator[Row]:
    floor, loss = run.select_last(metrics.VALUE_FLOOR), run.select_last(metrics.VALUE_LOSS)
    if loss is None or not run.returns_normalised or run.steps_are_independent is False:
        return
    if run.steps_are_independent is None and not run.is_triage:
        return
    gamma, gae_lambda = run.read_number("ppo.gamma"), run.read_number("ppo.gae_lambda")
    assumed = ", assumed" if gamma is None else ""
    gamma = USUAL_GAMMA if gamma is None else gamma
    low = 1 - compute_explainable_share(gamma, USUAL_LAMBDA if gae_lambda is None else gae_lambda)
    expected = f"{number(low, 2)} to 1 at gamma {gamma:.3g}{assumed}, for the best critic of independent flows"
    yield "value loss", expected, describe_loss_and_floor(loss, floor) if floor else str(loss), "analysis/floor.py"


def _compare_updates(run: Signals) -> Iterator[Row]:
    kl, clipped = run.select_last(metrics.APPROX_KL), run.select_last(metrics.CLIP_FRACTION)
    if kl is not None and not run.kl_is_signed:
        expected = f"{number(USUAL_KL)} to {number(LARGE_KL)}"
        yield "KL of an update", expected, number(kl.mean, 2), "rules updates_too_small, updates_too_large"
    if clipped is not None:
        yield "clip fraction", f"below {number(LARGE_CLIP)}", number(clipped.mean, 2), "rule updates_too_large"


def _compare_behaviour(run: Signals) -> Iterator[Row]:
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_range
    if entropy is not None and most:
        expected = f"below {number(PINNED * most, 3)} once it learns, and not below {number(COLLAPSED * most, 2)} early"
        yield "entropy of the policy", expected, number(entropy.mean, 3), f"{number(most)} is the largest possible"
    explained = run.select_last(metrics.EXPLAINED_VARIANCE)
    if explained is not None and run.steps_are_independent is False:
        yield "explained variance", f"above {number(NOTHING)}", _settle(explained), "rule critic_underfits"
    saturated = run.select_last(metrics.SATURATED_SHARE)
    if saturated is not None:
        yield "saturated units", f"below {percent(SATURATED)}", percent(saturated.mean), "rule units_saturated"


def _settle(window: Window) -> str:
    return number(window.mean, 2)
