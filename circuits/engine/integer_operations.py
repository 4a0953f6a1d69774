"""Integer products of a two-operand program, by any backend.

Operands and products travel as limbs, arrays of uint32, the least significant first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine import BACKENDS, simulate
from circuits.engine.backends.compiled import BLOCK, compile_program
from circuits.engine.llvm.integer_kernel import LIMB, integer_kernel, limbs, scratch_bytes
from circuits.errors import DesignError, unknown_name
from circuits.netlists.lut_program import Program

_BLOCKS_AT_ONCE = 128  # operands and products of 65,536 lanes stay in the second-level cache
_LONG_PROGRAM = 4000  # operations that take about a second to compile
_LONG_RUN = 10**10  # operations times lanes that take about as long interpreted

Words = NDArray[np.uint32]


def choose_backend(backend: str, program: Program, lanes: int, *, otherwise: str = "compiled") -> str:
    """`backend`, or for "auto": "interpreted" where compiling a long program would cost more than running it.

    `otherwise`: what "auto" means for programs that compile fast. Raises UnknownNameError.
    """
    if backend not in ("auto", *BACKENDS):
        raise unknown_name("backend", str(backend), ("auto", *BACKENDS))
    if backend != "auto":
        return backend
    if len(program) * lanes > _LONG_RUN:
        return "compiled"
    return "interpreted" if len(program) > _LONG_PROGRAM else otherwise


def multiply(
    program: Program, x: ArrayLike, y: ArrayLike, *, signed: bool = False, backend: str = "auto"
) -> NDArray[Any]:
    """The `product` bus of `program` (broadcast); `signed`: two's complement. See Design.multiply_integers."""
    (x_name, x_width), (y_name, y_width) = program.inputs.items()
    bits = len(program.results)
    left, right = np.broadcast_arrays(_checked(x, x_name, x_width, signed), _checked(y, y_name, y_width, signed))
    run = product_words(program, choose_backend(backend, program, left.size))
    product = np.empty(left.shape, dtype=np.uint64 if bits <= 2 * LIMB else object)
    flat = product.reshape(-1)
    lanes = max(1, min(_BLOCKS_AT_ONCE, -(-left.size // BLOCK))) * BLOCK
    x_words, y_words, words = (np.zeros((limbs(width), lanes), np.uint32) for width in (x_width, y_width, bits))
    for start in range(0, left.size, lanes):
        count = min(lanes, left.size - start)
        _split(left, start, count, x_words)
        _split(right, start, count, y_words)
        run(x_words, y_words, words)
        part = words[:, :count].astype(product.dtype)
        flat[start : start + count] = sum(limb << LIMB * k for k, limb in enumerate(part))
    if not signed:
        return product
    if bits <= 2 * LIMB:
        unused = np.int64(2 * LIMB - bits)
        return np.asarray(product.view(np.int64) << unused >> unused)
    return np.asarray(product - ((product >> (bits - 1)) << bits))


def product_words(program: Program, backend: str) -> Callable[[Words, Words, Words], None]:
    """run(x, y, out): limbs of operands and products, C-contiguous [limbs, lanes], lanes a multiple of 512.

    Operand bits from the width up are ignored. It may run in several threads at once.
    """
    (_, x_width), (_, y_width) = program.inputs.items()
    if backend != "compiled":
        return partial(_by_planes, program, backend)
    widths, bits = (x_width, y_width), len(program.results)
    gates, kernel, size = compile_program(program), integer_kernel(widths, bits), scratch_bytes(widths, bits)

    def run(x: Words, y: Words, out: Words) -> None:
        scratch = np.empty(size, dtype=np.uint8)
        addresses = (array.ctypes.data for array in (x, y, out))
        kernel(gates.gates_address, *addresses, x.shape[1] // BLOCK, x.shape[1], scratch.ctypes.data)

    return run


def _by_planes(program: Program, backend: str, x: Words, y: Words, out: Words) -> None:
    from circuits.engine.word_planes import planes_to_words, words_to_planes

    widths = list(program.inputs.values())
    planes = np.empty((sum(widths), x.shape[1] // LIMB), dtype=np.uint32)
    words_to_planes(x, widths[0], planes[: widths[0]])
    words_to_planes(y, widths[1], planes[widths[0] :])
    planes_to_words(simulate(program, planes.view(np.uint64), backend).view(np.uint32), out)


def _split(values: NDArray[np.uint64], start: int, count: int, words: Words) -> None:
    """Limbs of `count` values into `words`."""
    part = (
        values.reshape(-1)[start : start + count] if values.flags.c_contiguous else values.flat[start : start + count]
    )
    for number, limb in enumerate(words):
        limb[:count] = part >> np.uint64(LIMB * number)


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
    """`values` as uint64, two's complement of `width` bits if signed."""
    array = np.asarray(values)
    check(array, name, width, signed)
    if signed:
        array = array.astype(np.int64)
    return array.astype(np.uint64) & np.uint64((1 << width) - 1)
