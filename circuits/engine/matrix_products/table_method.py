"""Matrix products whose products are looked up in a table that the gates fill once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.llvm.jit import Target
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.product_methods import ProductMethod, find_method
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.table_kernels.expanded_kernel import COLUMNS, expanded_kernel, expanded_scratch_bytes
from circuits.engine.table_kernels.float_codes import code_bits, encode, is_small
from circuits.engine.table_kernels.kernel_calls import run_kernel
from circuits.engine.table_kernels.operand_exchange import exchanged_operands, exchanged_places
from circuits.engine.table_kernels.permutation_kernel import Terms, permutation_kernel, scratch_bytes
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
    word_table,
)
from circuits.engine.table_kernels.word_entries import WordEntries
from circuits.floats.arithmetic import FloatFormat

Array = NDArray[Any]
_CODE_BITS = 8
_FRACTION_BITS = 7
_SUMS = {"int32": "i32", "int64": "i64", "float32": "float"}
_MANY_COLUMNS = 4
"""Columns from which on an expanded table serves them together."""


def _many_rows(circuit: MultiplierCircuit, target: Target) -> int:
    """Rows that repay expanding the table: measured against the other kernel of that processor."""
    if not target.byte_permutations:
        return 64
    return 1024 if circuit.float_format is None else 512


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
    fmt, target, together = circuit.float_format, Target.host(), 1
    fractions = fmt is not None and not is_small(fmt)
    if fmt is not None and (not fractions or target.byte_permutations):
        codes = encode(circuit, x), encode(circuit, w)
    else:
        codes = x, w
    if fractions and not (target.byte_permutations and _stay_normal(fmt, fraction_image(circuit).raised, *codes)):
        find_method("gate").run(circuit, x, w, out, places, threads)
        return
    x, w = codes
    columns = len(w) // places.groups
    many = not fractions and places.rows >= _many_rows(circuit, target) and columns >= _MANY_COLUMNS
    halves = half_table(circuit) if many else None
    if halves is not None:
        chosen, together = _expanded(halves, out, places.depth), COLUMNS
    elif target.byte_permutations:
        exchanged = exchanged_places(places, columns)
        if exchanged is not None:
            x, w = exchanged_operands(x, w, places)
            places = exchanged
        chosen = _permuted(circuit, out, places.depth, exchanged is not None)
    else:
        entries = WordEntries(_SUMS[out.dtype.name])
        chosen = scalar_kernel(entries, target), _no_scratch, word_table(circuit), 0
    kernel, scratch, table, constant = chosen
    run_kernel(kernel, scratch, table, x, w, out, places, constant, threads, together=together)


def _stay_normal(fmt: FloatFormat, raised: int, x: Array, w: Array) -> bool:
    """Whether no product of an x and a w, upper halves of float32, leaves the format's normal range (zeros aside).

    With unbiased exponents e, a product's lies between e_x + e_w and e_x + e_w + `raised`. Infinities and NaN have the
    exponent 128.
    """
    lowest = highest = 0
    for halves in (x, w):
        magnitudes = halves.reshape(-1) << np.uint16(1)  # without the sign
        most = int(magnitudes.max(initial=0)) >> 8
        magnitudes -= np.uint16(1)  # zeros become the largest
        least = int(magnitudes.min(initial=0xFFFF)) + 1 >> 8
        if most == 255 or least == 0:
            return False
        lowest, highest = lowest + least - 127, highest + most - 127
    top = (1 << fmt.exponent_bits) - 2 - fmt.bias
    return lowest >= fmt.minimum_exponent and highest + raised <= top


def _no_scratch(rows: int, columns: int) -> int:
    return 0


Chosen = tuple[Any, Callable[[int, int], int], Array, int]
"""A kernel, its bytes of scratch for rows and columns of a task, its table, and what it adds to every sum."""


def _expanded(image: HalfImage, out: Array, depth: int) -> Chosen:
    entries = WordEntries(_SUMS[out.dtype.name])
    return (
        expanded_kernel(entries, Target.host()),
        lambda rows, columns: expanded_scratch_bytes(entries, rows),
        image.entries,
        image.constant * depth,
    )


def _permuted(circuit: MultiplierCircuit, out: Array, depth: int, exchanged: bool) -> Chosen:
    terms: Terms
    planes, constant = None, 0
    if circuit.float_format is None:
        image = integer_planes(circuit, exchanged)
        terms = IntegerTerms(image.plane_count, image.segments, _SUMS[out.dtype.name])
        planes, constant = image.planes, image.smallest * depth
    elif is_small(circuit.float_format):
        image = float_planes(circuit, exchanged)
        terms, planes = SmallFloatTerms(image.segments, image.signs_apart), image.planes
    else:
        fractions = fraction_image(circuit, exchanged)
        terms, planes = FractionTerms(fractions.plane_count), fractions.planes
    kernel = permutation_kernel(terms, Target.host())
    return kernel, lambda rows, columns: scratch_bytes(terms, depth, columns), planes, constant


METHOD = ProductMethod(_refusal, _run)
