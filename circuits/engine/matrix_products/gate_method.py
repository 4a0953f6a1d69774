"""Matrix products through the circuit's gates: every circuit is served, float32 by compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit, has_kernel
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.lane_layout import lane_layout
from circuits.engine.matrix_products.narrow_matmul import run_narrow
from circuits.engine.matrix_products.product_methods import ProductMethod
from circuits.engine.matrix_products.strips.strip_matmul import run_strips
from circuits.engine.matrix_products.wide_matmul import run_wide
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.task_threads import run_tasks, useful_threads

Array = NDArray[Any]
_PRODUCTS_A_TABLE = 1 << 12  # fewer are computed one by one
_TABLE_FRACTION_BITS = 10  # of both operands: a table of 4 MB


LAYOUTS: Mapping[str, Callable[[FloatCircuit, Array, Array, Array, Places, int | None], None]] = MappingProxyType(
    {"wide": run_wide, "strips": run_strips, "narrow": run_narrow}
)
"""Layout of lanes (see `lane_layout`) -> `gathering.gathered_matmul` by it, for circuits that have a kernel."""


def _run(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    columns = len(w) // places.groups
    if circuit.float_format is not None and has_kernel(circuit):
        layout = lane_layout(places.rows, places.depth, columns, places.groups)
        LAYOUTS[layout](circuit, x, w, out, places, threads)
        return
    for group, group_places in enumerate(places.of_groups()):
        weights = w[group * columns : (group + 1) * columns]
        if circuit.float_format is None:
            _integer_matmul(circuit, x, weights, out, group_places)
        else:
            _matmul_without_kernel(circuit, x, weights, out, group_places, threads)


METHOD = ProductMethod(lambda circuit: "", _run)


def _integer_matmul(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places) -> None:
    """Exact sums of integer products, one k at a time."""
    sums = np.zeros((places.rows, len(w)), dtype=out.dtype)
    for k, step in enumerate(places.x_step):
        codes = x.reshape(-1)[places.x_at + step]
        sums += circuit.multiply_integers(codes[:, None], w[None, :, k]).astype(out.dtype)
    _scatter(sums, out, places)


def _scatter(sums: Array, out: Array, places: Places) -> None:
    columns = np.arange(sums.shape[1]) * places.out_step
    out.reshape(-1)[places.out_at[:, None] + columns] = sums


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
    rows = places.rows
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
    _scatter(sums, out, places)
