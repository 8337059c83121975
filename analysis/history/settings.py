"""Read settings of a run from files beside the curves: YAML, JSON, or the table that CleanRL logs as a text."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.dialects.dialect import Dialect
from unstuck.analysis.history.dialects.plain import PLAIN
from unstuck.records.names import flatten, restore_values

_LINEAR = "lin_"
_COMMENTED = re.compile(r"^\s*([\w.]+):[^#\n]*\s#\s*(.+?)\s*$", re.MULTILINE)
_TEXT_ROW = re.compile(r"^\|([^|]+)\|(.*)\|$", re.MULTILINE)
_TABBED = re.compile(r"^\s*([\w.]+):[ \t]+(\S.*?)\s*$", re.MULTILINE)
_ANNEALED = frozenset(("anneal_lr", "use_linear_lr_decay", "lr_anneal"))
"""Settings of other programs that say whether the learning rate falls linearly to 0."""
_UNCLIPPED = frozenset(("policy_noclip", "noclip", "no_clip", "no_clipping", "disable_clip", "disable_clipping"))
_CLIPPED = frozenset(("use_ppo_clip",))
"""Settings of people's own scripts that say, true or false, whether the policy's ratio is clipped."""
_WRAPPED = ".value"  # W&B writes `gamma: {value: 0.99}`
_ROLLOUT = "ppo.num_steps"
_SIZES, _LAYERS = "ppo.hidden_sizes", "num_layers"
"""Our setting of the hidden layers, and ML-Agents' name for how many there are of one size."""

_OF_OTHER_SIGNALS = re.compile(r"(^|\.)reward_signals\.(?!extrinsic\.gamma$)")
"""ML-Agents' settings of curiosity and others, which have a gamma, a rate and networks of their own."""

_OURS = ("ppo.", "env.", "data.", "sweep.")
_FENCED = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OF_A_TRIAL = ("ppo", "env", "data", "branch", "trainer", "script")
"""Groups of a sweep's configuration that a trial's record shows: `sweeps.mirror.recorded_settings`."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML loader that also reads RL-Zoo's ordered dictionaries (written with a Python tag) and executes no code."""


def _ordered(loader: _Loader, node: yaml.Node) -> dict[str, Any]:
    (pairs,) = loader.construct_sequence(node, deep=True)
    return dict(pairs)


def _plain(loader: _Loader, _: str, node: yaml.Node) -> Any:
    """Return what a value with a Python tag holds (a tuple's items, an object's fields), without the tag's meaning."""
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else node.value


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _plain)
_Loader.add_constructor("tag:yaml.org,2002:python/object/apply:collections.OrderedDict", _ordered)
_Loader.add_implicit_resolver(  # 3e-4 is a text by YAML 1.1, which asks for a dot
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), [*"-+0123456789"]
)


