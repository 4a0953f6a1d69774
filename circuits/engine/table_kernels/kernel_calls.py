"""Splits a matrix product into tasks of a table kernel and runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from circuits.engine.matrix_products.element_places import Places
from circuits.engine.table_kernels.kernel_task import TASK
from circuits.engine.task_threads import run_tasks, scratch_address, useful_threads

Array = NDArray[Any]
_ROWS = 256
"""Tasks begin at multiples of this number of rows, where there are as many."""
_MOST_ROWS = 8192
"""Most rows of a task."""
_COLUMNS = 512
"""Most columns of a task: their totals, 512 KB, stay in the second-level cache."""


class TableKernel(NamedTuple):
    """A kernel and what it takes beside operands."""

    run: Any
    scratch: Callable[[int, int], int]
    """(rows, columns) of a task -> bytes of scratch that it needs."""
    table: Array
    constant: int
    """What is added to every sum."""


def run_kernel(
    kernel: TableKernel, x: Array, w: Array, out: Array, places: Places, threads: int | None, *, together: int = 1
) -> None:
    """`gathering.gathered_matmul` by `kernel`.

    `together`: columns that the kernel does more for at once than it would for each of them.
    """
    columns = len(w) // places.groups
    threads = useful_threads(threads, places.rows * w.size)
    # All but the table and the constant depends on the places alone, not on the circuit, of which a search may bring
    # thousands.
    key = "table", columns, threads, together
    if key not in places.prepared:
        places.prepared[key] = _Split(places, columns, threads, together)
    split: _Split = places.prepared[key]
    records = split.records.copy()
    records[:, TASK.index("table")] = kernel.table.ctypes.data
    records[:, TASK.index("constant")] = kernel.constant
    size = kernel.scratch(split.most_rows, min(columns, _COLUMNS))
    x_address, w_address, out_address = x.ctypes.data, w.ctypes.data, out.ctypes.data
    first, stride = records.ctypes.data, records.strides[0]

    def task(number: int) -> None:
        kernel.run(first + number * stride, x_address, w_address, out_address, scratch_address(size))

    run_tasks(task, [(number,) for number in range(len(records))], threads)


class _Split:
    """The tasks of one product: `records`, and the arrays that they refer to, which live as long."""

    def __init__(self, places: Places, columns: int, threads: int, together: int) -> None:
        rows, depth, groups = places.rows, places.depth, places.groups
        x_at, x_step, out_at = self.arrays = tuple(
            np.ascontiguousarray(a, dtype=np.int64) for a in (places.x_at, places.x_step, places.out_at)
        )
        parts = _parts(rows, columns, groups, threads, together)
        self.most_rows = max(end - first for (first, end), _, _ in parts)
        self.records = np.zeros((len(parts), len(TASK)), dtype=np.int64)
        for record, ((row, row_end), (column, column_end), (group, group_end)) in zip(self.records, parts, strict=True):
            fields = {
                "x_at": x_at.ctypes.data + 8 * row,
                "x_step": x_step.ctypes.data,
                "depth": depth,
                "groups": group_end - group,
                "x_group": places.x_group,
                "w_group": columns * depth,
                "columns": column_end - column,
                "out_at": out_at.ctypes.data + 8 * row,
                "out_step": places.out_step,
                "out_group": places.out_group,
                "rows": row_end - row,
                "x_first": group * places.x_group,
                "w_first": (group * columns + column) * depth,
                "out_first": group * places.out_group + column * places.out_step,
            }
            for name, value in fields.items():
                record[TASK.index(name)] = value


Span = tuple[int, int]


def _parts(rows: int, columns: int, groups: int, threads: int, together: int) -> list[tuple[Span, Span, Span]]:
    """(rows, columns, groups) of each task: as few as possible on one thread, else about four a thread.

    A kernel that expands tables for `together` columns at a time does so once a task, for all of its rows: columns are
    split first, and rows no more than there are threads.
    """
    wanted = 1 if threads == 1 else 4 * threads
    group_parts = _spans(groups, min(groups, wanted))
    least_rows, least_columns = -(-rows // _MOST_ROWS), -(-columns // _COLUMNS)
    if together > 1:
        column_count = min(-(-columns // together), -(-wanted // len(group_parts)))
        column_parts = _spans(columns, max(column_count, least_columns), together)
        row_count = -(-min(wanted, threads) // (len(group_parts) * len(column_parts)))
        row_parts = _spans(rows, max(min(-(-rows // _ROWS), row_count), least_rows), _ROWS)
    else:
        row_count = min(-(-rows // _ROWS), -(-wanted // len(group_parts)))
        row_parts = _spans(rows, max(row_count, least_rows), _ROWS)
        column_count = -(-wanted // (len(group_parts) * len(row_parts)))
        column_parts = _spans(columns, min(columns, max(column_count, least_columns)))
    return [(r, c, g) for g in group_parts for r in row_parts for c in column_parts]


def _spans(length: int, parts: int, unit: int = 1) -> list[Span]:
    """About `parts` nearly equal consecutive spans of range(length), all but the last of whole units."""
    units = -(-length // unit)
    size = -(-units // parts) * unit
    return [(first, min(first + size, length)) for first in range(0, length, size)]
