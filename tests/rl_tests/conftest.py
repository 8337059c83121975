import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """As in a sweep's workers; two threads on small tensors spend their time waiting for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
