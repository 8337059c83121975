"""Answers that missing metrics would have given, and which few of them to ask for."""

from collections.abc import Mapping, Sequence

from unstuck.analysis.diagnosis.finding import Kind, Ranked, Unexamined
from unstuck.analysis.diagnosis.language import OWN_LOOPS
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import record
from unstuck.analysis.history.names import DIALECTS
from unstuck.analysis.history.record import POLICY_STD, TOTAL_LOSS
from unstuck.rl import metrics

MOST = 5
"""Questions of a diagnosis: more than a user would answer before the next run."""

WOULD_TELL = {
    metrics.TRAIN_RETURN: "what the sampled policy earns",
    metrics.APPROX_KL: "how far each update moves the policy: nothing, a usual amount or too much",
    metrics.CLIP_FRACTION: "whether updates run into the clip",
    metrics.ENTROPY: "whether the policy has made up its mind about single observations",
    metrics.EXPLAINED_VARIANCE: "how much of the returns the critic explains",
    metrics.VALUE_LOSS: "whether the critic learns",
    TOTAL_LOSS: "how large the loss is, where its parts are not logged",
    metrics.LR: "the learning rate in force, after its schedule and after any restart",
    POLICY_STD: "how widely continuous actions are spread, which an entropy does not tell",
    "env.actions": "how many actions there are, and so what the largest entropy is",
    metrics.RATIO_DEVIATION: "whether the log-probabilities are those of the policy that acted (a bug if not)",
    metrics.GRAD_NORM_POLICY: "whether a gradient reaches the policy at all",
    metrics.GRAD_NORM_VALUE: "whether the value loss drowns the policy's gradient",
    metrics.GRAD_CLIPPED_SHARE: "whether the gradient is clipped all the time",
    metrics.GRAD_NORM: "how large the gradient is before it is clipped",
    metrics.UPDATE_NORM: "whether the parameters change",
    metrics.ADVANTAGE_STD: "whether advantages tell actions apart, and in which unit",
    metrics.POLICY_LOSS: "whether ratios or advantages are far too large",
    metrics.EVAL_RETURN: "what the greedy policy earns",
    metrics.ADVANTAGE_MEAN: "whether the critic is off by a constant",
    metrics.TARGET_MEAN: "whether the critic is to predict more than episodes return",
    metrics.TARGET_STD: "the unit of what the critic is to predict",
    metrics.VALUE_FLOOR: "how low the value loss could be: whether it is the critic's fault at all",
    metrics.VALUE_LOSS_EXCESS: "what a better critic could remove",
    metrics.EXPLAINED_VARIANCE_MC: "whether the critic foresees real returns, or agrees with itself",
    metrics.PROBE_EXPLAINED_VARIANCE_MC: "whether the returns can be foreseen from the observation",
    metrics.REWARD_FORESEEN: "whether rewards go with what is observed",
    metrics.ADVANTAGE_FOLLOWED: "whether updates make more likely what has paid: a sign, a shuffle gone wrong",
    metrics.OBSERVATION_REPEATS: "how many different observations there are, and how often each was seen",
    metrics.OBSERVATION_SHIFT: "whether an evaluation shows what training does",
    metrics.SATURATED_SHARE: "whether hidden units still pass gradients on",
    metrics.INPUT_RMS_MAX: "whether inputs are scaled",
    record.NEXT_BY_PAST: "whether the observation tells the state, or the step before knows more",
    record.REWARD_BY_PAST: "whether rewards go with what is observed, or on as they were",
    record.ACTION_DELAY: "how many steps late an action shows in what is observed",
    record.ACTION_SHOWN: "whether an action shows in the next observation",
    record.ACTION_HALVES: "whether both halves of the actions' range do as much",
    record.ACTION_EFFECT: "how far actions move what is observed",
    metrics.LANES_ALIKE: "whether environments side by side show the same",
    record.COLUMNS_CONSTANT: "whether a column of the observation is left out",
    record.PARAMETER_NORM: "whether the parameters shrink",
    record.PARAMETERS_UNMOVED: "whether the policy ever had a gradient: keep the saved model beside the log",
    record.START_REPEATS: "whether episodes begin alike",
    record.STARTS_RESEEDED: "whether each reset sets the seed",
    record.EVAL_MISSED: "whether evaluations meet what training does not: keep both files of episodes beside the log",
    record.WRAPPED_ACTION_DELAY: "whether a wrapper does actions late",
    record.WRAPPED_ACTION_REACH: "whether a wrapper scales actions away",
    record.WRAPPED_ACTION_CUT: "whether a wrapper cuts actions off",
    record.WRAPPED_ACTION_UNUSED: "whether a wrapper drops parts of the actions",
    record.WRAPPED_SIGHT_DELAY: "whether a wrapper shows what was",
    record.WRAPPED_SIGHT_LOST: "whether a wrapper rounds or clips what is shown",
    record.WRAPPED_COLUMNS_BLANK: "whether a wrapper blanks out columns",
    record.WRAPPED_REWARD_LOST: "whether a wrapper pays one number for all",
    record.WRAPPED_REWARD_SIGN: "whether a wrapper turns the sign of the reward",
    record.WRAPPED_REWARD_NOISE: "whether a wrapper buries the reward in noise",
    record.WRAPPED_REWARD_COST: "whether a wrapper takes off a cost of actions",
    record.WRAPPED_REWARD_STEP: "whether what a wrapper pays each step outweighs what a step brings",
    record.WRAPPED_ENDS: "whether a wrapper tells ends as something else",
    record.REWARD_AFTER: "how long after an action its reward comes",
    metrics.F1: "what the policy is worth",
    metrics.F1_TRAIN: "whether it has memorised the flows that it was trained on",
    metrics.TRUE_POSITIVES: "what the greedy policy flags (with tn, fp and fn)",
    f"{metrics.ACTION_PREFIX}<action>": "what the sampled policy does",
    f"{metrics.GREEDY_PREFIX}<action>": "what the greedy policy does",
    f"{metrics.F1}/seed_<member>": "whether seeds agree",
    f"{metrics.EVAL_RETURN}/seed_<member>": "whether seeds agree",
}
"""What each metric or setting would tell; of equally wanted ones the first is asked for."""

