"""Describe the names, signs and factors of one program, and tell which program's names a run has."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

Renamed = tuple[str, float]
"""Our name, and what a value is multiplied by to be in our unit."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JOINTS = re.compile(r"[\s_.\-]+")


@cache
def make_canonical(name: str) -> str:
    """Return a name in lower case, with words joined by `_` and parts by `/`, whatever its style was.

    Example:
        >>> make_canonical("Loss / Value loss"), make_canonical("AverageEpRet"), make_canonical("Expl.Var")
        ('loss/value_loss', 'average_ep_ret', 'expl_var')
    """
    parts = _CAMEL.sub("_", name).lower().split("/")
    return "/".join(_JOINTS.sub("_", part.strip()).strip("_") for part in parts)


@cache
def _make_key(name: str) -> str:
    """Return a key that is equal for names that differ only in case or in how words are joined (`EpRet`, `ep_ret`)."""
    return make_canonical(name).replace("_", "")


@dataclass(frozen=True)
class Dialect:
    """Names that one program uses for metrics and settings, each with our name and a factor to our unit (a dialect).

    Names of metrics and columns may be written in any case, and `*` stands for one part of a name.

    Attributes:
        name: Short name, for programs.
        title: Name for people.
        metrics: Our metric by the program's metric; of two that mean the same, the first one found counts.
        settings: Our setting by the program's setting.
        must: Names that tell the program: all of one of these groups are there.
        iteration: Columns that count iterations; the first one found counts.
        env_steps: Columns that count environment steps.
        pace: Metrics logged once an iteration, at its last environment step; the first one found counts.
        steps_are_iterations: True if logged steps count iterations; None to tell from the values.
        remarks: Notes for the reader of a run in this dialect, by the metric concerned.
        alone: True if no other names than the dialect's own and ours are understood.
        pools_rollouts: True if the program counts a rollout's steps over all environments together.
        at_gradient_steps: Metrics that event files hold at gradient steps, while others stand at environment steps.
    """

    name: str
    title: str
    metrics: Mapping[str, Renamed]
    settings: Mapping[str, Renamed] = field(default_factory=dict)
    must: tuple[tuple[str, ...], ...] = ()
    iteration: tuple[str, ...] = ()
    env_steps: tuple[str, ...] = ()
    pace: tuple[str, ...] = ()
    steps_are_iterations: bool | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    pools_rollouts: bool = False
    at_gradient_steps: tuple[str, ...] = ()

    def find(self, name: str) -> Renamed | None:
        """Return our name of a program's metric, and the factor to our unit; None for an unknown name."""
        wanted = _make_key(name)
        exact = self._exact.get(wanted)
        return exact or next((renamed for pattern, renamed in self._patterns if pattern.fullmatch(wanted)), None)

    def rank(self, name: str) -> int:
        """Return a metric name's position in the program's list; of two names for a metric, the lower is used."""
        wanted = _make_key(name)
        places = (place for place, theirs in enumerate(self.metrics) if _compile_pattern(theirs).fullmatch(wanted))
        return next(places, len(self.metrics))

    def counts_gradients(self, name: str) -> bool:
        """True if the program's event files log the metric at gradient steps, not environment steps."""
        return any(_compile_pattern(pattern).fullmatch(_make_key(name)) for pattern in self.at_gradient_steps)

    def is_spoken_by(self, names: Iterable[str]) -> bool:
        """True if the given names include a whole group of names that only this program uses."""
        known = {_make_key(name) for name in names}
        return any(all(_is_among(wanted, known) for wanted in group) for group in self.must)

    @cached_property
    def _exact(self) -> dict[str, Renamed]:
        return {_make_key(theirs): renamed for theirs, renamed in self.metrics.items() if "*" not in theirs}

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], Renamed]]:
        return [(_compile_pattern(theirs), renamed) for theirs, renamed in self.metrics.items() if "*" in theirs]


@cache
def _compile_pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(_make_key(name)).replace(r"\*", "[^/]+"))


def _is_among(wanted: str, known: set[str]) -> bool:
    if "*" not in wanted:
        return _make_key(wanted) in known
    return any(_compile_pattern(wanted).fullmatch(name) for name in known)


def find_first(wanted: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the first wanted column that the table has, as spelled in the table; None if the table has none."""
    written: dict[str, str] = {}
    for name in names:
        written.setdefault(_make_key(name), name)
    return next((written[_make_key(name)] for name in wanted if _make_key(name) in written), None)


def keep_unit(names: Mapping[str, str]) -> dict[str, Renamed]:
    """Map each of a program's names to our name and the factor 1, for values that already have our unit."""
    return {theirs: (ours, 1.0) for theirs, ours in names.items()}
