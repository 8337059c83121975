"""Faults that people make in scripts, with the worlds where each is planted and the answers that name the cause.

The answers were written down before any run was diagnosed: names of rules whose finding sends a user to what was
planted, or labels of causes. A label counts for the rules that `benchmarks.causes` gives the label; rules that are yet
to come are added there by what their first line says. A finding that only describes what follows (entropy, the return)
is no answer, true as it may be.
"""

import torch
from stable_baselines3.common.utils import LinearSchedule

from benchmarks.strangers import faults_in_code
from benchmarks.strangers.fault import Fault, plant_in
from benchmarks.strangers.plants import (
    CentredRewards,
    ClippedObservations,
    ClippedRewards,
    CostlyActions,
    HiddenColumns,
    LateObservations,
    NoisyRewards,
    PaidByTheStep,
    ScaledObservations,
    ScaledRewards,
    WholeNumbers,
)
from benchmarks.strangers.script import Change, ppo, script
from benchmarks.strangers.worlds import LATER, NEWEST

_SETTINGS = (
    Fault(
        "lr in the wrong unit",
        "a learning rate of 0.3, in thousandths",
        ("updates_too_large", "units_saturated"),
        "lr too high",
        plant_in(ppo(learning_rate=0.3), "tank", "shop", "cartpole", "reach", "acrobot", "lander", "desk", *LATER),
    ),
    Fault(
        "lr too low",
        "a learning rate of 1e-6",
        ("updates_too_small", "policy_frozen"),
        "lr too low",
        plant_in(ppo(learning_rate=1e-6), "reach", "courier", "tank", "shop", "acrobot", "lander", "desk", *LATER),
    ),
    Fault(
        "bonus too large",
        "an entropy coefficient of 1",
        ("entropy_pinned", "bonus_too_strong"),
        "entropy bonus too high",
        plant_in(ppo(ent_coef=1.0), "reach", "courier", "tank", "cartpole", "acrobot", "lander", "desk", *LATER),
    ),
    Fault(
        "gamma too low",
        "a discount of 0.5, where what pays comes late",
        ("horizon_too_short",),
        "",
        plant_in(
            ppo(gamma=0.5),
            *("cartpole", "courier", "acrobot", "lander", "tank", "lake", "battery", "catch", *NEWEST),
        ),
    ),
    Fault(
        "few steps in a rollout",
        "one environment, 16 steps to a rollout",
        ("rollout_too_short",),
        "",
        plant_in(
            Change({"n_steps": 16, "batch_size": 16, "n_epochs": 4}, {"envs": 1, "steps": 20_000}),
            *("cartpole", "reach", "tank", "lander", "desk", *LATER),
        ),
    ),
    Fault(
        "plain gradient descent",
        "SGD at a learning rate made for Adam",
        ("updates_too_small", "policy_frozen"),
        "",
        plant_in(
            ppo(learning_rate=3e-4, policy_kwargs={"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {}}),
            *("cartpole", "reach", "tank", "courier", "acrobot", "lander", "desk", *LATER),
        ),
    ),
    Fault(
        "weight decay",
        "a decay of 0.3, which Adam takes for a part of the gradient",
        ("decay_too_strong", "policy_frozen"),
        "",
        plant_in(
            ppo(policy_kwargs={"optimizer_kwargs": {"weight_decay": 0.3}}),
            *("cartpole", "courier", "reach", "tank", "acrobot", "lander", "desk", *LATER),
        ),
    ),
    Fault(
        "one hidden unit",
        "hidden layers of one unit",
        ("network_too_small", "critic_explains_nothing"),
        "",
        plant_in(
            ppo(policy_kwargs={"net_arch": [1, 1]}), "courier", "reach", "tank", "acrobot", "lander", "desk", *LATER
        ),
    ),
)

_MORE_SETTINGS = (
    Fault(
        "target_kl in the wrong unit",
        "a target_kl of 1e-5, which ends each update after a step or two",
        ("updates_too_small", "policy_frozen"),
        "target_kl too low",
        plant_in(ppo(target_kl=1e-5), "cartpole", "reach", "tank", "desk", "lander", *LATER),
    ),
    Fault(
        "gradient clipped away",
        "a max_grad_norm of 1e-6, which Adam's epsilon swallows",
        ("updates_too_small", "policy_frozen"),
        "gradient clipped away",
        plant_in(ppo(max_grad_norm=1e-6), "cartpole", "reach", "courier", "desk", "lander", *LATER),
    ),
    Fault(
        "Adam's epsilon too large",
        "an epsilon of 1",
        ("updates_too_small", "policy_frozen"),
        "Adam's epsilon too large",
        plant_in(
            ppo(policy_kwargs={"optimizer_kwargs": {"eps": 1.0}}),
            *("cartpole", "reach", "courier", "desk", "lander", *LATER),
        ),
    ),
    Fault(
        "rate falls too early",
        "a learning rate that falls to 0 in the first twentieth of the run",
        ("bug_gate", "updates_too_small", "policy_frozen"),
        "lr schedule too short",
        plant_in(
            ppo(learning_rate=LinearSchedule(1e-3, 0.0, 0.05)),
            *("cartpole", "reach", "tank", "desk", "lander", *LATER),
        ),
    ),
)

_REWARDS = (
    Fault(
        "rewards in the wrong unit",
        "rewards 10,000 times too large",
        ("reward_scale", "critic_takes_the_gradient"),
        "advantages too large",
        {
            **plant_in(
                script(paid=(ScaledRewards(1e4),)),
                *(
                    "cartpole",
                    "tank",
                    "reach",
                    "pendulum",
                    "courier",
                    "acrobot",
                    "lander",
                    "lake",
                    "arm",
                    "catch",
                    *NEWEST,
                ),
            ),
            "battery": script(paid=(ScaledRewards(1e4),), normalised=("observations",)),
            "fans": script(paid=(ScaledRewards(1e4),), normalised=()),
        },
    ),
    Fault(
        "sign of the reward",
        "training is paid with the wrong sign, evaluations are not",
        ("learns_backwards", "reward_misspecified"),
        "",
        plant_in(
            script(training=(ScaledRewards(-1.0),)), "reach", "tank", "cartpole", "shop", "lander", "desk", *LATER
        ),
    ),
    Fault(
        "noisy rewards",
        "noise in the rewards that buries what actions change",
        ("signal_lost", "reward_independent_of_actions"),
        "",
        {
            "reach": script(training=(NoisyRewards(30.0),)),
            "shop": script(training=(NoisyRewards(20_000.0),)),
            "cartpole": script(training=(NoisyRewards(50.0),)),
            "tank": script(training=(NoisyRewards(30.0),)),
            "lander": script(training=(NoisyRewards(30.0),)),
            "desk": script(training=(NoisyRewards(200.0),)),
            "lake": script(training=(NoisyRewards(3.0),)),
            "battery": script(training=(NoisyRewards(2000.0),)),
            "fans": script(training=(NoisyRewards(100.0),)),
            "arm": script(training=(NoisyRewards(50.0),)),
            "catch": script(training=(NoisyRewards(20.0),)),
            "depot": script(training=(NoisyRewards(30.0),)),
            "chase": script(training=(NoisyRewards(30.0),)),
        },
    ),
    Fault(
        "rewards clipped",
        "rewards below 0 are clipped to 0, outside of the monitor, which logs the true ones",
        ("reward_not_found", "advantage_scale", "reward_independent_of_actions"),
        "no reward",
        plant_in(script(unwatched=(ClippedRewards(),)), "reach", "pendulum", "acrobot", "desk", "fans"),
    ),
    Fault(
        "rewards centred",
        "rewards are normalised as observations are, outside of the monitor: less their mean, so that no life pays",
        ("reward_misspecified", "reward_not_found", "advantage_scale", "reward_independent_of_actions"),
        "",
        plant_in(script(unwatched=(CentredRewards(),)), "cartpole", "tank", "catch", "depot"),
    ),
    Fault(
        "costly actions",
        "a cost of actions that makes doing nothing the best, in training alone",
        ("doing_nothing_pays", "reward_misspecified"),
        "",
        {
            "reach": script(training=(CostlyActions(5.0),)),
            "tank": script(training=(CostlyActions(20.0),)),
            "pendulum": script(training=(CostlyActions(20.0),), evaluates=True),
            "lander": script(training=(CostlyActions(1.0),)),
            "battery": script(training=(CostlyActions(200.0),)),
            "fans": script(training=(CostlyActions(5.0),)),
            "arm": script(training=(CostlyActions(5.0),)),
            "depot": script(training=(CostlyActions(5.0),)),
        },
    ),
    Fault(
        "paid by the step",
        "in training each step pays on top of the task, or costs: to go on for ever pays best, or to end at once",
        ("reward_misspecified",),
        "",
        {
            "lander": script(training=(PaidByTheStep(0.5),)),
            "lake": script(training=(PaidByTheStep(0.2),)),
            "arm": script(training=(PaidByTheStep(2.0),)),
            "chase": script(training=(PaidByTheStep(0.5),)),
            "depot": script(training=(PaidByTheStep(-5.0),)),
            **plant_in(script(training=(PaidByTheStep(0.2),), evaluates=True), "courier"),
            **plant_in(script(training=(PaidByTheStep(2.0),), evaluates=True), "acrobot"),
            **plant_in(script(training=(PaidByTheStep(-2.0),)), "cartpole", "tank", "catch"),
        },
    ),
)

_INPUTS = (
    Fault(
        "observations not scaled",
        "observations in units 1,000 times too small, not normalised",
        ("inputs_unscaled", "units_saturated"),
        "inputs not scaled",
        {
            **plant_in(
                script(seen=(ScaledObservations(1000.0),), normalised=()),
                *("cartpole", "tank", "reach", "pendulum", "acrobot", "lander", "depot", "chase"),
            ),
            **plant_in(script(seen=(ScaledObservations(1000.0),), normalised=("rewards",)), "battery", "fans"),
        },
    ),
    Fault(
        "oldest frame",
        "of six frames the oldest is shown",
        ("observation_late", "signal_lost"),
        "",
        plant_in(script(seen=(LateObservations(6),)), "cartpole", "tank", "reach", "pendulum", "lander", *LATER),
    ),
    Fault(
        "columns left out",
        "columns that tell the state are 0",
        ("observation_incomplete", "signal_lost"),
        "",
        {
            "cartpole": script(seen=(HiddenColumns((1, 3)),)),
            "reach": script(seen=(HiddenColumns((2, 3)),)),
            "acrobot": script(seen=(HiddenColumns((4, 5)),)),
            "lander": script(seen=(HiddenColumns((2, 3)),)),
            "desk": script(seen=(HiddenColumns((0, 1, 2)),)),
            "battery": script(seen=(HiddenColumns((1, 2, 3)),)),
            "fans": script(seen=(HiddenColumns((0, 1, 2, 3)),)),
            "depot": script(seen=(HiddenColumns((0, 1, 10, 11)),)),
            "chase": script(seen=(HiddenColumns((0, 1)),)),
        },
    ),
    Fault(
        "observations as integers",
        "observations are stored as whole numbers",
        ("observation_empty", "observation_incomplete", "signal_lost", "critic_explains_nothing"),
        "",
        plant_in(script(seen=(WholeNumbers(),)), "cartpole", "reach", "acrobot", "lander", "pendulum", "fans", "chase"),
    ),
    Fault(
        "clipped before normalised",
        "observations are clipped to -1 to 1, and then normalised",
        ("observation_empty", "observation_incomplete", "signal_lost", "critic_explains_nothing"),
        "",
        {
            **plant_in(script(seen=(ClippedObservations(1.0),)), "tank", "shop", "desk", "depot"),
            **plant_in(script(seen=(ClippedObservations(1.0),), normalised=("observations",)), "pendulum", "lander"),
        },
    ),
    Fault(
        "evaluated without normaliser",
        "evaluations are shown observations that are not normalised",
        ("greedy_vs_sampled", "evaluation_sees_other_inputs"),
        "evaluation sees other inputs",
        {
            **plant_in(script(forgets_normaliser=True), "tank", "shop", "desk", "battery", "depot"),
            **plant_in(script(forgets_normaliser=True, normalised=("observations", "rewards")), "fans", "arm"),
            **plant_in(
                script(forgets_normaliser=True, normalised=("observations",), evaluates=True),
                *("pendulum", "lander", "acrobot"),
            ),
        },
    ),
)

FAULTS = {fault.name: fault for fault in (*_SETTINGS, *_MORE_SETTINGS, *_REWARDS, *_INPUTS, *faults_in_code.FAULTS)}
