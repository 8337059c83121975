"""Write a configuration as the YAML text that a sweep's folder keeps, and read the text back."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import yaml  # type: ignore[import-untyped]
from unstuck.records.redact import redact_value
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.freeze import check_keys, freeze_tree
from unstuck.sweeps.config.settings import SweepConfig


def to_yaml(config: SweepConfig, values: Mapping[str, Any] | None = None) -> str:
    """Convert a configuration to YAML text, with passwords masked; `from_yaml` reads the text back.

    The configuration read back, also through Hydra or `to_config`, equals the written one but for the passwords.

    Args:
        config: Configuration to write.
        values: Settings that differ from `config`, by dotted path `group.name`; values that `config` refuses are
            allowed.
    """
    tree = asdict(config)
    for path, value in (values or {}).items():
        group, _, name = path.partition(".")
        tree[group][name] = value
    return yaml.dump(  # type: ignore[no-any-return]
        _without_secrets(tree), Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False
    )


class _Dumper(yaml.CSafeDumper):  # type: ignore[misc]
    """Writer of YAML as OmegaConf writes it, without making an object of OmegaConf's for each value, which is slow."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: values that are one object are written out each time."""
        return True


def _represent_text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    """Write a text in quotes if OmegaConf would read it as a number or as a truth value without."""
    quotes = "'" if text in _TRUTH_VALUES or _is_number(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quotes)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_TRUTH_VALUES = frozenset(
    form(word)
    for word in ("y", "yes", "n", "no", "true", "false", "on", "off")
    for form in (str.lower, str.title, str.upper)
)
_Dumper.add_representer(str, _represent_text)


def _without_secrets(node: Any, key: str = "") -> Any:
    # Before it is YAML, where a value may be folded over lines, and its quotes doubled.
    if isinstance(node, dict):
        return {name: _without_secrets(child, name) for name, child in node.items()}
    if isinstance(node, list | tuple):
        return [_without_secrets(child) for child in node]
    is_url = isinstance(node, str) and (key.endswith("_url") or "://" in node)
    return redact_value(node) if is_url else node  # the name of a column may look like anything


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C is not in every build
    """Reader of YAML as OmegaConf reads it, ten times as fast: `1e-5` is a number, a date a text, no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping's values by key; raise an error if a key stands twice, or is no single value."""
        if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "found a key with parts", node.start_mark)
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, "found a key twice", node.start_mark)
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]


_Loader.add_implicit_resolver(  # YAML 1.1 asks for a dot
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), [*"-+0123456789"]
)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def from_yaml(text: str) -> SweepConfig:
    """Read a `SweepConfig` from the YAML text that `to_yaml` wrote."""
    try:
        tree = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: `!!int x`
        raise ConfigError(
            f"a sweep's config.yaml must be YAML, got {text[:40]!r}; put the sweep's own file there"
        ) from error
    if tree is None:  # an empty file, or comments alone
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"a sweep's config.yaml must hold settings by group, got {text[:40]!r}; put the sweep's own file there"
        )
    try:
        check_keys(tree)
        return freeze_tree({"format": 1, **tree})
    except (AttributeError, TypeError, RecursionError) as error:
        # Settings check their values, which are of the right type elsewhere; anchors can nest settings in themselves.
        raise ConfigError(
            f"a sweep's config.yaml must hold settings as the sweep wrote them, got others: {error}; put the sweep's "
            "own file there"
        ) from error
