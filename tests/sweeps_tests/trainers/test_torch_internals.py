"""In a process of its own: the test's process may have torch's compiler already."""

import subprocess
import sys

import pytest

TRAINS = """
import sys
import torch
from torch.optim import Adam
from unstuck.sweeps.trainers.torch_internals import defer_compiler

def is_loaded():
    return "torch._dynamo.config" in sys.modules

def train(optimizer):
    for _ in range(3):
        optimizer.zero_grad()
        (weights**2).sum().backward()
        optimizer.step()

defer_compiler()
defer_compiler()
weights = torch.tensor([0.5, 1.5]).requires_grad_()
optimizer = Adam([weights], lr=0.1)
train(optimizer)
print(is_loaded(), *weights.tolist())
"""

COMPILES = """
assert not hasattr(sys.modules["torch._dynamo"], "__file__") and not is_loaded()
double = torch.compile(lambda numbers: 2 * numbers, backend="eager")
print(double(torch.ones(2)).tolist(), is_loaded(), torch._dynamo is sys.modules["torch._dynamo"], end=" ")
print(torch._dynamo.__file__ is not None)
train(optimizer)
"""


def train_by_hand(weight: float) -> float:
    """Three steps of Adam, by the formula, on the square of one weight."""
    mean = square = 0.0
    for step in (1, 2, 3):
        gradient = 2 * weight
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        weight -= 0.1 * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)) ** 0.5 + 1e-8)
    return weight


@pytest.mark.slow
def test_an_optimiser_does_its_steps_without_the_compiler_which_is_there_once_something_is_compiled() -> None:
    done = subprocess.run([sys.executable, "-c", TRAINS + COMPILES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    trained, compiled = done.stdout.splitlines()
    loaded, *weights = trained.split()
    assert loaded == "False"
    assert [float(one) for one in weights] == pytest.approx([train_by_hand(0.5), train_by_hand(1.5)], abs=1e-6)
    assert compiled == "[2.0, 2.0] True True True"
