"""Faults to plant, in a mild and a strong form, with the worlds and the rules that name the cause.

The rules that count as right were written down with the fault, before any was scored: those whose finding sends a user
to what was planted. A rule that only describes what follows from it (entropy, the greedy policy, the return) does not
count, true as it may be.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unstuck.rl.data.types import FlowData
from unstuck.rl.learner import Learner

from benchmarks.diagnosis.in_data import FewFlows, LabelsExchanged
from benchmarks.diagnosis.in_environment import (
    ConstantReward,
    GrowingRewards,
    ObservationsOfOthers,
    OtherInputsInEvaluation,
    RewardsOfOthers,
    ScaledInputs,
    ScaledRewards,
)
from benchmarks.diagnosis.in_learner import (
    AdvantagesOfOtherSteps,
    AdvantagesWithWrongSign,
    BonusWithWrongSign,
    CriticTooFast,
    EndsForgotten,
    LargeWeights,
    LogProbsOfOtherSteps,
    PolicyLeftOut,
    ScheduleTooShort,
)

_TRIAGE = ("shuffled", "stream", "wide", "bursts")
_QUICK = ("cartpole", *_TRIAGE)
_ALL = ("acrobot", *_QUICK)


@dataclass(frozen=True)
class Form:
    """Mild or strong form of a fault: settings to change, and bugs to plant into learner, environment or data.

    Attributes:
        settings: What is set otherwise, by dotted path; a run's records show it.
        learner: What is planted into learner or environment, in turn; no record shows it.
        data: What is planted into the flows.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    learner: tuple[Callable[[Learner], Learner], ...] = ()
    data: Callable[[FlowData], FlowData] | None = None


@dataclass(frozen=True)
class Fault:
    """A fault that the benchmark plants: worlds for the fault, a mild and a strong form, and rules that should fire.

    Attributes:
        name: Short.
        what: In words.
        rules: Any of these, ranked first, names the cause.
        why: Why these.
        worlds: Where it is planted.
        mild: The mild form.
        strong: The strong form.
    """

    name: str
    what: str
    rules: tuple[str, ...]
    why: str
    worlds: tuple[str, ...]
    mild: Form
    strong: Form

    @property
    def forms(self) -> Mapping[str, Form]:
        """Forms of the fault by name, `mild` and `strong`."""
        return {"mild": self.mild, "strong": self.strong}


def _set(**settings: Any) -> Form:
    """Return a form of a fault that only changes PPO settings."""
    return Form({f"ppo.{name}": value for name, value in settings.items()})


