"""Matrix products of many rows by the compiled kernel: how they are split into tasks, and when a range check is due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import BLOCK
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_gates import float_gates
from circuits.engine.llvm.float_parts import scratch_bytes
from circuits.engine.llvm.wide_matmul_kernel import matmul_kernel
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.operand_ranges import OperandRanges
from circuits.engine.task_threads import TASKS_A_THREAD, run_tasks, scratch_address, useful_threads

Array = NDArray[np.float32]
_COLUMNS_A_CALL = 64  # accumulators of 64 columns, 128 KB, stay in the second-level cache
_FEWEST_COLUMNS = 8
_PRODUCTS_A_TASK = 1 << 20  # about a millisecond, so that calls cost nothing and a range check concerns few rows


def run_wide(circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    """`gathering.gathered_matmul` with lanes over the rows m, for a circuit that has a kernel."""
    rows, depth, columns = places.rows, places.depth, len(w) // places.groups
    settings, gates = float_gates(circuit)
    x_step = np.ascontiguousarray(places.x_step, dtype=np.int64)
    ranges = OperandRanges(circuit, x, w, x_step)
    kernels = {mode: matmul_kernel(settings, mode) for mode in ranges.modes}
    x_at, out_at = _padded(places.x_at), _padded(places.out_at)
    out_step = places.out_step
    # Looked up once: an array's address costs as much as a hundred products.
    x_start, w_start, out_start, x_at_start, out_at_start, x_step_start = (
        array.ctypes.data for array in (x, w, out, x_at, out_at, x_step)
    )

    def task(group: int, first_row: int, first_column: int) -> None:
        lanes = min(rows - first_row, rows_a_task)
        count = min(columns - first_column, columns_a_task)
        w_row = group * columns + first_column
        x_address, x_at_address = x_start + 4 * group * places.x_group, x_at_start + 8 * first_row
        mode = ranges.mode(x_address, x_at_address, lanes, slice(w_row, w_row + count))
        kernels[mode](
            gates.gates_address,
            x_address,
            x_at_address,
            x_step_start,
            w_start + 4 * depth * w_row,
            depth,
            count,
            out_start + 4 * (group * places.out_group + out_step * first_column),
            out_at_start + 8 * first_row,
            out_step,
            lanes,
            scratch_address(scratch_bytes(count)),
        )

    threads = useful_threads(threads, rows * w.size)
    rows_a_task, columns_a_task = _split(rows, depth, columns, places.groups, threads)
    tasks = [
        (group, m, n)
        for group in range(places.groups)
        for m in range(0, rows, rows_a_task)
        for n in range(0, columns, columns_a_task)
    ]
    run_tasks(task, tasks, threads)


def _split(rows: int, depth: int, columns: int, groups: int, threads: int) -> tuple[int, int]:
    """Rows (a multiple of 512) and columns of a task, of about _PRODUCTS_A_TASK products where that is possible.

    On several threads there are several tasks each where the rows, or else the columns, allow it, so that no thread
    waits long for the last one.
    """
    blocks = -(-rows // BLOCK)
    wanted = 1 if threads == 1 else -(-TASKS_A_THREAD * threads // groups)
    columns_a_task = min(columns, _COLUMNS_A_CALL)
    blocks_a_task = min(max(1, _PRODUCTS_A_TASK // (BLOCK * depth * columns_a_task)), max(1, blocks // wanted))
    if blocks < wanted:
        # Each task packs its x again, which few columns would not repay.
        splits = -(-wanted // blocks)
        columns_a_task = max(min(columns_a_task, _FEWEST_COLUMNS), min(columns_a_task, -(-columns // splits)))
    return blocks_a_task * BLOCK, columns_a_task


def _padded(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64, contiguous, the last one repeated up to a whole number of blocks."""
    return np.pad(np.asarray(offsets, dtype=np.int64), (0, -len(offsets) % BLOCK), mode="edge")
