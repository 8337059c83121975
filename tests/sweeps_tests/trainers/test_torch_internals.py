"""Optimisers that are made only to be looked at must not cost a second of imports."""

import sys

import pytest
import torch
from torch.optim import SGD, Optimizer
from unstuck.sweeps.trainers.torch_internals import _MARK, without_compiler


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not imported torch's compiler, and cannot."""
    monkeypatch.delattr(Optimizer.add_param_group.__wrapped__, _MARK, raising=False)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)


@pytest.mark.usefixtures("no_compiler")
def test_an_optimiser_inside_needs_no_compiler_and_one_behind_does() -> None:
    weights = [torch.zeros(2, requires_grad=True)]
    with without_compiler():
        assert SGD(weights, lr=0.5).param_groups[0]["lr"] == 0.5
    with pytest.raises(ImportError, match=r"torch\._dynamo"):
        SGD(weights, lr=0.5)
