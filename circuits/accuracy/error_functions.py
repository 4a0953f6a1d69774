"""Errors of a design on a chunk of operand pairs: one function for each kind of operands and products.

    float32 format, finite and normal   one pass over the float32 products       (`exact_sums.errors_of_floats`)
    other floats                        the definitions, in float64
    integers, product up to 62 bits     one pass over the product's words        (`exact_sums.errors_of_integers`)
    wider integers                      Python's integers

The exact product p of two float32 numbers has at most 48 significant bits, so it is a float64 without rounding; e is
computed as p~ - p in float64 and rounded only where it needs more than 53 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.sampling import Plan
from circuits.designs.design_record import Design
from circuits.engine import integer_operations
from circuits.engine.blocks import BLOCK, LIMB, limbs
from circuits.engine.scratch import scratch_array
from circuits.floats import arithmetic

Reals = NDArray[np.float64]

_WORD_PRODUCT_BITS = 62
"""Widest product that `errors_of_integers` takes: the exact product of any two operands then fits int64 as well."""


class PairErrors(NamedTuple):
    """Errors and exact products of a chunk, float64, in arrays that the next call of the same thread reuses.

    `wrong`: how many results are wrong; None stands for the count of e != 0. `finite`: which results are finite; None
    stands for all.
    """

    e: Reals
    p: Reals
    wrong: int | None = None
    finite: NDArray[np.bool_] | None = None


ErrorFunction = Callable[[NDArray[Any], NDArray[Any]], PairErrors]
"""(first operands, second operands) -> their errors."""


def error_function(design: Design, plan: Plan, backend: str) -> ErrorFunction:
    """The error function of `design` for the operands of `plan`; `backend` as in `error_metrics`."""
    backend = integer_operations.choose_backend(backend, design.program(), plan.count, otherwise="interpreted")
    if design.float_format is not None:
        return lambda x, w: _float_errors(design, backend, x, w)
    if max(design.shape) <= LIMB and len(design.program().results) <= _WORD_PRODUCT_BITS:
        return _word_errors(design, plan, backend)
    return lambda x, w: _wide_errors(design, backend, x, w)


def _word_errors(design: Design, plan: Plan, backend: str) -> ErrorFunction:
    """Error function for integer operands of at most 32 bits, which the engine takes as uint32 words."""
    # Imported here because numba takes longer to import than all of this package.
    from circuits.accuracy import exact_sums

    program = design.program()
    run = integer_operations.product_words(program, backend)
    bits = len(program.results)

    def errors(x: NDArray[Any], w: NDArray[Any]) -> PairErrors:
        if plan.method == "trace":
            for values, name, width in zip((x, w), program.inputs, design.shape, strict=True):
                integer_operations.check(values, name, width, design.signed)
        if object in (x.dtype, w.dtype):
            x, w = x.astype(np.int64), w.astype(np.int64)
        words = [_whole_blocks(name, values) for name, values in (("x", x), ("y", w))]
        product = scratch_array("product", (2, words[0].shape[1]), np.uint32)
        product[limbs(bits) :] = 0
        run(words[0], words[1], product)
        e, p = scratch_array("errors", (2, x.size), np.float64)
        if bits <= LIMB and not design.signed:
            exact_sums.errors_of_narrow_integers(product[0], words[0][0], words[1][0], e, p)
        else:
            whole = (x.astype(np.int64, copy=False), w.astype(np.int64, copy=False))
            exact_sums.errors_of_integers(product, *whole, -bits if design.signed else bits, e, p)
        return PairErrors(e, p)

    return errors


def _whole_blocks(name: str, values: NDArray[Any]) -> NDArray[np.uint32]:
    """`values` as uint32 [1, lanes], padded to whole blocks of the engine; two's complement where negative."""
    lanes = -(-values.size // BLOCK) * BLOCK
    if values.dtype == np.uint32 and lanes == values.size:
        return values.reshape(1, lanes)
    words = scratch_array(name, (1, lanes), np.uint32)
    words[0, : values.size] = values
    return words


def _wide_errors(design: Design, backend: str, x: NDArray[Any], w: NDArray[Any]) -> PairErrors:
    """Errors of integer operands or products too wide for int64."""
    product = design.multiply_integers(x, w, backend=backend).astype(object)
    exact = x.astype(object) * w.astype(object)
    return PairErrors((product - exact).astype(np.float64), exact.astype(np.float64))


def _float_errors(design: Design, backend: str, x: NDArray[Any], w: NDArray[Any]) -> PairErrors:
    """Errors of float32 operands; a result is wrong unless it is the correctly rounded product in the format."""
    fmt = design.float_format
    assert fmt is not None
    result = design.multiply(x, w, backend=backend)
    if fmt.name == "float32":
        from circuits.accuracy.exact_sums import errors_of_floats

        e, p = scratch_array("errors", (2, x.size), np.float64)
        wrong_results, is_right = errors_of_floats(result, x, w, design.rounding == "nearest_even", e, p)
        if is_right:
            return PairErrors(e, p, wrong_results)
    result = result.astype(np.float64)
    exact = x.astype(np.float64) * w.astype(np.float64)
    correct = _correct_products(design, fmt, x, w, exact)
    finite = np.isfinite(result)
    wrong = result != correct
    if finite.all():
        return PairErrors(result - exact, exact, int(np.count_nonzero(wrong)))
    wrong &= ~(np.isnan(result) & np.isnan(correct))
    return PairErrors(result - exact, exact, int(np.count_nonzero(wrong)), finite)


def _correct_products(
    design: Design, fmt: arithmetic.FloatFormat, x: NDArray[Any], w: NDArray[Any], exact: Reals
) -> Reals:
    """What an exact multiplier of the format gives: operands converted first, their product rounded once."""
    rounding, subnormals = design.rounding, str(design.subnormals)
    # float32 operands are their own conversion, unless one of them is a subnormal that is flushed.
    flushed = subnormals == "flush" and min(np.abs(x).min(), np.abs(w).min()) < 2.0**-126
    if fmt.name != "float32" or flushed:
        with np.errstate(invalid="ignore"):
            converted = [arithmetic.quantize(fmt, v, rounding=rounding, subnormals=subnormals) for v in (x, w)]
            exact = converted[0].astype(np.float64) * converted[1]
    return arithmetic.round_product(fmt, exact, rounding=rounding, subnormals=subnormals)
