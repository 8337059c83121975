"""What a difference says, in words: one place for every verdict, so that all of them hold to the same rules."""

from unstuck.analysis.statistics import LEAST_SEEDS, Difference, Interval, NoInterval
from unstuck.analysis.words import number

ENOUGH_SEEDS = 8
"""Of each side, with which effects of about two spreads are usually told."""


def describe_difference(found: Difference, digits: int = 3) -> str:
    """How large a difference is and how sure, such as `+0.25 (95 % interval 0.1 to 0.4)`."""
    return f"{found.mean:+.{digits}g} ({describe_interval(found, digits)})"


def describe_interval(found: Difference, digits: int = 3) -> str:
    """An interval, and what it pays for; or why there is none."""
    if not isinstance(found.interval, Interval):
        return f"{found.interval}: no interval"
    of = "" if found.comparisons == 1 else f" for {found.comparisons} comparisons at once"
    return f"95 % interval{of} {number(found.interval.low, digits)} to {number(found.interval.high, digits)}"


def judge_difference(found: Difference, sign: int) -> str:
    """The verdict on fresh seeds, to stand behind a name: `beats the control`.

    Args:
        found: The trial minus the control, both on fresh seeds.
        sign: 1 where more is better, -1 where less is.
    """
    if found.interval is NoInterval.ONE_SEED:
        return "cannot be judged against the control by one seed"
    if found.side == 0:
        return "cannot be told from the control"
    return "beats the control" if found.side == sign else "is worse than the control"


def describe_lead(found: Difference) -> str:
    """What a search says of its best trial against the control: never that it beats it, since it was chosen by this."""
    told = "more than noise and the choice of the best explain" if found.side else "which cannot be told from noise"
    return f"{describe_difference(found)} against the control, {told}, not yet judged on fresh seeds"


def remedy(found: Difference) -> str:
    """How to get a verdict where there was one seed; else empty."""
    if found.interval is not NoInterval.ONE_SEED:
        return ""
    return f"take at least {LEAST_SEEDS} seeds of each, better {ENOUGH_SEEDS}: --seeds {ENOUGH_SEEDS}"
