"""Read the search space of a sweep, and the points to try first, from the settings `space` and `sampler.points`.

A space is nested like the configuration, with exactly one kind at each leaf: `ppo: {lr: {log: [1e-5, 1e-2]}}`; a point
has a value there.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from unstuck.analysis.words import join_words
from unstuck.records.errors import SweepError
from unstuck.rl.wording import find_nearest
from unstuck.sweeps.config.keys import BRANCH, GROUPS, SCRIPT, convert_value, find_nearest_setting, settings
from unstuck.sweeps.config.kinds import explain_missing_kind
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.feasible import require_feasible, require_feasible_points, require_feasible_ranges
from unstuck.sweeps.search.kinds import KINDS, Choice, Kind
from unstuck.sweeps.search.space import Space, read_setting

_OBJECTIVE = "it defines what trials are compared by"

_BUDGET = "it is the budget that trials are compared at"

_MACHINE = "it is about the machine, and no result must depend on that"

NEVER_SEARCHED: Mapping[str, str] = MappingProxyType(
    {
        "env.id": _OBJECTIVE,
        "env.flows_per_episode": _OBJECTIVE,
        "env.reward_benign": _OBJECTIVE,
        "env.reward_threat": _OBJECTIVE,
        "env.eval_episodes": _OBJECTIVE,
        "env.vectorization": _MACHINE,
        "ppo.num_iterations": _BUDGET,
        "ppo.eval_every": _OBJECTIVE,
        "ppo.device": _MACHINE,
        "ppo.compile": _MACHINE,
    }
)
"""Settings of the groups `ppo` and `env` that must be the same for all trials of a sweep, each with the reason."""

_FORMAT = 2
"""First format that refuses settings in `NEVER_SEARCHED` and spaces that cannot run; older sweeps go on as they are."""


def build_space(config: SweepConfig) -> tuple[Space, list[dict[str, Any]]]:
    """Return a sweep's search space, and the points (dicts of values of all searched settings) to try first.

    `sampler=points` tries nothing else: the points span their own space, and `space` is not read.

    Raises:
        SweepError: The space, or the points, cannot be searched.
    """
    if config.sampler.name == "points":
        return span_points(config.sampler.points, config)
    if config.sweep.num_trials is None:
        raise SweepError(f"sweep.num_trials must be a number for sampler={config.sampler.name}, got null; try 48")
    space = parse_space(config.space, config)
    changes = _read_points(config.sampler.points, config)
    if config.format >= _FORMAT:  # an older sweep goes on, and its bad points are refused trial by trial
        require_feasible_ranges(space, config)
        require_feasible_points(changes, space, config)
    for index, point in enumerate(changes):
        if foreign := sorted(point.keys() - space.kinds.keys()):
            raise SweepError(
                f"sampler.points[{index}] may set what is searched ({', '.join(space.paths)}), got {foreign[0]}; "
                f"add it to space, or take sampler=points"
            )
    return space, [space.control_values(config) | point for point in changes]


def parse_points(config: SweepConfig) -> list[dict[str, Any]]:
    """Read `sampler.points`: return for each point a dict of the changed settings by dotted path."""
    return _read_points(config.sampler.points, config)


def parse_point(point: Mapping[str, Any], config: SweepConfig, where: str) -> dict[str, Any]:
    """Convert one change of settings from a nested dict to a dict by dotted path, with values of the settings' types.

    Args:
        point: The change, such as `{ppo: {lr: 1e-3}}`.
        config: Configuration of the sweep.
        where: Place of the change, for messages.

    Raises:
        SweepError: A setting is unknown or must be the same for all trials, or a value has another type.
    """
    return {path: _convert(path, value, where, config) for path, value in _flatten(point, where, config)}


def parse_space(spec: Mapping[str, Any], config: SweepConfig) -> Space:
    """Convert the nested setting `space` to a `Space`; raise `SweepError` if no configuration in the space can run.

    Raises:
        SweepError: A path or kind is unknown, bounds or values do not fit, or nothing in the space can run.
    """
    space = Space({path: _parse_kind(path, leaf, config) for path, leaf in _flatten(spec, "space", config)})
    if not space.kinds:
        raise SweepError("space must hold at least one setting, got none; add space=coefficients")
    require_feasible(space, config)
    return space


def span_points(points: Sequence[Mapping[str, Any]], config: SweepConfig) -> tuple[Space, list[dict[str, Any]]]:
    """Make the smallest search space that contains a list of points; add the unchanged settings to each point.

    For each setting the space holds the values that occur, the configuration's own value first. A point holds changes
    to the configuration, nested in the same way; `{}` is the control. Settings that a point leaves unchanged are filled
    in.

    Raises:
        SweepError: A setting is unknown, a value does not fit, or a point is listed twice.
        ConfigError: A point cannot run.
    """
    changes = _read_points(points, config)
    space = Space(_span_kinds(changes, config))
    base = space.control_values(config)
    full = [base | point for point in changes]
    for index, point in enumerate(full):
        if (first := full.index(point)) < index:
            raise SweepError(f"sampler.points must differ, got the same at {first} and {index}; leave one out")
    require_feasible_points(full, space, config)
    return space, full


MOST_TRIALS = 100
"""Most trials of an unstick, whose arms of later stages go on from one of these."""


def _span_kinds(changes: Sequence[Mapping[str, Any]], config: SweepConfig) -> dict[str, Kind]:
    """Return for each setting that the points change a choice among all its values; the default value comes first.

    The later stages of an unstick combine values of the first stage with those of `unstick.escalation`. So the choices
    hold all of these values from the start: a study of Optuna refuses a choice that has grown.
    """
    later = [parse_point(change, config, "unstick.escalation") for change in config.unstick.escalation]
    options: dict[str, list[Any]] = {}
    for path, value in ((path, value) for point in (*changes, *later) for path, value in point.items()):
        options.setdefault(path, [read_setting(config, path)]).append(value)
    if config.run is not None and config.unstick.stages > 1:
        options["branch.parent"] = [None, *range(MOST_TRIALS)]
    return {path: Choice(tuple(dict.fromkeys(values))) for path, values in options.items()}


def _read_points(points: Sequence[Mapping[str, Any]], config: SweepConfig) -> list[dict[str, Any]]:
    """Convert points from nested dicts to dicts by dotted path, with values of the settings' types."""
    return [parse_point(point, config, f"sampler.points[{index}]") for index, point in enumerate(points)]


