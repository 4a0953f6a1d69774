"""Matrix products of few rows, prepared for given shapes so that a call costs little more than its products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_gates import float_gates
from circuits.engine.llvm.narrow_matmul_kernel import narrow_kernel, narrow_scratch_bytes
from circuits.engine.matrix_products.element_places import Places, places_of_rows
from circuits.engine.matrix_products.lane_layout import column_work, lane_layout, layout_work
from circuits.engine.task_threads import run_tasks, scratch_address, useful_threads

Array = NDArray[np.float32]
_PRODUCTS_A_TASK = 1 << 17  # 512 KB


class NarrowMatmul:
    """`gathering.gathered_matmul` for few rows, prepared: lanes run over (n, k) and the sums follow.

    It depends on the circuit and on shapes alone, not on values; several threads may run it at the same time. The
    kernel is described in `circuits.engine.llvm.narrow_matmul_kernel`.
    """

    def __init__(self, circuit: FloatCircuit, places: Places, columns: int) -> None:
        """`columns`: those of each group."""
        settings, self._gates = float_gates(circuit)
        self._kernel = narrow_kernel(settings)
        self._places = places
        # Kept as attributes: the tasks' records hold the addresses of these arrays.
        group = np.arange(places.groups)[:, None]
        # The first column of group g is g N of w: the kernel adds g N out_step to the places of results.
        out_group = places.out_group - columns * places.out_step
        arrays = (places.x_at + group * places.x_group, places.x_step, places.out_at + group * out_group)
        self._arrays = [np.ascontiguousarray(a, dtype=np.int64) for a in arrays]
        self._columns = columns
        self._splits: dict[int | None, _Split] = {}

    def run(self, x: int, w: int, bias: int | None, out: int, threads: int | None) -> None:
        """The product of the float32 arrays at these addresses, plus bias[n] if given."""
        split = self._splits.get(threads)
        if split is None:
            split = self._splits[threads] = self._split(threads)
        # One small product is the common case of a single image; it should not pay for a thread pool.
        if split.only is not None:
            self._kernel(split.only, x, w, bias, out, scratch_address(split.scratch_bytes))
            return

        def run_task(task: int) -> None:
            self._kernel(task, x, w, bias, out, scratch_address(split.scratch_bytes))

        run_tasks(run_task, split.tasks, split.threads)

    def _split(self, threads: int | None) -> _Split:
        """Splits the product into tasks of about _PRODUCTS_A_TASK products, first by columns."""
        x_at, x_step, out_at = self._arrays
        (groups, rows), depth, columns = x_at.shape, len(x_step), self._columns
        threads = useful_threads(threads, groups * rows * depth * columns)
        # A task packs its weights once for all of its rows, and splitting rows repeats that: columns are split first.
        columns_a_task = max(1, min(_PRODUCTS_A_TASK // depth, -(-columns // threads)))
        rows_a_task = min(rows, max(1, _PRODUCTS_A_TASK // (depth * columns_a_task)))
        # One record a task, its fields in the order of NARROW_TASK.
        records = np.array(
            [
                (
                    self._gates.gates_address,
                    x_at.ctypes.data + 8 * (group * rows + row),
                    x_step.ctypes.data,
                    depth,
                    group * columns + column,
                    min(columns_a_task, columns - column),
                    out_at.ctypes.data + 8 * (group * rows + row),
                    self._places.out_step,
                    min(rows_a_task, rows - row),
                )
                for group in range(groups)
                for row in range(0, rows, rows_a_task)
                for column in range(0, columns, columns_a_task)
            ],
            dtype=np.int64,
        )
        addresses = [(records.ctypes.data + k * records.strides[0],) for k in range(len(records))]
        only = addresses[0][0] if len(addresses) == 1 else None
        return _Split(addresses, only, threads, narrow_scratch_bytes(depth, columns_a_task, rows_a_task), records)


@dataclass(frozen=True, slots=True)
class _Split:
    """Tasks of a NarrowMatmul: the addresses of `records` (see NARROW_TASK), also the `only` one where there is one."""

    tasks: list[tuple[int]]
    only: int | None
    threads: int
    scratch_bytes: int
    records: Any


@lru_cache(maxsize=256)
def prepared_places(circuit: FloatCircuit, places: Places, columns: int) -> NarrowMatmul:
    """The product at `places` with `columns` columns a group, kept for the next call.

    Not in `places.prepared`: a search brings thousands of circuits, while the same places serve all of them.
    """
    return NarrowMatmul(circuit, places, columns)


def run_narrow(circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    """`gathering.gathered_matmul` with lanes over columns and k, for a float circuit."""
    narrow = prepared_places(circuit, places, len(w) // places.groups)
    narrow.run(x.ctypes.data, w.ctypes.data, None, out.ctypes.data, threads)


@lru_cache(maxsize=256)
def prepared_rows(circuit: FloatCircuit, rows: int, depth: int, columns: int) -> NarrowMatmul | None:
    """[rows, depth] @ [columns, depth].T -> [rows, columns], all contiguous, prepared.

    None where there are no rows, lanes run otherwise (or may, depending on x), or operands need a conversion to the
    circuit's format.
    """
    if not rows or circuit.format != "float32" or lane_layout(rows, depth, columns) != "narrow":
        return None
    if column_work(rows, depth, columns, 1, 1.0) < layout_work(rows, depth, columns)["narrow"]:
        return None
    return NarrowMatmul(circuit, places_of_rows(rows, depth, columns), columns)
