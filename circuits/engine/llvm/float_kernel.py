"""Float kernels around a design's compiled gates: packing, normaliser, transposition, exponents, accumulation.

One kernel serves every design of a format: it calls the design's `@gates` through a pointer, 512 products a call, so
that operands and products never leave the first-level cache. Words and planes stand as in `circuits.engine.llvm.vectors`.

The transposed product word has the fraction in bits 0..22, the normaliser's shift in bits 23 and 24 and the rounding
increment in bit 31. Adding (exponent(x) - 127) << 23 and exponent(w) << 23 to the first two (and the increment at
bit 0) IS the float32 product: one integer addition normalises, rounds and sets the exponent.

"normal" kernels take operands whose products all stay normal (zeros allowed), and skip zero weights; "full" kernels
decide overflow, underflow, infinities and NaN lane by lane.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from circuits.engine.backends.compiled import BLOCK, PLANE_BYTES
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Library, Target, load
from circuits.engine.llvm.vectors import Plane, Vectors

CHUNK = 64
"""Operands along k that are packed at a time: 64 x 3.5 KB stay in the second-level cache."""

WORD_BYTES = 4 * BLOCK
FRACTION = 23
WIDTH = FRACTION + 1
BIAS = 127
_COLUMNS_TOGETHER = (10, 4, 2, 1)
_ZERO_LANE = 1  # in the packed exponent words, whose low 23 bits are otherwise 0


@dataclass(frozen=True)
class KernelSettings:
    """What a float32 kernel depends on beside the target. `product_bits`: 48, or 49 where tiles overestimate.

    `lowest`: the first product bit that the gates give (those below are not needed when truncating).
    """

    product_bits: int
    lowest: int
    rounding: str
    released: bool


def _emit_pack(e: Vectors, source: str, planes: str, words: str, *, less: int | None) -> None:
    """512 float32 words at `source` to 24 mantissa planes and 512 packed words.

    Subnormals become zeros. Packed words: the flushed operand itself, or its sign and exponent `less` a number,
    _ZERO_LANE for zeros.
    """
    with e.f.loop(PLANE_BYTES, step=e.vector_bytes) as part:
        rows: list[Plane] = []
        for b in range(32):
            word = e.load(source, b, part)
            exponent = e.f.op(f"and {e.v} {word}, {e.splat(0x7F800000)}")
            zero = e.f.op(f"icmp eq {e.v} {exponent}, zeroinitializer")
            if less is not None:
                signed = e.f.op(f"and {e.v} {word}, {e.splat(0xFF800000)}")
                lowered = e.f.op(f"sub {e.v} {signed}, {e.splat(less << FRACTION)}") if less else signed
                packed = e.f.op(f"select {e.mask} {zero}, {e.v} {e.splat(_ZERO_LANE)}, {e.v} {lowered}")
            else:
                sign = e.f.op(f"and {e.v} {word}, {e.splat(0x80000000)}")
                packed = e.f.op(f"select {e.mask} {zero}, {e.v} {sign}, {e.v} {word}")
            e.store(packed, words, b, part)
            fraction = e.f.op(f"and {e.v} {word}, {e.splat((1 << FRACTION) - 1)}")
            rows.append(e.f.op(f"or {e.v} {fraction}, {e.splat(1 << FRACTION)}"))
        for p, row in enumerate(e.transpose(rows)[:WIDTH]):
            assert row is not None
            e.store(row, planes, p, part)


def _emit_words(e: Vectors, settings: KernelSettings, product: str, part: str) -> list[str]:
    """The 32 registers of transposed product words (see the module's docstring), rounding increment applied."""
    top, shifts = 2 * WIDTH - 1, settings.product_bits - (2 * WIDTH - 1) + 1

    def bit(index: int) -> str:
        return e.load(product, index - settings.lowest, part)

    leads = [bit(top + k) for k in range(shifts - 1)]

    def aligned(index: int) -> str:
        """Product bit `index` counted before the normaliser's shift."""
        value: Plane = bit(index)
        for k, lead in enumerate(leads, 1):
            value = e.select(lead, bit(index + k), value)
        assert value is not None
        return value

    hidden = 2 * WIDTH - 2
    rows: list[Plane] = [aligned(hidden - FRACTION + p) for p in range(FRACTION)] + [None] * 9
    if len(leads) == 1:
        rows[FRACTION] = leads[0]
    elif settings.released:
        rows[FRACTION] = e.op2("or", leads[0], leads[1])
    else:
        rows[FRACTION] = e.select(leads[1], None, leads[0])
        rows[FRACTION + 1] = leads[1]
    if settings.rounding == "nearest_even":
        guard = hidden - FRACTION - 1
        sticky: Plane = None
        for index in range(guard):
            sticky = e.op2("or", sticky, bit(index))
        for k, lead in enumerate(leads):
            # Shifted once more, the old guard bit joins the sticky ones.
            sticky = e.op2("or", sticky, e.op2("and", bit(guard + k), lead))
        rows[31] = e.op2("and", aligned(guard), e.op2("or", sticky, rows[0]))
    words = []
    for word in e.transpose(rows):
        assert word is not None
        if settings.rounding == "nearest_even":
            increment = e.f.op(f"lshr {e.v} {word}, {e.splat(31)}")
            kept = e.f.op(f"and {e.v} {word}, {e.splat(0x7FFFFFFF)}")
            word = e.f.op(f"add {e.v} {kept}, {increment}")
        words.append(word)
    return words


def _emit_normal_products(
    e: Vectors, words: list[str], x_exponents: str, w: str | None, w_words: str | None, part: str
) -> list[str]:
    """Float32 products where none can leave the normal range, zeros unsigned: for sums.

    `x_exponents`: packed less BIAS; `w`: the weight's sign and exponent in every lane, or None to read those of each
    lane from `w_words`, packed less 0.
    """
    products = []
    for b, word in enumerate(words):
        x = e.load(x_exponents, b, part)
        exponent = e.f.op(f"add {e.v} {x}, {w or e.load(str(w_words), b, part)}")
        low = e.f.op(f"and {e.v} {exponent}, {e.splat(3 * _ZERO_LANE)}")  # one or two of them
        zero = e.f.op(f"icmp ne {e.v} {low}, zeroinitializer")
        total = e.f.op(f"add {e.v} {word}, {exponent}")
        kept = e.f.op(f"select {e.mask} {zero}, {e.v} zeroinitializer, {e.v} {total}")
        products.append(e.f.op(f"bitcast {e.v} {kept} to {e.vf}"))
    return products


def _emit_full_products(
    e: Vectors, words: list[str], x_words: str, w: str | None, w_words: str | None, part: str
) -> list[str]:
    """Float32 products of flushed operands in the semantics of `circuits.floats.arithmetic` with subnormals flushed.

    `w`: the weight's flushed word in every lane, or None to read per-lane words from `w_words`.
    """
    products = []
    infinity = e.splat(0x7F800000)
    for b, word in enumerate(words):
        x = e.load(x_words, b, part)
        y = w or e.load(str(w_words), b, part)
        x_exponent = e.f.op(f"lshr {e.v} {e.f.op(f'and {e.v} {x}, {infinity}')}, {e.splat(FRACTION)}")
        y_exponent = e.f.op(f"lshr {e.v} {e.f.op(f'and {e.v} {y}, {infinity}')}, {e.splat(FRACTION)}")
        raised = e.f.op(f"lshr {e.v} {word}, {e.splat(FRACTION)}")
        exponent = e.f.op(f"add {e.v} {e.f.op(f'add {e.v} {x_exponent}, {y_exponent}')}, {raised}")
        exponent = e.f.op(f"sub {e.v} {exponent}, {e.splat(BIAS)}")
        fraction = e.f.op(f"and {e.v} {word}, {e.splat((1 << FRACTION) - 1)}")
        normal = e.f.op(f"or {e.v} {e.f.op(f'shl {e.v} {exponent}, {e.splat(FRACTION)}')}, {fraction}")
        tiny = e.f.op(f"icmp slt {e.v} {exponent}, {e.splat(1)}")
        huge = e.f.op(f"icmp sgt {e.v} {exponent}, {e.splat(254)}")
        x_zero = e.f.op(f"icmp eq {e.v} {x_exponent}, zeroinitializer")
        y_zero = e.f.op(f"icmp eq {e.v} {y_exponent}, zeroinitializer")
        zero = e.f.op(f"or {e.mask} {tiny}, {e.f.op(f'or {e.mask} {x_zero}, {y_zero}')}")
        finite = e.f.op(f"select {e.mask} {huge}, {e.v} {infinity}, {e.v} {normal}")
        finite = e.f.op(f"select {e.mask} {zero}, {e.v} zeroinitializer, {e.v} {finite}")
        signs = e.f.op(f"and {e.v} {e.f.op(f'xor {e.v} {x}, {y}')}, {e.splat(0x80000000)}")
        finite = e.f.op(f"or {e.v} {finite}, {signs}")
        special = e.f.op(f"icmp eq {e.v} {x_exponent}, {e.splat(255)}")
        special = e.f.op(f"or {e.mask} {special}, {e.f.op(f'icmp eq {e.v} {y_exponent}, {e.splat(255)}')}")
        ieee = e.f.op(f"fmul {e.vf} {e.f.op(f'bitcast {e.v} {x} to {e.vf}')}, {e.f.op(f'bitcast {e.v} {y} to {e.vf}')}")
        finite = e.f.op(f"bitcast {e.v} {finite} to {e.vf}")
        products.append(e.f.op(f"select {e.mask} {special}, {e.vf} {ieee}, {e.vf} {finite}"))
    return products


def _emit_exponents(e: Vectors, arrays: list[tuple[str, str]]) -> tuple[str, str]:
    """Least and greatest biased exponents (i32) of the words of arrays of (address, length), which vectors divide.

    Zeros and subnormals are left out: 512 and 0 where there is nothing else.
    """
    f = e.f
    extremes = [e.splat(0xFFFFFFFF), e.splat(0)]

    def better(order: str, one: str, other: str) -> str:
        found = f.op(f"icmp {order} {e.v} {one}, {other}")
        return f.op(f"select {e.mask} {found}, {e.v} {one}, {e.v} {other}")

    for address, length in arrays:
        with f.fold(length, e.v, extremes, step=e.lanes) as (index, present):
            word = f.op(f"load {e.v}, ptr {f.element(address, 'i32', index)}, align 4")
            exponent = f.op(f"and {e.v} {word}, {e.splat(0x7F800000)}")
            # Zeros become the largest.
            present[0] = better("ult", f.op(f"sub {e.v} {exponent}, {e.splat(1)}"), present[0])
            present[1] = better("ugt", exponent, present[1])
        extremes = present
    scalars = []
    for order, best in zip(("ult", "ugt"), extremes, strict=True):
        half = e.lanes // 2
        while half:
            lanes = ", ".join(f"i32 {lane % half + half}" for lane in range(e.lanes))
            upper = f.op(f"shufflevector {e.v} {best}, {e.v} poison, <{e.lanes} x i32> <{lanes}>")
            best = better(order, best, upper)
            half //= 2
        scalars.append(f.op(f"lshr i32 {f.op(f'extractelement {e.v} {best}, i32 0')}, {FRACTION}"))
    return f.op(f"add i32 {scalars[0]}, 1"), scalars[1]


def _emit_stay_normal(f: Function, x_range: tuple[str, str], w_range: tuple[str, str]) -> str:
    """Whether (i1) no product of operands with such least and greatest exponents leaves the normal range."""
    lowest, highest = (f.op(f"add i32 {x}, {w}") for x, w in zip(x_range, w_range, strict=True))
    conditions = [
        f"icmp sgt i32 {lowest}, {BIAS}",
        # The normaliser and the rounding add at most 3.
        f"icmp sle i32 {highest}, {254 - 3 + BIAS}",
        # 255 is infinity or NaN.
        f"icmp ne i32 {x_range[1]}, 255",
        f"icmp ne i32 {w_range[1]}, 255",
    ]
    result = f.op(conditions[0])
    for condition in conditions[1:]:
        result = f.op(f"and i1 {result}, {f.op(condition)}")
    return result


def _emit_gather(f: Function, source: str, offsets: str, offset: str, words: str) -> None:
    """words[lane] = source[offsets[lane] + offset] for the 512 lanes."""
    shifted = f.element(source, "i32", offset)
    with f.loop(BLOCK) as lane:
        index = f.op(f"load i64, ptr {f.element(offsets, 'i64', lane)}")
        word = f.op(f"load i32, ptr {f.element(shifted, 'i32', index)}")
        f.do(f"store i32 {word}, ptr {f.element(words, 'i32', lane)}")


def _emit_accumulate(e: Vectors, products: list[str], accumulator: str, part: str) -> None:
    for b, product in enumerate(products):
        before = e.load(accumulator, b, part, e.vf)
        e.store(e.f.op(f"fadd {e.vf} {before}, {product}"), accumulator, b, part, e.vf)


# Scratch: packed x of one chunk, planes of w, planes of the product, gathered words, packed words of w.
_X_BYTES = WIDTH * PLANE_BYTES + WORD_BYTES
_W_AT = CHUNK * _X_BYTES
_P_AT = _W_AT + WIDTH * PLANE_BYTES
_GATHER_AT = _P_AT + 64 * PLANE_BYTES
_W_WORDS_AT = _GATHER_AT + WORD_BYTES
_ACCUMULATORS_AT = _W_WORDS_AT + WORD_BYTES


def scratch_bytes(columns: int) -> int:
    """Bytes of scratch (64-aligned) that a matmul kernel needs for `columns` output columns a call."""
    return _ACCUMULATORS_AT + columns * WORD_BYTES


def multiply_ir(settings: KernelSettings, target: Target) -> str:
    """@kernel(gates, x, w, out, blocks, scratch): elementwise float32 products, 512 a block, full range."""
    f = Function("kernel", "ptr %gates, ptr %x, ptr %w, ptr %out, i64 %blocks, ptr %scratch")
    e = Vectors(f, target)
    w_planes, product = f.offset("%scratch", _W_AT), f.offset("%scratch", _P_AT)
    x_words, w_words = f.offset("%scratch", WIDTH * PLANE_BYTES), f.offset("%scratch", _W_WORDS_AT)
    with f.loop("%blocks") as block:
        start = f.op(f"mul i64 {block}, {WORD_BYTES}")
        _emit_pack(e, f.offset("%x", start), "%scratch", x_words, less=None)
        _emit_pack(e, f.offset("%w", start), w_planes, w_words, less=None)
        f.do(f"call void %gates(ptr %scratch, ptr {w_planes}, ptr {product})")
        out = f.offset("%out", start)
        with f.loop(PLANE_BYTES, step=e.vector_bytes) as part:
            words = _emit_words(e, settings, product, part)
            for b, value in enumerate(_emit_full_products(e, words, x_words, None, w_words, part)):
                e.store(value, out, b, part, e.vf)
    return f.text()


NARROW_TASK = ("gates", "x_at", "x_step", "depth", "first_column", "columns", "out_at", "out_step", "rows")
"""Words of 64 bits, addresses or numbers, that make a task of the kernel for few rows."""


def narrow_scratch_bytes(depth: int, columns: int, rows: int) -> int:
    """Bytes of scratch (64-aligned) that a task of the kernel for few rows needs: gathered x, then products."""
    return _ACCUMULATORS_AT + 4 * rows * ((depth + BLOCK + 15) // 16 * 16 + -(-columns * depth // BLOCK) * BLOCK) + 64


def narrow_ir(settings: KernelSettings, target: Target) -> str:
    """The matmul kernel for few rows: lanes run over (column, k), so that one row fills blocks.

    @kernel(task, x, w, bias, out, scratch), `task` as NARROW_TASK says, x_at, x_step and out_at int64:
    out[out_at[m] + n out_step] = (+0 + sum over k, ascending, of x[x_at[m] + x_step[k]] * w[n depth + k]) + bias[n] for
    0 <= m < rows, first_column <= n < first_column + columns. depth > 0; without bias where that is null.
    """
    f = Function("kernel", "ptr %task, ptr %x, ptr %w, ptr %bias, ptr %out, ptr %scratch")
    e = Vectors(f, target)

    def field(name: str) -> str:
        kind = "ptr" if name in ("gates", "x_at", "x_step", "out_at") else "i64"
        return f.op(f"load {kind}, ptr {f.offset('%task', 8 * NARROW_TASK.index(name))}")

    gates, x_at, x_step, depth, first_column, columns, out_at, out_step, rows = map(field, NARROW_TASK)
    w_planes, product = f.offset("%scratch", _W_AT), f.offset("%scratch", _P_AT)
    x_words, w_words = f.offset("%scratch", WIDTH * PLANE_BYTES), f.offset("%scratch", _W_WORDS_AT)
    lanes = f.op(f"mul i64 {columns}, {depth}")
    stride = f.op(f"and i64 {f.op(f'add i64 {lanes}, {BLOCK - 1}')}, {-BLOCK}")
    weights = f.element("%w", "float", f.op(f"mul i64 {first_column}, {depth}"))
    # A block's lanes are words of x in a row from its first k on, over and over.
    x_rows = f.offset("%scratch", _ACCUMULATORS_AT)
    x_stride = f.op(f"and i64 {f.op(f'add i64 {depth}, {BLOCK + 15}')}, -16")
    # The shortest whole number of depths that vectors can be copied over.
    repeats = f.op(f"udiv i64 {f.op(f'add i64 {depth}, 15')}, {depth}")
    period = f.op(f"mul i64 {repeats}, {depth}")
    products = f.element(x_rows, "float", f.op(f"mul i64 {rows}, {x_stride}"))
    with f.loop(rows) as row:
        source = f.element("%x", "float", f.op(f"load i64, ptr {f.element(x_at, 'i64', row)}"))
        words = f.element(x_rows, "float", f.op(f"mul i64 {row}, {x_stride}"))
        with f.loop(depth) as k:
            step = f.op(f"load i64, ptr {f.element(x_step, 'i64', k)}")
            word = f.op(f"load float, ptr {f.element(source, 'float', step)}")
            f.do(f"store float {word}, ptr {f.element(words, 'float', k)}")
        for begin, end, kind, length in ((depth, period, "float", 1), (period, x_stride, "<16 x float>", 16)):
            with f.loop(end, begin, length) as k:
                before = f.element(words, "float", f.op(f"sub i64 {k}, {depth if length == 1 else period}"))
                copied = f.op(f"load {kind}, ptr {before}, align 4")
                f.do(f"store {kind} {copied}, ptr {f.element(words, 'float', k)}, align 4")
    tail, whole_lanes = f.offset("%scratch", _GATHER_AT), f.op(f"and i64 {lanes}, {-BLOCK}")
    with f.loop(BLOCK, step=e.lanes) as lane:
        f.do(f"store {e.v} zeroinitializer, ptr {f.element(tail, 'float', lane)}, align 4")
    whole_vectors = f.op(f"and i64 {lanes}, -16")
    for begin, end, kind, length in (
        (whole_lanes, whole_vectors, "<16 x float>", 16),
        (whole_vectors, lanes, "float", 1),
    ):
        with f.loop(end, begin, length) as lane:
            copied = f.op(f"load {kind}, ptr {f.element(weights, 'float', lane)}, align 4")
            place = f.op(f"sub i64 {lane}, {whole_lanes}")
            f.do(f"store {kind} {copied}, ptr {f.element(tail, 'float', place)}, align 4")

    several = f.op(f"icmp sgt i64 {rows}, 1")

    def emit_blocks(mode: str) -> None:
        x_less, w_less = (BIAS, 0) if mode == "normal" else (None, None)
        emit_products = _emit_normal_products if mode == "normal" else _emit_full_products
        with f.fold(lanes, "i64", ["-1"], step=BLOCK) as (first, packed):
            whole = f.op(f"icmp slt i64 {first}, {whole_lanes}")
            source = f.op(f"select i1 {whole}, ptr {f.element(weights, 'float', first)}, ptr {tail}")
            _emit_pack(e, source, w_planes, w_words, less=w_less)
            phase = f.op(f"urem i64 {first}, {depth}")
            with f.loop(rows) as row:
                start = f.op(f"add i64 {f.op(f'mul i64 {row}, {x_stride}')}, {phase}")
                # One row whose depth divides 512 gives every block the same lanes.
                other = f.op(f"icmp ne i64 {phase}, {packed[0]}")
                with f.when(f.op(f"or i1 {several}, {other}")):
                    _emit_pack(e, f.element(x_rows, "float", start), "%scratch", x_words, less=x_less)
                f.do(f"call void {gates}(ptr %scratch, ptr {w_planes}, ptr {product})")
                block = f.element(products, "float", f.op(f"add i64 {f.op(f'mul i64 {row}, {stride}')}, {first}"))
                with f.loop(PLANE_BYTES, step=e.vector_bytes) as part:
                    words_of_part = _emit_words(e, settings, product, part)
                    for b, value in enumerate(emit_products(e, words_of_part, x_words, None, w_words, part)):
                        e.store(value, block, b, part, e.vf)
            packed[0] = phase

    x_range = _emit_exponents(e, [(x_rows, f.op(f"mul i64 {rows}, {x_stride}"))])
    w_range = _emit_exponents(e, [(weights, whole_lanes), (tail, str(BLOCK))])
    normal = _emit_stay_normal(f, x_range, w_range)
    with f.when(normal):
        emit_blocks("normal")
    with f.when(f.op(f"xor i1 {normal}, true")):
        emit_blocks("full")
    # Columns side by side keep the additions of one column apart.
    with f.loop(rows) as row:
        terms = f.element(products, "float", f.op(f"mul i64 {row}, {stride}"))
        skipped = f.op(f"mul i64 {first_column}, {out_step}")
        start = f.op(f"load i64, ptr {f.element(out_at, 'i64', row)}")
        place = f.op(f"add i64 {start}, {skipped}")
        results = f.element("%out", "float", place)
        begin = "0"
        for count in _COLUMNS_TOGETHER:
            rest = f.op(f"urem i64 {f.op(f'sub i64 {columns}, {begin}')}, {count}")
            end = f.op(f"sub i64 {columns}, {rest}")
            with f.loop(end, begin, count) as column:
                taken = [f.op(f"add i64 {column}, {i}") for i in range(count)]
                starts = [f.element(terms, "float", f.op(f"mul i64 {n}, {depth}")) for n in taken]
                with f.fold(depth, "float", ["0.0"] * count) as (k, totals):
                    for i, start in enumerate(starts):
                        term = f.op(f"load float, ptr {f.element(start, 'float', k)}")
                        totals[i] = f.op(f"fadd float {totals[i]}, {term}")
                for n, total in zip(taken, totals, strict=True):
                    f.do(f"store float {total}, ptr {f.element(results, 'float', f.op(f'mul i64 {n}, {out_step}'))}")
            begin = end
        with f.when(f.op("icmp ne ptr %bias, null")), f.loop(columns) as column:
            addend = f.element("%bias", "float", f.op(f"add i64 {first_column}, {column}"))
            result = f.element(results, "float", f.op(f"mul i64 {column}, {out_step}"))
            total = f.op(f"load float, ptr {result}")
            added = f.op(f"load float, ptr {addend}")
            f.do(f"store float {f.op(f'fadd float {total}, {added}')}, ptr {result}")
    return f.text()


def matmul_ir(settings: KernelSettings, target: Target, mode: str) -> str:
    """The matmul kernel over blocks of 512 lanes.

    @kernel(gates, x, x_at, x_step, w, depth, columns, out, out_at, out_step, lanes, scratch):
    out[out_at[lane] + n out_step] = sum over k < depth, ascending, of x[x_at[lane] + x_step[k]] * w[n depth + k] for
    0 <= lane < lanes, 0 <= n < columns (x_at and out_at int64, readable up to the next multiple of 512). `mode` is
    the operands' range, "normal" or "full".
    """
    f = Function(
        "kernel",
        "ptr %gates, ptr %x, ptr %x_at, ptr %x_step, ptr %w, i64 %depth, i64 %columns, "
        "ptr %out, ptr %out_at, i64 %out_step, i64 %lanes, ptr %scratch",
    )
    e = Vectors(f, target)
    w_planes, product = f.offset("%scratch", _W_AT), f.offset("%scratch", _P_AT)
    gathered = f.offset("%scratch", _GATHER_AT)
    accumulators = f.offset("%scratch", _ACCUMULATORS_AT)

    def shorter(rest: str, most: int) -> str:
        return f.op(f"select i1 {f.op(f'icmp slt i64 {rest}, {most}')}, i64 {rest}, i64 {most}")

    with f.loop("%lanes", step=BLOCK) as first_lane:
        x_at = f.element("%x_at", "i64", first_lane)
        with f.loop(f.op(f"mul i64 %columns, {WORD_BYTES}"), step=16) as byte:
            f.do(f"store <4 x float> zeroinitializer, ptr {f.offset(accumulators, byte)}, align 16")
        with f.loop("%depth", step=CHUNK) as chunk:
            count = shorter(f.op(f"sub i64 %depth, {chunk}"), CHUNK)
            with f.loop(count) as k:
                step = f.op(f"load i64, ptr {f.element('%x_step', 'i64', f.op(f'add i64 {chunk}, {k}'))}")
                _emit_gather(f, "%x", x_at, step, gathered)
                planes = f.offset("%scratch", f.op(f"mul i64 {k}, {_X_BYTES}"))
                _emit_pack(
                    e, gathered, planes, f.offset(planes, WIDTH * PLANE_BYTES), less=BIAS if mode == "normal" else None
                )
            with f.loop("%columns") as n:
                sums = f.offset(accumulators, f.op(f"mul i64 {n}, {WORD_BYTES}"))
                row = f.op(f"add i64 {f.op(f'mul i64 {n}, %depth')}, {chunk}")
                with f.loop(count) as k:
                    planes = f.offset("%scratch", f.op(f"mul i64 {k}, {_X_BYTES}"))
                    x_words = f.offset(planes, WIDTH * PLANE_BYTES)

                    def add_products(w: str, planes: str = planes, x_words: str = x_words) -> None:
                        f.do(f"call void %gates(ptr {planes}, ptr {w_planes}, ptr {product})")
                        emit_products = _emit_normal_products if mode == "normal" else _emit_full_products
                        with f.loop(PLANE_BYTES, step=e.vector_bytes) as part:
                            words = _emit_words(e, settings, product, part)
                            _emit_accumulate(e, emit_products(e, words, x_words, w, None, part), sums, part)

                    weight = f.op(f"load i32, ptr {f.element('%w', 'i32', f.op(f'add i64 {row}, {k}'))}")
                    zero = f.op(f"icmp eq i32 {f.op(f'and i32 {weight}, {0x7F800000}')}, 0")
                    if mode == "normal":
                        with f.when(f.op(f"xor i1 {zero}, true")):
                            _emit_weight_planes(e, weight, w_planes)
                            add_products(e.broadcast(f.op(f"and i32 {weight}, {0xFF800000 - (1 << 32)}")))
                    else:
                        _emit_weight_planes(e, weight, w_planes)
                        sign = f.op(f"and i32 {weight}, {-(1 << 31)}")
                        add_products(e.broadcast(f.op(f"select i1 {zero}, i32 {sign}, i32 {weight}")))
        valid = shorter(f.op(f"sub i64 %lanes, {first_lane}"), BLOCK)
        out_at = f.element("%out_at", "i64", first_lane)
        with f.loop("%columns") as n:
            sums = f.offset(accumulators, f.op(f"mul i64 {n}, {WORD_BYTES}"))
            column = f.element("%out", "float", f.op(f"mul i64 {n}, %out_step"))
            with f.loop(valid) as lane:
                value = f.op(f"load float, ptr {f.element(sums, 'float', lane)}")
                index = f.op(f"load i64, ptr {f.element(out_at, 'i64', lane)}")
                f.do(f"store float {value}, ptr {f.element(column, 'float', index)}")
    return f.text()


def _emit_weight_planes(e: Vectors, weight: str, planes: str) -> None:
    """Planes of all ones or zeros from the bits of one weight's mantissa."""
    f = e.f
    vector = f"<{PLANE_BYTES // e.units // 8} x i64>"
    for bit in range(WIDTH):
        if bit == FRACTION:
            value = "splat (i64 -1)"
        else:
            raised = f.op(f"shl i32 {weight}, {31 - bit}")
            mask = f.op(f"sext i32 {f.op(f'ashr i32 {raised}, 31')} to i64")
            first = f.op(f"insertelement {vector} poison, i64 {mask}, i32 0")
            lanes = vector.split()[0][1:]
            value = f.op(f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer")
        for unit in range(e.units):
            f.do(f"store {vector} {value}, ptr {f.offset(planes, bit * PLANE_BYTES + unit * e.vector_bytes)}, align 16")


@lru_cache(maxsize=64)
def multiply_kernel(settings: KernelSettings, vector_bits: int | None = None) -> Any:
    """The compiled elementwise kernel, a ctypes function (see `multiply_ir`)."""
    target = Target.host(vector_bits)
    pointer = ctypes.c_void_p
    library: Library = load(multiply_ir(settings, target), target)
    return library.function("kernel", pointer, pointer, pointer, pointer, ctypes.c_int64, pointer)


@lru_cache(maxsize=64)
def matmul_kernel(settings: KernelSettings, mode: str, vector_bits: int | None = None) -> Any:
    """The compiled matmul kernel, a ctypes function (see `matmul_ir`)."""
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    library = load(matmul_ir(settings, target, mode), target)
    return library.function("kernel", p, p, p, p, p, n, n, p, p, n, n, p)


@lru_cache(maxsize=64)
def narrow_kernel(settings: KernelSettings, vector_bits: int | None = None) -> Any:
    """The compiled matmul kernel for few rows, a ctypes function (see `narrow_ir`)."""
    target, p = Target.host(vector_bits), ctypes.c_void_p
    return load(narrow_ir(settings, target), target).function("kernel", p, p, p, p, p, p)
