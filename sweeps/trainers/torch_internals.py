"""Keep torch's compiler from being imported where nothing is compiled, by a stand-in; no other module makes one."""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"


class _StandIn(ModuleType):
    """Module in the compiler's place that answers torch's optimisers, and gives way to the compiler for all else.

    An optimiser asks two things of the compiler: leave some of its methods alone, and break a graph. Where nothing
    is compiled, the compiler does neither.
    """

    @staticmethod
    def disable(method: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Return the method as it is."""
        return method

    @staticmethod
    def graph_break(*_: Any) -> None:
        """Do nothing: there is no graph."""

    def __getattr__(self, name: str) -> Any:
        """Import the compiler, put it in its place, and return its member; `__path__` is asked for by an import below.

        Raises:
            AttributeError: Python asks for a name of its own, as whoever looks through all modules does.
        """
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME], torch._dynamo
        return getattr(import_module(_NAME), name)


def defer_compiler() -> None:
    """Make torch import its compiler once something is compiled, instead of with the first optimiser.

    The import takes a second of a core. What optimisers compute is the same.
    """
    if _NAME not in sys.modules:
        sys.modules[_NAME] = torch._dynamo = _StandIn(_NAME)
