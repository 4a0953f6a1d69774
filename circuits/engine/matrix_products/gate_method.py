"""Matrix products through the circuit's gates: every circuit is served, all but the widest integers compiled."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.float_conversion import to_format
from circuits.engine.known_operands.column_matmul import columns_pay, run_columns
from circuits.engine.matrix_products import integer_matmul
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.lane_layout import lane_layout
from circuits.engine.matrix_products.narrow_matmul import prepared_rows
from circuits.engine.matrix_products.product_methods import Padding, ProductMethod
from circuits.engine.matrix_products.windows.window_matmul import ROW_LAYOUTS, Layout, run_windows, windows_pay
from circuits.engine.matrix_products.windows.window_plan import Margins
from circuits.engine.multiplier_circuit import MultiplierCircuit

Array = NDArray[Any]


LAYOUTS: Mapping[str, Layout] = MappingProxyType({"windows": run_windows, "columns": run_columns, **ROW_LAYOUTS})
"""What lanes run over -> `gathering.gathered_matmul` by that, for float circuits."""


def _run(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    columns = len(w) // places.groups
    if circuit.float_format is not None:
        x, w = to_format(circuit, x), to_format(circuit, w)
        LAYOUTS[_layout(circuit, x, places, columns)](circuit, x, w, out, places, threads)
        return
    for group, group_places in enumerate(places.of_groups()):
        weights = w[group * columns : (group + 1) * columns]
        if integer_matmul.serves(circuit, places.depth):
            integer_matmul.run(circuit, x, weights, out, group_places, threads)
        else:
            _integer_matmul(circuit, x, weights, out, group_places)


def _layout(circuit: FloatCircuit, x: Array, places: Places, columns: int) -> str:
    if windows_pay(x, places, columns):
        return "windows"
    if columns_pay(circuit, x, places, columns):
        return "columns"
    return lane_layout(places.rows, places.depth, columns, places.groups)


def _run_padded(
    circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, padding: Padding, threads: int | None
) -> bool:
    if circuit.float_format is None:
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
    out.reshape(-1)[places.out_at[:, None] + np.arange(len(w)) * places.out_step] = sums
