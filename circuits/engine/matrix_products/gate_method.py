"""Matrix products through the circuit's gates: every circuit is served, most by compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit, has_kernel
from circuits.engine.float_conversion import to_format
from circuits.engine.matrix_products import integer_matmul, narrow_matmul, wide_matmul
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.product_methods import ProductMethod
from circuits.engine.multiplier_circuit import MultiplierCircuit

Array = NDArray[Any]


def _run(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    columns = len(w) // places.groups
    served = has_kernel(circuit)
    if circuit.float_format is not None:
        x, w = to_format(circuit, x), to_format(circuit, w)
        # The kernel for many rows also has a mode for products that all stay normal, and takes it then.
        normal = served or wide_matmul.products_stay_normal(x, w, *wide_matmul.normal_range(circuit))
    for group, group_places in enumerate(places.of_groups()):
        weights = w[group * columns : (group + 1) * columns]
        if circuit.float_format is None:
            if integer_matmul.serves(circuit, places.depth):
                integer_matmul.run(circuit, x, weights, out, group_places, threads)
            else:
                _integer_matmul(circuit, x, weights, out, group_places)
        elif not normal:
            _matmul_without_kernel(circuit, x, weights, out, group_places)
        elif served and narrow_matmul.is_narrow(places.rows, places.depth, columns):
            narrow = narrow_matmul.prepared_places(circuit, group_places, columns)
            narrow.run(x.ctypes.data, weights.ctypes.data, None, out.ctypes.data, threads)
        else:
            wide_matmul.run_wide(circuit, x, weights, out, group_places, threads)


METHOD = ProductMethod(lambda circuit: "", _run, narrow_matmul.prepared_rows)


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
