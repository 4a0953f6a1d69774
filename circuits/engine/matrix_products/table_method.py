"""Matrix products whose products are looked up in a table that the gates fill once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from circuits.engine.llvm.jit import Target
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.product_methods import ProductMethod
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.table_kernels.expanded_kernel import expanded_kernel, expanded_scratch_bytes
from circuits.engine.table_kernels.float_codes import code_bits, encode
from circuits.engine.table_kernels.kernel_calls import run_kernel
from circuits.engine.table_kernels.permutation_kernel import Terms, permutation_kernel, scratch_bytes
from circuits.engine.table_kernels.permuted_floats import SmallFloatTerms
from circuits.engine.table_kernels.permuted_integers import IntegerTerms
from circuits.engine.table_kernels.scalar_kernel import scalar_kernel
from circuits.engine.table_kernels.table_images import float_planes, integer_planes, word_table
from circuits.engine.table_kernels.word_entries import WordEntries

Array = NDArray[Any]
_CODE_BITS = 8
_SUMS = {"int32": "i32", "int64": "i64", "float32": "float"}
_MANY_ROWS = 512
_MANY_COLUMNS = 4


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
    if circuit.float_format is not None:
        x, w = encode(circuit, x), encode(circuit, w)
    columns = len(w) // places.groups
    if places.rows >= _MANY_ROWS and columns >= _MANY_COLUMNS:
        kernel, scratch, table, constant = _expanded(circuit, out)
    elif Target.host().byte_permutations:
        kernel, scratch, table, constant = _permuted(circuit, out, places.depth)
    else:
        entries = WordEntries(_SUMS[out.dtype.name])
        kernel, scratch, table, constant = scalar_kernel(entries, Target.host()), _no_scratch, word_table(circuit), 0
    run_kernel(kernel, scratch, table, x, w, out, places, constant, threads)


def _no_scratch(rows: int, columns: int) -> int:
    return 0


Chosen = tuple[Any, Callable[[int, int], int], Array, int]
"""A kernel, its bytes of scratch for rows and columns of a task, its table, and what it adds to every sum."""


def _expanded(circuit: MultiplierCircuit, out: Array) -> Chosen:
    entries = WordEntries(_SUMS[out.dtype.name])
    return (
        expanded_kernel(entries, Target.host()),
        lambda rows, columns: expanded_scratch_bytes(entries, rows),
        word_table(circuit),
        0,
    )


def _permuted(circuit: MultiplierCircuit, out: Array, depth: int) -> Chosen:
    terms: Terms
    if circuit.float_format is not None:
        image = float_planes(circuit)
        terms = SmallFloatTerms(image.segments)
    else:
        image = integer_planes(circuit)
        terms = IntegerTerms(image.plane_count, image.segments, _SUMS[out.dtype.name])
    return (
        permutation_kernel(terms, Target.host()),
        lambda rows, columns: scratch_bytes(terms, depth, columns),
        image.planes,
        image.smallest * depth,
    )


METHOD = ProductMethod(_refusal, _run)
