"""Float products and matrix products of a circuit, with operands checked: what designs and users call.

Float32 with subnormals flushed has compiled kernels. Other formats, and backends without float kernels, compute
mantissa products as integers and assemble the floats around them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine.backends.backend import FASTEST, FloatProducts, find_backend
from circuits.engine.blocks import BLOCK
from circuits.engine.float_circuit import FloatCircuit, has_kernel
from circuits.engine.integer_operations import choose_backend, product_words
from circuits.engine.integer_operations import multiply as multiply_integers
from circuits.engine.matrix_products.gathering import gathered_matmul
from circuits.engine.matrix_products.narrow_matmul import places_of_rows, prepared_rows
from circuits.errors import DesignError
from circuits.floats import arithmetic

Array = NDArray[np.float32]
_PRODUCTS_AT_ONCE = 1 << 17  # 512 KB of float32


def multiply(circuit: FloatCircuit, x: ArrayLike, w: ArrayLike, *, backend: str = "auto") -> Array:
    """Elementwise products (broadcast), float32; see Design.multiply."""
    left, right = _float32(x, "x"), _float32(w, "w")
    has_kernels = has_kernel(circuit)
    if backend == "auto" and has_kernels:
        backend = FASTEST
    else:
        backend = choose_backend(backend, circuit.program(), max(left.size, right.size))
    if not has_kernels:
        fmt = circuit.float_format
        assert fmt is not None
        return arithmetic.multiply(
            fmt,
            left,
            right,
            lambda a, b: multiply_integers(circuit.program(), a, b, backend=backend),
            rounding=circuit.rounding,
            normalization=circuit.normalization,
            subnormals=str(circuit.subnormals),
        )
    left, right = np.broadcast_arrays(left, right)
    out = np.empty(left.size, dtype=np.float32)
    products = _float_products(circuit, backend)
    products(np.ascontiguousarray(left).reshape(-1), np.ascontiguousarray(right).reshape(-1), out)
    return out.reshape(left.shape)


def matmul(circuit: FloatCircuit, x: ArrayLike, w: ArrayLike, *, threads: int | None = None) -> Array:
    """x [M, K] @ w [K, N] -> float32 [M, N]: bit-accurate products, accumulated in float32 in ascending k from +0.

    The result does not depend on `threads` (default: all cores) nor on how the rows are split into calls.
    First operand = activation, second = weight. Raises DesignError on shapes that do not fit, and for integer designs.
    """
    if circuit.float_format is None:
        raise DesignError(
            "matmul needs a float format, but got format=None; multiply_integers gives the products of integers to sum."
        )
    left, right = _float32(x, "x"), _float32(w, "w")
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        raise DesignError(
            f"x must be [M, K] and w [K, N] with equal K, but got shapes {left.shape} and {right.shape}; reshape them."
        )
    rows, depth = left.shape
    columns = right.shape[1]
    out = np.empty((rows, columns), dtype=np.float32)
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right.T)
    narrow = prepared_rows(circuit, rows, depth, columns)
    if narrow is not None:
        narrow.run(left.ctypes.data, right.ctypes.data, None, out.ctypes.data, threads)
    else:
        gathered_matmul(circuit, left, right, out, places_of_rows(rows, depth, columns), threads=threads)
    return out


def _float_products(circuit: FloatCircuit, backend: str) -> FloatProducts:
    """Products of a circuit with `has_kernel`: the backend's own way, or around its integer products."""
    own_way = find_backend(backend).float_products
    return _assembled_products(circuit, backend) if own_way is None else own_way(circuit)


def _assembled_products(circuit: FloatCircuit, backend: str) -> FloatProducts:
    """Float products around the mantissa products of a backend without a float kernel."""
    from circuits.engine import float_assembly

    mantissa_products = product_words(circuit.program(), backend)
    nearest, released = circuit.rounding == "nearest_even", circuit.normalization == "released"

    def multiply_chunk(x: NDArray[np.uint32], w: NDArray[np.uint32], out: NDArray[np.uint32]) -> None:
        words = np.zeros((4, -(-x.size // BLOCK) * BLOCK), dtype=np.uint32)  # x, w, and two limbs of products
        for values, mantissas in zip((x, w), words[:2, : x.size], strict=True):
            float_assembly.mantissas(values, mantissas)
        mantissa_products(words[0:1], words[1:2], words[2:4])
        float_assembly.assemble(x, w, words[2:4], nearest, released, out)

    def multiply_all(x: Array, w: Array, out: Array) -> None:
        for start in range(0, out.size, _PRODUCTS_AT_ONCE):
            x_words, w_words, words = (a[start : start + _PRODUCTS_AT_ONCE].view(np.uint32) for a in (x, w, out))
            multiply_chunk(x_words, w_words, words)

    return multiply_all


def _float32(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DesignError(f"{name} must hold real numbers, but has dtype {array.dtype}; convert it to float32.")
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)
