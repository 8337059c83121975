"""Check what a probe is told before a loop starts: options, settings, networks, actions, metrics measured elsewhere."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, TypedDict

import torch
from gymnasium.spaces import Space
from torch import Tensor, nn

from unstuck.analysis.history.known import KNOWN
from unstuck.analysis.history.names import DIALECTS
from unstuck.analysis.history.settings import translate_settings
from unstuck.probe.log import NAMES
from unstuck.probe.measuring import Agent, Evaluate, read_shape
from unstuck.rl import metrics
from unstuck.rl.distributions import Categorical, Distribution, distribution_over
from unstuck.rl.dynamics import Bounds
from unstuck.rl.errors import ConfigError
from unstuck.rl.wording import find_nearest


class Options(TypedDict, total=False):
    """Options of a probe (logger for a user's PPO loop), other than folder, agent and settings.

    Attributes:
        optimizer: Optimiser of the agent; the learning rate in force is read there.
        evaluate: Function of observations and actions, as the rollout stores them but flattened, that returns their
            log-probabilities, entropies and values. Left out: the agent's `get_action_and_value`, as CleanRL's has.
        actions: Number or names of discrete actions, or the environment's action space; for the shares of the actions.
        program: Program whose names your settings have, and the advice shall have: `plain`, `cleanrl`, `sb3` ...
        every: Iterations from one look at networks and critic to the next; 1 for the finest log.
        iterations_done: Iterations that a resumed run had done; rows after them are written anew.
    """

    optimizer: torch.optim.Optimizer | None
    evaluate: Evaluate | None
    actions: "int | Sequence[str] | Space[Any] | None"
    program: str
    every: int | None
    iterations_done: int | None


def check_options(options: Options) -> None:
    """Check the names and values of a probe's (logger's) options; raise an error for a wrong one.

    Raises:
        TypeError: An option's name is not known.
        ValueError: An option's value is not allowed.
    """
    for name in options:
        if name not in Options.__annotations__:
            raise TypeError(
                f"a probe takes {', '.join(Options.__annotations__)}, got {name}; did you mean "
                f"{find_nearest(name, Options.__annotations__)}?"
            )
    program, every, done = options.get("program", "plain"), options.get("every"), options.get("iterations_done")
    if program not in DIALECTS:
        raise ValueError(f"program must be one of {', '.join(sorted(DIALECTS))}, got {program!r}")
    if every is not None and every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    if done is not None and done < 0:
        raise ValueError(f"iterations_done must be at least 0, got {done}")


def read_settings(settings: Mapping[str, Any], program: str) -> dict[str, Any]:
    """Rename a run's settings to our dotted paths; keep only numbers, texts and lists.

    Raises:
        ValueError: A setting that the diagnosis reads cannot have such a value.
    """
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    plain = {name: value for name, value in plain.items() if isinstance(value, int | float | str | list | None)}
    ours = translate_settings(plain, DIALECTS[program])
    for path, value in ours.items():
        if path in KNOWN and not KNOWN[path].holds(value):
            raise ValueError(f"settings: {path} must be {KNOWN[path].words}, got {value!r}")
    return ours


def join_modules(agent: nn.Module | Sequence[nn.Module] | None) -> nn.Module | None:
    """Join the networks of an agent to one module; return a single module, or None, unchanged."""
    if agent is None or isinstance(agent, nn.Module):
        return agent
    return nn.ModuleList(agent)


def find_agent(agent: nn.Module | Sequence[nn.Module] | None, evaluate: Evaluate | None) -> Agent | None:
    """Return the agent together with the function that evaluates actions; None if there is no such function.

    Raises:
        ValueError: There is a function that evaluates actions, but no network.
    """
    modules = join_modules(agent)
    if evaluate is not None and modules is None:
        raise ValueError("agent must be the networks that evaluate uses, got None; hand over the module")
    own = getattr(modules, "get_action_and_value", None)
    if modules is None or (evaluate is None and own is None):
        return None
    if evaluate is None and own is not None and (others := list_other_arguments(own)):
        warn_not_asked("get_action_and_value", others)
        return None

    def evaluate_as_cleanrl(observations: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, log_probs, entropies, values = own(observations, actions)  # type: ignore[misc]
        return log_probs, entropies, values

    return Agent(modules, evaluate or evaluate_as_cleanrl)


_HARMLESS = ("deterministic", "greedy")
"""Arguments of an agent's method that say nothing of how likely a given action was."""


def list_other_arguments(ask: Callable[..., Any]) -> list[str]:
    """List the arguments of an agent's method other than observations and actions, such as a mask."""
    single = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    named = [one.name for one in signature(ask).parameters.values() if one.kind in single][1:]
    actions = next((name for name in named if name in ("action", "actions")), named[0] if named else "")
    return [name for name in named if name != actions and name not in _HARMLESS]


def warn_not_asked(method: str, others: Sequence[str]) -> None:
    """Warn that some metrics are not logged, because the agent cannot be called for them, with a remedy."""
    warnings.warn(
        f"the agent's {method} takes {' and '.join(others)} beside observations and actions, so the probe does not ask "
        "the agent: gradients by head, saturated units and advantages followed are left out; to have them, hand over "
        "evaluate (docs/probe.md)",
        stacklevel=4,
    )


def find_choices(actions: "int | Sequence[str] | Space[Any] | None") -> tuple[Distribution, tuple[str, ...]] | None:
    """Return the distribution that counts discrete actions, and the actions' names; None if not discrete."""
    if actions is None:
        return None
    if isinstance(actions, Space):
        try:
            distribution = distribution_over(actions)
        except ConfigError:
            return None
        return distribution, distribution.choices
    names = tuple(map(str, range(actions))) if isinstance(actions, int) else tuple(actions)
    return Categorical(len(names)), names


def find_bounds(
    actions: "int | Sequence[str] | Space[Any] | None", choices: tuple[Distribution, tuple[str, ...]] | None
) -> Bounds | None:
    """Return the kind (discrete or continuous) and the bounds of the actions; None if unknown."""
    if isinstance(actions, Space):
        return Bounds.from_space(actions)
    return Bounds((len(choices[1]),)) if choices is not None and choices[1] else None


def read_networks(
    modules: nn.Module | None, optimizer: torch.optim.Optimizer | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return settings that networks and optimiser show, such as layer sizes, except those already given."""
    found: dict[str, Any] = {}
    if modules is not None and "ppo.hidden_sizes" not in settings and (sizes := read_shape(modules)):
        found["ppo.hidden_sizes"] = list(sizes)
    if optimizer is not None and "ppo.optimizer" not in settings:
        found["ppo.optimizer"] = type(optimizer).__name__
    decay = optimizer.param_groups[0].get("weight_decay") if optimizer is not None else None
    if decay and "ppo.weight_decay" not in settings:
        found["ppo.weight_decay"] = float(decay)
    return found


_MEASURABLE = dict.fromkeys((*NAMES, metrics.VALUE_LOSS_EXCESS))
"""Metrics that may be measured elsewhere, beside the actions' shares."""


def check_measured(measured: Mapping[str, float]) -> dict[str, float]:
    """Check that metrics measured by the user have known names, and return them as floats.

    Raises:
        ValueError: A metric's name is not known.
    """
    for name in measured:
        if name not in _MEASURABLE and not name.startswith(metrics.ACTION_PREFIX):
            nearest = find_nearest(name, _MEASURABLE)
            raise ValueError(f"measured must hold metrics of docs/metrics.md, got {name}; did you mean {nearest}?")
    return {name: float(value) for name, value in measured.items()}
