"""Turn the configuration that Hydra composed into frozen, checked settings."""

import re
import secrets
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from hydra import compose
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from unstuck.analysis.programs import sweep_program
from unstuck.rl.errors import ConfigError
from unstuck.rl.metrics import EVAL_RETURN
from unstuck.sweeps.config.effects import Idle, find_idle_settings, refuse_idle, select_given
from unstuck.sweeps.config.freeze import check_keys, freeze_tree
from unstuck.sweeps.config.hydra_errors import explain_value
from unstuck.sweeps.config.keys import EXPERIMENT, EXPERIMENTS, list_groups, settings
from unstuck.sweeps.config.schema import register_schema
from unstuck.sweeps.config.settings import FORMAT, StudyConfig, SweepConfig, TrainerConfig, check_name

register_schema()
OmegaConf.register_new_resolver("command", lambda: shlex.join(sweep_program()), replace=True)  # for the help


@contextmanager
def composing_once(words: Sequence[str]) -> Iterator[None]:
    """Keep Hydra, inside the block, from composing all settings a first time only to see in which mode to run.

    There is one mode, unless a word is an option or a setting of Hydra's own: then Hydra composes twice, as by itself.

    Args:
        words: Words of the command line, as Hydra gets them.
    """
    if not all("=" in word and not word.lstrip("+~").startswith(("-", "hydra")) for word in words):
        yield
        return
    before = Hydra.get_mode
    Hydra.get_mode = lambda hydra, config_name, overrides: RunMode.RUN  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = before  # type: ignore[method-assign]


def to_config(cfg: DictConfig, experiment: str | None = None, now: datetime | None = None) -> SweepConfig:
    """Convert Hydra's composed configuration to a checked, frozen `SweepConfig`, with a name and absolute paths.

    Args:
        cfg: Composed configuration, without Hydra's own node.
        experiment: Option of the group `experiment`, for the default name.
        now: Local time for the default name; by default the time of the call.

    Returns:
        Configuration with `sweep.name` set, and `sweep.folder` and `data.path` absolute.

    Raises:
        SweepError: A key is not in the schema.
        ConfigError: A value is missing, cannot be resolved, or breaks a rule of its class.
    """
    check_keys(OmegaConf.to_container(cfg, resolve=False))
    try:
        tree: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(explain_value(error)) from error
    tree |= {"format": FORMAT, "id": None}  # of a new sweep; one on record keeps its own, see `sweeps.run.opening`
    if tree.get("resume") is not None:
        check_name("resume", str(tree["resume"]))
    study = tree.setdefault("sweep", {})
    if study.get("name") is None:
        study["name"] = tree.get("resume") or _default_name(experiment, now or datetime.now())
    return freeze_tree(tree)


def _default_name(experiment: str | None, now: datetime) -> str:
    """Make a default name for a sweep from experiment, time and random digits: names sort by time, and all differ."""
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", str(experiment or "sweep")).strip("._-")
    return f"{word}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


Checked = tuple[SweepConfig, list[Idle]]
"""Configuration, and the settings in it that the user set though nothing reads them."""


def check_and_freeze(cfg: DictConfig, given: Collection[str]) -> Checked:
    """Convert Hydra's configuration to a `SweepConfig`, and list the settings without effect, which new sweeps refuse.

    Must be called while Hydra runs.

    Args:
        cfg: Composed configuration, without Hydra's own node.
        given: Keys on the command line.

    Returns:
        Configuration, and for a resumed sweep the settings that nothing reads.

    Raises:
        SweepError, ConfigError: Errors of `to_config`, and one for a new sweep with a setting that nothing reads.
    """
    config = to_config(cfg, HydraConfig.get().runtime.choices.get(EXPERIMENT))
    if config.trainer.name != TrainerConfig.name and "sweep.metric" not in given:
        config = _judge_by_return(config)
    idle = find_unread_settings(cfg, config, given)
    if config.resume is None:
        refuse_idle(idle)
    return config, idle


def _judge_by_return(config: SweepConfig) -> SweepConfig:
    """Set the sweep's metric to the episode return for trainers that measure no F1, unless the user chose a metric."""
    if config.sweep.metric != StudyConfig.metric:
        return config
    return replace(config, sweep=replace(config.sweep, metric=EVAL_RETURN))


def find_unread_settings(cfg: DictConfig, config: SweepConfig, given: Collection[str]) -> list[Idle]:
    """List settings that the user set, but that other settings leave without effect; call with Hydra initialised.

    Args:
        cfg: Configuration that Hydra composed.
        config: Frozen form of `cfg`.
        given: Keys on the command line.
    """

    @cache
    def compose_options() -> DictConfig:
        """Compose the configuration from the chosen options alone, without the single settings that the user gave."""
        hydra = HydraConfig.get()
        chosen = [f"{group}={option}" for group, option in hydra.runtime.choices.items() if group in list_groups()]
        return compose(hydra.job.config_name, [*hydra.overrides.hydra, *chosen])

    def is_set_in_file(key: str) -> bool:
        """Return True if a key's value comes from a user's file, not from a built-in option or experiment."""
        value, ours = OmegaConf.select(cfg, key), map(OmegaConf.load, EXPERIMENTS.glob("*.yaml"))
        return bool(value != OmegaConf.select(compose_options(), key)) and all(
            OmegaConf.select(experiment, key) != value
            for experiment in ours  # one's own may build on one of ours
        )

    return select_given(find_idle_settings(config, settings()), given, is_set_in_file)
