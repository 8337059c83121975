"""Causes that a benchmark plants, by label, and the label of each rule that names one of them.

The right answers to a planted fault are names of rules or labels; a label stands for every rule that says it, so that
answers can be written down before there is a rule.
"""

from collections.abc import Collection, Mapping

from benchmarks import wild

LABELS = {
    "rollout_too_short": "too few steps in a rollout",
    "doing_nothing_pays": "a policy that does nothing is the best that the reward offers",
    "stale_log_probability": "the stored log-probability is not that of the action taken",
    "horizon_too_short": "gamma too low for a reward that comes late",
    "horizon_too_long": "a discount that forgets nothing",
    "bonus_too_strong": "the entropy bonus outweighs the advantages",
    "decay_too_strong": "weight decay that the learning rate does not scale",
    "network_too_small": "the network cannot hold the policy",
    "observation_late": "what is shown is not the present state",
    "observation_incomplete": "what is shown does not tell the state",
    "observation_empty": "what is shown is the same in every state",
    "action_not_applied": "what is done is not the action",
    "episode_too_short": "episodes end before the reward",
    "memorised": "trained on a few episodes that are known by heart",
    "lanes_alike": "environments that are trained on side by side show the same",
    "labels_wrong": "labels of the data are wrong",
    "threats_rare": "too few examples of a class",
    "reward_turned": "the reward changes its meaning in mid-run",
    "evaluation_sees_other_inputs": "evaluations show other observations than training does",
}
"""Causes, by label, beside those that `benchmarks.wild` has rules for."""

CAUSES: Mapping[str, str] = {
    **wild.LABELS,
    "horizon_short": "horizon_too_short",
    "horizon_long": "horizon_too_long",
    "network_shape": "network_too_small",
    "observations_constant": "observation_empty",
    "labels_differ": "labels_wrong",
    "threats_rare": "threats_rare",
    "reward_turned": "reward_turned",
    "paid_otherwise": "reward_misspecified",
    "episodes_short": "episode_too_short",
    "rewards_noisy": "reward_independent_of_actions",
    "observation_late": "observation_late",
    "observation_incomplete": "observation_incomplete",
    "action_not_applied": "action_not_applied",
    "actions_misplaced": "action_not_applied",
    "logprobs_stale": "stale_log_probability",
    "weights_decayed": "decay_too_strong",
    "starts_alike": "memorised",
    "lanes_alike": "lanes_alike",
    "evaluation_unscaled": "evaluation_sees_other_inputs",
}
"""Label by the rule that says it."""


def names_cause(rule: str, answers: Collection[str]) -> bool:
    """True if a rule, or the label of the rule, is among the right answers.

    Args:
        rule: Name of a rule of the diagnosis.
        answers: Names of rules, or labels of causes.
    """
    return rule in answers or CAUSES.get(rule, "") in answers
