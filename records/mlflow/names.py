"""Name metrics in MLflow: what a person reads stands first, what the rules of diagnosis read behind it.

MLflow groups metrics by what stands before the last slash, and lists groups and names alphabetically. Everywhere else
metrics keep the names of `rl.metrics`; sweeps of a format before `RENAMED` keep them in MLflow too.
"""

from collections.abc import Mapping

from unstuck.rl import metrics

RENAMED = 3
"""First format of records whose metrics have names of their own in MLflow."""

OBJECTIVE, OBJECTIVE_SPREAD = "objective/value", "objective/value_spread"
"""Value of a trial that ended here: the mean of the last evaluations, and the spread over seeds."""

PROGRESS, RULES, SWEEP = "progress/", "rules/", "sweep/"
"""Groups: the few curves that a person reads; all others; the figures of a whole sweep, in the sweep's own run."""

_NAMES = {
    metrics.FINAL_VALUE: OBJECTIVE,
    metrics.FINAL_SPREAD: OBJECTIVE_SPREAD,
    metrics.F1: f"{PROGRESS}f1",
    metrics.EVAL_RETURN: f"{PROGRESS}return",
    metrics.VALUE_LOSS: f"{PROGRESS}value_loss",
    metrics.VALUE_FLOOR: f"{PROGRESS}value_loss_floor",
    metrics.ENTROPY: f"{PROGRESS}entropy",
    metrics.APPROX_KL: f"{PROGRESS}approx_kl",
}
_OURS = {theirs: ours for ours, theirs in _NAMES.items()}
_SHARE = f"{PROGRESS}share_"

_TAGS = {
    metrics.FINAL_ITERATIONS: "iterations",
    metrics.FINAL_ENV_STEPS: "env_steps",
    metrics.FINAL_SECONDS: "seconds",
}
"""Numbers of a whole trial that are tags in MLflow, which would draw a chart of one dot of a metric."""

_MEMBERS = metrics.seed_metric(metrics.FINAL_VALUE, 0).removesuffix("0")
"""Start of the names of the members' own values of a trial, which MLflow does not get: their curves end so."""

SUMMARY_TAGS = tuple(_TAGS.values())

SCORE = (metrics.FINAL_VALUE, metrics.FINAL_SPREAD)
"""Numbers of a whole trial that MLflow has as curves, a point an evaluation, whose ends they are."""

TRIALS = f"{SWEEP}trials_"
"""Start of the names of the figures that count a sweep's trials, by outcome."""

ALWAYS_ZERO = metrics.F1_FLAG_NONE
"""Metric that MLflow does not get, since it is 0 wherever there is a `metrics.F1_RANDOM`."""


def select_written(summary: Mapping[str, float], format: int) -> dict[str, float]:
    """Select the final metrics of a trial that MLflow stores; only old sweep formats include each seed's value."""
    if format < RENAMED:
        return dict(summary)
    return {name: value for name, value in summary.items() if is_curve(name)} | read_tags(make_tags(summary))


def is_curve(name: str) -> bool:
    """Return True if MLflow stores a metric as a curve; False if as a tag, or not at all."""
    return name not in (ALWAYS_ZERO, *_TAGS) and not name.startswith((metrics.EFFECTIVE_PREFIX, _MEMBERS))


def to_mlflow(name: str) -> str:
    """Return MLflow's name of a metric, as shown to people.

    Example:
        >>> to_mlflow("eval/f1"), to_mlflow("train/action/block"), to_mlflow("eval/f1/seed_0")
        ('progress/f1', 'progress/share_block', 'rules/eval.f1.seed_0')
    """
    if name.startswith(metrics.ACTION_PREFIX):
        return _SHARE + name.removeprefix(metrics.ACTION_PREFIX)
    return _NAMES.get(name) or RULES + name.replace("/", ".")


def from_mlflow(name: str) -> str:
    """Convert MLflow's name of a metric to the name in `rl.metrics`; return any other name unchanged.

    Example:
        >>> from_mlflow("progress/share_block"), from_mlflow("rules/eval.f1.seed_0"), from_mlflow("eval/f1")
        ('train/action/block', 'eval/f1/seed_0', 'eval/f1')
    """
    if name.startswith(_SHARE):
        return metrics.ACTION_PREFIX + name.removeprefix(_SHARE)
    if name.startswith(RULES):
        return name.removeprefix(RULES).replace(".", "/")
    return _OURS.get(name, name)


def make_tags(measured: Mapping[str, float]) -> dict[str, str]:
    """Convert metrics that MLflow keeps as tags to tags: settings read back from the learner, and training length.

    Example:
        >>> make_tags({"effective/lr": 0.001, "final/iterations": 200.0, "eval/f1": 0.5})
        {'in_force.lr': '0.001', 'iterations': '200'}
    """
    prefix, length = metrics.EFFECTIVE_PREFIX, len(metrics.EFFECTIVE_PREFIX)
    named = {name: f"in_force.{name[length:]}" if name.startswith(prefix) else _TAGS.get(name) for name in measured}
    return {tag: _format(measured[name]) for name, tag in named.items() if tag}


def read_tags(tags: Mapping[str, str]) -> dict[str, float]:
    """Read the training length of a trial from MLflow tags; return metrics under the names in `rl.metrics`."""
    return {name: float(tags[tag]) for name, tag in _TAGS.items() if tag in tags}


def _format(value: float) -> str:
    return str(int(value)) if value.is_integer() else f"{value:.6g}"
