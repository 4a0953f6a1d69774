"""SHA-256 of everything that determines the function that a network computes, the same in every process.

The network is an object graph: modules, their attributes, hooks, parameters and buffers, the classes they are made of,
and the code and global names of the functions that these call. The graph is traversed breadth first. An object gets the
next number when it is first referred to, and its description refers to other objects by their numbers. Hence shared
objects and cycles need no special care, no address enters the digest, and two networks have the same digest exactly if
their descriptions are equal line by line:

    #0  instance of #1, attribute "mean" float 0.5, module "conv" #2 ...
    #1  class mine.Net, "forward" #3 ...
    #3  function with bytecode ..., constants ..., global "scale" #4 ...

Code enters as bytecode and constants, not as source text: a comment changes nothing, while a method replaced at run
time does.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import json
import sys
import types
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as torch_module

from circuits import Design
from cnn_eval.layers.approximate_layers import ApproximateConv2d, ApproximateLinear
from cnn_eval.support.verified_files import tensor_bytes

__all__ = ["model_digest"]

_ATOMS = (
    *(type(None), bool, int, float, complex, str, bytes, range, type(...)),
    *(torch.dtype, torch.device, torch.Size, np.generic, np.dtype),
)
_NAMED_ONLY = frozenset({"torch", "numpy", "scipy", "numba", "circuits"}) | sys.stdlib_module_names
"""Packages whose classes and functions are identified by name: their versions determine what they compute."""
_DERIVED_ATTRIBUTES = frozenset({"products", "gradients", "recording", "overflows"})
"""Attributes of an approximate layer that follow from its design, `compute` and `backward`, or record what it did."""
_IGNORED_CLASS_ATTRIBUTES = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "_abc_impl"}
)
_BUILT_IN = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_WRAPPED = ("__wrapped__", "__func__", "py_func")
"""Where objects that wrap a function keep it: cached functions, static and class methods, compiled functions."""


def model_digest(model: nn.Module) -> str:
    """SHA-256, hexadecimal, of what `model` computes, as far as that is visible from outside.

    Included are parameters and buffers, attributes, hooks, the designs of approximate layers and how they are computed,
    and the code of the modules' classes with their bases and with the functions and constants that they name, wherever
    these are defined outside torch, NumPy and the standard library. Not visible are state inside extension modules,
    files, and names that are looked up by a string at run time.
    """
    walk = _Walk()
    walk.reference(model)
    for hooks in (torch_module._global_forward_hooks, torch_module._global_forward_pre_hooks):
        walk.reference(list(hooks.values()))
    digest = hashlib.sha256()
    for description in walk.descriptions():
        digest.update(json.dumps(description).encode() + b"\n")
    return digest.hexdigest()


class _Namespace:
    """A Python module together with those of its attributes that a function's code names."""

    def __init__(self, module: types.ModuleType, names: tuple[str, ...]) -> None:
        self.module = module
        self.names = names


