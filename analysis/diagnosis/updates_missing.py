"""Tell that no update took place: none is on record, or a saved optimiser shows that no gradient came."""

from unstuck.analysis.diagnosis.examining import is_recorded
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Remedy, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import ENV_STEPS, PARAMETERS_UNMOVED
from unstuck.analysis.words import number
from unstuck.rl import metrics

USUAL_ROLLOUT = 2048
"""Steps of a rollout to go back to."""

MINIBATCHES = 8
"""Minibatches of a rollout to go back to."""

SAID = ("mlagents",)
"""Programs that write losses after each update, and the entropy with every summary, updated or not."""

SUMMARIES, ROLLOUTS = 20, 2.0
"""Entropies on record, and rollouts that were full, before losses are missed."""

LARGEST_ROLLOUT = 409_600
"""Steps of the largest usual buffer of ML-Agents, by its documentation: assumed where the setting is not on record."""

UNMOVED = 0.005
"""Share of itself within which the entropy of a policy that nobody updates stays; of means over a summary's steps."""

MOVING = (metrics.APPROX_KL, f"{metrics.ACTION_PREFIX}<action>", metrics.ENTROPY, PARAMETERS_UNMOVED)
"""Metrics that show whether a policy moves; without them only that it was never updated can be told."""


def find_missing_updates(run: Signals) -> Finding | None:
    """Return a fault if no loss is on record, as the first rollout was never full, or none was used; else None."""
    updated = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.APPROX_KL, metrics.CLIP_FRACTION)
    if run.select_finite(ENV_STEPS).empty or any(run.has(name) for name in updated):
        return None
    return _never_full(run) or _never_used(run)


def _never_full(run: Signals) -> Finding | None:
    """Return a fault if a run ended before its first rollout was full; None otherwise."""
    steps, rollout = run.select_finite(ENV_STEPS), run.read_number("ppo.num_steps")
    if rollout is None:
        return None
    needed, done = rollout * (run.read_number("ppo.num_envs") or 1.0), float(steps.iloc[-1])
    plan = run.read_number("total_timesteps")
    too_short = plan is not None and plan < needed
    if done >= needed or judge_standing(run).has_learned:
        return None
    if not too_short and not any(is_recorded(run, name) for name in MOVING):
        return None  # steps may be those of finished episodes alone, or num_steps the plan
    text = f"{number(done)} steps were done, and the first rollout is full at {number(needed)}"
    reach = (int(steps.index[0]), int(steps.index[-1]))
    return Finding(
        headline=f"Not one update took place: {text}",
        kind=Kind.FAULT if run.has_ended or too_short else Kind.SUSPECT,
        sureness=Sureness.SURE,
        why="no loss is on record, and the policy is that of the start",
        evidence=(Evidence(text, (ENV_STEPS, "ppo.num_steps"), reach),),
        causes=(
            Cause(
                "a rollout (num_steps, buffer_size) longer than the whole run",
                "compare it with the steps that are planned: twenty rollouts are few",
                Support.SUPPORTED,
                text,
            ),
            Cause("a run that was stopped too early", "let it go on until losses are logged"),
        ),
        remedies=(
            Remedy(
                {"ppo.num_steps": USUAL_ROLLOUT},
                "a rollout that is full after a few minutes",
                "a first value loss on record within the first hundredth of the run",
            ),
        ),
        since=reach[1],
        ground=Ground.MEASURED,
    )


def _never_used(run: Signals) -> Finding | None:
    """Return a fault if a program that writes a loss after each update wrote none beside many entropies; else None.

    A minibatch larger than the rollout is never filled: ML-Agents then drops the rollout, and says nothing.
    """
    entropy, steps = run.select_all(metrics.ENTROPY), run.select_finite(ENV_STEPS)
    rollout, minibatch = run.read_number("ppo.num_steps"), run.read_number("ppo.minibatch_size")
    if run.history.dialect not in SAID or entropy is None or len(entropy.values) < SUMMARIES:
        return None
    full = float(steps.iloc[-1]) >= ROLLOUTS * (rollout or LARGEST_ROLLOUT)
    if not full or max(abs(value - entropy.median) for value in entropy.values) > UNMOVED * abs(entropy.median):
        return None  # losses may only be left out of what was exported
    text = f"no loss is on record beside {len(entropy.values)} entropies, all {number(entropy.median, 3)}"
    larger = rollout is not None and minibatch is not None and minibatch > rollout
    sizes = f"a minibatch of {number(minibatch)} from a rollout of {number(rollout)}" if minibatch and rollout else ""
    support = Support.SUPPORTED if larger else Support.RULED_OUT if sizes else Support.OPEN
    return Finding(
        headline=f"Not one update took place: {sizes if larger else text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE if larger else Sureness.LIKELY,
        why="a loss is written after each update, and the entropy has not moved",
        evidence=(Evidence(text, (metrics.ENTROPY,), entropy.reach),),
        causes=(
            Cause(
                "a minibatch (batch_size) larger than the rollout (buffer_size), so that none is ever full",
                "set buffer_size to ten times batch_size: losses are logged",
                support,
                sizes,
            ),
            Cause("a run of inference alone (--inference)", "look for the option in the command, or in run_logs"),
        ),
        remedies=(
            Remedy(
                {"ppo.minibatch_size": max(1, int((rollout or USUAL_ROLLOUT) / MINIBATCHES))},
                "minibatches that a rollout fills",
                "a first value loss on record after the first rollout",
            ),
        )
        if larger
        else (),
        since=entropy.iterations[SUMMARIES - 1],
        ground=Ground.MEASURED,
    )


def tell_untrained(unmoved: Window) -> Finding:
    """Return the fault of a policy none of whose parameters ever had a gradient, as a saved optimiser shows."""
    text = "none of the policy's parameters ever had a gradient"
    return Finding(
        headline=f"The policy is not being updated: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why="the optimiser's state was saved, and holds no gradient of these parameters",
        evidence=(Evidence(text, (PARAMETERS_UNMOVED,), unmoved.reach),),
        causes=(
            Cause(
                "parameters that are frozen (requires_grad is False), as after a transfer",
                "print requires_grad of each of policy.named_parameters()",
            ),
            Cause(
                "parameters that the optimiser was not given, or a loss that is detached from them",
                "print the policy's own gradient norm after backward()",
            ),
        ),
        since=unmoved.iterations[-1],
        ground=Ground.MEASURED,
    )
