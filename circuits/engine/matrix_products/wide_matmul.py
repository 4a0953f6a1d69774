"""Matrix products of many rows by the compiled kernel: how they are split into tasks, and when a range check is due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import BLOCK
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.known_operands.wide_kernels import wide_kernel
from circuits.engine.llvm.float_parts import BIAS, FRACTION
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.task_threads import run_tasks, scratch_address, useful_threads

Array = NDArray[np.float32]
_COLUMNS_A_CALL = 64  # accumulators of 64 columns, 128 KB, stay in the second-level cache


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
    """`gathering.gathered_matmul` with lanes over the rows m, for a circuit that has a kernel.

    `kernel_name`: one of `wide_kernels.KERNELS` or "auto", for tests and measurements; the result does not depend on
    it.
    """
    columns, depth = w.shape
    rows = len(places.x_at)
    kernel = wide_kernel(circuit, x, rows * w.size, normal=products_stay_normal(x, w), name=kernel_name)
    x_step = np.ascontiguousarray(places.x_step, dtype=np.int64)
    x_at, out_at = _padded(places.x_at), _padded(places.out_at)
    out_step = places.out_step

    def task(first_row: int, first_column: int) -> None:
        count = min(columns - first_column, _COLUMNS_A_CALL)
        kernel.run(
            kernel.gates_address,
            x.ctypes.data,
            x_at.ctypes.data + 8 * first_row,
            x_step.ctypes.data,
            w.ctypes.data + 4 * depth * first_column,
            depth,
            count,
            out.ctypes.data + 4 * out_step * first_column,
            out_at.ctypes.data + 8 * first_row,
            out_step,
            min(rows - first_row, rows_a_task),
            scratch_address(kernel.scratch_bytes(count)),
        )

    # Every thread gets rows, and where there are many blocks several tasks, so that none waits long for the last. Tasks
    # have about the same number of blocks: a small last one would save little by leaving zeros out.
    threads = useful_threads(threads, rows * w.size)
    blocks = -(-rows // BLOCK)
    tasks_of_rows = max(-(-blocks // kernel.blocks), min(threads, blocks))
    rows_a_task = -(-blocks // tasks_of_rows) * BLOCK
    tasks = [(m, n) for m in range(0, rows, rows_a_task) for n in range(0, columns, _COLUMNS_A_CALL)]
    run_tasks(task, tasks, threads)


def products_stay_normal(x: Array, w: Array) -> bool:
    """Whether no product of an x and a w can be NaN, infinite, subnormal or flushed (zeros aside).

    With biased exponents E, a product's is E_x + E_w - 127, plus at most 2 from the normaliser and 1 from rounding. It
    must lie in 1..254 for the least and the greatest exponents; 255 marks infinities and NaN.
    """
    exponents = []
    for values in (x, w):
        magnitudes = values.reshape(-1).view(np.uint32) << np.uint32(1)  # without the sign
        highest = int(magnitudes.max(initial=np.uint32(0))) >> (FRACTION + 1)
        # A zero wraps around to 2^32 - 1; a subnormal keeps E = 0 and fails the test below.
        magnitudes -= np.uint32(1)  # zeros become the largest
        lowest = int(magnitudes.min(initial=np.uint32(0xFFFFFFFF))) + 1 >> (FRACTION + 1)
        exponents.append((lowest, highest))
    # Only the extreme sums matter: every product's exponent lies between them. The 3 is 2 from the normaliser, 1 from
    # rounding.
    (x_low, x_high), (w_low, w_high) = exponents
    finite = max(x_high, w_high) <= 254
    return finite and min(x_low, w_low) >= 1 and x_low + w_low - BIAS >= 1 and x_high + w_high - BIAS + 3 <= 254


def _padded(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64, contiguous, the last one repeated up to a whole number of blocks."""
    return np.pad(np.asarray(offsets, dtype=np.int64), (0, -len(offsets) % BLOCK), mode="edge")
