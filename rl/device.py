"""Convert the name of a device to a torch device."""

import torch
from unstuck.rl.config import require


def torch_device(name: str) -> torch.device:
    """Return the torch device for the name `cpu` or `cuda`.

    Raises:
        ConfigError: For `cuda` where torch can use no GPU.
    """
    require(
        name != "cuda" or torch.cuda.is_available(),
        "ppo.device=cuda needs a GPU that torch can use, got none; set ppo.device=cpu, or install a build of torch for "
        "this GPU",
    )
    return torch.device(name)
