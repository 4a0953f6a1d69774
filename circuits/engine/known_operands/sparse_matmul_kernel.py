"""The matmul kernel for many rows whose products stay normal: activations that are zero take no part.

A zero times a finite weight is a zero, and a sum that begins at +0 never is -0, so that leaving the product out changes
no bit of the sum. The rows are taken in groups of up to GROUP_BLOCKS blocks. For each k the group's activations that
are not zero move together, in the order of the rows, and only the blocks that they fill go through the gates:

    rows             0    1    2    3    4    5    6    7
    x[., k]          a    0    0    b    c    0    d    0        mask 1 0 0 1 1 0 1 0
    packed           a    b    c    d                            half as many lanes
    products         p    q    r    s                            gates, for each weight w[n, k]
    added to sums    p    .    .    q    r    .    s    .        every row takes the next product if its mask is set

The order is kept, so that the products of 16 rows are consecutive: a permutation places them (AVX-512), or a loop over
the list of rows (elsewhere). Each lane still adds its products in ascending k. A k at which no block is saved
is computed as the dense kernel does, straight into the sums.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from circuits.engine.blocks import BLOCK, PLANE_BYTES, WORD_BYTES
from circuits.engine.llvm.float_parts import (
    BIAS,
    EXPONENT,
    SIGN_AND_EXPONENT,
    X_BYTES,
    X_WORDS_AT,
    KernelSettings,
    emit_accumulate,
    emit_pack,
    emit_weight_planes,
    emit_words,
)
from circuits.engine.llvm.float_results import emit_products
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Vectors

GROUP_BLOCKS = 8
"""Blocks of rows in a group: a partly filled block for each k is less to carry for more rows, but sums need a cache."""

_CHUNK = 16
"""Operands along k that are packed at a time: 16 x 8 x 3.5 KB stay in the second-level cache."""

_STRIP = 8
"""Lanes that are gathered at once where they can be."""

_RUN = 16
"""Rows of one vector."""

SLOTS = 128
"""Planes that gates for a known weight may use as scratch memory; elsewhere the weight's planes lie there."""

# What is kept of one k: blocks of packed activations, then their index. The index holds the number of packed blocks,
# the number of packed activations, and with AVX-512 for each row a byte and for each run of rows the place of its first
# product (see `_emit_expand`); elsewhere the row of each packed activation.
_INDEX_AT = GROUP_BLOCKS * X_BYTES
_BLOCKS_AT, _COUNT_AT, _CHOICES_AT = _INDEX_AT, _INDEX_AT + 8, _INDEX_AT + 64
_STARTS_AT = _CHOICES_AT + GROUP_BLOCKS * BLOCK
_ROWS_AT = _CHOICES_AT
_K_BYTES = _ROWS_AT + 4 * GROUP_BLOCKS * BLOCK

# The scratch: the chunk, then planes of one weight and of a product, then words of whole groups: of the chunk as
# gathered, and for one k the activations that are not zero and the products.
_W_PLANES_AT = _CHUNK * _K_BYTES
_PRODUCT_AT = _W_PLANES_AT + SLOTS * PLANE_BYTES
_GATHERED_AT = _PRODUCT_AT + 64 * PLANE_BYTES
_GROUP_BYTES = GROUP_BLOCKS * WORD_BYTES
# A vector stored behind the last activation, or loaded behind the last product, may reach 64 bytes further.
_NONZERO_AT = _GATHERED_AT + _CHUNK * _GROUP_BYTES
_PRODUCTS_AT = _NONZERO_AT + _GROUP_BYTES + 64
_MARKS_AT = _PRODUCTS_AT + _GROUP_BYTES + 64
_SUMS_AT = _MARKS_AT + GROUP_BLOCKS * BLOCK // _STRIP


def sparse_scratch_bytes(columns: int) -> int:
    """Bytes of scratch (64-aligned) that a call with so many columns needs."""
    return _SUMS_AT + columns * _GROUP_BYTES


