"""The matmul kernel for many rows: a block's 512 lanes are rows of the result, one weight at a time meets them all.

    for 512 rows m at a time:
        sums[n] = +0                                        one block of float32 sums for each column n
        for each chunk of 64 k:
            pack x[m, k] for the chunk's k                  once for all columns
            for each column n, for each k of the chunk:
                sums[n] += gates(x[., k], w[n, k])          512 products

Each lane adds its products in ascending k, whatever the chunks, so that every result is the same sequence of float32
additions as in a plain loop.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from circuits.engine.blocks import BLOCK, PLANE_BYTES, WORD_BYTES
from circuits.engine.llvm.float_parts import (
    ACCUMULATORS_AT,
    BIAS,
    CHUNK,
    EXPONENT,
    GATHERED_AT,
    PRODUCT_AT,
    SIGN,
    SIGN_AND_EXPONENT,
    W_PLANES_AT,
    X_BYTES,
    X_WORDS_AT,
    KernelSettings,
    emit_accumulate,
    emit_gather,
    emit_normalised,
    emit_pack,
    emit_weight_planes,
)
from circuits.engine.llvm.float_results import emit_products
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Vectors


def matmul_ir(settings: KernelSettings, target: Target, mode: str) -> str:
    """The matmul kernel over blocks of 512 lanes.

    @kernel(gates, x, x_at, x_step, w, depth, columns, out, out_at, out_step, lanes, scratch):
    out[out_at[lane] + n out_step] = sum over k < depth, ascending, of x[x_at[lane] + x_step[k]] * w[n depth + k] for
    0 <= lane < lanes, 0 <= n < columns (x_at and out_at int64, readable up to the next multiple of 512).

    `mode`: "normal" for operands whose products all stay normal (zeros allowed), which skips zero weights: a sum that
    begins at +0 never is -0, so that adding a zero does not change it. "full" for any operands.
    """
    f = Function(
        "kernel",
        "ptr %gates, ptr %x, ptr %x_at, ptr %x_step, ptr %w, i64 %depth, i64 %columns, "
        "ptr %out, ptr %out_at, i64 %out_step, i64 %lanes, ptr %scratch",
    )
    e = Vectors(f, target)
    # The planes of one weight are the same in all lanes; the gates are called as for two vectors of operands.
    w_planes, product = f.offset("%scratch", W_PLANES_AT), f.offset("%scratch", PRODUCT_AT)
    gathered = f.offset("%scratch", GATHERED_AT)
    accumulators = f.offset("%scratch", ACCUMULATORS_AT)

    with f.loop("%lanes", step=BLOCK) as first_lane:
        x_at = f.element("%x_at", "i64", first_lane)
        # Sums begin at +0.
        with f.loop(f.op(f"mul i64 %columns, {WORD_BYTES}"), step=16) as byte:
            f.do(f"store <4 x float> zeroinitializer, ptr {f.offset(accumulators, byte)}, align 16")
        # Chunks of x stay in the second-level cache while all columns use them.
        with f.loop("%depth", step=CHUNK) as chunk:
            count = emit_minimum(f, f.op(f"sub i64 %depth, {chunk}"), CHUNK)
            # A packed column of x takes 3.5 KB and serves all columns n, which is why k is cut into chunks outside the
            # loop over n.
            emit_pack_chunk(e, settings, x_at, chunk, count, gathered, BIAS if mode == "normal" else None)
            with f.loop("%columns") as n:
                sums = f.offset(accumulators, f.op(f"mul i64 {n}, {WORD_BYTES}"))
                row = f.op(f"add i64 {f.op(f'mul i64 {n}, %depth')}, {chunk}")
                with f.loop(count) as k:
                    _emit_add_products(e, settings, mode, row, k, w_planes, product, sums)
        # Lanes beyond the last row hold sums of repeated offsets (see `wide_matmul._padded`): computed, never written.
        valid = emit_minimum(f, f.op(f"sub i64 %lanes, {first_lane}"), BLOCK)
        emit_scatter(f, f.element("%out_at", "i64", first_lane), valid, accumulators)
    return f.text()


def emit_minimum(f: Function, number: str, most: int) -> str:
    """The smaller of an i64 value and a constant."""
    return f.op(f"select i1 {f.op(f'icmp slt i64 {number}, {most}')}, i64 {number}, i64 {most}")


def emit_pack_chunk(
    e: Vectors, settings: KernelSettings, x_at: str, chunk: str, count: str, gathered: str, less: int | None
) -> None:
    """Gathers and packs the block's x for `count` k from `chunk` on, one after the other from the scratch's start.

    x, x_step and the scratch are the kernel's parameters of these names. `less`: see `emit_pack`.
    """
    f = e.f
    with f.loop(count) as k:
        step = f.op(f"load i64, ptr {f.element('%x_step', 'i64', f.op(f'add i64 {chunk}, {k}'))}")
        emit_gather(f, "%x", x_at, step, gathered)
        planes = f.offset("%scratch", f.op(f"mul i64 {k}, {X_BYTES}"))
        emit_pack(e, settings, gathered, planes, f.offset(planes, X_WORDS_AT), less=less)


def _emit_add_products(
    e: Vectors, settings: KernelSettings, mode: str, row: str, k: str, w_planes: str, product: str, sums: str
) -> None:
    """sums[lane] += x[lane, k] * w[row + k] for a block."""
    f = e.f
    planes = f.offset("%scratch", f.op(f"mul i64 {k}, {X_BYTES}"))
    x_words = f.offset(planes, X_WORDS_AT)

    def add_products(w: str) -> None:
        f.do(f"call void %gates(ptr {planes}, ptr {w_planes}, ptr {product})")
        with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
            emit_accumulate(e, emit_products(e, settings, mode, product, x_words, w, None, byte), sums, byte)

    weight = f.op(f"load i32, ptr {f.element('%w', 'i32', f.op(f'add i64 {row}, {k}'))}")
    zero = f.op(f"icmp eq i32 {f.op(f'and i32 {weight}, {EXPONENT}')}, 0")
    if mode == "normal":
        # A zero weight adds +0 to every sum, which changes nothing.
        with f.when(f.op(f"xor i1 {zero}, true")):
            emit_weight_planes(e, weight, w_planes, settings.fraction)
            add_products(e.broadcast(f.op(f"and i32 {weight}, {_signed(SIGN_AND_EXPONENT)}")))
    else:
        # A zero weight must still meet infinities and NaN; a subnormal one becomes a zero of its sign if it is flushed.
        if settings.subnormal_words:
            word = e.broadcast(weight)
            normalised = f.op(f"extractelement {e.v} {emit_normalised(e, word)}, i32 0")
            emit_weight_planes(e, normalised, w_planes, settings.fraction)
            add_products(word)
        else:
            emit_weight_planes(e, weight, w_planes, settings.fraction)
            sign = f.op(f"and i32 {weight}, {_signed(SIGN)}")
            add_products(e.broadcast(f.op(f"select i1 {zero}, i32 {sign}, i32 {weight}")))


def _signed(mask: int) -> int:
    """A mask whose bit 31 is set, as IR text spells it."""
    return mask - (1 << 32)


def emit_scatter(f: Function, out_at: str, valid: str | int, accumulators: str) -> None:
    """Writes the sums of the first `valid` lanes, column after column, to out[out_at[lane] + n out_step].

    out, columns and out_step are the kernel's parameters of these names.
    """
    with f.loop("%columns") as n:
        sums = f.offset(accumulators, f.op(f"mul i64 {n}, {WORD_BYTES}"))
        column = f.element("%out", "float", f.op(f"mul i64 {n}, %out_step"))
        with f.loop(valid) as lane:
            value = f.op(f"load float, ptr {f.element(sums, 'float', lane)}")
            index = f.op(f"load i64, ptr {f.element(out_at, 'i64', lane)}")
            f.do(f"store float {value}, ptr {f.element(column, 'float', index)}")


@lru_cache(maxsize=64)
def matmul_kernel(settings: KernelSettings, mode: str, vector_bits: int | None = None) -> Any:
    """The compiled matmul kernel, a ctypes function (see `matmul_ir`)."""
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    library = load(matmul_ir(settings, target, mode), target)
    return library.function("kernel", p, p, p, p, p, n, n, p, p, n, n, p)
