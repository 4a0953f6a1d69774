"""Matrix products through the circuit's gates: every circuit is served, most by compiled kernels."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit, has_kernel
from circuits.engine.float_conversion import to_format
from circuits.engine.matrix_products import integer_matmul
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.lane_layout import lane_layout
from circuits.engine.matrix_products.narrow_matmul import prepared_rows
from circuits.engine.matrix_products.operand_ranges import normal_range, products_stay_normal
from circuits.engine.matrix_products.product_methods import Padding, ProductMethod
from circuits.engine.matrix_products.wide_matmul import run_wide
from circuits.engine.matrix_products.windows.window_matmul import ROW_LAYOUTS, Layout, run_windows, windows_pay
from circuits.engine.matrix_products.windows.window_plan import Margins
from circuits.engine.multiplier_circuit import MultiplierCircuit

Array = NDArray[Any]


LAYOUTS: Mapping[str, Layout] = MappingProxyType({"windows": run_windows, **ROW_LAYOUTS})
"""What lanes run over -> `gathering.gathered_matmul` by that, for circuits that have a kernel."""


def _run(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    columns = len(w) // places.groups
    if circuit.float_format is not None:
        x, w = to_format(circuit, x), to_format(circuit, w)
        if has_kernel(circuit):
            layout = "windows"
            if not windows_pay(x, places, columns):
                layout = lane_layout(places.rows, places.depth, columns, places.groups)
            LAYOUTS[layout](circuit, x, w, out, places, threads)
            return
        # The kernels for many rows also have a mode for products that all stay normal, and take it then.
        if products_stay_normal(x, w, *normal_range(circuit), flushed=False):
            run_wide(circuit, x, w, out, places, threads)
            return
    for group, group_places in enumerate(places.of_groups()):
        weights = w[group * columns : (group + 1) * columns]
        if circuit.float_format is not None:
            _matmul_without_kernel(circuit, x, weights, out, group_places)
        elif integer_matmul.serves(circuit, places.depth):
            integer_matmul.run(circuit, x, weights, out, group_places, threads)
        else:
            _integer_matmul(circuit, x, weights, out, group_places)


def _run_padded(
    circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, padding: Padding, threads: int | None
) -> bool:
    if circuit.float_format is None or not has_kernel(circuit):
        return False
    margins = Margins((x.shape[2], x.shape[3]), padding)
    if not windows_pay(x, places, len(w) // places.groups, margins):
        return False
    run_windows(circuit, to_format(circuit, x), to_format(circuit, w), out, places, threads, margins=margins)
    return True


METHOD = ProductMethod(lambda circuit: "", _run, prepared_rows, _run_padded)


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


def _matmul_without_kernel(circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places) -> None:
    """The same product for circuits without a kernel, by elementwise products."""
    # Summed apart, because the places in `out` need not be contiguous; scattered once at the end.
    sums = np.zeros((places.rows, len(w)), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        # One k at a time and not a sum along an axis, which NumPy may add pairwise: the order is part of the contract.
        for k, step in enumerate(places.x_step):
            sums += circuit.multiply(x.reshape(-1)[places.x_at + step][:, None], w[None, :, k])
    _scatter(sums, out, places)