def _flatten(tree: Any, where: str, config: SweepConfig) -> Iterator[tuple[str, Any]]:
    """Yield dotted path and value of each setting in a nested dict; raise an error for one that is not searchable."""
    groups = (*GROUPS, *([BRANCH] if config.run is not None else []), *([SCRIPT] if config.script else []))
    for group, body in _require_mapping(tree, where).items():
        if group not in groups:
            if group == SCRIPT:
                raise SweepError(_explain_unset(next(iter(_require_mapping(body, f"{where}.{group}")), "NAME"), where))
            meant = find_nearest_setting(str(group))
            remedy = "the rest is the same for all trials"
            if meant.partition(".")[0] in GROUPS:
                remedy = f"did you mean {'{' + meant.replace('.', ': {') + ': ...}}' if '.' in meant else meant}?"
            raise SweepError(f"{where} may hold settings of {join_words(groups)} only, got {group}; {remedy}")
        for name, leaf in _require_mapping(body, f"{where}.{group}").items():
            path = f"{group}.{name}"
            if group == SCRIPT and name not in config.script:
                raise SweepError(_explain_unset(name, where))
            if group != SCRIPT and path not in settings():
                raise SweepError(f"unknown setting {path} in {where}; did you mean {find_nearest_setting(path)}?")
            if path in NEVER_SEARCHED and config.format >= _FORMAT:
                raise SweepError(
                    f"{path} must be the same for all trials, since {NEVER_SEARCHED[path]}, got {leaf} in {where}; "
                    f"take it out there, and set {path}=VALUE for the whole sweep (now {read_setting(config, path)})"
                )
            yield path, leaf


def _explain_unset(name: str, where: str) -> str:
    return f"script.{name} must have a value that the control has, got none beside {where}; write script.{name}=VALUE"


def _convert(path: str, value: Any, where: str, config: SweepConfig) -> Any:
    """Convert a value to the type of a setting; for a setting of a user's script, to the type of the present value."""
    if not path.startswith(f"{SCRIPT}."):
        return convert_value(path, value, where)
    own = read_setting(config, path)
    if type(own) is float and type(value) is int:
        return float(value)
    if type(value) is not type(own) and own is not None:
        raise SweepError(f"{where} must hold values like {own!r} for {path}, which is set to that, got {value!r}")
    return value


def _require_mapping(node: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        raise SweepError(f"{where} must be nested as group and setting, e.g. {{ppo: {{lr: ...}}}}, got {node!r}")
    return node


def _parse_kind(path: str, leaf: Any, config: SweepConfig) -> Kind:
    where = f"space.{path}"
    if not isinstance(leaf, Mapping | None):
        raise SweepError(explain_missing_kind(where, leaf))
    leaf = leaf or {}
    for name in leaf:
        if name not in KINDS:
            close = _ALIKE.get(str(name)) or find_nearest(str(name), KINDS)
            listed = ", ".join(KINDS)
            raise SweepError(f"{where} has the unknown kind {name}; did you mean {close}? There are: {listed}")
    if len(leaf) != 1:
        got = " and ".join(map(str, leaf)) or "none"
        raise SweepError(f"{where} must have exactly one kind, got {got}; ~{where}.KIND takes one out")
    name, body = next(iter(leaf.items()))
    where = f"{where}.{name}"
    if not isinstance(body, list | tuple):
        raise SweepError(f"{where} must be a list, got {body!r}; write [low, high], or the values of a choice")
    values = tuple(_convert(path, value, where, config) for value in body)
    kind = KINDS[name]
    try:
        return kind(values) if kind is Choice else _make_range(kind, values)
    except SweepError as error:
        raise SweepError(f"{where} {error}") from None


_ALIKE = {
    **dict.fromkeys(("uniform", "low", "high", "min", "max"), "float"),
    **dict.fromkeys(("loguniform", "log_uniform"), "log"),
    **dict.fromkeys(("categorical", "values"), "choice"),
}
"""Kinds by the names that other programs use."""


def _make_range(kind: Any, values: tuple[Any, ...]) -> Kind:
    if len(values) != 2:
        raise SweepError(f"must be two bounds, [low, high], got {list(values)}; use choice for a list of values")
    if any(type(value) is not kind.number_type for value in values):
        other = "float or log" if kind.number_type is int else "int or pow2"
        raise SweepError(
            f"must have bounds of type {kind.number_type.__name__}, got {list(values)}; use {other}, or choice"
        )
    return kind(*values)  # type: ignore[no-any-return]
