"""Enqueue the points that a sweep tries first: the control, and the points in `sampler.points`.

The points enter the ledger once. A resume adds new points; removing or moving points in a resume has no effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unstuck.analysis.words import pluralize
from unstuck.records.errors import SweepError
from unstuck.records.files import config_file
from unstuck.records.ledger import Ledger
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.saved import from_yaml
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.parse import build_space, parse_points
from unstuck.sweeps.search.space import Space

Raw = Mapping[str, Any]
"""Point in the study's own parameters."""


@dataclass(frozen=True)
class Plan:
    """Configurations that a sweep tries first: control and `sampler.points`; recorded ones and a resume's new ones.

    Attributes:
        config: Settings of the sweep, with all points on record in `sampler.points`.
        space: The search space.
        known: Points given when the sweep was started; of a new sweep, all points.
        added: Points that a resume adds.
        without_effect: Notes on changes of a resume that have no effect, a line each.
    """

    config: SweepConfig
    space: Space
    known: Sequence[Raw]
    added: Sequence[Raw] = ()
    without_effect: Sequence[str] = ()

    @property
    def num_trials(self) -> int:
        """Number of trials that the sweep will run, without infeasible ones."""
        most = self.config.sweep.num_trials
        if self.config.sampler.name != "points":
            return most or 0
        every = len(self.known) + len(self.added)
        return every if most is None else min(every, most)

    def enqueue(self, ledger: Ledger) -> list[str]:
        """Put the configurations to try first in Optuna's queue, unless tried already; return lines on new ones.

        Args:
            ledger: Ledger of the sweep.
        """
        held = ledger.raw_parameters()
        late = [raw for raw in self.known if raw not in held.values()]
        new = [raw for raw in self.added if raw not in held.values()]
        room = max(0, self.num_trials - ledger.count_trials())
        for raw in [*late, *new][:room]:
            ledger.enqueue(raw)
        fitting = min(len(new), max(0, room - len(late)))
        said = list(self.without_effect)
        if fitting:
            said.append(f"{_count_new(fitting)} tried first")
        for raw in self.added:
            holders = [number for number, its in held.items() if its == raw]
            said += [f"1 new point is not tried again: trial {number} holds it" for number in holders[:1]]
        if missing := len(new) - fitting:
            enough = self.num_trials + len(late) + len(new) - room
            said.append(
                f"{_count_new(missing)} not tried, since sweep.num_trials={self.num_trials} leaves no room; "
                f"sweep.num_trials={enough} does"
            )
        return said


def plan_points(config: SweepConfig) -> Plan:
    """Collect the configurations that a sweep tries first; a resume keeps the recorded ones in order and adds new ones.

    Raises:
        SweepError: The space or the points cannot be searched.
    """
    before = _read_recorded_config(config)
    if before is None or (before.sampler.name == "points") != (config.sampler.name == "points"):
        space, points = _collect_points(config)
        return Plan(config, space, [space.encode(point) for point in points])
    had, has = parse_points(before), parse_points(config)
    new = [point for point, given in zip(config.sampler.points, has, strict=True) if given not in had]
    config = replace(config, sampler=replace(config.sampler, points=(*before.sampler.points, *new)))
    space, points = _collect_points(config)
    # A point on record, the control included, is completed by the configuration on record.
    known = [space.encode(point) for point in _collect_points(before)[1]]
    added = [space.encode(point) for point in build_space(config)[1][len(had) :]]
    return Plan(config, space, known, added, _explain_ignored(had, has))


def _read_recorded_config(config: SweepConfig) -> SweepConfig | None:
    """Read the recorded configuration of a sweep to resume; return None for a new sweep."""
    file = config_file(config.own_folder)
    return from_yaml(file.read_text()) if config.resume is not None and file.is_file() else None


def _collect_points(config: SweepConfig) -> tuple[Space, list[dict[str, Any]]]:
    """Return the search space, and the configurations to try first, which are all of them if `sampler=points`."""
    space, points = build_space(config)
    if config.sampler.name != "points" and config.sweep.control:
        control = space.control_values(config)
        outside = [path for path, kind in space.kinds.items() if not kind.contains(control[path])]
        if outside:
            got = ", ".join(f"{path}={format_value(control[path])}" for path in outside)
            raise SweepError(
                f"the control, trial 0, must lie inside the space, got {got}; widen the space, or set "
                "sweep.control=false"
            )
        points = [control, *(point for point in points if point != control)]
    return space, points


def _explain_ignored(had: Sequence[Raw], has: Sequence[Raw]) -> list[str]:
    said = []
    gone = [point for point in had if point not in has]
    if gone:
        is_no_longer = "is no longer" if len(gone) == 1 else "are no longer"
        said.append(
            f"{pluralize(len(gone), 'point')} {is_no_longer} in sampler.points: that has no effect, since what was "
            "given before stays on record, tried or to be tried"
        )
    if [point for point in had if point in has] != [point for point in has if point in had]:
        said.append(
            "sampler.points has another order: that has no effect, since points are tried in the order in which they "
            "were given first"
        )
    return said


def _count_new(count: int) -> str:
    return f"{pluralize(count, 'new point')} {'is' if count == 1 else 'are'}"
