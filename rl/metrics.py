"""Names of all metrics that the learner measures. Imports nothing, so that readers stay light.

`docs/metrics.md` defines each name (formula, estimator, unit); a test compares the two lists.
"""

POLICY_LOSS = "train/policy_loss"
VALUE_LOSS = "train/value_loss"
ENTROPY = "train/entropy"
EXPLAINED_VARIANCE = "train/explained_variance"
APPROX_KL = "train/approx_kl"
CLIP_FRACTION = "train/clip_fraction"
GRAD_NORM = "train/grad_norm"
GRAD_CLIPPED_SHARE = "train/grad_clipped_share"
UPDATE_NORM = "train/update_norm"
TARGET_MEAN = "train/target_mean"
TARGET_STD = "train/target_std"
ADVANTAGE_MEAN = "train/advantage_mean"
ADVANTAGE_STD = "train/advantage_std"
LR = "train/lr"
TRAIN_RETURN = "train/episode_return"

VALUE_FLOOR = "train/value_floor"
VALUE_LOSS_EXCESS = "train/value_loss_excess"
EXPLAINED_VARIANCE_MC = "train/explained_variance_mc"
PROBE_EXPLAINED_VARIANCE_MC = "train/explained_variance_mc_probe"
REWARD_FORESEEN = "train/reward_foreseen"

GRAD_NORM_POLICY = "train/grad_norm_policy"
GRAD_NORM_VALUE = "train/grad_norm_value"
RATIO_DEVIATION = "train/ratio_deviation"
SATURATED_SHARE = "train/saturated_share"
INPUT_RMS_MAX = "train/input_rms_max"
ADVANTAGE_FOLLOWED = "train/advantage_followed"
OBSERVATION_REPEATS = "train/observation_repeats"

EPOCHS_DONE = "train/epochs_done"
PARAMETER_NORM = "train/parameter_norm"
EPISODE_LENGTH = "train/episode_length"
START_REPEATS = "train/start_repeats"

ACTION_EFFECT = "train/action_effect"
ACTION_SHOWN = "train/action_shown"
ACTION_SHOWN_LATE = "train/action_shown_late"
ACTION_SHOWN_EARLY = "train/action_shown_early"
ACTION_DELAY = "train/action_delay"
ACTION_HALVES = "train/action_halves"
NEXT_BY_STEP = "train/next_by_step"
NEXT_BY_PAST = "train/next_by_past"
REWARD_BY_OBSERVATION = "train/reward_by_observation"
REWARD_BY_STEP = "train/reward_by_step"
REWARD_BY_PAST = "train/reward_by_past"
REWARD_BY_NEXT = "train/reward_by_next"
REWARD_BY_LATER = "train/reward_by_later"
REWARD_BY_EFFORT = "train/reward_by_effort"
COLUMNS_CONSTANT = "train/columns_constant"
COLUMNS_CLIPPED = "train/columns_clipped"
LANES_ALIKE = "train/lanes_alike"

F1 = "eval/f1"
F1_TRAIN = "eval/f1_train"
PRECISION = "eval/precision"
RECALL = "eval/recall"
TRUE_POSITIVES = "eval/tp"
TRUE_NEGATIVES = "eval/tn"
FALSE_POSITIVES = "eval/fp"
FALSE_NEGATIVES = "eval/fn"
EVAL_RETURN = "eval/episode_return"
OBSERVATION_SHIFT = "eval/observation_shift"
START_SCALE = "eval/start_scale"
STARTS_ALIKE = "eval/starts_alike"
STARTS_UNSEEN = "eval/starts_unseen"
F1_FLAG_ALL = "eval/f1_flag_all"
F1_FLAG_NONE = "eval/f1_flag_none"
F1_RANDOM = "eval/f1_random"

ACTION_PREFIX = "train/action/"
"""Prefix before an action's name: the share of the rollout's actions."""

GREEDY_PREFIX = "eval/action/"
"""Prefix before an action's name: the share of the flows judged for which the greedy policy took the action."""

