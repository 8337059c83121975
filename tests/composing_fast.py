"""Composing by Hydra as it is, but without doing twice what comes to the same: two thirds of a composition.

That the result is the same: test_command_fixture.py.
"""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig


def compose_fast(patch: pytest.MonkeyPatch) -> Callable[[pytest.MonkeyPatch], None]:
    """Reads each of Hydra's files once, unless the file has changed: every composition reads the same 25 of them.

    Merges the same files once as well, before the settings of a command line are set. Also leaves out a table for
    defaults that name others by `${...}` where none does: Hydra makes one for each file.

    Returns what takes all three back for as long as the patches last that it is given.
    """
    load, make_table = ConfigRepository.load_config, defaults_list._create_interpolation_map
    merge = ConfigLoaderImpl._compose_config_from_defaults_list
    known: dict[tuple[object, ...], bytes | None] = {}
    merged: dict[tuple[object, ...], DictConfig] = {}

    def merge_once(loader: ConfigLoaderImpl, defaults: list[Any], repo: CachingConfigRepository) -> DictConfig:
        key = tuple((repr(default), _find_file(repo.delegate, default.config_path)) for default in defaults)
        if key not in merged:
            merged[key] = merge(loader, defaults, repo)
        return copy.deepcopy(merged[key])

    def load_once(repository: ConfigRepository, config_path: str) -> ConfigResult | None:
        key = _find_file(repository, config_path)
        if key is None:
            return load(repository, config_path)
        packed = known.get(key)
        if packed is not None:
            return cast(ConfigResult, pickle.loads(packed))
        found = load(repository, config_path)
        if key not in known:
            try:
                known[key] = pickle.dumps(found)
            except (pickle.PicklingError, AttributeError):
                known[key] = None  # the schema's classes are made when they are asked for
        return found

    def make_table_if_read(overrides: Any, defaults: list[Any], self_added: bool) -> Any:
        return make_table(overrides, defaults, self_added) if any(one.is_interpolation() for one in defaults) else None

    def compose_by_itself(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(ConfigRepository, "load_config", load)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", merge)
        patch.setattr(defaults_list, "_create_interpolation_map", make_table)

    patch.setattr(ConfigRepository, "load_config", load_once)
    patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", merge_once)
    patch.setattr(defaults_list, "_create_interpolation_map", make_table_if_read)
    return compose_by_itself


def _find_file(repository: ConfigRepository, config_path: str) -> tuple[object, ...] | None:
    """Where Hydra finds a configuration, and when that file was written; None if nowhere."""
    source = repository._find_object_source(config_path, ObjectType.CONFIG)
    if source is None:
        return None
    is_file = source.scheme() == "file"
    written = Path(source.path, source._normalize_file_name(config_path)).stat().st_mtime_ns if is_file else None
    return source.scheme(), source.provider, source.path, config_path, written
