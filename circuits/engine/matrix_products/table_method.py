"""Matrix products whose products are looked up in a table that the gates fill once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.product_methods import ProductMethod
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.table_kernels import table_images
from circuits.engine.table_kernels.float_codes import code_bits, encode
from circuits.engine.table_kernels.kernel_calls import run_kernel
from circuits.engine.table_kernels.permutation_kernel import Terms, permutation_kernel, scratch_bytes
from circuits.engine.table_kernels.permuted_floats import SmallFloatTerms
from circuits.engine.table_kernels.permuted_integers import IntegerTerms

Array = NDArray[Any]
_CODE_BITS = 8


def _refusal(circuit: MultiplierCircuit) -> str:
    fmt = circuit.float_format
    if fmt is not None:
        if code_bits(fmt) > _CODE_BITS:
            return f"needs a format of at most {_CODE_BITS} bits, but {fmt.name} has {code_bits(fmt)}"
        return ""
    if max(circuit.shape) > _CODE_BITS:
        return f"needs operands of at most {_CODE_BITS} bits, but the design is {circuit.shape[0]}x{circuit.shape[1]}"
    return ""


def _run(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    terms: Terms
    if circuit.float_format is not None:
        image = table_images.float_planes(circuit)
        terms = SmallFloatTerms(image.segments)
        x, w = encode(circuit, x), encode(circuit, w)
    else:
        image = table_images.integer_planes(circuit)
        terms = IntegerTerms(image.plane_count, image.segments, "i64" if out.dtype == np.int64 else "i32")
    run_kernel(
        permutation_kernel(terms),
        lambda columns: scratch_bytes(terms, places.depth, columns),
        image.planes,
        x,
        w,
        out,
        places,
        image.smallest * places.depth,
        threads,
    )


METHOD = ProductMethod(_refusal, _run)
