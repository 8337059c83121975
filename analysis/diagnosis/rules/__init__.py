"""Rules of diagnosis, one in each module: what each looks for, with which evidence, causes and remedies."""

from dataclasses import replace
from functools import cache

from unstuck.analysis.diagnosis.finding import Blind, Finding, Rule
from unstuck.analysis.diagnosis.rules import (
    action_not_applied,
    actions_misplaced,
    advantage_scale,
    bug_gate,
    critic_underfits,
    doing_nothing_pays,
    entropy_collapsed,
    entropy_pinned,
    episodes_short,
    evaluation_unscaled,
    greedy_collapsed,
    greedy_vs_sampled,
    horizon_long,
    horizon_short,
    inputs_unscaled,
    kl_outlives_rate,
    labels_differ,
    lanes_alike,
    learned_and_lost,
    learns_backwards,
    logprobs_stale,
    network_shape,
    normaliser_cold_start,
    numbers_not_finite,
    observation_incomplete,
    observation_late,
    observations_constant,
    oscillating,
    overfitting,
    paid_otherwise,
    policy_frozen,
    policy_starved,
    return_frozen,
    reward_misspecified,
    reward_not_found,
    reward_scale,
    reward_sparse,
    reward_turned,
    rewards_noisy,
    rollout_short,
    seeds_bimodal,
    signal_lost,
    starts_alike,
    targets_beyond,
    threats_rare,
    units_saturated,
    updates_too_large,
    updates_too_small,
    value_explosion,
    value_floor,
    weights_decayed,
)
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.errors import AnalysisError
from unstuck.records import extensions
from unstuck.records.errors import ExtensionError
from unstuck.records.extensions import Extension

RULES: tuple[Rule, ...] = (
    bug_gate.RULE,
    numbers_not_finite.RULE,
    kl_outlives_rate.RULE,
    logprobs_stale.RULE,
    observations_constant.RULE,
    actions_misplaced.RULE,
    observation_late.RULE,
    observation_incomplete.RULE,
    action_not_applied.RULE,
    evaluation_unscaled.RULE,
    lanes_alike.RULE,
    starts_alike.RULE,
    labels_differ.RULE,
    reward_turned.RULE,
    paid_otherwise.RULE,
    learns_backwards.RULE,
    reward_misspecified.RULE,
    episodes_short.RULE,
    reward_not_found.RULE,
    reward_sparse.RULE,
    doing_nothing_pays.RULE,
    threats_rare.RULE,
    rewards_noisy.RULE,
    horizon_short.RULE,
    horizon_long.RULE,
    value_floor.RULE,
    inputs_unscaled.RULE,
    network_shape.RULE,
    weights_decayed.RULE,
    rollout_short.RULE,
    units_saturated.RULE,
    advantage_scale.RULE,
    policy_starved.RULE,
    reward_scale.RULE,
    normaliser_cold_start.RULE,
    policy_frozen.RULE,
    updates_too_large.RULE,
    updates_too_small.RULE,
    entropy_pinned.RULE,
    entropy_collapsed.RULE,
    seeds_bimodal.RULE,
    value_explosion.RULE,
    critic_underfits.RULE,
    signal_lost.RULE,
    greedy_collapsed.RULE,
    greedy_vs_sampled.RULE,
    return_frozen.RULE,
    learned_and_lost.RULE,
    oscillating.RULE,
    overfitting.RULE,
    targets_beyond.RULE,
)
"""Rules in the order of examination, by stage."""


@cache
def load_rules() -> tuple[Rule, ...]:
    """Load all diagnosis rules: the built-in ones, then those that other packages add by entry point `unstuck.rules`.

    Raises:
        AnalysisError: A rule of another package cannot be used; the message names the package.
    """
    try:
        found: tuple[Extension[Rule], ...] = extensions.load_extensions(
            extensions.RULES,
            {rule.name: rule for rule in RULES},
            lambda value: isinstance(value, Rule),
            "a Rule (unstuck.analysis.diagnosis.finding)",
        )
    except ExtensionError as error:
        raise AnalysisError(str(error)) from error
    for one in found:
        if one.name != one.value.name:
            raise AnalysisError(
                f"a rule must have the name of its entry point, {one.name}, got {one.value.name} "
                f"from package {one.package}"
            )
    return tuple(one.value if one.is_ours else _named_when_failing(one) for one in found)


def _named_when_failing(one: Extension[Rule]) -> Rule:
    """Return another package's rule, wrapped so that an error in the rule names the package."""

    def examine(run: Signals) -> Finding | Blind | None:
        try:
            finding = one.value.examine(run)
        except Exception as error:  # whatever another package may raise
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise AnalysisError(f"rule {one.name} of package {one.package} failed: {reason}") from error
        if finding is None or isinstance(finding, Finding | Blind):
            return finding
        raise AnalysisError(
            f"rule {one.name} of package {one.package} must return a Finding, a Blind or None, got {finding!r:.100}"
        )

    return replace(one.value, examine=examine)
