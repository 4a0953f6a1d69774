"""Matrix products whose products are looked up in a table that the gates fill once.

Every kernel reads codes: bytes for integers and floats of at most 8 bits, the upper halves of float32 for floats of at
most 7 fraction bits. All give the same sums; which one runs is a matter of speed alone:

    formats with fractions    permutations of a row of half products in registers, exponents added; if a product might
                              leave the normal range, or the processor has no byte permutations, the gates
    many rows                 a row of the table for each weight, expanded once for all rows and several columns
    byte permutations         permutations of byte planes of the table, 64 codes at a time; operands are exchanged where
                              columns fill the lanes better than rows
    anything else             one look-up a product

Two rules keep the sums right. A table of integers is stored less its smallest entry (or half its range), and the kernel
adds that constant times the depth to every sum. `zeros` says of which operands a zero must be treated apart, since the
table of fractions holds no product with 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.llvm.jit import Target
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.product_methods import ProductMethod, find_method
from circuits.engine.matrix_products.table_rows import prepared_rows
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.table_kernels.expanded_kernel import COLUMNS, expanded_kernel, expanded_scratch_bytes
from circuits.engine.table_kernels.float_codes import code_bits, encode, is_small
from circuits.engine.table_kernels.fraction_codes import fraction_codes
from circuits.engine.table_kernels.kernel_calls import TableKernel, run_kernel
from circuits.engine.table_kernels.operand_exchange import exchanged_operands, exchanged_places
from circuits.engine.table_kernels.permutation_kernel import Terms, lookup_cost, permutation_kernel, scratch_bytes
from circuits.engine.table_kernels.permuted_floats import SmallFloatTerms
from circuits.engine.table_kernels.permuted_fractions import FractionTerms
from circuits.engine.table_kernels.permuted_integers import IntegerTerms
from circuits.engine.table_kernels.scalar_kernel import scalar_kernel
from circuits.engine.table_kernels.table_images import (
    HalfImage,
    float_planes,
    fraction_image,
    half_table,
    integer_planes,
    segments_for,
    word_table,
)
from circuits.engine.table_kernels.word_entries import WordEntries

Array = NDArray[Any]
_CODE_BITS = 8
_FRACTION_BITS = 7
_SUMS = {"int32": "i32", "int64": "i64", "float32": "float"}
_TINY_PRODUCT = 1 << 12
"""Products below which nothing pays but looking them up one by one."""
_COLUMNS_TO_SHARE = 32
_MANY_COLUMNS = 4
"""Columns from which on an expanded table serves them together."""


Zeros = tuple[bool, bool]
"""Whether zeros may be among the operands of the kernel, the one in lanes first."""


def _many_rows(circuit: MultiplierCircuit, target: Target) -> int:
    """Rows that repay expanding the table: measured against the other kernel of that processor."""
    if not target.byte_permutations:
        return 64
    return 1024 if circuit.float_format is None else 512


def _widths_in_use(circuit: MultiplierCircuit, x: Array, w: Array) -> tuple[int, int]:
    """Bits that the codes of x and w use: 7 of 8 integer bits where bit 7 is 0 in all, as behind a ReLU."""
    if circuit.float_format is not None:
        return _CODE_BITS, _CODE_BITS
    x_width, w_width = (
        7 if width == _CODE_BITS and int(codes.view(np.uint8).max()) < 1 << 7 else width
        for codes, width in zip((x, w), circuit.shape, strict=True)
    )
    return x_width, w_width


def _refusal(circuit: MultiplierCircuit) -> str:
    fmt = circuit.float_format
    if fmt is not None:
        if not is_small(fmt) and fmt.fraction_bits > _FRACTION_BITS:
            return (
                f"needs a format of at most {_CODE_BITS} bits or {_FRACTION_BITS} fraction bits, but {fmt.name} has "
                f"{code_bits(fmt)} and {fmt.fraction_bits}"
            )
        return ""
    if max(circuit.shape) > _CODE_BITS:
        return f"needs operands of at most {_CODE_BITS} bits, but the design is {circuit.shape[0]}x{circuit.shape[1]}"
    return ""


def _run(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    fmt, target, together, zeros = circuit.float_format, Target.host(), 1, (True, True)
    fractions = fmt is not None and not is_small(fmt)
    if fractions:
        codes = _normal_codes(circuit, x, w) if target.byte_permutations else None
        if codes is None:
            find_method("gate").run(circuit, x, w, out, places, threads)
            return
        x, w, zeros = codes
    elif fmt is not None:
        x, w = encode(circuit, x), encode(circuit, w)
    columns = len(w) // places.groups
    tiny = not fractions and places.rows * w.size < _TINY_PRODUCT
    permuted = target.byte_permutations and not tiny
    widths = _widths_in_use(circuit, x, w) if permuted else (_CODE_BITS, _CODE_BITS)
    width = widths[0]
    costs = lookup_cost(segments_for(width)), lookup_cost(segments_for(widths[1]))
    exchanged = exchanged_places(places, columns, costs) if permuted else None
    many = not fractions and places.rows >= _many_rows(circuit, target) and columns >= _MANY_COLUMNS
    # Rows of half a table beat expanding it where enough columns share what is gathered.
    expanded = many and not (width < _CODE_BITS and columns >= _COLUMNS_TO_SHARE)
    halves = half_table(circuit) if expanded else None
    if halves is not None:
        kernel, together = _expanded(halves, out, places.depth), COLUMNS
    elif permuted:
        if exchanged is not None:
            x, w = exchanged_operands(x, w, places)
            places, zeros, width = exchanged, zeros[::-1], widths[1]
        kernel = _permuted(circuit, out, places.depth, exchanged is not None, zeros, width)
    else:
        entries = WordEntries(_SUMS[out.dtype.name])
        kernel = TableKernel(scalar_kernel(entries, target), _no_scratch, word_table(circuit), 0)
    run_kernel(kernel, x, w, out, places, threads, together=together)


def _normal_codes(circuit: MultiplierCircuit, x: Array, w: Array) -> tuple[Array, Array, Zeros] | None:
    """The upper halves of x and w; None where a product of them might leave the format's normal range, zeros aside.

    With unbiased exponents e, a product's lies between e_x + e_w and e_x + e_w + `raised`.
    """
    fmt = circuit.float_format
    assert fmt is not None
    (x_codes, x_range), (w_codes, w_range) = fraction_codes(circuit, x), fraction_codes(circuit, w)
    if max(x_range.greatest, w_range.greatest) == 255 or min(x_range.least, w_range.least) == 0:
        return None
    lowest, highest = x_range.least + w_range.least - 2 * 127, x_range.greatest + w_range.greatest - 2 * 127
    top, raised = (1 << fmt.exponent_bits) - 2 - fmt.bias, fraction_image(circuit).raised
    if lowest < fmt.minimum_exponent or highest + raised > top:
        return None
    # The kernel multiplies entries by the power of two in x before that in w; those in lanes may be either.
    if max(x_range.greatest, w_range.greatest) + raised >= 255:
        return None
    return x_codes, w_codes, (x_range.zeros, w_range.zeros)


def _no_scratch(rows: int, columns: int) -> int:
    return 0


def _expanded(image: HalfImage, out: Array, depth: int) -> TableKernel:
    entries = WordEntries(_SUMS[out.dtype.name])
    return TableKernel(
        expanded_kernel(entries, Target.host()),
        lambda rows, columns: expanded_scratch_bytes(entries, rows),
        image.entries,
        image.constant * depth,
    )


def _permuted(
    circuit: MultiplierCircuit, out: Array, depth: int, exchanged: bool, zeros: Zeros, width: int
) -> TableKernel:
    terms: Terms
    planes, constant = None, 0
    if circuit.float_format is None:
        image = integer_planes(circuit, exchanged, width)
        terms = IntegerTerms(image.plane_count, image.segments, _SUMS[out.dtype.name])
        planes, constant = image.planes, image.smallest * depth
    elif is_small(circuit.float_format):
        image = float_planes(circuit, exchanged)
        terms, planes = SmallFloatTerms(image.segments, image.signs_apart), image.planes
    else:
        fractions = fraction_image(circuit, exchanged)
        terms, planes = FractionTerms(fractions.plane_count, zeros[0]), fractions.planes
    kernel = permutation_kernel(terms, Target.host())
    return TableKernel(kernel, lambda rows, columns: scratch_bytes(terms, depth, columns), planes, constant)


METHOD = ProductMethod(_refusal, _run, prepared_rows)
