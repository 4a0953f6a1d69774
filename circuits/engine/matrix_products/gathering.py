"""The matrix product that convolution and linear layers share: it chooses the way and writes into a given array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit, has_kernel
from circuits.engine.matrix_products import narrow_matmul, wide_matmul
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.task_threads import run_tasks, useful_threads

Array = NDArray[np.float32]
_PRODUCTS_A_TABLE = 1 << 12  # fewer are computed one by one
_TABLE_FRACTION_BITS = 10  # of both operands: a table of 4 MB


def gathered_matmul(
    circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, *, threads: int | None = None
) -> None:
    """Writes a matrix product into `out`, elements read and written where `places` says:

    out.flat[out_at[m] + n out_step] = sum over k, ascending, of x.flat[x_at[m] + x_step[k]] * w[n, k].

    `x`, `w` [N, K] and `out` are C-contiguous float32. Sums begin at +0 and are float32 after every addition. The
    result does not depend on `threads` (default: all cores).
    """
    columns, depth = w.shape
    rows = len(places.x_at)
    if not has_kernel(circuit):
        _matmul_without_kernel(circuit, x, w, out, places, threads)
    elif rows and columns:
        if narrow_matmul.is_narrow(rows, depth, columns):
            narrow = narrow_matmul.prepared_places(circuit, places, columns)
            narrow.run(x.ctypes.data, w.ctypes.data, None, out.ctypes.data, threads)
        else:
            wide_matmul.run_wide(circuit, x, w, out, places, threads)


def _has_table(circuit: FloatCircuit) -> bool:
    """Whether `lookup_matmul` serves the circuit: float32's exponents, few fraction bits, no subnormals."""
    fmt = circuit.float_format
    assert fmt is not None
    few = fmt.fraction_bits <= _TABLE_FRACTION_BITS
    return few and fmt.exponent_bits == 8 and fmt.infinity and circuit.subnormals == "flush"


def _matmul_without_kernel(
    circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None
) -> None:
    """The same product for circuits without a kernel: from a table where one serves, else by elementwise products."""
    columns, depth = w.shape
    rows = len(places.x_at)
    # Summed apart, because the places in `out` need not be contiguous; scattered once at the end.
    sums = np.zeros((rows, columns), dtype=np.float32)
    tabled = None
    if _has_table(circuit) and sums.size * depth > _PRODUCTS_A_TABLE:
        from circuits.engine.matrix_products.lookup_matmul import TabledMatmul

        # The table has no infinities and NaN: with such operands `serves` is False and products are computed singly.
        tabled = TabledMatmul(circuit, x, w)
    if tabled is not None and tabled.serves:
        threads = useful_threads(threads, rows * w.size)
        step = max(1, -(-rows // (4 * threads)))

        def task(first: int) -> None:
            tabled.run(places.x_at[first : first + step], places.x_step, sums[first : first + step])

        run_tasks(task, [(first,) for first in range(0, rows, step)], threads)
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            # One k at a time and not a sum along an axis, which NumPy may add pairwise: the order is part of the
            # contract.
            for k in range(depth):
                sums += circuit.multiply(x.ravel()[places.x_at + places.x_step[k]][:, None], w[None, :, k])
    out.reshape(-1)[places.out_at[:, None] + np.arange(columns) * places.out_step] = sums
