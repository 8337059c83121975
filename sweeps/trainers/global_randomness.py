"""Lend the process's global random generators to one training at a time.

Other learners draw from the generators of `random`, numpy and torch, which all of a process share. Each training gets
them with a state of its own and gives them back, so that its numbers do not depend on who trains beside it.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

State = dict[str, Any]


class OwnRandomness:
    """State of the global random generators (Python, NumPy, torch) that belongs to one training.

    Args:
        seed: Seed of all generators.

    Attributes:
        state: State of the generators, by module, as `object_state.pack` can keep it.
    """

    def __init__(self, seed: int) -> None:
        before = _read()
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        self.state = _read()
        _write(before)

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Set the global random generators to one training's state inside the block; restore the former after."""
        before = _read()
        _write(self.state)
        try:
            yield
        finally:
            self.state = _read()
            _write(before)


def _read() -> State:
    return {"random": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}  # noqa: NPY002


def _write(state: State) -> None:
    random.setstate(state["random"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
