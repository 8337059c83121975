"""Faults to plant, in a mild and a strong form, with the worlds and the rules that name the cause.

The answers that count as right were written down with the fault, before any was scored: rules whose finding sends a
user to what was planted, or labels of `benchmarks.causes`, which stand for every rule that says the cause. A rule that
only describes what follows from it (entropy, the greedy policy, the return) does not count, true as it may be.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unstuck.rl.data.types import FlowData
from unstuck.rl.learner import Learner

from benchmarks.causes import names_cause
from benchmarks.diagnosis.in_data import FewFlows, FewThreats, LabelsExchanged, LabelsFlipped, ThreatsTakenForBenign
from benchmarks.diagnosis.in_environment import (
    ConstantReward,
    CostlyActions,
    EarlyEnds,
    EpisodesAlike,
    GrowingObservations,
    GrowingRewards,
    HiddenColumns,
    LanesAlike,
    LateObservations,
    ObservationsNotFinite,
    ObservationsOfOthers,
    OneObservationInEvaluation,
    OtherInputsInEvaluation,
    RareRewards,
    RewardsOfOthers,
    ScaledInputs,
    ScaledRewards,
    SignTurns,
)
from benchmarks.diagnosis.in_learner import (
    ActionsStoredLate,
    AdvantagesOfOtherSteps,
    AdvantagesWithWrongSign,
    BonusSummed,
    BonusWithWrongSign,
    CriticTooFast,
    EndsForgotten,
    LargeWeights,
    LogProbsOfOtherActions,
    LogProbsOfOtherSteps,
    PolicyLeftOut,
    RateJumps,
    ScheduleTooShort,
    TargetsOfOtherSteps,
    WeightDecay,
)
from benchmarks.diagnosis.worlds import NEW

_TRIAGE = ("shuffled", "stream", "wide", "bursts")
_QUICK = ("cartpole", *_TRIAGE, *NEW)
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
        rules: Rules, or labels of causes; any of these, ranked first, names the cause.
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

    def is_named_by(self, rule: str) -> bool:
        """True if a rule's finding names the cause."""
        return names_cause(rule, self.rules)


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
        ("entropy_pinned", "bonus_too_strong"),
        "names the coefficient",
        _QUICK,
        _set(entropy_coef=1.0),
        _set(entropy_coef=10.0),
    ),
    Fault(
        "value loss in charge",
        "raw returns and a large value_coef in a shared trunk",
        ("policy_starved", "reward_scale"),
        "names the trunk, the returns and the coefficient",
        _QUICK,
        _set(shared_trunk=True, normalize_returns="none", value_coef=5.0),
        _set(shared_trunk=True, normalize_returns="none", value_coef=100.0),
    ),
    Fault(
        "advantages too large",
        "rewards in large units, advantages not normalised",
        ("advantage_scale", "reward_scale"),
        "names unit and normalisation",
        _QUICK,
        Form({"ppo.normalize_advantage": False}, (ScaledRewards(100.0),)),
        Form({"ppo.normalize_advantage": False}, (ScaledRewards(10_000.0),)),
    ),
    Fault(
        "advantages too small",
        "rewards in small units, advantages not normalised",
        ("advantage_scale", "reward_scale"),
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
        ("bug_gate", "stale_log_probability"),
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
        ("cartpole", "acrobot", "tank", "courier"),
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
        ("greedy_vs_sampled", "evaluation_sees_other_inputs"),
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
        ("signal_lost", "labels_wrong"),
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
        ("overfitting", "memorised"),
        "names too few different flows",
        _TRIAGE,
        Form(data=FewFlows(200)),
        Form(data=FewFlows(120)),
    ),
)

