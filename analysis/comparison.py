"""Put differences into words: one place for all verdicts, so that every verdict follows the same rules."""

from unstuck.analysis.statistics import LEAST_SEEDS, Difference, Interval, NoInterval
from unstuck.analysis.sweep.verdicts import LEAST_MEMBERS, MOST_MORE, Answer, Judged, Verdict
from unstuck.analysis.words import number, pluralize
from unstuck.rl import metrics

ENOUGH_SEEDS = 8
"""Seeds of each side that usually tell effects of about two spreads."""


_SHARES = (metrics.F1, metrics.F1_TRAIN, metrics.PRECISION, metrics.RECALL)
"""Metrics between 0 and 1, so that no difference lies beyond -1 or 1; an interval by Student's t knows no such end."""


def describe_difference(found: Difference, digits: int = 3, metric: str = "") -> str:
    """Describe the difference of two means and the difference's interval: `+0.25 (95 % interval 0.1 to 0.4)`.

    Example:
        >>> describe_difference(Difference(0.25, Interval(0.1, 0.4), side=1))
        '+0.25 (95 % interval 0.1 to 0.4)'
        >>> describe_difference(Difference(0.25, NoInterval.ONE_SEED, side=0))
        '+0.25 (one seed: no interval)'
    """
    return f"{found.mean:+.{digits}g} ({describe_interval(found, digits, metric)})"


def describe_interval(found: Difference, digits: int = 3, metric: str = "") -> str:
    """Describe in words a difference's interval and number of comparisons, or why there is no interval.

    Args:
        found: The difference.
        digits: Significant digits.
        metric: Name of the metric; the interval of a share is shown up to -1 and 1 alone, and the text says so.

    Example:
        >>> describe_interval(Difference(0.5, Interval(-0.2, 1.2), side=0), metric="eval/f1")
        '95 % interval -0.2 to 1, cut at 1'
    """
    if not isinstance(found.interval, Interval):
        return f"{found.interval}: no interval"
    of = "" if found.comparisons == 1 else f" for {found.comparisons} comparisons at once"
    low, high = found.interval.low, found.interval.high
    cuts = [f"{end:g}" for end, beyond in ((-1, low < -1), (1, high > 1)) if beyond and metric in _SHARES]
    if metric in _SHARES:
        low, high = max(low, -1.0), min(high, 1.0)
    cut = f", cut at {' and '.join(cuts)}" if cuts else ""
    return f"95 % interval{of} {number(low, digits)} to {number(high, digits)}{cut}"


def judge_difference(found: Difference, sign: int) -> str:
    """Return in words how a trial tested on fresh seeds compares with the control, e.g. `beats the control`.

    Args:
        found: The trial minus the control, both on fresh seeds.
        sign: 1 where more is better, -1 where less is.
    """
    if found.interval is NoInterval.ONE_SEED:
        return "cannot be judged against the control by one seed"
    if is_without_chance(found):
        return f"is {compare_every_seed(found, sign)}; no seed differs from another, so chance cannot be judged"
    if found.side == 0:
        return "cannot be told from the control"
    return "beats the control" if found.side == sign else "is worse than the control"


def is_without_chance(found: Difference) -> bool:
    """True if chance cannot be judged: the values of each side's seeds are equal, and too few to differ surely."""
    return found.interval is NoInterval.NO_SPREAD and found.side == 0


def compare_every_seed(found: Difference, sign: int) -> str:
    """Return in words how a trial compares with the control if all seeds of each side have equal values.

    Args:
        found: The trial minus the control.
        sign: 1 where more is better, -1 where less is.

    Example:
        >>> compare_every_seed(Difference(0.5, NoInterval.NO_SPREAD, side=0), sign=1)
        'better than the control on every seed'
    """
    if found.mean == 0:
        return "equal to the control on every seed"
    return f"{'better' if found.mean * sign > 0 else 'worse'} than the control on every seed"


def describe_lead(found: Difference, metric: str = "") -> str:
    """Describe how far a search's best trial is above the control, and whether noise alone could explain that."""
    lead = describe_difference(found, metric=metric)
    if is_without_chance(found):
        told = "is the same on every seed, so chance cannot be judged" if found.mean else "is none on any seed"
    else:
        told = "is more than noise and the choice of the best explain" if found.side else "cannot be told from noise"
    return f"{lead} against the control: this lead {told}, and fresh seeds have not judged it yet"


def advise_more_seeds(found: Difference) -> str:
    """Return advice in words to use more seeds if one seed allows no comparison; else an empty text."""
    if found.interval is not NoInterval.ONE_SEED:
        return ""
    return f"take at least {LEAST_SEEDS} seeds of each, better {ENOUGH_SEEDS}: --seeds {ENOUGH_SEEDS}"


def describe_verdict(found: Verdict, metric: str, who: str) -> str:
    """Describe in one sentence whether a stuck run's best branch beats the control, with values and difference.

    Args:
        found: The verdict.
        metric: Name of the objective.
        who: The arm in words, such as `trial 3 (lr 0.001)`.
    """
    own = f"{who[:1].upper()}{who[1:]}"
    if found.reading.arm == found.reading.control:
        trained = pluralize(found.reading.repeats * found.reading.members, "fresh training")
        return (
            f"{own} changes nothing: {metric} is the same, seed by seed, in {trained} of the arm and of the untouched "
            f"control, {number(found.arm)} on average."
        )
    values = f"{metric} {number(found.arm)} against {number(found.control)} of the untouched control"
    text = f"{values}, {describe_difference(found.this_run.difference, metric=metric)}"
    if found.answer is Answer.UNKNOWN:
        return f"It cannot be told whether {who} wins: {text}; {_describe_more(found.this_run, 'repeat')}."
    return f"{own} {found.answer}: {text}."


def describe_scope(found: Verdict) -> str:
    """Describe in a sentence whether a change helps the one stuck run only, or runs like it too."""
    if found.reading.arm == found.reading.control:
        return "So the change does not cure the run, in any of its seeds."
    alone = f"The verdict holds for this run alone, with its {pluralize(found.reading.members, 'seed')}"
    if found.alike is None:
        return f"{alone}: only a run of {LEAST_MEMBERS} seeds or more says something of others."
    difference = describe_difference(found.alike.difference)
    if found.alike.answer is found.answer:
        return f"The same holds for runs like this one, of other seeds, as far as these tell: {difference} over seeds."
    if found.alike.answer is Answer.UNKNOWN:
        more = _describe_more(found.alike, "seed")
        return f"{alone}. For runs of other seeds it cannot be told: {difference} over seeds; {more}."
    return f"{alone}. Over its seeds the arm {found.alike.answer}: {difference}."


def _describe_more(found: Judged, unit: str) -> str:
    """Describe in words how many more repeats it would take to see a difference, or why none would do."""
    interval = found.difference.interval
    if interval is NoInterval.NOT_FINITE:
        return "a value is not finite, as training diverged in a repeat"
    if isinstance(interval, NoInterval):
        return f"without spread nothing is known of what chance does; take more {unit}s"
    if found.more is None:
        return f"not even {MOST_MORE:,} more {unit}s would tell so small a difference"
    return f"about {pluralize(found.more, f'more {unit}')} would"
