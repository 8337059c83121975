"""Faults beside settings, and what can cure them: the right setting to try, or the reason why no setting can.

Written down before any remedy was tried. A fault that is in the settings alone is not listed: the healthy settings
cure it. A fault with a right setting counts as curable where that setting, tried with the fault left in, cures it.
"""

from collections.abc import Mapping
from typing import Any

RIGHT: Mapping[str, Mapping[str, Any]] = {
    "advantages too large": {"ppo.normalize_advantage": True},
    "advantages too small": {"ppo.normalize_advantage": True},
    "inputs not scaled": {"ppo.normalize_observations": True},
    "rewards that grow": {"ppo.normalize_returns": "batch"},
    "sign of the bonus": {"ppo.entropy_coef": 0.0},
    "reward scale": {"ppo.normalize_returns": "running"},
    "reward small beside the bonus": {"ppo.normalize_advantage": True},
    "observations unbounded": {"ppo.normalize_observations": True},
    "bonus summed": {"ppo.entropy_coef": 0.0},
}
"""The right setting by the name of the fault."""

INCURABLE: Mapping[str, str] = {
    "lr schedule too short": "the rate is multiplied by 0.0001 after the first iterations, whatever is set",
    "policy left out": "the optimiser does not hold the policy",
    "stale log-probabilities": "ratios compare different steps",
    "sign of the policy's loss": "every step makes the policy worse",
    "advantages of other steps": "advantages say nothing about the actions",
    "ends forgotten": "targets go on over the ends of episodes",
    "weights too large": "no setting sets the size of the first weights",
    "critic too fast": "every setting of the step moves policy and critic alike",
    "evaluation sees other inputs": "the evaluation is what is wrong, and no setting of the training reaches it",
    "observations of others": "observations say nothing about the rewards",
    "rewards of others": "rewards say nothing about the actions",
    "labels exchanged": "labels say nothing about the flows",
    "no reward": "nothing is to be learned",
    "few flows": "what was never shown is not learned",
}
"""Why no setting can, by the name of the fault."""
