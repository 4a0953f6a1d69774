"""Matrix products of many rows by the compiled kernel: how they are split into tasks, and when a range check is due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import BLOCK
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.known_operands.wide_kernels import wide_kernel
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.operand_ranges import OperandRanges
from circuits.engine.task_threads import Tasks, fastest_split, run_tasks, scratch_address, useful_threads

Array = NDArray[np.float32]
_COLUMNS_A_CALL = 64  # accumulators of 64 columns, 128 KB, stay in the second-level cache
_COSTS = 0.05, 1.0
"""`Tasks.unit_cost` and `column_cost` of kernels that take blocks one by one: a call, and packing a block of x."""
_GROUP_COSTS = 0.5, 1.5
"""The same of kernels that take blocks together: one more is partly filled in each task, and zeros are left out of x.
Measured for heap, 4 blocks and 64 columns: tasks of 2 blocks 1.08 times the time, of 32, 16 and 8 columns 1.03, 1.06
and 1.15 times."""
_PRODUCTS_A_TASK = 1 << 20  # about a millisecond, so that calls cost nothing and a range check concerns few rows


def run_wide(
    circuit: FloatCircuit,
    x: Array,
    w: Array,
    out: Array,
    places: Places,
    threads: int | None,
    *,
    kernel_name: str = "auto",
) -> None:
    """`gathering.gathered_matmul` with lanes over the rows m, for a float circuit.

    `kernel_name`: one of `wide_kernels.KERNELS` or "auto", for tests and measurements; the result does not depend on
    it.
    """
    rows, depth, columns = places.rows, places.depth, len(w) // places.groups
    x_step = np.ascontiguousarray(places.x_step, dtype=np.int64)
    ranges = OperandRanges(circuit, x, w, x_step, threads)
    kernels = {
        mode: wide_kernel(circuit, x, rows * w.size, normal=mode == "normal", name=kernel_name) for mode in ranges.modes
    }
    if "padded rows" not in places.prepared:
        places.prepared["padded rows"] = _padded(places.x_at), _padded(places.out_at)
    x_at, out_at = places.prepared["padded rows"]
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
        kernel = kernels[mode]
        kernel.run(
            kernel.gates_address,
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
            scratch_address(kernel.scratch_bytes(count)),
        )

    threads = useful_threads(threads, rows * w.size)
    most_columns = min(columns, _COLUMNS_A_CALL)
    # A call of more blocks than are better taken together would only make its range check concern more rows.
    most_blocks = kernels["normal"].group_blocks or max(1, _PRODUCTS_A_TASK // (BLOCK * depth * most_columns))
    costs = _GROUP_COSTS if kernels["normal"].group_blocks else _COSTS
    all_tasks = Tasks(-(-rows // BLOCK), columns, most_blocks, most_columns, *costs, places.groups)
    blocks_a_task, columns_a_task = fastest_split(all_tasks, threads)
    rows_a_task = blocks_a_task * BLOCK
    tasks = [
        (group, m, n)
        for group in range(places.groups)
        for m in range(0, rows, rows_a_task)
        for n in range(0, columns, columns_a_task)
    ]
    run_tasks(task, tasks, threads)


def _padded(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64, contiguous, the last one repeated up to a whole number of blocks."""
    return np.pad(np.asarray(offsets, dtype=np.int64), (0, -len(offsets) % BLOCK), mode="edge")