def read_settings(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a YAML or JSON file of settings; return values by dotted path, and comments by path.

    Raises:
        AnalysisError: The file is neither YAML nor JSON, or holds no settings by name.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise AnalysisError(f"{file} must be a text file, in UTF-8") from None
    try:
        tree = json.loads(text) if file.suffix == ".json" else yaml.load(text, Loader=_Loader)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise AnalysisError(f"{file} must be {file.suffix[1:].upper()}: {str(error).partition(chr(10))[0]}") from None
    if not isinstance(tree, Mapping):
        raise AnalysisError(f"{file} must hold settings by name, got {type(tree).__name__}")
    return flatten(tree), dict(_COMMENTED.findall(text))


def parse_table(table: str) -> dict[str, Any]:
    """Read settings from a Markdown table (as CleanRL logs) or from lines of name and value (as ML-Agents logs)."""
    pairs = _TEXT_ROW.findall(table) or _TABBED.findall(table)
    rows = {name.strip(): value.strip() for name, value in pairs}
    return {name: parse_literal(value) for name, value in rows.items() if name != "param" and set(name) != {"-"}}


def parse_configuration(text: str) -> dict[str, Any]:
    """Read a trial's settings from the configuration that our tracker logged as a text (YAML in a code fence).

    Returns:
        Settings of the trial by dotted path, as MLflow's record of the trial shows them; the groups of the search, of
        the scheduler and of the sweep are left out. Empty for a text without a configuration of a sweep.
    """
    fenced = _FENCED.search(text)
    try:
        tree = yaml.load(fenced[1], Loader=_Loader) if fenced else None
    except yaml.YAMLError:
        return {}
    if not isinstance(tree, Mapping):
        return {}
    left_out = {"branch": not tree.get("run"), "trainer": (tree.get("trainer") or {}).get("name") == "ppo"}
    groups = {name: tree[name] for name in _OF_A_TRIAL if name in tree and not left_out.get(name)}
    return restore_values(flatten(groups))


def parse_literal(text: str) -> Any:
    """Convert a text to the number, list, boolean or None that it spells in Python; else return the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def translate_settings(settings: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Translate a program's settings to our names and units; unknown settings keep their names."""
    names = {**PLAIN.settings, **dialect.settings}
    ours: dict[str, Any] = {}
    unclipped = False
    for name, value in settings.items():
        path, factor = names.get(_last_part(name, names), (name, 1.0))
        if path == _SIZES != name:
            value = _list_sizes(settings, name)
        if (value is None and path == _SIZES) or _OF_OTHER_SIGNALS.search(name):
            ours[name] = settings[name]
            continue
        if name in _ANNEALED and isinstance(value, bool):
            ours["ppo.lr_schedule"] = "linear" if value else "constant"
            continue
        if (last := name.rpartition(".")[2].lower()) in (_UNCLIPPED | _CLIPPED) and isinstance(value, bool):
            unclipped |= value is (last in _UNCLIPPED)
            continue
        if isinstance(value, str) and value.startswith(_LINEAR):  # RL-Zoo's way to write a schedule
            value = parse_literal(value.removeprefix(_LINEAR))
            if path == "ppo.lr":
                ours["ppo.lr_schedule"] = "linear"
        scaled = isinstance(value, int | float) and not isinstance(value, bool) and factor != 1.0
        ours[path] = value * factor if scaled else value
    steps, lanes = ours.get(_ROLLOUT), ours.get("ppo.num_envs")
    if dialect.pools_rollouts and type(steps) is int and type(lanes) is int and lanes > 1:
        ours[_ROLLOUT] = max(1, steps // lanes)
    return ours | ({"ppo.clip_range": None} if unclipped else {})


def _list_sizes(settings: Mapping[str, Any], name: str) -> list[int] | None:
    """Return the sizes of hidden layers that a setting gives: as a list, or as a size beside a number of layers."""
    value, layers = settings[name], settings.get(f"{name.rpartition('.')[0]}.{_LAYERS}".lstrip("."))
    if isinstance(value, list | tuple) and value and all(type(size) is int for size in value):
        return list(value)
    return [value] * layers if type(value) is int and type(layers) is int and layers > 0 else None


def _last_part(name: str, names: Mapping[str, Any]) -> str:
    """Return the setting's own name in a nested name: `gamma` for `algorithm.gamma` and for `gamma.value`."""
    if name in names or name.startswith(_OURS):
        return name
    last = name.removesuffix(_WRAPPED).rpartition(".")[2]
    return last if last in names else name


def is_sweep(settings: Mapping[str, Any]) -> bool:
    """True if the settings have the groups of an Unstuck sweep: `sweep`, `ppo` and `env`."""
    return {path.partition(".")[0] for path in settings} >= {"sweep", "ppo", "env"}


def translate_comments(comments: Mapping[str, str], dialect: Dialect) -> dict[str, str]:
    """Rename the keys of comments on settings from a program's names to our names."""
    names = {**PLAIN.settings, **dialect.settings}
    return {names.get(name, (name, 1.0))[0]: text for name, text in comments.items()}
