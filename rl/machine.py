"""Check that the machine has what the settings need for training."""

import os
import shutil
import sysconfig
from pathlib import Path

from unstuck.rl.config import PPOConfig, require
from unstuck.rl.device import torch_device


def require_machine(config: PPOConfig) -> None:
    """Raise `ConfigError` if the device, or the C++ compiler or Python's headers for `compile`, are missing."""
    torch_device(config.device)
    if config.compile:
        _require_compiler()


def _require_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    require(
        shutil.which(compiler) is not None,
        f"ppo.compile needs a C++ compiler, and there is no {compiler}; install one (Debian, Ubuntu: g++), name another"
        " in the environment variable CXX, or set ppo.compile=false",
    )
    header = Path(sysconfig.get_path("include")) / "Python.h"
    require(
        header.is_file(),
        f"ppo.compile needs Python's headers, and there is no {header}; install them (Debian, Ubuntu: python3-dev), or "
        "set ppo.compile=false",
    )