def sparse_matmul_ir(settings: KernelSettings, target: Target, *, weight_gates: bool) -> str:
    """The matmul kernel over one group of rows.

    @kernel(gates, x, x_at, x_step, w, depth, columns, out, out_at, out_step, lanes, scratch): as
    `wide_matmul_kernel.matmul_ir` in mode "normal" says, for at most GROUP_BLOCKS blocks of lanes.
    """
    f = Function(
        "kernel",
        "ptr %gates, ptr %x, ptr %x_at, ptr %x_step, ptr %w, i64 %depth, i64 %columns, "
        "ptr %out, ptr %out_at, i64 %out_step, i64 %lanes, ptr %scratch",
    )
    e = Vectors(f, target)
    blocks = f.op(f"lshr i64 {f.op(f'add i64 %lanes, {BLOCK - 1}')}, {BLOCK.bit_length() - 1}")
    sums_of_column = f.op(f"mul i64 {blocks}, {WORD_BYTES}")
    sums = f.offset("%scratch", _SUMS_AT)
    # Sums begin at +0.
    with f.loop(f.op(f"mul i64 %columns, {sums_of_column}"), step=16) as byte:
        f.do(f"store <4 x float> zeroinitializer, ptr {f.offset(sums, byte)}, align 16")
    _emit_mark_strips(f, blocks)
    with f.loop("%depth", step=_CHUNK) as chunk:
        rest = f.op(f"sub i64 %depth, {chunk}")
        count = f.op(f"select i1 {f.op(f'icmp slt i64 {rest}, {_CHUNK}')}, i64 {rest}, i64 {_CHUNK}")
        _emit_gather_chunk(f, chunk, count, blocks)
        with f.loop(count) as k:
            gathered = f.offset(f.offset("%scratch", _GATHERED_AT), f.op(f"mul i64 {k}, {_GROUP_BYTES}"))
            _emit_pack_group(
                e, settings, target, gathered, blocks, f.offset("%scratch", f.op(f"mul i64 {k}, {_K_BYTES}"))
            )
        with f.loop("%columns") as n:
            sums_of_n = f.offset(sums, f.op(f"mul i64 {n}, {sums_of_column}"))
            row = f.op(f"add i64 {f.op(f'mul i64 {n}, %depth')}, {chunk}")
            with f.loop(count) as k:
                weight = f.op(f"load i32, ptr {f.element('%w', 'i32', f.op(f'add i64 {row}, {k}'))}")
                packed = f.offset("%scratch", f.op(f"mul i64 {k}, {_K_BYTES}"))
                _emit_add_products(e, settings, target, weight_gates, weight, packed, blocks, sums_of_n)
    _emit_scatter(f, sums, sums_of_column)
    declarations = ""
    if target.ternary:
        declarations = (
            "declare <16 x i32> @llvm.x86.avx512.mask.compress.v16i32(<16 x i32>, <16 x i32>, <16 x i1>)\n"
            "declare <16 x i32> @llvm.x86.avx512.mask.expand.v16i32(<16 x i32>, <16 x i32>, <16 x i1>)\n"
            "declare <16 x float> @llvm.x86.avx512.vpermi2var.ps.512(<16 x float>, <16 x i32>, <16 x float>)\n"
            "declare i16 @llvm.ctpop.i16(i16)\n"
        )
    return declarations + f.text()


def _emit_mark_strips(f: Function, blocks: str) -> None:
    """Marks by a byte 1 each strip of _STRIP lanes whose activations lie side by side, as in a row of an image."""
    kind = f"<{_STRIP} x i64>"
    ascending = "<" + ", ".join(f"i64 {lane}" for lane in range(_STRIP)) + ">"
    marks = f.offset("%scratch", _MARKS_AT)
    with f.loop(f.op(f"mul i64 {blocks}, {BLOCK // _STRIP}")) as strip:
        address = f.element("%x_at", "i64", f.op(f"mul i64 {strip}, {_STRIP}"))
        offsets = f.op(f"load {kind}, ptr {address}, align 8")
        first = f.op(f"insertelement {kind} poison, i64 {f.op(f'load i64, ptr {address}')}, i32 0")
        start = f.op(f"shufflevector {kind} {first}, {kind} poison, <{_STRIP} x i32> zeroinitializer")
        equal = f.op(f"icmp eq {kind} {offsets}, {f.op(f'add {kind} {start}, {ascending}')}")
        bits = f.op(f"bitcast <{_STRIP} x i1> {equal} to i{_STRIP}")
        mark = f.op(f"zext i1 {f.op(f'icmp eq i{_STRIP} {bits}, -1')} to i8")
        f.do(f"store i8 {mark}, ptr {f.element(marks, 'i8', strip)}")


