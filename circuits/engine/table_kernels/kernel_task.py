"""What the table kernels are told: the fields of a task, and how a kernel is called."""

from __future__ import annotations

import ctypes
from typing import Any

from circuits.engine.llvm.ir import Function

LANES = 64
"""Rows m of the product in a block: the bytes of an AVX-512 register."""

TASK = (
    "table",
    "x_at",
    "x_step",
    "depth",
    "groups",
    "x_group",
    "w_group",
    "columns",
    "out_at",
    "out_step",
    "out_group",
    "rows",
    "x_first",
    "w_first",
    "out_first",
    "constant",
)
"""The 64-bit fields of a task: the addresses `table`, `x_at`, `x_step` and `out_at` (int64 arrays), numbers else.

The task computes `columns` columns of `rows` rows of `groups` groups. Places count elements; `x_first`, `w_first` and
`out_first` are those of the task's first group and column, `w_group` is the distance of two groups' weights. `constant`
is added to every sum of integers.
"""
_POINTERS = ("table", "x_at", "x_step", "out_at")

PARAMETERS = "ptr %task, ptr %x, ptr %w, ptr %out, ptr %scratch"


def field(f: Function, name: str) -> str:
    """The value of a field of `%task`."""
    kind = "ptr" if name in _POINTERS else "i64"
    return f.op(f"load {kind}, ptr {f.offset('%task', 8 * TASK.index(name))}")


def kernel_function(library: Any, symbol: str = "kernel") -> Any:
    """kernel(task, x, w, out, scratch), all addresses, as a ctypes function."""
    p = ctypes.c_void_p
    return library.function(symbol, p, p, p, p, p)
