"""The matmul kernel for few rows: lanes run over (column n, position k), so that a single row fills blocks.

A row of the result takes columns * depth products. In the order of w's words, n depth + k, the weights of 512
consecutive products are 512 consecutive words of w, which are packed once for all rows. The operands of x are the row's
words over and over, from position k = (first lane) mod depth on; each row is therefore gathered once and repeated until
512 lanes can be read from any position below depth.

The products are stored, and the sums follow: for each column `depth` consecutive products, added in ascending k from
+0, as in the kernel for many rows. A sum is a chain of additions that wait for each other; up to ten columns are added
side by side, so that one chain's waiting is filled by the others.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from circuits.engine.blocks import BLOCK, PLANE_BYTES
from circuits.engine.known_operands.zero_positions import (
    DECLARATIONS as ZERO_DECLARATIONS,
)
from circuits.engine.known_operands.zero_positions import (
    emit_compress_row,
    emit_compress_weights,
    emit_count_nonzero,
)
from circuits.engine.llvm.float_parts import (
    ACCUMULATORS_AT,
    BIAS,
    GATHERED_AT,
    PRODUCT_AT,
    W_PLANES_AT,
    W_WORDS_AT,
    X_WORDS_AT,
    KernelSettings,
    emit_pack,
)
from circuits.engine.llvm.float_results import emit_exponent_range, emit_products, emit_stay_normal
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Vectors

# Each count takes what the larger ones leave; the last is 1, so that none remains.
_COLUMNS_TOGETHER = (10, 4, 2, 1)

_NOT_FINITE = 255
"""The biased exponent of infinities and NaN."""

_DEPTH_OF_MASKS = 8 * W_PLANES_AT
"""Positions whose masks fit where blocks of x are packed."""

NARROW_TASK = ("gates", "x_at", "x_step", "depth", "first_column", "columns", "out_at", "out_step", "rows")
"""The 64-bit fields, addresses or numbers, of a task of this kernel."""

_POINTERS = ("gates", "x_at", "x_step", "out_at")


def narrow_scratch_bytes(depth: int, columns: int, rows: int) -> int:
    """Bytes of scratch (64-aligned) that a task needs: the rows of x, then the products of each row."""
    # The last lane read is at position (depth - 1) + (BLOCK - 1); rows are rounded up to vectors of 16 words.
    x_row = (depth + BLOCK + 15) // 16 * 16
    products_of_row = -(-columns * depth // BLOCK) * BLOCK
    # Behind the products, of single rows: the weights that meet an activation, and room for one more vector.
    weights = 4 * products_of_row + 64 if rows == 1 else 0
    return ACCUMULATORS_AT + 4 * rows * (x_row + products_of_row) + weights + 64


@dataclass(frozen=True)
class _Shape:
    """Values (i64) and addresses that the parts of the kernel share; strides count float32 words."""

    depth: str
    columns: str
    rows: str
    weights: str  # the first column's words of w
    tail: str  # the words of the last block, filled up with zeros
    x_rows: str  # the repeated rows of x ...
    x_stride: str  # ... and their distance
    products: str

    # What `_with_lanes` computes of these.
    lanes: str = ""  # columns * depth
    whole_lanes: str = ""  # lanes in full blocks
    products_stride: str = ""


def narrow_ir(settings: KernelSettings, target: Target) -> str:
    """The kernel of one task.

    @kernel(task, x, w, bias, out, scratch), `task` as NARROW_TASK says, x_at, x_step and out_at int64:
    out[out_at[m] + n out_step] = (+0 + sum over k, ascending, of x[x_at[m] + x_step[k]] * w[n depth + k]) + bias[n] for
    0 <= m < rows, first_column <= n < first_column + columns. depth > 0; without bias where that is null.
    """
    f = Function("kernel", "ptr %task, ptr %x, ptr %w, ptr %bias, ptr %out, ptr %scratch")
    e = Vectors(f, target)

    def field(name: str) -> str:
        kind = "ptr" if name in _POINTERS else "i64"
        return f.op(f"load {kind}, ptr {f.offset('%task', 8 * NARROW_TASK.index(name))}")

    gates, x_at, x_step, depth, first_column, columns, out_at, out_step, rows = map(field, NARROW_TASK)
    w_planes, product = f.offset("%scratch", W_PLANES_AT), f.offset("%scratch", PRODUCT_AT)
    x_words, w_words = f.offset("%scratch", X_WORDS_AT), f.offset("%scratch", W_WORDS_AT)
    weights = f.element("%w", "float", f.op(f"mul i64 {first_column}, {depth}"))
    x_rows = f.offset("%scratch", ACCUMULATORS_AT)
    x_stride = f.op(f"and i64 {f.op(f'add i64 {depth}, {BLOCK + 15}')}, -16")
    products = _emit_repeated_rows(f, x_at, x_step, depth, rows, x_rows, x_stride)
    tail = f.offset("%scratch", GATHERED_AT)
    shape = _with_lanes(f, _Shape(depth, columns, rows, weights, tail, x_rows, x_stride, products))
    _emit_tail(e, shape)

    several = f.op(f"icmp sgt i64 {rows}, 1")
    x_range = emit_exponent_range(e, settings.subnormal_words, [(x_rows, f.op(f"mul i64 {rows}, {x_stride}"))])
    w_range = emit_exponent_range(e, settings.subnormal_words, [(weights, shape.whole_lanes), (tail, str(BLOCK))])
    normal = emit_stay_normal(f, settings, x_range, w_range)
    if target.ternary:
        short = f.op(f"icmp slt i64 {depth}, {_DEPTH_OF_MASKS}")
        single = f.op(f"and i1 {short}, {f.op(f'xor i1 {several}, true')}")
        finite = f.op(f"icmp slt i32 {w_range[1]}, {_NOT_FINITE}")
        shape = _emit_leave_out_zeros(e, settings, shape, f.op(f"and i1 {finite}, {single}"))
    for mode, condition in (("normal", normal), ("full", "")):
        with f.when(condition or f.op(f"xor i1 {normal}, true")):
            _emit_blocks(e, settings, mode, shape, several, gates, (w_planes, w_words, x_words, product))
    _emit_sums(f, shape, first_column, out_at, out_step)
    return (ZERO_DECLARATIONS if target.ternary else "") + f.text()


def _with_lanes(f: Function, shape: _Shape) -> _Shape:
    """The shape with the numbers of lanes that follow from its sizes."""
    lanes = f.op(f"mul i64 {shape.columns}, {shape.depth}")
    stride = f.op(f"and i64 {f.op(f'add i64 {lanes}, {BLOCK - 1}')}, {-BLOCK}")
    whole_lanes = f.op(f"and i64 {lanes}, {-BLOCK}")
    return replace(shape, lanes=lanes, whole_lanes=whole_lanes, products_stride=stride)


def _emit_leave_out_zeros(e: Vectors, settings: KernelSettings, shape: _Shape, possible: str) -> _Shape:
    """Drops the k at which the only row's activation is zero, where `possible` (i1) and where they are many.

    The row and the weights that it meets move together, and the product goes on with a smaller depth. Sums stay the
    same bit for bit as long as all weights are finite: what is left out are zeros, and a sum that begins at +0 never is
    -0. Other activations may be infinite or NaN.
    """
    f = e.f
    choice = f.offset("%scratch", PRODUCT_AT)  # free until the first block: depth, then the weights' address
    f.do(f"store i64 {shape.depth}, ptr {choice}")
    f.do(f"store ptr {shape.weights}, ptr {f.offset(choice, 8)}")
    with f.when(possible):
        count = emit_count_nonzero(e, settings.nonzero_bits, shape.x_rows, shape.depth)
        some = f.op(f"icmp sgt i64 {count}, 0")
        many = f.op(f"icmp slt i64 {f.op(f'mul i64 {count}, 4')}, {f.op(f'mul i64 {shape.depth}, 3')}")
        with f.when(f.op(f"and i1 {some}, {many}")):
            room = f.op(f"mul i64 {shape.rows}, {shape.products_stride}")
            moved = f.element(shape.products, "float", room)
            # The masks of the row's vectors lie where its blocks will be packed.
            emit_compress_row(e, settings.nonzero_bits, shape.x_rows, "%scratch", shape.depth)
            emit_compress_weights(e, shape.weights, "%scratch", shape.depth, shape.columns, moved)
            _emit_repeat(f, count, shape.x_rows, shape.x_stride)
            f.do(f"store i64 {count}, ptr {choice}")
            f.do(f"store ptr {moved}, ptr {f.offset(choice, 8)}")
    depth = f.op(f"load i64, ptr {choice}")
    weights = f.op(f"load ptr, ptr {f.offset(choice, 8)}")
    smaller = _with_lanes(f, replace(shape, depth=depth, weights=weights))
    _emit_tail(e, smaller)
    return smaller


def _emit_repeated_rows(f: Function, x_at: str, x_step: str, depth: str, rows: str, x_rows: str, x_stride: str) -> str:
    """Gathers each row of x and repeats it up to `x_stride` words; returns the address behind the rows."""
    with f.loop(rows) as row:
        source = f.element("%x", "float", f.op(f"load i64, ptr {f.element(x_at, 'i64', row)}"))
        words = f.element(x_rows, "float", f.op(f"mul i64 {row}, {x_stride}"))
        with f.loop(depth) as k:
            step = f.op(f"load i64, ptr {f.element(x_step, 'i64', k)}")
            word = f.op(f"load float, ptr {f.element(source, 'float', step)}")
            f.do(f"store float {word}, ptr {f.element(words, 'float', k)}")
        _emit_repeat(f, depth, words, x_stride)
    return f.element(x_rows, "float", f.op(f"mul i64 {rows}, {x_stride}"))


def _emit_repeat(f: Function, depth: str, words: str, x_stride: str) -> None:
    """Repeats the row of `depth` words at `words` up to `x_stride` words.

    Words up to `period`, the shortest multiple of depth that is at least one vector, are copied singly from `depth`
    before, the others in vectors from `period` before.
    """
    # ceil(16 / depth) copies of the row are at least 16 words long.
    repeats = f.op(f"udiv i64 {f.op(f'add i64 {depth}, 15')}, {depth}")
    period = f.op(f"mul i64 {repeats}, {depth}")
    # A vector copied from `period` >= 16 words before never reads a word that it writes. The last vector may run up to
    # 15 words beyond the row; there begins the next row, or the products, and both are written later.
    for begin, end, kind, length in ((depth, period, "float", 1), (period, x_stride, "<16 x float>", 16)):
        with f.loop(end, begin, length) as k:
            before = f.element(words, "float", f.op(f"sub i64 {k}, {depth if length == 1 else period}"))
            copied = f.op(f"load {kind}, ptr {before}, align 4")
            f.do(f"store {kind} {copied}, ptr {f.element(words, 'float', k)}, align 4")


def _emit_tail(e: Vectors, shape: _Shape) -> None:
    """Copies the weights behind the last full block to a block of zeros, so that no word behind w is read."""
    f = e.f
    with f.loop(BLOCK, step=e.lanes) as lane:
        f.do(f"store {e.v} zeroinitializer, ptr {f.element(shape.tail, 'float', lane)}, align 4")
    # Vectors of 16 first, then single words: `whole_lanes` is a multiple of 512, so that both ends are.
    whole_vectors = f.op(f"and i64 {shape.lanes}, -16")
    for begin, end, kind, length in (
        (shape.whole_lanes, whole_vectors, "<16 x float>", 16),
        (whole_vectors, shape.lanes, "float", 1),
    ):
        with f.loop(end, begin, length) as lane:
            copied = f.op(f"load {kind}, ptr {f.element(shape.weights, 'float', lane)}, align 4")
            place = f.op(f"sub i64 {lane}, {shape.whole_lanes}")
            f.do(f"store {kind} {copied}, ptr {f.element(shape.tail, 'float', place)}, align 4")


def _emit_blocks(
    e: Vectors,
    settings: KernelSettings,
    mode: str,
    shape: _Shape,
    several: str,
    gates: str,
    scratch: tuple[str, str, str, str],
) -> None:
    """The products of all blocks and rows; `scratch` is where w's planes and words, x's words and the product lie."""
    f = e.f
    w_planes, w_words, x_words, product = scratch
    x_less, w_less = (BIAS, 0) if mode == "normal" else (None, None)
    # `packed`: the phase for which x is packed; -1 equals none, so that the first block packs.
    with f.fold(shape.lanes, "i64", ["-1"], step=BLOCK) as (first, packed):
        whole = f.op(f"icmp slt i64 {first}, {shape.whole_lanes}")
        # Lanes behind the last product multiply the tail's zeros; the room for products covers whole blocks, and no sum
        # reads them.
        source = f.op(f"select i1 {whole}, ptr {f.element(shape.weights, 'float', first)}, ptr {shape.tail}")
        emit_pack(e, settings, source, w_planes, w_words, less=w_less)
        phase = f.op(f"urem i64 {first}, {shape.depth}")
        with f.loop(shape.rows) as row:
            start = f.op(f"add i64 {f.op(f'mul i64 {row}, {shape.x_stride}')}, {phase}")
            # A single row stays packed from block to block while the phase does: wherever depth divides 512.
            other = f.op(f"icmp ne i64 {phase}, {packed[0]}")
            with f.when(f.op(f"or i1 {several}, {other}")):
                row_start = f.element(shape.x_rows, "float", start)
                emit_pack(e, settings, row_start, "%scratch", x_words, less=x_less)
            f.do(f"call void {gates}(ptr %scratch, ptr {w_planes}, ptr {product})")
            place = f.op(f"add i64 {f.op(f'mul i64 {row}, {shape.products_stride}')}, {first}")
            block = f.element(shape.products, "float", place)
            with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
                for b, value in enumerate(emit_products(e, settings, mode, product, x_words, None, w_words, byte)):
                    e.store(value, block, b, byte, e.vf)
        packed[0] = phase


def _emit_sums(f: Function, shape: _Shape, first_column: str, out_at: str, out_step: str) -> None:
    """Sums each column's products, several columns side by side; then adds the bias."""
    columns, depth = shape.columns, shape.depth
    with f.loop(shape.rows) as row:
        terms = f.element(shape.products, "float", f.op(f"mul i64 {row}, {shape.products_stride}"))
        skipped = f.op(f"mul i64 {first_column}, {out_step}")
        start = f.op(f"load i64, ptr {f.element(out_at, 'i64', row)}")
        results = f.element("%out", "float", f.op(f"add i64 {start}, {skipped}"))
        begin = "0"
        for count in _COLUMNS_TOGETHER:
            rest = f.op(f"urem i64 {f.op(f'sub i64 {columns}, {begin}')}, {count}")
            end = f.op(f"sub i64 {columns}, {rest}")
            with f.loop(end, begin, count) as column:
                group = [f.op(f"add i64 {column}, {i}") for i in range(count)]
                starts = [f.element(terms, "float", f.op(f"mul i64 {n}, {depth}")) for n in group]
                # One chain a column, each strictly in ascending k: floating-point addition is not associative, and
                # results must not depend on how many columns run side by side.
                with f.fold(depth, "float", ["0.0"] * count) as (k, totals):
                    for i, start in enumerate(starts):
                        term = f.op(f"load float, ptr {f.element(start, 'float', k)}")
                        totals[i] = f.op(f"fadd float {totals[i]}, {term}")
                for n, total in zip(group, totals, strict=True):
                    f.do(f"store float {total}, ptr {f.element(results, 'float', f.op(f'mul i64 {n}, {out_step}'))}")
            begin = end
        with f.when(f.op("icmp ne ptr %bias, null")), f.loop(columns) as column:
            addend = f.element("%bias", "float", f.op(f"add i64 {first_column}, {column}"))
            result = f.element(results, "float", f.op(f"mul i64 {column}, {out_step}"))
            total = f.op(f"load float, ptr {result}")
            added = f.op(f"load float, ptr {addend}")
            f.do(f"store float {f.op(f'fadd float {total}, {added}')}, ptr {result}")


@lru_cache(maxsize=64)
def narrow_kernel(settings: KernelSettings, vector_bits: int | None = None) -> Any:
    """The compiled kernel, a ctypes function (see `narrow_ir`)."""
    target, p = Target.host(vector_bits), ctypes.c_void_p
    return load(narrow_ir(settings, target), target).function("kernel", p, p, p, p, p, p)
