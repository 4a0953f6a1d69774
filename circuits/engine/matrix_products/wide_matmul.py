"""Matrix products of many rows by the compiled kernel: how they are split into tasks, and when a range check is due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import BLOCK
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.known_operands.sparse_matmul_kernel import (
    GROUP_BLOCKS,
    sparse_matmul_kernel,
    sparse_scratch_bytes,
)
from circuits.engine.llvm.float_gates import float_gates
from circuits.engine.llvm.float_parts import BIAS, FRACTION, scratch_bytes
from circuits.engine.llvm.wide_matmul_kernel import matmul_kernel
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.task_threads import run_tasks, scratch_address, useful_threads

Array = NDArray[np.float32]
_COLUMNS_A_CALL = 64  # accumulators of 64 columns, 128 KB, stay in the second-level cache
_BLOCKS_A_TASK = 4


def run_wide(
    circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None, *, dense: bool = False
) -> None:
    """`gathering.gathered_matmul` with lanes over the rows m, for a circuit that has a kernel.

    `dense`: multiply zero activations like all others, which gives the same bits (for tests and measurements).
    """
    columns, depth = w.shape
    rows = len(places.x_at)
    settings, gates = float_gates(circuit)
    x_step = np.ascontiguousarray(places.x_step, dtype=np.int64)
    normal = products_stay_normal(x, w)
    sparse = normal and not dense
    kernel = sparse_matmul_kernel(settings) if sparse else matmul_kernel(settings, "normal" if normal else "full")
    scratch = sparse_scratch_bytes if sparse else scratch_bytes
    x_at, out_at = _padded(places.x_at), _padded(places.out_at)
    out_step = places.out_step

    def task(first_row: int, first_column: int) -> None:
        count = min(columns - first_column, _COLUMNS_A_CALL)
        kernel(
            gates.gates_address,
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
            scratch_address(scratch(count)),
        )

    # At least four tasks a thread where the rows allow it, so that no thread waits long for the last.
    threads = useful_threads(threads, rows * w.size)
    blocks = -(-rows // BLOCK)
    most = max(1, blocks // (4 * threads)) if threads > 1 or not sparse else blocks
    # Groups of about the same size: a small last one would save little.
    groups = -(-blocks // min(most, GROUP_BLOCKS if sparse else _BLOCKS_A_TASK))
    rows_a_task = -(-blocks // groups) * BLOCK
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
