"""Check that the machine has what the settings need for training; choose torch's device, and limit torch's threads."""

import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.rl.config import PPOConfig, require

if TYPE_CHECKING:  # imported where needed, since a sweep's driver does without
    import torch


def require_machine(config: PPOConfig) -> None:
    """Raise `ConfigError` if the machine lacks the wanted device, or a C++ compiler for `compile`."""
    if config.device != "cpu":
        torch_device(config.device)
    if config.compile:
        _require_compiler()


def torch_device(name: str) -> "torch.device":
    """Return the torch device for the name `cpu` or `cuda`.

    Raises:
        ConfigError: For `cuda` where torch can use no GPU.
    """
    import torch

    require(
        name != "cuda" or torch.cuda.is_available(),
        "ppo.device=cuda needs a GPU that torch can use, got none; set ppo.device=cpu, or install a build of torch for "
        "this GPU",
    )
    return torch.device(name)


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Limit torch to one thread inside the block or decorated function; afterwards restore the number.

    With several threads torch cuts long sums into as many parts, which round differently; and two threads on small
    matrices spend their time waiting for each other. Use more cores by training more learners.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
