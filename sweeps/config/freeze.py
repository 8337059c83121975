"""Check a tree of settings, and freeze the tree to a `SweepConfig`."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

from unstuck.rl.config import DataConfig
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.keys import check_key, is_group, settings
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig


def check_keys(tree: Any) -> None:
    """Raise `SweepError` for the first key in nested dicts of settings that is not a known setting, e.g. `new`.

    Raises:
        SweepError: A key is unknown; the message names the first one, and the setting nearest to the key.
    """
    for key in _list_dotted(tree, ""):
        check_key(key)


def _list_dotted(node: Any, prefix: str) -> Iterator[str]:
    if prefix in settings() or not isinstance(node, dict) or (prefix and not node):
        yield prefix  # a setting; what lies below is free in form: `space`, `sampler.points`
        return
    for name, child in node.items():
        yield from _list_dotted(child, f"{prefix}.{name}" if prefix else str(name))


def freeze_tree(tree: dict[str, Any]) -> SweepConfig:
    """Convert nested dicts of settings to a frozen `SweepConfig` with absolute paths."""
    _check_text(tree, "")
    study, data = tree.get("sweep", {}), tree.get("data", {})
    study["folder"] = _make_absolute(study.get("folder", StudyConfig.folder))
    data["path"] = _make_absolute(data.get("path", DataConfig.path))
    tree |= {"sweep": study, "data": data}
    if command := tree.get("trainer", {}).get("command"):
        tree["trainer"]["command"] = _locate_files(command)
    hints = get_type_hints(SweepConfig)
    return SweepConfig(**{group: _freeze_group(hints[group], body) for group, body in tree.items()})


def _check_text(node: Any, key: str) -> None:
    """Raise an error if a text in a configuration has `${`, which a later reader would replace by a variable."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        _check_text(child, f"{key}.{name}".lstrip("."))
    if isinstance(node, str) and "${" in node:
        raise ConfigError(f"{key} must not hold '${{', which reads as a reference; got {node!r}")


def _freeze_group(kind: Any, body: Any) -> Any:
    if not is_group(kind):
        return tuple(body) if isinstance(body, list) else body
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in body.items()})


def _make_absolute(path: str | None) -> str | None:
    if path is None or "://" in path:  # no path of this machine: refused by its class
        return path
    return os.path.abspath(Path(path).expanduser())


def _locate_files(command: str) -> str:
    """Replace file names in a command's words by absolute paths, so that the command can run in any folder."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"trainer.command must close each quote, got {command!r}; close it") from error
    files = [
        Path(word).is_file() and (n > 0 or "/" in word) for n, word in enumerate(words)
    ]  # 0: a program on the path
    found = [os.path.abspath(word) if is_file else word for word, is_file in zip(words, files, strict=True)]
    return command if found == words else shlex.join(found)
