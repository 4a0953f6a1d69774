"""Integer products of a two-operand program, through the compiled gates and the integer kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine.compiled import BLOCK, compile_program
from circuits.engine.integer_kernel import LIMB, integer_kernel, limbs, scratch_bytes
from circuits.errors import DesignError
from circuits.program import Program

_BLOCKS_AT_ONCE = 128  # operands and products of 65,536 lanes stay in the second-level cache


def multiply(program: Program, x: ArrayLike, y: ArrayLike, *, signed: bool = False) -> NDArray[Any]:
    """The `product` bus of `program` (broadcast); `signed`: two's complement. See Design.multiply_integers."""
    (x_name, x_width), (y_name, y_width) = program.inputs.items()
    bits = len(program.results)
    left, right = np.broadcast_arrays(_checked(x, x_name, x_width, signed), _checked(y, y_name, y_width, signed))
    gates = compile_program(program)
    kernel = integer_kernel((x_width, y_width), bits)
    scratch = np.empty(scratch_bytes((x_width, y_width), bits), dtype=np.uint8)
    product = np.empty(left.shape, dtype=np.uint64 if bits <= 2 * LIMB else object)
    flat = product.reshape(-1)
    lanes = max(1, min(_BLOCKS_AT_ONCE, -(-left.size // BLOCK))) * BLOCK
    x_words, y_words, words = (np.zeros((limbs(width), lanes), np.uint32) for width in (x_width, y_width, bits))
    for start in range(0, left.size, lanes):
        count = min(lanes, left.size - start)
        _split(left, start, count, x_words)
        _split(right, start, count, y_words)
        addresses = (array.ctypes.data for array in (x_words, y_words, words))
        kernel(gates.gates_address, *addresses, -(-count // BLOCK), lanes, scratch.ctypes.data)
        part = words[:, :count].astype(product.dtype)
        flat[start : start + count] = sum(limb << LIMB * k for k, limb in enumerate(part))
    if not signed:
        return product
    if bits <= 2 * LIMB:
        unused = np.int64(2 * LIMB - bits)
        return np.asarray(product.view(np.int64) << unused >> unused)
    return np.asarray(product - ((product >> (bits - 1)) << bits))


def narrow_products(
    program: Program, x: NDArray[np.uint32], y: NDArray[np.uint32], *, out: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """uint32 [n] products of operands uint32 [n] in range, of a program with up to 32 product bits.

    They are in `out` where n is a multiple of 512. All arrays are C-contiguous.
    """
    (_, x_width), (_, y_width) = program.inputs.items()
    bits = len(program.results)
    count, lanes = x.size, -(-x.size // BLOCK) * BLOCK
    if lanes != count:
        x, y = (np.concatenate([values, np.zeros(lanes - count, np.uint32)]) for values in (x, y))
    product = out if lanes == count else np.empty(lanes, dtype=np.uint32)
    scratch = np.empty(scratch_bytes((x_width, y_width), bits), dtype=np.uint8)
    addresses = (array.ctypes.data for array in (x, y, product))
    integer_kernel((x_width, y_width), bits)(
        compile_program(program).gates_address, *addresses, lanes // BLOCK, lanes, scratch.ctypes.data
    )
    return product[:count]


def _split(values: NDArray[np.uint64], start: int, count: int, words: NDArray[np.uint32]) -> None:
    """Limbs of `count` values into `words`."""
    part = (
        values.reshape(-1)[start : start + count] if values.flags.c_contiguous else values.flat[start : start + count]
    )
    for number, limb in enumerate(words):
        limb[:count] = part >> np.uint64(LIMB * number)


def _checked(values: ArrayLike, name: str, width: int, signed: bool) -> NDArray[np.uint64]:
    """`values` as uint64, two's complement of `width` bits if signed."""
    array = np.asarray(values)
    if array.dtype.kind not in "uib" and not (
        array.dtype == object and all(isinstance(v, (int, np.integer)) for v in array.ravel())
    ):
        raise DesignError(f"operand {name} must hold integers, but has dtype {array.dtype}; convert it.")
    least, beyond = (-(1 << width - 1), 1 << width - 1) if signed else (0, 1 << width)
    if array.size and (int(array.min()) < least or int(array.max()) >= beyond):
        bad = int(array.min()) if int(array.min()) < least else int(array.max())
        limits = f"-2^{width - 1} <= {name} < 2^{width - 1}" if signed else f"0 <= {name} < 2^{width}"
        raise DesignError(f"{limits} must hold, but got {bad}; mask the operand.")
    if signed:
        array = array.astype(np.int64)
    return array.astype(np.uint64) & np.uint64((1 << width) - 1)