_OF_STRANGERS = (
    Fault(
        "reward scale",
        "rewards 1,000 or 30,000 times too large, returns are raw",
        ("reward_scale", "critic_takes_the_gradient"),
        "names the unit of the rewards, or a critic that takes the shared clip",
        ("cartpole", "reach", "tank", "courier", "stream"),
        Form({"ppo.normalize_returns": "none"}, (ScaledRewards(1000.0),)),
        Form({"ppo.normalize_returns": "none"}, (ScaledRewards(30_000.0),)),
    ),
    Fault(
        "critic explains nothing",
        "the critic's targets are shuffled, in three lanes of four or in all",
        ("critic_explains_nothing",),
        "names the critic",
        ("cartpole", "acrobot", "reach", "tank", "courier", "stream"),
        Form(learner=(TargetsOfOtherSteps(0.75),)),
        Form(learner=(TargetsOfOtherSteps(1.0),)),
    ),
    Fault(
        "learned and lost",
        "the rate jumps to 50 or 300 times its value, half way or at two thirds of the run",
        ("learned_and_lost", "updates_too_large"),
        "the first names the fall, the second the rate",
        _QUICK,
        Form(learner=(RateJumps(0.5, 50.0),)),
        Form(learner=(RateJumps(0.65, 300.0),)),
    ),
    Fault(
        "frozen return",
        "in training, episodes are cut after 8 or 3 steps",
        ("episode_too_short", "return_frozen", "reward_not_found"),
        "names a return that never moves, or ends that come too early",
        ("cartpole", "acrobot", "courier"),
        Form(learner=(EarlyEnds(8),)),
        Form(learner=(EarlyEnds(3),)),
    ),
    Fault(
        "doing nothing pays",
        "in training, actions cost so much that none is best",
        ("doing_nothing_pays", "reward_misspecified"),
        "names what the reward pays for",
        ("reach", "tank", "shuffled", "wide", "bursts"),
        Form(learner=(CostlyActions(20.0),)),
        Form(learner=(CostlyActions(60.0),)),
    ),
    Fault(
        "sparse reward",
        "only the best 0.5 or 0.05 % of what the first policy is paid pays",
        ("reward_sparse",),
        "names a reward that is rarely met",
        ("reach", "tank", "shop"),
        Form(learner=(RareRewards(0.005),)),
        Form(learner=(RareRewards(0.0005),)),
    ),
    Fault(
        "reward small beside the bonus",
        "rewards 30 or 300 times too small, advantages not normalised, an entropy coefficient of 0.05",
        ("bonus_too_strong", "entropy_pinned", "reward_scale"),
        "names the bonus, or the unit of the rewards",
        _QUICK,
        Form({"ppo.normalize_advantage": False, "ppo.entropy_coef": 0.05}, (ScaledRewards(1 / 30),)),
        Form({"ppo.normalize_advantage": False, "ppo.entropy_coef": 0.05}, (ScaledRewards(1 / 300),)),
    ),
    Fault(
        "observations not finite",
        "NaN in the observations of one step, after 60 or 20 % of the run",
        ("observations_not_finite",),
        "names numbers that are not finite",
        ("cartpole", "shuffled", "reach", "courier"),
        Form(learner=(ObservationsNotFinite(0.6),)),
        Form(learner=(ObservationsNotFinite(0.2),)),
    ),
    Fault(
        "observations unbounded",
        "a column holds a clock that grows by 0.01 or 1 a step",
        ("inputs_unscaled", "observations_not_finite"),
        "names the inputs",
        ("cartpole", "reach", "courier", "shuffled", "stream"),
        Form(learner=(GrowingObservations(0.01),)),
        Form(learner=(GrowingObservations(1.0),)),
    ),
    Fault(
        "updates end in their first epoch",
        "a rate 10 or 50 times too high under a target_kl, which ends each update after a step or two",
        ("updates_too_large",),
        "names the size of the steps",
        _QUICK,
        _set(lr=0.01, target_kl=0.01),
        _set(lr=0.05, target_kl=0.01),
    ),
    Fault(
        "log-probability of another action",
        "the policy samples twice, in half or all of the lanes",
        ("bug_gate", "stale_log_probability"),
        "names the log-probabilities",
        _QUICK,
        Form(learner=(LogProbsOfOtherActions(0.5),)),
        Form(learner=(LogProbsOfOtherActions(1.0),)),
    ),
    Fault(
        "memorised environment",
        "every episode of training begins with one of 3 seeds, or with one",
        ("memorised", "overfitting"),
        "names episodes that are known by heart",
        ("reach", "courier", "tank", "shuffled", "wide"),
        Form(learner=(EpisodesAlike(3),)),
        Form(learner=(EpisodesAlike(1),)),
    ),
    Fault(
        "bonus summed",
        "the entropy bonus is summed over 16 or 128 samples, and not averaged",
        ("bonus_too_strong", "entropy_pinned"),
        "names the bonus",
        _QUICK,
        Form(learner=(BonusSummed(16),)),
        Form(learner=(BonusSummed(128),)),
    ),
    Fault(
        "evaluation shows one observation",
        "all through an evaluation the policy sees its first observation, or zeros",
        ("greedy_vs_sampled", "evaluation_sees_other_inputs", "observation_empty"),
        "names an evaluation that sees other inputs",
        _ALL,
        Form(learner=(OneObservationInEvaluation(empty=False),)),
        Form(learner=(OneObservationInEvaluation(empty=True),)),
    ),
    Fault(
        "horizon too short",
        "gamma 0.7 or 0.5 where what pays comes late",
        ("horizon_too_short",),
        "names gamma",
        ("cartpole", "acrobot", "courier", "tank"),
        _set(gamma=0.7),
        _set(gamma=0.5),
    ),
    Fault(
        "late observations",
        "of 3 or 6 frames the oldest is shown",
        ("observation_late", "signal_lost"),
        "names observations that are not those of the present",
        ("cartpole", "acrobot", "reach", "tank", "courier"),
        Form(learner=(LateObservations(3),)),
        Form(learner=(LateObservations(6),)),
    ),
    Fault(
        "hidden columns",
        "every second column is 0 (CartPole's velocities), or three of four",
        ("observation_incomplete", "signal_lost"),
        "names observations that do not tell the state",
        ("cartpole", "acrobot", "reach", "courier", "shop"),
        Form(learner=(HiddenColumns(2),)),
        Form(learner=(HiddenColumns(4),)),
    ),
    Fault(
        "reward turns",
        "the reward's sign turns at 60 or 30 % of the run",
        ("reward_turned", "learns_backwards", "reward_misspecified"),
        "names the sign of the reward",
        _QUICK,
        Form(learner=(SignTurns(0.6),)),
        Form(learner=(SignTurns(0.3),)),
    ),
    Fault(
        "weight decay",
        "each step shrinks the parameters by 1 or 5 %, whatever the rate",
        ("decay_too_strong",),
        "names the decay",
        _QUICK,
        Form(learner=(WeightDecay(0.01),)),
        Form(learner=(WeightDecay(0.05),)),
    ),
    Fault(
        "Adam's epsilon too large",
        "an epsilon of 0.1 or 3",
        ("updates_too_small", "policy_frozen"),
        "both name steps that are too small",
        _QUICK,
        _set(adam_eps=0.1),
        _set(adam_eps=3.0),
    ),
    Fault(
        "shape of the network",
        "two layers of one unit, or 30 layers of 32",
        ("network_too_small",),
        "names the layers",
        ("cartpole", "reach", "courier", "stream", "bursts"),
        _set(hidden_sizes=(1, 1)),
        _set(hidden_sizes=(32,) * 30),
    ),
    Fault(
        "actions stored late",
        "the action stored with a step is that of the step before, in half or all of the lanes",
        ("signal_lost", "action_not_applied"),
        "names actions that do not belong to their rewards",
        _QUICK,
        Form(learner=(ActionsStoredLate(0.5),)),
        Form(learner=(ActionsStoredLate(1.0),)),
    ),
    Fault(
        "lanes alike",
        "the lanes start from two seeds, or from one",
        ("lanes_alike", "memorised"),
        "names lanes that show the same",
        ("reach", "courier", "shuffled", "stream", "wide"),
        Form(learner=(LanesAlike(2),)),
        Form(learner=(LanesAlike(1),)),
    ),
    Fault(
        "label noise",
        "30 or 45 % of the training part's labels are flipped",
        ("labels_wrong", "signal_lost"),
        "names the labels",
        _TRIAGE,
        Form(data=LabelsFlipped(0.3)),
        Form(data=LabelsFlipped(0.45)),
    ),
    Fault(
        "few threats",
        "the training part holds 20 or 5 threats",
        ("threats_rare",),
        "names the number of threats",
        _TRIAGE,
        Form(data=FewThreats(20)),
        Form(data=FewThreats(5)),
    ),
    Fault(
        "threats taken for benign",
        "70 or 95 % of the training part's threats are labelled as benign",
        ("labels_wrong", "threats_rare"),
        "names the labels, or how few threats are left",
        _TRIAGE,
        Form(data=ThreatsTakenForBenign(0.7)),
        Form(data=ThreatsTakenForBenign(0.95)),
    ),
)

FAULTS = {fault.name: fault for fault in (*_IN_SETTINGS, *_IN_LEARNER, *_OUTSIDE, *_OF_STRANGERS)}

OF_STRANGERS = frozenset(fault.name for fault in _OF_STRANGERS)
"""Kinds that people were found to meet in runs of their own; the fourth draw is the first to hold them."""