OF_TRIAGE = frozenset(
    {
        *(metrics.F1, metrics.F1_TRAIN, f"{metrics.F1}/seed_<member>", metrics.TRUE_POSITIVES),
        *(metrics.OBSERVATION_SHIFT, metrics.REWARD_FORESEEN, metrics.OBSERVATION_REPEATS),
    }
)
"""Metrics that mean something where flows are judged, and nowhere else."""

_SUSPECTED, _BLIND, _UNSCORED = {Kind.FAULT: 3.0, Kind.SUSPECT: 2.0, Kind.LIMIT: 1.0}, 1.0, 6.0
"""Weights: of what would tell more of a finding (the first most), lets a blind rule see, and says how a run stands."""


def list_questions(run: Signals, findings: Sequence[Ranked], blind: Sequence[Unexamined]) -> dict[str, str]:
    """Return the few unrecorded metrics that would help a diagnosis most, each with what it would tell, in words."""
    weights: dict[str, float] = {}

    def want(name: str, weight: float) -> None:
        if is_askable(run, name) and not run.has(name):
            weights[name] = weights.get(name, 0.0) + weight

    if not run.has(metrics.TRAIN_RETURN) and not run.has(metrics.EVAL_RETURN):
        want(metrics.TRAIN_RETURN, _UNSCORED)
    for place, one in enumerate((one for one in findings if not one.follows_from), start=1):
        for name in one.finding.missing:
            want(name, _SUSPECTED.get(one.finding.kind, 0.0) / place)
    for rule in blind:
        askable = [next((name for name in group if is_askable(run, name)), None) for group in rule.missing]
        if all(askable):  # else the rule stays blind whatever is logged
            for asked in filter(None, askable):
                want(asked, _BLIND / len(askable))
    order = list(WOULD_TELL)
    wanted = sorted((name for name in weights if weights[name] > 0), key=lambda n: (-weights[n], order.index(n)))
    return {name: WOULD_TELL[name] for name in wanted[:MOST]}


def is_askable(run: Signals, name: str) -> bool:
    """True if the run's program is able to log a metric (or setting) that also has a meaning in the run's task."""
    if name not in WOULD_TELL or (name in OF_TRIAGE and not run.is_triage):
        return False
    if name in record.OF_MONITORS:
        return False
    if name in record.PROBED:
        return run.history.probed != ""  # the probe alone measures it
    loggable = _loggable(run.history.dialect)
    return not loggable or name in loggable or "/" not in name


def _loggable(dialect: str) -> Mapping[str, None]:
    """Return the names of the metrics that a program is able to log; empty for a user's own loop, which can log any."""
    known = DIALECTS.get(dialect)
    return dict.fromkeys(ours for ours, _ in known.metrics.values()) if known and dialect not in OWN_LOOPS else {}