ACTIONS = ("allow", "block", "quarantine", "alert")
"""Names of the actions of triage, in the order of their numbers."""

EFFECTIVE_PREFIX = "effective/"
"""Followed by the name of a setting of `ppo`: what is in force when a worker starts or goes on with a trial."""

FINAL_EVALUATIONS = 3
"""A trial's value is the mean of this many last evaluations, never the best one."""

FINAL_PREFIX = "final/"
FINAL_VALUE = "final/value"
FINAL_SPREAD = "final/spread"
FINAL_ITERATIONS = "final/iterations"
FINAL_ENV_STEPS = "final/env_steps"
FINAL_SECONDS = "final/seconds"

LOSSES = (POLICY_LOSS, VALUE_LOSS, ENTROPY, APPROX_KL, CLIP_FRACTION, GRAD_NORM, GRAD_CLIPPED_SHARE)
SCALES = (UPDATE_NORM, TARGET_MEAN, TARGET_STD, ADVANTAGE_MEAN, ADVANTAGE_STD)
TRAIN = (*LOSSES, *SCALES, EXPLAINED_VARIANCE, LR, TRAIN_RETURN)
CRITIC = (VALUE_FLOOR, VALUE_LOSS_EXCESS, EXPLAINED_VARIANCE_MC, PROBE_EXPLAINED_VARIANCE_MC, REWARD_FORESEEN)
NETWORKS = (
    *(GRAD_NORM_POLICY, GRAD_NORM_VALUE, RATIO_DEVIATION, SATURATED_SHARE, INPUT_RMS_MAX),
    *(ADVANTAGE_FOLLOWED, OBSERVATION_REPEATS, LANES_ALIKE),
)
"""Metrics of the networks; like `CRITIC` at evaluation iterations only."""
DYNAMICS = (
    *(ACTION_EFFECT, ACTION_SHOWN, ACTION_SHOWN_LATE, ACTION_DELAY, ACTION_HALVES),
    *(NEXT_BY_STEP, NEXT_BY_PAST, REWARD_BY_OBSERVATION, REWARD_BY_STEP, REWARD_BY_PAST, REWARD_BY_NEXT),
    *(REWARD_BY_LATER, REWARD_BY_EFFORT, COLUMNS_CONSTANT, COLUMNS_CLIPPED),
)
"""Metrics of the environment, as a rollout shows it, that a probe measures too: at a few evaluation iterations."""
ENVIRONMENT = (*DYNAMICS, ACTION_SHOWN_EARLY)
PROGRESS = (EPOCHS_DONE, PARAMETER_NORM, EPISODE_LENGTH, START_REPEATS)
"""Measured in every iteration like `TRAIN`, but by our learner alone, or by a probe where it can."""
EVAL = (F1, PRECISION, RECALL, TRUE_POSITIVES, TRUE_NEGATIVES, FALSE_POSITIVES, FALSE_NEGATIVES, EVAL_RETURN)
ERRORS = (FALSE_POSITIVES, FALSE_NEGATIVES)
"""Metrics of which less is better; of the others in `EVAL` more is."""
TRIVIAL = (F1_FLAG_ALL, F1_FLAG_NONE, F1_RANDOM)
PER_SEED = (F1, EVAL_RETURN, VALUE_LOSS)
"""Logged once more for each member, under `seed_metric(name, member)`; so are the sweep's metric and FINAL_VALUE."""


def action_metric(action: str) -> str:
    """Return the name of the metric for how often an action was sampled in training: `train/action/allow`."""
    return ACTION_PREFIX + action


def greedy_metric(action: str) -> str:
    """Return the name of the metric for how often an action was the most probable one: `eval/action/allow`."""
    return GREEDY_PREFIX + action


def effective_metric(setting: str) -> str:
    """Return the name of the metric for a setting's value as read back from the learner: `effective/lr`."""
    return EFFECTIVE_PREFIX + setting


def seed_metric(name: str, member: int) -> str:
    """Return the name of the metric for one member's (seed's) value of another metric: `eval/f1/seed_0`."""
    return f"{name}/seed_{member}"
