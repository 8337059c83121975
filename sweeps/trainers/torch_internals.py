"""Make optimisers of torch without its compiler, by a mark of torch's own; no other module uses the mark."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.optim import Optimizer

_MARK = "__dynamo_disable"
"""Attribute of a function of torch: the same function as the compiler has marked it, once that is imported."""


@contextmanager
def without_compiler() -> Iterator[None]:
    """Keep optimisers made inside the block from importing torch's compiler, which takes a second.

    torch imports the compiler as soon as an optimiser is made, only to say that it leaves optimisers alone. Nothing is
    to be trained with an optimiser that was made so.
    """
    make = getattr(Optimizer.add_param_group, "__wrapped__", None)
    if make is None or hasattr(make, _MARK):
        yield
        return
    setattr(make, _MARK, make)
    try:
        yield
    finally:
        delattr(make, _MARK)
