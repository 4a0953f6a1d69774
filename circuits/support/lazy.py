"""What is imported on first use: names of a package (PEP 562), and the objects that a registry lists.

Importing the package or the registry then costs nothing, and a command can list names without loading what they name.
A registry is one table, a line for each object:

    NETWORKS: Mapping[str, Network] = LazyMapping({"lenet5": "package.networks.lenet5:LENET5"})

A package's `__init__` states its names twice, once for people and type checkers, once for the interpreter:

    if TYPE_CHECKING:
        from package.module import name as name
    else:
        __getattr__, __dir__, __all__ = lazy_names(__name__, {"package.module": ("name",)})

A test compares the two lists and resolves every name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

Value = TypeVar("Value")

_MODULES: dict[str, dict[str, str]] = {}
"""Package -> lazy name -> the module that defines it."""


def defining_module(package: str, name: str) -> str | None:
    """The module that defines the lazy name of a package; None where the package has no lazy name like that."""
    importlib.import_module(package)
    return _MODULES.get(package, {}).get(name)


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """(`__getattr__`, `__dir__`, `__all__`) of `package` for the names that each of `modules` defines."""
    module_of = _MODULES[package] = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(module_of[name]), name)
        # Python asks __getattr__ only for what the package does not have: the next use is an ordinary attribute.
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return get, names, sorted(module_of)


def named_object(target: str) -> Any:
    """The object that `target` names as "package.module:NAME"; imports the module."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


class LazyMapping(Mapping[str, Value]):
    """Name -> object, from name -> "package.module:NAME"; immutable.

    Looking an object up imports its module; listing the names, `in` and `len` import nothing.
    """

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._targets = dict(targets)
        self._objects: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        if name not in self._objects:
            self._objects[name] = named_object(self._targets[name])
        return self._objects[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, name: object) -> bool:  # that of Mapping would import the module
        return name in self._targets

    def __repr__(self) -> str:
        return f"LazyMapping({self._targets})"
