"""Compile the minibatch step of one member to C++, from the source that runs eagerly.

The step is traced once for each layout of the arguments: the operations on tensors are recorded, the gradient of
autograd included, and handed to TorchInductor. A call then runs no Python between operations, and none of the hundred
guards that `torch.compile` checks: a fifth of the time of so small a step.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from unstuck.rl.adam import Adam
from unstuck.rl.networks import ActorCritic

Step = Callable[..., tuple[Tensor, Tensor]]
"""`rl.ppo.minibatch_step`, or what does the same."""

_OPTIONS = {
    "compile_threads": 1,  # in this process: workers for it would stay, with 200 MB each
    "cpp_wrapper": True,  # the calls between the kernels in C++ as well
    "cpp_cache_precompile_headers": False,  # takes 140 MB, and what eight programs gain
    "aot_inductor.enable_line_tables": False,  # for profilers
}


@functools.cache
def compile_step(step: Step) -> Step:
    """Return a compiled version of a training step, for one member (seed); new tensor shapes compile again."""
    programs: dict[tuple[Any, ...], Step] = {}

    def run(
        networks: ActorCritic, adam: Adam, hyper: Any, batch: Any, active: Tensor, switches: tuple[bool, ...]
    ) -> tuple[Tensor, Tensor]:
        """Take one training step by the program compiled for the tensors' shapes; compile the program if missing."""
        of_adam = (adam.eps, adam.exp_avg, adam.exp_avg_sq, adam.steps)
        tensors = [networks.parameters, *of_adam, active, *vars(hyper).values(), *vars(batch).values()]
        layout = (networks.layout, networks.parameters.dtype, batch.observations.shape, switches)
        if layout not in programs:
            programs[layout] = _program(_flat(step, networks, adam, hyper, batch, switches), tensors)
        return programs[layout](*tensors)

    return run


def _flat(
    step: Step,
    networks: ActorCritic,
    adam: Adam,
    hyper: Any,
    batch: Any,
    switches: tuple[bool, ...],
) -> Step:
    """Wrap a training step as a function of tensors only, as the compiler requires."""

    def flat(*tensors: Tensor) -> Any:
        """Build optimiser, settings and batch from the given tensors, and take one training step."""
        parameters, eps, exp_avg, exp_avg_sq, steps, active, *others = tensors
        size = len(vars(hyper))
        of_hyper, of_batch = type(hyper)(*others[:size]), type(batch)(*others[size:])
        of_adam = adam.with_tensors(parameters, eps, exp_avg, exp_avg_sq, steps)
        return step(networks.with_parameters(parameters, _tanh), of_adam, of_hyper, of_batch, active, switches)

    return flat


def _program(function: Step, tensors: list[Tensor]) -> Step:
    """Compile a function for tensors of the given ones' shapes; the numbers in the tensors do not matter."""
    from torch._inductor import compile as inductor  # late: 100 MB that nobody needs who does not compile
    from torch.fx.experimental.proxy_tensor import make_fx

    program: Step = inductor(make_fx(function, tracing_mode="fake")(*tensors), [*tensors], options=_OPTIONS)
    return program


def _tanh(tensor: Tensor) -> Tensor:
    """Compute tanh from one exponential, which compiles to code five times as fast as torch's tanh."""
    return 2 * torch.sigmoid(2 * tensor) - 1
