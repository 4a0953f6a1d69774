"""Float products and matrix products of a circuit, with operands checked: what designs and users call.

Backends without float kernels compute mantissa products as integers and assemble the floats around them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine.backends.backend import FASTEST, FloatProducts, find_backend
from circuits.engine.blocks import BLOCK
from circuits.engine.device.tensor_kinds import contiguous, empty, on_cuda
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.float_conversion import to_format
from circuits.engine.integer_operations import check, choose_backend, product_words
from circuits.engine.integer_operations import multiply as multiply_integers
from circuits.engine.matrix_products.element_places import Places, places_of_rows
from circuits.engine.matrix_products.gathering import gathered_matmul
from circuits.engine.multiplier_circuit import MultiplierCircuit, code_dtype, sum_dtype
from circuits.errors import DesignError
from circuits.floats import arithmetic

Array = NDArray[np.float32]
_PRODUCTS_AT_ONCE = 1 << 17  # 512 KB of float32


def multiply(circuit: FloatCircuit, x: ArrayLike, w: ArrayLike, *, backend: str = "auto") -> Array:
    """Elementwise products (broadcast), float32; see Design.multiply."""
    left, right = _float32(x, "x"), _float32(w, "w")
    # Backends without a float kernel of their own assemble float32 with subnormals flushed, and nothing else.
    plain = circuit.format == "float32" and circuit.subnormals == "flush"
    backend = FASTEST if backend == "auto" else choose_backend(backend, circuit.program(), left.size)
    if not plain and not find_backend(backend).float_products:
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
    if not plain:
        left, right = (to_format(circuit, np.ascontiguousarray(values)) for values in (left, right))
    left, right = np.broadcast_arrays(left, right)
    out = np.empty(left.size, dtype=np.float32)
    products = _float_products(circuit, backend)
    products(np.ascontiguousarray(left).reshape(-1), np.ascontiguousarray(right).reshape(-1), out)
    return out.reshape(left.shape)


def matmul(
    circuit: MultiplierCircuit, x: ArrayLike, w: ArrayLike, *, method: str = "auto", threads: int | None = None
) -> NDArray[Any]:
    """x [M, K] @ w [K, N] -> [M, N]: bit-accurate products, first operand = activation, second = weight.

    Float designs: float32 in and out, accumulated in float32 in ascending k from +0. Integer designs: codes within the
    design's widths, and their exact sums, int32 where no operands can make them overflow, else int64. `method`: a name
    in `product_methods.METHODS` or "auto". The result depends neither on it nor on `threads` (default: all cores) nor
    on how the rows are split into calls. Two CUDA tensors of torch give one, computed on their device. Raises
    DesignError on shapes that do not fit and on codes out of range.
    """
    if on_cuda(x) != on_cuda(w):
        raise DesignError("x and w must both be CUDA tensors or neither, but one is; move the other one.")
    if circuit.float_format is None:
        left, right = _codes(circuit, x, "x", 0), _codes(circuit, w, "w", 1)
    else:
        left, right = _float32(x, "x"), _float32(w, "w")
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        raise DesignError(
            f"x must be [M, K] and w [K, N] with equal K, but got shapes {left.shape} and {right.shape}; reshape them."
        )
    rows, depth = left.shape
    columns = right.shape[1]
    dtype = np.float32 if circuit.float_format is not None else sum_dtype(circuit, depth)
    out: NDArray[Any] = empty(left, (rows, columns), dtype)
    left, right = contiguous(left), contiguous(right.T)
    gathered_matmul(circuit, left, right, out, _kept_places(rows, depth, columns), method=method, threads=threads)
    return out


@lru_cache(maxsize=16)
def _kept_places(rows: int, depth: int, columns: int) -> Places:
    """`places_of_rows`, kept for the next product with what kernels prepare for them, or copy to a device.

    That takes a tenth of the time of a linear layer of codes of 8 bits, and longer than many small products.
    """
    return places_of_rows(rows, depth, columns)


def _codes(circuit: MultiplierCircuit, values: ArrayLike, name: str, operand: int) -> Any:
    dtype = code_dtype(circuit.shape[operand], circuit.signed)
    if on_cuda(values):
        tensor: Any = values
        # Two values have the range of all; an array of none has their dtype.
        integers = not (tensor.is_floating_point() or tensor.is_complex())
        # Devices cannot compare unsigned integers of more than 8 bits.
        wide = tensor.long() if integers else tensor
        extremes = [int(wide.min()), int(wide.max())] if integers and tensor.numel() else tensor[:0].cpu()
        check(np.asarray(extremes), name, circuit.shape[operand], circuit.signed)
        return contiguous(tensor, dtype)
    array = np.asarray(values)
    # Codes that fill their dtype are in range whatever they are, and looking at them would cost part of the products.
    if array.dtype != dtype or circuit.shape[operand] < 8 * array.itemsize:
        check(array, name, circuit.shape[operand], circuit.signed)
    return array.astype(dtype, copy=False)


def _float_products(circuit: FloatCircuit, backend: str) -> FloatProducts:
    """Products by the backend's own way, or around its integer products."""
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


def _float32(values: ArrayLike, name: str) -> Any:
    if on_cuda(values):
        return contiguous(values, np.float32)
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DesignError(f"{name} must hold real numbers, but has dtype {array.dtype}; convert it to float32.")
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)
