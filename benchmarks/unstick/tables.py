"""Tables of the benchmark in Markdown: the figure, each point's unstick, and the draws that did not count."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unstuck.analysis.overrides import format_literal
from unstuck.analysis.words import pluralize

from benchmarks.unstick.levels import Levels
from benchmarks.unstick.points import BROKEN_BELOW, Point
from benchmarks.unstick.scoring import CLOSED, Score

_ANEW = "branch.start"


def make_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table in Markdown from a header and rows of text."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_figure(scores: Sequence[Score]) -> str:
    """Describe the success figure in a sentence: points, kinds, environments, wins, cures."""
    kinds = {one.point.kind for one in scores}
    environments = {one.point.healthy["env.id"] for one in scores}
    return (
        f"{pluralize(len(scores), 'point')} of {pluralize(len(kinds), 'kind')} in "
        f"{pluralize(len(environments), 'environment')}: an arm wins its verdict in "
        f"**{sum(one.wins for one in scores)}**, and closes {CLOSED:.0%} of the way from random to healthy in "
        f"**{sum(one.is_cured for one in scores)}**."
    )


def make_score_table(scores: Sequence[Score]) -> str:
    """Make the table of all points: how far broken run, control and best arm went, the verdict, and why not."""
    header = (
        "point",
        "environment",
        "kind",
        "broken",
        "control",
        "best arm",
        "its change",
        "verdict",
        "runs alike",
        "reason",
    )
    return make_table(
        header,
        [
            (
                str(one.point.number),
                one.point.environment,
                f"{one.point.kind}, {one.point.severity}",
                format_share(one.broken),
                format_share(one.control),
                format_share(one.closed),
                describe_change(one.best),
                str(one.verdict or ""),
                str(one.alike or ""),
                one.reason,
            )
            for one in scores
        ],
    )


def make_level_table(levels: Mapping[str, Levels]) -> str:
    """Make the table of the random policy's and the healthy run's objective in each environment."""
    rows = [(name, f"{level.random:.3g}", f"{level.healthy:.3g}") for name, level in levels.items()]
    return make_table(("environment", "random", "healthy"), rows)


def make_replaced_table(drawn: Sequence[Point], known: Mapping[int, float | None]) -> str:
    """Make the table of the points that were trained and did not count, with the reason."""
    rows = [
        (
            str(point.number),
            point.environment,
            f"{point.kind}, {point.severity}",
            "diverged" if share is None else f"{format_share(share)}, not below {format_share(BROKEN_BELOW)}",
        )
        for point in drawn
        if point.number in known
        for share in [known[point.number]]
        if share is None or share >= BROKEN_BELOW
    ]
    return make_table(("point", "environment", "kind", "went"), rows)


def describe_change(change: Mapping[str, Any]) -> str:
    """Describe an arm's change as settings; an arm that starts anew says so.

    Example:
        >>> describe_change({"ppo.lr": 0.001, "branch.start": "anew"})
        'lr=0.001, anew'
    """
    words = [f"{path.removeprefix('ppo.')}={format_literal(value)}" for path, value in change.items() if path != _ANEW]
    return ", ".join([*words, *([str(change[_ANEW])] if _ANEW in change else [])])


def format_share(value: float | None) -> str:
    """Format a share as a percentage; empty for None."""
    return "" if value is None else f"{value:.0%}"