def _emit_gather_chunk(f: Function, chunk: str, count: str, blocks: str) -> None:
    """Gathers the group's activations for `count` k from `chunk` on.

    Block by block: where the words of a row lie side by side, the same 512 cache lines serve all k.
    """
    with f.loop(blocks) as block:
        first_lane = f.op(f"mul i64 {block}, {BLOCK}")
        marks = f.offset(f.offset("%scratch", _MARKS_AT), f.op(f"mul i64 {block}, {BLOCK // _STRIP}"))
        x_at = f.element("%x_at", "i64", first_lane)
        words_of_block = f.offset(f.offset("%scratch", _GATHERED_AT), f.op(f"mul i64 {block}, {WORD_BYTES}"))
        with f.loop(count) as k:
            step = f.op(f"load i64, ptr {f.element('%x_step', 'i64', f.op(f'add i64 {chunk}, {k}'))}")
            source = f.element("%x", "i32", step)
            words = f.offset(words_of_block, f.op(f"mul i64 {k}, {_GROUP_BYTES}"))
            with f.loop(BLOCK // _STRIP) as strip:
                _emit_gather_strip(f, source, x_at, words, marks, strip)


def _emit_gather_strip(f: Function, source: str, x_at: str, words: str, marks: str, strip: str) -> None:
    """words[lane] = source[x_at[lane]] for the lanes of a strip."""
    lane = f.op(f"mul i64 {strip}, {_STRIP}")
    offsets, place = f.element(x_at, "i64", lane), f.element(words, "i32", lane)
    mark = f.op(f"load i8, ptr {f.element(marks, 'i8', strip)}")
    together = f.op(f"icmp ne i8 {mark}, 0")
    with f.when(together):
        address = f.element(source, "i32", f.op(f"load i64, ptr {offsets}"))
        f.do(f"store <{_STRIP} x i32> {f.op(f'load <{_STRIP} x i32>, ptr {address}, align 4')}, ptr {place}, align 4")
    with f.when(f.op(f"xor i1 {together}, true")):
        for i in range(_STRIP):
            offset = f.op(f"load i64, ptr {f.offset(offsets, 8 * i)}")
            word = f.op(f"load i32, ptr {f.element(source, 'i32', offset)}")
            f.do(f"store i32 {word}, ptr {f.offset(place, 4 * i)}")


def _emit_pack_group(
    e: Vectors, settings: KernelSettings, target: Target, gathered: str, blocks: str, packed: str
) -> None:
    """Packs the group's activations of one k that are not zero, or all where no block is saved."""
    f = e.f
    nonzero = f.offset("%scratch", _NONZERO_AT)
    emit = _emit_compress if target.ternary else _emit_list
    count = emit(e, gathered, nonzero, packed)
    filled = f.op(f"lshr i64 {f.op(f'add i64 {count}, {BLOCK - 1}')}, {BLOCK.bit_length() - 1}")
    f.do(f"store i64 {filled}, ptr {f.offset(packed, _BLOCKS_AT)}")
    f.do(f"store i64 {count}, ptr {f.offset(packed, _COUNT_AT)}")
    saved = f.op(f"icmp slt i64 {filled}, {blocks}")
    words = f.op(f"select i1 {saved}, ptr {nonzero}, ptr {gathered}")
    with f.loop(filled) as block:
        planes = f.offset(packed, f.op(f"mul i64 {block}, {X_BYTES}"))
        source = f.offset(words, f.op(f"mul i64 {block}, {WORD_BYTES}"))
        emit_pack(e, settings, source, planes, f.offset(planes, X_WORDS_AT), less=BIAS)


def _emit_compress(e: Vectors, gathered: str, nonzero: str, packed: str) -> str:
    """Moves the activations that are not zero together and writes the index; returns their number (i64)."""
    f = e.f
    choices, starts = f.offset(packed, _CHOICES_AT), f.offset(packed, _STARTS_AT)
    numbers, seconds = (
        "<" + ", ".join(f"i32 {lane}" for lane in range(first, first + _RUN)) + ">" for first in (0, _RUN)
    )
    lane_count = e.broadcast(f.op("trunc i64 %lanes to i32"))
    with f.fold(_emit_runs(f), "i64", ["0"]) as (run, count):
        first = f.op(f"mul i64 {run}, {_RUN}")
        words = f.op(f"load {e.v}, ptr {f.element(gathered, 'i32', first)}, align 4")
        present = e.compare("ne", e.integer("and", words, EXPONENT), "zeroinitializer")
        # Lanes behind the last row repeat its activation; they count as zeros.
        lane = e.integer("add", e.broadcast(f.op(f"trunc i64 {first} to i32")), numbers)
        mask = f.op(f"and {e.mask} {present}, {e.compare('slt', lane, lane_count)}")
        for name, values in (("compress", words), ("expand", seconds)):
            arguments = f"{e.v} {values}, {e.v} zeroinitializer, {e.mask} {mask}"
            moved = f.op(f"call {e.v} @llvm.x86.avx512.mask.{name}.v16i32({arguments})")
            if name == "compress":
                f.do(f"store {e.v} {moved}, ptr {f.element(nonzero, 'i32', count[0])}, align 4")
            else:
                narrow = f.op(f"trunc {e.v} {moved} to <{_RUN} x i8>")
                f.do(f"store <{_RUN} x i8> {narrow}, ptr {f.element(choices, 'i8', first)}, align 1")
        f.do(f"store i32 {f.op(f'trunc i64 {count[0]} to i32')}, ptr {f.element(starts, 'i32', run)}")
        bits = f.op(f"bitcast {e.mask} {mask} to i16")
        size = f.op(f"zext i16 {f.op(f'call i16 @llvm.ctpop.i16(i16 {bits})')} to i64")
        count[0] = f.op(f"add i64 {count[0]}, {size}")
    return count[0]


def _emit_list(e: Vectors, gathered: str, nonzero: str, packed: str) -> str:
    """Lists the rows whose activations are not zero beside their activations; returns their number (i64)."""
    f = e.f
    rows = f.offset(packed, _ROWS_AT)
    with f.fold("%lanes", "i64", ["0"]) as (lane, count):
        word = f.op(f"load i32, ptr {f.element(gathered, 'i32', lane)}")
        # Written in any case, and overwritten by the next row where this one's activation is zero.
        f.do(f"store i32 {word}, ptr {f.element(nonzero, 'i32', count[0])}")
        f.do(f"store i32 {f.op(f'trunc i64 {lane} to i32')}, ptr {f.element(rows, 'i32', count[0])}")
        present = f.op(f"icmp ne i32 {f.op(f'and i32 {word}, {EXPONENT}')}, 0")
        count[0] = f.op(f"add i64 {count[0]}, {f.op(f'zext i1 {present} to i64')}")
    return count[0]


def _emit_add_products(
    e: Vectors,
    settings: KernelSettings,
    target: Target,
    weight_gates: bool,
    weight: str,
    packed: str,
    blocks: str,
    sums: str,
) -> None:
    """sums[lane] += x[lane, k] * weight for the group, x packed at `packed`."""
    f = e.f
    w_planes, product = f.offset("%scratch", _W_PLANES_AT), f.offset("%scratch", _PRODUCT_AT)
    products = f.offset("%scratch", _PRODUCTS_AT)
    filled = f.op(f"load i64, ptr {f.offset(packed, _BLOCKS_AT)}")
    # A zero weight, like a zero activation, changes no sum.
    some = f.op(f"icmp ne i64 {filled}, 0")
    exponent = f.op(f"and i32 {weight}, {EXPONENT}")
    with f.when(f.op(f"and i1 {some}, {f.op(f'icmp ne i32 {exponent}, 0')}")):
        if not weight_gates:
            emit_weight_planes(e, weight, w_planes, settings.fraction)
        w = e.broadcast(f.op(f"and i32 {weight}, {SIGN_AND_EXPONENT - (1 << 32)}"))

        def product_words(block: str, byte_loop_body: Any) -> None:
            planes = f.offset(packed, f.op(f"mul i64 {block}, {X_BYTES}"))
            if weight_gates:
                f.do(f"call void %gates(ptr {planes}, i32 {weight}, ptr {product}, ptr {w_planes})")
            else:
                f.do(f"call void %gates(ptr {planes}, ptr {w_planes}, ptr {product})")
            with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
                byte_loop_body(f.offset(planes, X_WORDS_AT), byte)

        saved = f.op(f"icmp slt i64 {filled}, {blocks}")
        with f.when(saved):
            with f.loop(filled) as block:
                target_of_block = f.offset(products, f.op(f"mul i64 {block}, {WORD_BYTES}"))

                def store(x_words: str, byte: str, out: str = target_of_block) -> None:
                    # No operand is zero, so that exponents are added unconditionally (see `float_results`). Lanes
                    # behind the last activation hold anything; no sum reads them.
                    for b, word in enumerate(emit_words(e, settings, product, byte)):
                        exponent = e.integer("add", e.load(x_words, b, byte), w)
                        e.store(e.integer("add", word, exponent), out, b, byte)

                product_words(block, store)
            (_emit_expand if target.ternary else _emit_add_listed)(e, packed, products, sums)
        with f.when(f.op(f"xor i1 {saved}, true")), f.loop(filled) as block:
            sums_of_block = f.offset(sums, f.op(f"mul i64 {block}, {WORD_BYTES}"))

            def accumulate(x_words: str, byte: str, out: str = sums_of_block) -> None:
                terms = emit_products(e, settings, "normal", product, x_words, w, None, byte)
                emit_accumulate(e, terms, out, byte)

            product_words(block, accumulate)


def _emit_runs(f: Function) -> str:
    """The number of runs of rows, the last of which may be incomplete (i64)."""
    return f.op(f"udiv i64 {f.op(f'add i64 %lanes, {_RUN - 1}')}, {_RUN}")


def _emit_expand(e: Vectors, packed: str, products: str, sums: str) -> None:
    """Adds each run's products to its sums, +0 to those of rows without a product.

    vpermi2ps chooses each lane from two vectors, by bit 4 and bits 0 to 3 of its number: +0, or the run's next product.
    The numbers come as bytes, which costs one operation less than an expansion by a mask.
    """
    f = e.f
    choices, starts = f.offset(packed, _CHOICES_AT), f.offset(packed, _STARTS_AT)
    with f.loop(_emit_runs(f)) as run:
        first = f.op(f"mul i64 {run}, {_RUN}")
        narrow = f.op(f"load <{_RUN} x i8>, ptr {f.element(choices, 'i8', first)}, align 1")
        numbers = f.op(f"zext <{_RUN} x i8> {narrow} to {e.v}")
        place = f.op(f"load i32, ptr {f.element(starts, 'i32', run)}")
        start = f.op(f"zext i32 {place} to i64")
        following = f.op(f"load {e.vf}, ptr {f.element(products, 'float', start)}, align 4")
        placed = f.op(
            f"call {e.vf} @llvm.x86.avx512.vpermi2var.ps.512("
            f"{e.vf} zeroinitializer, {e.v} {numbers}, {e.vf} {following})"
        )
        address = f.element(sums, "float", first)
        before = f.op(f"load {e.vf}, ptr {address}, align 4")
        f.do(f"store {e.vf} {f.op(f'fadd {e.vf} {before}, {placed}')}, ptr {address}, align 4")


def _emit_add_listed(e: Vectors, packed: str, products: str, sums: str) -> None:
    """Adds each product to the sum of the row that is listed for it."""
    f = e.f
    rows = f.offset(packed, _ROWS_AT)
    with f.loop(f.op(f"load i64, ptr {f.offset(packed, _COUNT_AT)}")) as k:
        listed = f.op(f"load i32, ptr {f.element(rows, 'i32', k)}")
        row = f.op(f"zext i32 {listed} to i64")
        product = f.op(f"load float, ptr {f.element(products, 'float', k)}")
        address = f.element(sums, "float", row)
        total = f.op(f"fadd float {f.op(f'load float, ptr {address}')}, {product}")
        f.do(f"store float {total}, ptr {address}")


def _emit_scatter(f: Function, sums: str, sums_of_column: str) -> None:
    """Writes the sums of the rows, column after column."""
    with f.loop("%columns") as n:
        of_column = f.offset(sums, f.op(f"mul i64 {n}, {sums_of_column}"))
        column = f.element("%out", "float", f.op(f"mul i64 {n}, %out_step"))
        with f.loop("%lanes") as lane:
            value = f.op(f"load float, ptr {f.element(of_column, 'float', lane)}")
            index = f.op(f"load i64, ptr {f.element('%out_at', 'i64', lane)}")
            f.do(f"store float {value}, ptr {f.element(column, 'float', index)}")


@lru_cache(maxsize=64)
def sparse_matmul_kernel(
    settings: KernelSettings, vector_bits: int | None = None, *, weight_gates: bool = False
) -> Any:
    """The compiled kernel, a ctypes function (see `sparse_matmul_ir`)."""
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    library = load(sparse_matmul_ir(settings, target, weight_gates=weight_gates), target)
    return library.function("kernel", p, p, p, p, p, n, n, p, p, n, n, p)
