"""Integer products of a two-operand program, by any backend; operands and products travel as limbs (`blocks`)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine.backends.backend import FASTEST, MODULES, NEVER_COMPILES, IntegerProducts, Words, find_backend
from circuits.engine.blocks import BLOCK, LIMB, limbs
from circuits.engine.simulation import simulate
from circuits.errors import DesignError, unknown_name
from circuits.netlists.lut_program import Program

_BLOCKS_AT_ONCE = 128  # operands and products of 65,536 lanes stay in the second-level cache
_LONG_PROGRAM = 4000  # operations that take about a second to compile
_LONG_RUN = 10**10  # operations times lanes that take about as long interpreted


def choose_backend(backend: str, program: Program, lanes: int, *, otherwise: str = FASTEST) -> str:
    """`backend`, or for "auto" the backend that is likely to finish `lanes` evaluations of `program` first.

    A long program is interpreted, because compiling it would take longer than running it, unless there is much to run;
    a short one is run by `otherwise`, or compiled where there is much to run. Raises UnknownNameError.
    """
    if backend not in ("auto", *MODULES):
        raise unknown_name("backend", str(backend), ("auto", *MODULES))
    if backend != "auto":
        return backend
    if len(program) * lanes > _LONG_RUN:
        return FASTEST
    return NEVER_COMPILES if len(program) > _LONG_PROGRAM else otherwise


def multiply(
    program: Program, x: ArrayLike, y: ArrayLike, *, signed: bool = False, backend: str = "auto"
) -> NDArray[Any]:
    """Bus `product` of `program` for operands x and y (broadcast); `signed`: all in two's complement.

    uint64 or int64 for products of up to 64 bits, Python integers (dtype object) beyond. See Design.multiply_integers.
    """
    (x_name, x_width), (y_name, y_width) = program.inputs.items()
    bits = len(program.results)
    left, right = np.broadcast_arrays(_checked(x, x_name, x_width, signed), _checked(y, y_name, y_width, signed))
    multiply_words = product_words(program, choose_backend(backend, program, left.size))
    product = np.empty(left.shape, dtype=np.uint64 if bits <= 2 * LIMB else object)
    flat = product.reshape(-1)
    lanes = max(1, min(_BLOCKS_AT_ONCE, -(-left.size // BLOCK))) * BLOCK
    x_words, y_words, words = (np.zeros((limbs(width), lanes), np.uint32) for width in (x_width, y_width, bits))
    for start in range(0, left.size, lanes):
        count = min(lanes, left.size - start)
        _split(left, start, count, x_words)
        _split(right, start, count, y_words)
        multiply_words(x_words, y_words, words)
        chunk = words[:, :count].astype(product.dtype)
        flat[start : start + count] = sum(limb << LIMB * k for k, limb in enumerate(chunk))
    if not signed:
        return product
    # The product's sign bit, bit bits - 1, is spread over the bits above it.
    if bits <= 2 * LIMB:
        unused = np.int64(2 * LIMB - bits)
        return np.asarray(product.view(np.int64) << unused >> unused)
    return np.asarray(product - ((product >> (bits - 1)) << bits))


def product_words(program: Program, backend: str) -> IntegerProducts:
    """products(x, y, out) of the program's two operands, by a backend's own way or through bit-planes.

    Limbs of operands and products, C-contiguous uint32 [limbs, lanes], lanes a multiple of 512. Operand bits from the
    width up are ignored. It may run in several threads at once.
    """
    own_way = find_backend(backend).integer_products
    return partial(_by_planes, program, backend) if own_way is None else own_way(program)


def _by_planes(program: Program, backend: str, x: Words, y: Words, out: Words) -> None:
    from circuits.engine.word_planes import planes_to_words, words_to_planes

    widths = list(program.inputs.values())
    planes = np.empty((sum(widths), x.shape[1] // LIMB), dtype=np.uint32)
    words_to_planes(x, widths[0], planes[: widths[0]])
    words_to_planes(y, widths[1], planes[widths[0] :])
    planes_to_words(simulate(program, planes.view(np.uint64), backend).view(np.uint32), out)


def _split(values: NDArray[np.uint64], start: int, count: int, words: Words) -> None:
    """Writes the limbs of values start .. start + count - 1 into `words`."""
    chunk = (
        values.reshape(-1)[start : start + count] if values.flags.c_contiguous else values.flat[start : start + count]
    )
    for number, limb in enumerate(words):
        limb[:count] = chunk >> np.uint64(LIMB * number)


def check(array: NDArray[Any], name: str, width: int, signed: bool) -> None:
    """Raises DesignError unless `array` holds integers of `width` bits."""
    if array.dtype.kind not in "uib" and not (
        array.dtype == object and all(isinstance(v, (int, np.integer)) for v in array.ravel())
    ):
        raise DesignError(f"operand {name} must hold integers, but has dtype {array.dtype}; convert it.")
    least, beyond = (-(1 << width - 1), 1 << width - 1) if signed else (0, 1 << width)
    if array.size and (int(array.min()) < least or int(array.max()) >= beyond):
        bad = int(array.min()) if int(array.min()) < least else int(array.max())
        limits = f"-2^{width - 1} <= {name} < 2^{width - 1}" if signed else f"0 <= {name} < 2^{width}"
        raise DesignError(f"{limits} must hold, but got {bad}; mask the operand.")


def _checked(values: ArrayLike, name: str, width: int, signed: bool) -> NDArray[np.uint64]:
    """`values` as uint64, in two's complement of `width` bits if signed. Raises DesignError unless they fit."""
    array = np.asarray(values)
    check(array, name, width, signed)
    if signed:
        array = array.astype(np.int64)
    return array.astype(np.uint64) & np.uint64((1 << width) - 1)