class _Walk:
    """Numbers the objects that are referred to and describes each of them once."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._objects: list[Any] = []  # by number; kept alive, because an id identifies an object only while it lives
        self._namespaces: dict[tuple[str, tuple[str, ...]], _Namespace] = {}

    def descriptions(self) -> Iterator[list[str]]:
        """The description of every object reachable from those referred to so far, in the order of their numbers."""
        described = 0
        while described < len(self._objects):
            yield self._describe(self._objects[described])
            described += 1

    def reference(self, value: Any) -> str:
        """The text of a simple value, or the number of an object, which is then described in its turn."""
        if isinstance(value, _ATOMS) and not isinstance(value, enum.Enum):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, torch.Tensor):
            content = hashlib.sha256(b"" if value.is_meta else tensor_bytes(value)).hexdigest()
            return f"tensor {value.dtype} {list(value.shape)} {content}"
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return f"array {value.dtype.str} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        if isinstance(value, Design):
            return f"design {value.digest}"
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"
        if _is_named_only(value):
            return f"name {getattr(value, '__module__', None)}.{value.__qualname__}"
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return f"#{self._numbers[id(value)]}"

    def _describe(self, value: Any) -> list[str]:
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return ["method", *map(self.reference, (value.__func__, value.__self__))]
        if isinstance(value, (functools.partial, functools.partialmethod)):
            return ["partial", *map(self.reference, (value.func, value.args, value.keywords))]
        if isinstance(value, property):
            return ["property", *map(self.reference, (value.fget, value.fset))]
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, _Namespace):
            return ["module", *self._named(value.names, vars(value.module))]
        if isinstance(value, Mapping):
            return ["mapping", self.reference(type(value)), *self._pairs(value)]
        if isinstance(value, (Sequence, deque, np.ndarray)):
            return ["sequence", self.reference(type(value)), *map(self.reference, value)]
        if isinstance(value, Set):
            return [
                "set",
                *sorted(map(self.reference, value)),
            ]  # the order of strings in a set differs between processes
        return self._instance(value)

    def _instance(self, value: Any) -> list[str]:
        """A module, or any other object, by its class and attributes."""
        described = ["instance", self.reference(type(value))]
        if isinstance(value, torch.jit.ScriptModule):
            return [*described, str(value.inlined_graph), *self._pairs(value.state_dict())]
        if isinstance(value, torch.fx.GraphModule):
            described.append(value.code)
        for name in () if isinstance(value, nn.Module) else _WRAPPED:
            if hasattr(value, name):
                return [*described, self.reference(getattr(value, name))]
        attributes = _attributes(value)
        if attributes is None:
            text = repr(value)
            return described if " at 0x" in text else [*described, text]
        return [*described, *self._pairs(attributes)]

    def _class(self, kind: type) -> list[str]:
        described = ["class", f"{kind.__module__}.{kind.__qualname__}", *map(self.reference, kind.__bases__)]
        for name, value in vars(kind).items():
            if name not in _IGNORED_CLASS_ATTRIBUTES and (callable(value) or not _is_dunder(name)):
                described += [name, self.reference(value)]
        return described

    def _function(self, function: types.FunctionType) -> list[str]:
        cells = [_content(cell) for cell in function.__closure__ or ()]
        return [
            "function",
            *self._code(function.__code__),
            *map(self.reference, (function.__defaults__, function.__kwdefaults__, *cells)),
            *self._pairs(vars(function)),
            *self._named(tuple(_names(function.__code__)), function.__globals__),
        ]

    def _code(self, code: types.CodeType) -> list[str]:
        described = [code.co_code.hex(), *code.co_names, *code.co_varnames, *code.co_freevars]
        for constant in code.co_consts:
            described += self._code(constant) if isinstance(constant, types.CodeType) else [self.reference(constant)]
        return described

    def _named(self, names: tuple[str, ...], known: Mapping[str, Any]) -> list[str]:
        """The values of the names in a function's code: global values, and the named attributes of Python modules.

        A name that is not global may be that of a module which the function imports.
        """
        described: list[str] = []
        for name in names:
            value = known[name] if name in known else sys.modules.get(name)
            if _is_dunder(name) or value is None:
                continue
            if isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] not in _NAMED_ONLY:
                inner = tuple(other for other in names if other in vars(value))
                value = self._namespaces.setdefault((value.__name__, inner), _Namespace(value, inner))
            described += [name, self.reference(value)]
        return described

    def _pairs(self, mapping: Mapping[Any, Any]) -> list[str]:
        return [each for pair in mapping.items() for each in map(self.reference, pair)]


def _is_named_only(value: object) -> bool:
    """Whether a class or function is identified by its name."""
    if isinstance(value, type) and issubclass(value, (ApproximateConv2d, ApproximateLinear)):
        return value.__module__.partition(".")[0] == __name__.partition(".")[0]  # and no subclass of a user
    if not isinstance(value, (type, types.FunctionType)):
        return isinstance(value, _BUILT_IN)
    return _is_library(value.__module__)


def _is_library(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] in _NAMED_ONLY


def _attributes(value: object) -> Mapping[str, Any] | None:
    """The attributes that may matter; None for objects of libraries, whose internal state is ignored."""
    if isinstance(value, nn.Module):
        return _module_attributes(value)
    if _is_library(type(value).__module__) and not type(value).__module__.startswith("torch."):
        return None
    slots = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
    if not slots and not hasattr(value, "__dict__"):
        return None
    return {**{name: getattr(value, name) for name in slots}, **getattr(value, "__dict__", {})}


def _module_attributes(module: nn.Module) -> dict[str, Any]:
    own = isinstance(module, (ApproximateConv2d, ApproximateLinear))
    attributes: dict[str, Any] = {}
    for name, value in vars(module).items():
        if "state_dict" in name or (own and name in _DERIVED_ATTRIBUTES):
            continue
        # The keys of hooks are a running count of the process.
        attributes[name] = list(value.values()) if "_hooks" in name and isinstance(value, Mapping) else value
    return attributes


def _slots(kind: type) -> Sequence[str]:
    slots = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return [name for name in names if not _is_dunder(name)]


def _names(code: types.CodeType) -> list[str]:
    """The names that code uses, including its inner functions, each once."""
    inner = [name for each in code.co_consts if isinstance(each, types.CodeType) for name in _names(each)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
