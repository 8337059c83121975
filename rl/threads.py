"""One thread for torch, whatever the machine and the caller allow.

With several, torch cuts long sums into as many parts, which rounds differently; and two threads on matrices as small
as these spend their time waiting for each other. Whoever has more cores trains more learners.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, and in a function that it decorates, torch has one thread; afterwards, as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
