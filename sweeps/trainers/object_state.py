"""Capture the state of objects of other programs as plain numbers and text, and set it again; no code is ever loaded.

What pickle would do, with three differences: a file holds numbers and JSON alone, so that reading one executes nothing;
objects are changed in place, never made; and an object whose state cannot be captured, such as a physics engine's, is
found out when it is captured. A class may name attributes in `NOT_SAVED` that are left out, such as links to a model.
An object with `capture_state` and `restore_state` is captured by what these return and take.
"""

import io
import json
import logging
import types
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Space
from torch import Tensor

Tree = Any
"""Captured state: JSON values; arrays stand beside, by number."""

_CONSTANT: tuple[type, ...] = (
    Space,
    EnvSpec,
    logging.Logger,
    type,
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
)
_CONSTANT += (types.BuiltinFunctionType, torch.device, torch.dtype, np.dtype)
"""Types of values that training does not change: they stay as they are in the object that is restored."""

_KIND, _ITEMS = "kind", "items"


class UnsavableError(ValueError):
    """Error that says that an object's state holds something other than numbers, text, arrays and containers."""


def pack(value: Any, skip: Collection[str] = ()) -> bytes:
    """Convert a value (numbers, arrays, objects with attributes) to bytes, without pickle.

    Args:
        value: Numbers, text, arrays, tensors, random generators, containers and objects with attributes of that sort.
        skip: Names of attributes that are left out of every object, beside those that an object's class names in
            `NOT_SAVED`: links to other objects.

    Raises:
        UnsavableError: The value holds something else; the message says where.
    """
    writer = _Writer(frozenset(skip))
    tree = writer.capture(value, "")
    file = io.BytesIO()
    header = np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8)
    np.savez(file, allow_pickle=False, header=header, **{str(n): array for n, array in enumerate(writer.arrays)})
    return file.getvalue()


def unpack(packed: bytes, into: Any = None) -> Any:
    """Rebuild the value that `pack` converted; set the saved attributes on the objects of `into`, of the same form.

    Args:
        packed: Bytes that `pack` returned.
        into: Value of the same form, whose objects and constant parts are used.

    Raises:
        ValueError: The bytes are something else, or `into` has another form.
    """
    if not packed:
        raise ValueError("the bytes must hold a captured value, got none")
    with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    tree = json.loads(bytes(arrays.pop("header")))
    return _Reader(arrays).restore(tree, into)


class _Writer:
    def __init__(self, skip: frozenset[str]) -> None:
        self.arrays: list[npt.NDArray[Any]] = []
        self._skip = skip
        self._open: set[int] = set()

    def capture(self, value: Any, where: str) -> Tree:
        """Convert a value to JSON types, with arrays stored separately and objects' attributes as dicts."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Tensor):
            return {_KIND: "tensor", "at": self._add(value.detach().cpu().numpy())}
        if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
            return {_KIND: "array" if isinstance(value, np.ndarray) else "number", "at": self._add(np.asarray(value))}
        if isinstance(value, _CONSTANT):
            return {_KIND: "constant"}
        if id(value) in self._open:
            raise UnsavableError(f"{where or 'the object'} must not hold itself")
        self._open.add(id(value))
        try:
            return self._capture_whole(value, where)
        finally:
            self._open.remove(id(value))

    def _capture_whole(self, value: Any, where: str) -> Tree:
        if isinstance(value, np.random.Generator):
            return {_KIND: "generator", _ITEMS: self.capture(value.bit_generator.state, where)}
        if isinstance(value, list | tuple | deque):
            return {_KIND: _name(value), _ITEMS: [self.capture(one, f"{where}[{n}]") for n, one in enumerate(value)]}
        if isinstance(value, Mapping):
            pairs = [[self.capture(key, where), self.capture(one, f"{where}.{key}")] for key, one in value.items()]
            return {_KIND: "dict", _ITEMS: pairs}
        if not hasattr(value, "__dict__"):
            raise UnsavableError(f"{where} must be plain, got {type(value).__name__}")
        if hasattr(type(value), "capture_state") and hasattr(type(value), "restore_state"):
            state = self.capture(value.capture_state(), where)
            return {_KIND: "own", "class": type(value).__qualname__, _ITEMS: state}
        left_out = self._skip.union(getattr(type(value), "NOT_SAVED", ()))
        own = {name: one for name, one in vars(value).items() if name not in left_out}
        pairs = [[name, self.capture(one, f"{where}.{name}".lstrip("."))] for name, one in own.items()]
        return {_KIND: "object", "class": type(value).__qualname__, _ITEMS: pairs}

    def _add(self, array: npt.NDArray[Any]) -> int:
        self.arrays.append(np.array(array))
        return len(self.arrays) - 1


def _name(value: Any) -> str:
    return next(name for name, kind in _SEQUENCES.items() if isinstance(value, kind))


_SEQUENCES: Mapping[str, Any] = {"list": list, "tuple": tuple, "deque": deque}


class _Reader:
    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._arrays = arrays

    def restore(self, tree: Tree, into: Any) -> Any:
        """Convert the captured form (JSON and arrays) back to the value; set attributes of the objects in `into`."""
        if not isinstance(tree, dict):
            return tree
        return self._readers[tree[_KIND]](self, tree, into)

    def _array(self, tree: Tree, into: Any) -> Any:
        array = self._arrays[str(tree["at"])]
        return torch.from_numpy(array) if tree[_KIND] == "tensor" else array[()] if tree[_KIND] == "number" else array

    def _sequence(self, tree: Tree, into: Any) -> Any:
        mine = list(into) if isinstance(into, list | tuple | deque) and len(into) == len(tree[_ITEMS]) else None
        items = [self.restore(one, mine[n] if mine else None) for n, one in enumerate(tree[_ITEMS])]
        if isinstance(into, deque):
            return deque(items, into.maxlen)
        return _SEQUENCES[tree[_KIND]](items)

    def _mapping(self, tree: Tree, into: Any) -> Any:
        mine = into if isinstance(into, Mapping) else {}
        pairs = {}
        for key, one in tree[_ITEMS]:
            known = self.restore(key, None)
            pairs[known] = self.restore(one, mine.get(known))
        return pairs

    def _generator(self, tree: Tree, into: Any) -> np.random.Generator:
        state = self.restore(tree[_ITEMS], None)
        made = np.random.Generator(getattr(np.random, state["bit_generator"])())
        made.bit_generator.state = state
        return made

    def _own(self, tree: Tree, into: Any) -> Any:
        _require_class(tree, into)
        into.restore_state(self.restore(tree[_ITEMS], None))
        return into

    def _object(self, tree: Tree, into: Any) -> Any:
        _require_class(tree, into)
        for name, one in tree[_ITEMS]:
            vars(into)[name] = self.restore(one, vars(into).get(name))
        return into

    def _constant(self, tree: Tree, into: Any) -> Any:
        return into

    _readers: Mapping[str, Callable[["_Reader", Tree, Any], Any]] = {
        **dict.fromkeys(("array", "tensor", "number"), _array),
        **dict.fromkeys(_SEQUENCES, _sequence),
        "dict": _mapping,
        "generator": _generator,
        "object": _object,
        "own": _own,
        "constant": _constant,
    }


def _require_class(tree: Tree, into: Any) -> None:
    """Raise `ValueError` for an object of another class than the captured one."""
    if type(into).__qualname__ != tree["class"]:
        raise ValueError(f"the object must be a {tree['class']}, as captured, got a {type(into).__name__}")