_IN_SETTINGS = (
    Fault(
        "lr too high",
        "learning rate 100 or 300 times too high",
        ("updates_too_large", "units_saturated"),
        "both name the learning rate first",
        _QUICK,
        _set(lr=0.05),
        _set(lr=0.2),
    ),
    Fault(
        "lr too low",
        "learning rate 100 or 1,000 times too low",
        ("updates_too_small", "policy_frozen"),
        "both name a rate too low, or never applied",
        _ALL,
        _set(lr=1e-5),
        _set(lr=1e-6),
    ),
    Fault(
        "too many epochs",
        "30 or 60 passes over each rollout, at a high rate",
        ("updates_too_large",),
        "names the passes",
        _TRIAGE,
        _set(num_epochs=30, lr=3e-3),
        _set(num_epochs=60, lr=3e-3),
    ),
    Fault(
        "target_kl too low",
        "an update ends at its first steps",
        ("updates_too_small", "policy_frozen"),
        "both name the early stop",
        _QUICK,
        _set(target_kl=1e-4),
        _set(target_kl=2e-5),
    ),
    Fault(
        "gradient clipped away",
        "max_grad_norm so low that Adam's epsilon swallows what is left",
        ("updates_too_small", "policy_frozen"),
        "both name the clip",
        _QUICK,
        _set(max_grad_norm=3e-6),
        _set(max_grad_norm=3e-7),
    ),
    Fault(
        "entropy bonus too high",
        "entropy_coef 1 or 10",
        ("entropy_pinned",),
        "names the coefficient",
        _QUICK,
        _set(entropy_coef=1.0),
        _set(entropy_coef=10.0),
    ),
    Fault(
        "value loss in charge",
        "raw returns and a large value_coef in a shared trunk",
        ("policy_starved",),
        "names the trunk, the returns and the coefficient",
        _QUICK,
        _set(shared_trunk=True, normalize_returns="none", value_coef=5.0),
        _set(shared_trunk=True, normalize_returns="none", value_coef=100.0),
    ),
    Fault(
        "advantages too large",
        "rewards in large units, advantages not normalised",
        ("advantage_scale",),
        "names unit and normalisation",
        _QUICK,
        Form({"ppo.normalize_advantage": False}, (ScaledRewards(100.0),)),
        Form({"ppo.normalize_advantage": False}, (ScaledRewards(10_000.0),)),
    ),
    Fault(
        "advantages too small",
        "rewards in small units, advantages not normalised",
        ("advantage_scale",),
        "names unit and normalisation",
        _QUICK,
        Form({"ppo.normalize_advantage": False}, (ScaledRewards(1e-3),)),
        Form({"ppo.normalize_advantage": False}, (ScaledRewards(1e-4),)),
    ),
    Fault(
        "reward table",
        "the table pays for letting threats through, a little or much",
        ("reward_misspecified",),
        "names the table",
        _TRIAGE,
        Form({"env.reward_benign": (1.0, -20.0, -20.0, -20.0), "env.reward_threat": (-0.5, 0.5, 0.3, 0.1)}),
        Form({"env.reward_benign": (1.0, -2.0, -2.0, -2.0), "env.reward_threat": (1.0, -1.0, -1.0, -1.0)}),
    ),
)

_IN_LEARNER = (
    Fault(
        "lr schedule too short",
        "the rate falls to nothing within 6 or 3 % of the run, though it is set to be constant",
        ("bug_gate", "updates_too_small", "policy_frozen"),
        "all name the rate in force",
        _QUICK,
        Form(learner=(ScheduleTooShort(0.06),)),
        Form(learner=(ScheduleTooShort(0.03),)),
    ),
    Fault(
        "policy left out",
        "the optimiser does not hold the policy's parameters, from 3 % of the run on, or never",
        ("policy_frozen",),
        "names the optimiser",
        _ALL,
        Form(learner=(PolicyLeftOut(0.03),)),
        Form(learner=(PolicyLeftOut(0.0),)),
    ),
    Fault(
        "stale log-probabilities",
        "old log-probabilities of other steps, in half or all of the lanes",
        ("bug_gate",),
        "names the log-probabilities",
        _QUICK,
        Form(learner=(LogProbsOfOtherSteps(0.5),)),
        Form(learner=(LogProbsOfOtherSteps(1.0),)),
    ),
    Fault(
        "sign of the policy's loss",
        "the policy is made worse, by three lanes in four or by all",
        ("learns_backwards",),
        "names the sign",
        _ALL,
        Form(learner=(AdvantagesWithWrongSign(0.75),)),
        Form(learner=(AdvantagesWithWrongSign(1.0),)),
    ),
    Fault(
        "advantages of other steps",
        "advantages are shuffled against the actions, in seven lanes of eight or in all",
        ("signal_lost",),
        "names advantages that do not belong to their actions",
        _QUICK,
        Form(learner=(AdvantagesOfOtherSteps(0.875),)),
        Form(learner=(AdvantagesOfOtherSteps(1.0),)),
    ),
    Fault(
        "ends forgotten",
        "the ends of episodes are not stored, in three lanes of four or in all",
        ("targets_beyond",),
        "names targets that episodes do not return",
        ("cartpole", "acrobot"),
        Form(learner=(EndsForgotten(0.75),)),
        Form(learner=(EndsForgotten(1.0),)),
    ),
    Fault(
        "sign of the bonus",
        "the entropy bonus is a penalty, 30 or 300 times what was set",
        ("entropy_collapsed",),
        "names the bonus",
        _QUICK,
        Form(learner=(BonusWithWrongSign(30.0),)),
        Form(learner=(BonusWithWrongSign(300.0),)),
    ),
    Fault(
        "weights too large",
        "every layer initialised 10 or 30 times too large",
        ("units_saturated",),
        "names saturation that inputs do not account for",
        _QUICK,
        Form(learner=(LargeWeights(10.0),)),
        Form(learner=(LargeWeights(30.0),)),
    ),
    Fault(
        "critic too fast",
        "the critic's steps are 100 or 1,000 times too long",
        ("critic_underfits", "value_explosion"),
        "both name the critic and its steps",
        _QUICK,
        Form(learner=(CriticTooFast(100.0),)),
        Form(learner=(CriticTooFast(1000.0),)),
    ),
)

