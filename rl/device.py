"""Where tensors live: in main memory, or on a GPU."""

import torch

from rl.config import require


def torch_device(name: str) -> torch.device:
    """The device called `name`, `cpu` or `cuda`.

    Raises:
        ConfigError: If it is a GPU and torch can use none.
    """
    require(
        name != "cuda" or torch.cuda.is_available(),
        "ppo.device=cuda needs a GPU that torch can use, got none; set ppo.device=cpu, or install a build of torch for "
        "this GPU",
    )
    return torch.device(name)
