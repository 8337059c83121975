"""Composing of settings by Hydra, without a command line, for tests."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

CONF = Path(__file__).parents[1] / "conf"


def composed(*overrides: str) -> DictConfig:
    """What Hydra composes of our own configurations with these overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))