_OUTSIDE = (
    Fault(
        "inputs not scaled",
        "observations in units 100 or 1,000 times too large",
        ("inputs_unscaled",),
        "names the inputs",
        _QUICK,
        Form(learner=(ScaledInputs(100.0),)),
        Form(learner=(ScaledInputs(1000.0),)),
    ),
    Fault(
        "evaluation sees other inputs",
        "evaluation shows observations scaled by 0.2, or shifted by 3 as well",
        ("greedy_vs_sampled",),
        "names an evaluation that sees other inputs",
        _ALL,
        Form(learner=(OtherInputsInEvaluation(0.2, 0.0),)),
        Form(learner=(OtherInputsInEvaluation(0.2, 3.0),)),
    ),
    Fault(
        "observations of others",
        "lanes are shown each other's observations, in nine steps of ten or always",
        ("signal_lost",),
        "names observations that do not belong to their rewards",
        _QUICK,
        Form(learner=(ObservationsOfOthers(0.9),)),
        Form(learner=(ObservationsOfOthers(1.0),)),
    ),
    Fault(
        "rewards of others",
        "lanes are paid each other's rewards, in nine steps of ten or always",
        ("signal_lost",),
        "names rewards that do not belong to their actions",
        _TRIAGE,
        Form(learner=(RewardsOfOthers(0.9),)),
        Form(learner=(RewardsOfOthers(1.0),)),
    ),
    Fault(
        "labels exchanged",
        "the training part's labels belong to other flows, 90 % or all of them",
        ("signal_lost",),
        "names labels that do not belong to their flows",
        _TRIAGE,
        Form(data=LabelsExchanged(0.9)),
        Form(data=LabelsExchanged(1.0)),
    ),
    Fault(
        "no reward",
        "every step pays the same, 1 or nothing",
        ("reward_not_found", "advantage_scale"),
        "the first names a constant reward; so does the second, where episodes differ in length",
        _TRIAGE,
        Form(learner=(ConstantReward(1.0),)),
        Form(learner=(ConstantReward(0.0),)),
    ),
    Fault(
        "rewards that grow",
        "the rewards' unit grows tenfold every 1,500 or 500 steps of a lane, returns are raw",
        ("value_explosion",),
        "names targets that grow",
        _QUICK,
        Form({"ppo.normalize_returns": "none"}, (GrowingRewards(1500),)),
        Form({"ppo.normalize_returns": "none"}, (GrowingRewards(500),)),
    ),
    Fault(
        "few flows",
        "200 or 120 flows, trained on over and over",
        ("overfitting",),
        "names too few different flows",
        _TRIAGE,
        Form(data=FewFlows(200)),
        Form(data=FewFlows(120)),
    ),
)

FAULTS = {fault.name: fault for fault in (*_IN_SETTINGS, *_IN_LEARNER, *_OUTSIDE)}
