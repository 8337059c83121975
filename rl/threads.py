"""Limit torch to one thread, on any machine and for any caller.

With several threads torch cuts long sums into as many parts, which round differently; and two threads on small matrices
spend their time waiting for each other. Use more cores by training more learners.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread inside the block or the decorated function; restore the number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
