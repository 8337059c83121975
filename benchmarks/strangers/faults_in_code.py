"""Faults in code around the trainer: what becomes of actions, ends and resets, and what buffers and policies do.

Answers and worlds as in `benchmarks.strangers.faults`.
"""

from benchmarks.strangers.fault import Fault, plant_in
from benchmarks.strangers.plants import (
    ClippedActions,
    CounterNeverReset,
    EarlyEnds,
    EndsAsTruncations,
    FirstActionForAll,
    LateActions,
    ResetsAlike,
    ScaledActions,
)
from benchmarks.strangers.plants_in_model import (
    EndsStoredLate,
    FlattenedTwoWays,
    FrozenPolicy,
    LogProbsOfOtherActions,
    ObservationsWrittenOver,
    TargetsOfAllPairs,
)
from benchmarks.strangers.script import script
from benchmarks.strangers.worlds import LATER, NEWEST

FAULTS = (
    Fault(
        "actions clipped to 0 to 1",
        "half of the actions is cut off",
        ("action_not_applied", "signal_lost", "reward_independent_of_actions"),
        "",
        plant_in(script(seen=(ClippedActions(),)), "reach", "tank", "pendulum", "lander", "battery", "arm", "depot"),
    ),
    Fault(
        "actions scaled twice",
        "a hundredth of an action is done",
        ("action_not_applied", "signal_lost", "reward_independent_of_actions"),
        "",
        plant_in(script(seen=(ScaledActions(0.01),)), "reach", "tank", "pendulum", "lander", "battery", "arm", "depot"),
    ),
    Fault(
        "first action for all",
        "of several actions the first is done in place of each",
        ("action_not_applied", "signal_lost", "reward_independent_of_actions"),
        "",
        plant_in(script(seen=(FirstActionForAll(),)), "reach", "lander", "shop", "fans", "arm", "depot"),
    ),
    Fault(
        "actions done late",
        "the action that is done is the one chosen four steps before",
        ("action_not_applied", "observation_late", "signal_lost"),
        "",
        plant_in(script(seen=(LateActions(4),)), *("cartpole", "reach", "tank", "courier", "desk", "lander", *LATER)),
    ),
    Fault(
        "episodes cut short",
        "episodes are truncated before the reward, or before anything can go wrong",
        ("episode_too_short", "return_frozen", "reward_not_found"),
        "",
        {
            "cartpole": script(training=(EarlyEnds(8),)),
            "courier": script(training=(EarlyEnds(3),)),
            "lander": script(training=(EarlyEnds(8),)),
            "acrobot": script(training=(EarlyEnds(20),)),
            "tank": script(training=(EarlyEnds(3),)),
            "catch": script(training=(EarlyEnds(5),)),
            "chase": script(training=(EarlyEnds(5),)),
            "depot": script(training=(EarlyEnds(4),)),
        },
    ),
    Fault(
        "counter never reset",
        "the counter of an episode's steps is not set back: after the first episodes all others last one step",
        ("episode_too_short", "return_frozen", "reward_not_found"),
        "",
        plant_in(
            script(training=(CounterNeverReset(100),)),
            *("cartpole", "courier", "acrobot", "lander", "tank", "reach", "desk", "shop", *LATER),
        ),
    ),
    Fault(
        "ends told as truncations",
        "every end is told as a truncation",
        ("targets_beyond",),
        "ends forgotten",
        plant_in(
            script(paid=(EndsAsTruncations(),)),
            *("cartpole", "tank", "lander", "acrobot", "courier", "lake", "catch", *NEWEST),
        ),
    ),
    Fault(
        "resets alike",
        "every episode of training begins with the same seed",
        ("memorised", "overfitting"),
        "",
        plant_in(script(training=(ResetsAlike(),)), "reach", "tank", "lander", "courier", "desk", *LATER),
    ),
    Fault(
        "frozen layers",
        "the policy's layers are frozen",
        ("policy_frozen",),
        "policy left out",
        plant_in(
            script(plants=(FrozenPolicy(),)), "cartpole", "shop", "reach", "tank", "acrobot", "lander", "desk", *LATER
        ),
    ),
    Fault(
        "sampled twice",
        "the stored log-probability is that of another sample",
        ("bug_gate", "stale_log_probability"),
        "stale log-probabilities",
        plant_in(
            script(plants=(LogProbsOfOtherActions(),)),
            "reach",
            "courier",
            "cartpole",
            "tank",
            "shop",
            "lander",
            "desk",
            *LATER,
        ),
    ),
    Fault(
        "flattened two ways",
        "advantages and returns are flattened step by step, observations and actions lane by lane",
        ("signal_lost", "critic_explains_nothing"),
        "advantages of other steps",
        plant_in(
            script(plants=(FlattenedTwoWays(),)),
            *("cartpole", "courier", "reach", "tank", "shop", "acrobot", "lander", "desk", *LATER),
        ),
    ),
    Fault(
        "ends stored late",
        "the end of an episode is stored with the step after it, so that the last step is paid by the next episode",
        ("targets_beyond", "signal_lost"),
        "",
        plant_in(script(plants=(EndsStoredLate(),)), "courier", "lake", "lander", "arm", "chase"),
    ),
    Fault(
        "observations written over",
        "environments return one array again and again: what is stored with an action is what came of it",
        ("bug_gate", "stale_log_probability", "actions_misplaced"),
        "actions stored late",
        plant_in(
            script(plants=(ObservationsWrittenOver(),)),
            *("cartpole", "courier", "reach", "tank", "shop", "acrobot", "lander", "desk", *LATER),
        ),
    ),
    Fault(
        "critic trained on all pairs",
        "targets have one dimension more than predictions: each prediction is compared with every target",
        ("critic_explains_nothing",),
        "critic explains nothing",
        plant_in(
            script(plants=(TargetsOfAllPairs(),)),
            *("cartpole", "courier", "reach", "tank", "shop", "acrobot", "lander", "desk", *LATER),
        ),
    ),
)
