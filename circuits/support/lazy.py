"""Names of a package that are imported on first use (PEP 562), so that importing the package itself costs nothing.

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
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
