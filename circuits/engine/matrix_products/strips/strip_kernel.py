"""The matmul kernel for rows that do not fill blocks: each strip of 16 lanes has a weight of its own.

A block's 512 lanes are 32 strips. The 16 lanes of a strip are rows of the same column of the same group; strips side by
side may belong to other columns or groups. So a linear layer of 64 rows computes eight columns at once, and a depthwise
convolution of 7 x 7 positions ten channels of one image.

    for each block of 32 strips:
        sums[n] = +0                                                one block of float32 sums for each step n
        for each chunk of 64 k:
            pack x[lane, k] for the chunk's k                       once for all steps
            for each step n, for each 16 k of the chunk:
                pack w[row(strip) + n rows, k] of 32 strips and 16 k
                for each of the k:
                    sums[n] += gates(x[., k], weight planes of k)   512 products

Why strips of 16 lanes cost nothing. In the order of lanes of `circuits.engine.llvm.vectors`, lane 16 b + d is bit b of
element d of a plane, and element d of word register b. Weights that depend on b alone therefore have the same 32 bits
in all elements of a plane: bit b is that of strip b. And 32 strips x 16 k are one block of 512 words, whose row b holds
16 consecutive weights of strip b. Packing that block as if it were operands leaves in element k of plane p exactly
those 32 bits for position k; spreading them over the plane is one broadcast, as for a weight that all lanes share.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from circuits.engine.blocks import BLOCK, LIMB, PLANE_BYTES, WORD_BYTES
from circuits.engine.llvm.float_parts import (
    ACCUMULATORS_AT,
    BIAS,
    CHUNK,
    GATHERED_AT,
    PRODUCT_AT,
    W_PLANES_AT,
    W_WORDS_AT,
    WIDTH,
    X_BYTES,
    X_WORDS_AT,
    KernelSettings,
    emit_accumulate,
    emit_pack,
)
from circuits.engine.llvm.float_results import emit_products
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Vectors
from circuits.engine.llvm.wide_matmul_kernel import emit_minimum, emit_pack_chunk, emit_scatter

STRIP = 16
"""Lanes that share their weights."""
STRIPS = BLOCK // STRIP
"""Strips in a block."""
STRIP_FIELDS = ("row", "x_at", "out_at", "w_at")
"""The int64 fields of a strip: its first row, and what it adds to the rows' places in x and out; its weights' in w."""

# Scratch of its own: planes of 32 strips x 16 k before they are spread, places of the block's lanes, sums.
_PACKED_AT = ACCUMULATORS_AT
_X_AT = _PACKED_AT + WIDTH * PLANE_BYTES
_OUT_AT = _X_AT + 8 * BLOCK
_SUMS_AT = _OUT_AT + 8 * BLOCK


def strip_scratch_bytes(steps: int) -> int:
    """Bytes of scratch (64-aligned) that the kernel needs for `steps` steps a call."""
    return _SUMS_AT + steps * WORD_BYTES


def strip_ir(settings: KernelSettings, target: Target, mode: str) -> str:
    """The matmul kernel over blocks of 32 strips.

    @kernel(gates, x, x_at, x_step, strips, w, w_step, depth, columns, out, out_at, out_step, blocks, scratch), each
    strip with STRIP_FIELDS: for 32 `blocks` strips s, 0 <= i < 16 and 0 <= n < columns
    out[out_at[row(s) + i] + out_at(s) + n out_step] = sum over k < depth, ascending, of
    x[x_at[row(s) + i] + x_at(s) + x_step[k]] * w[w_at(s) + n w_step + k].
    Rows of w are readable up to the next multiple of 16 words. Strips and rows of a strip may repeat others of their
    block. `mode`: as for `wide_matmul_kernel.matmul_ir`.
    """
    f = Function(
        "kernel",
        "ptr %gates, ptr %x, ptr %x_at, ptr %x_step, ptr %strips, ptr %w, i64 %w_step, i64 %depth, i64 %columns, "
        "ptr %out, ptr %out_at, i64 %out_step, i64 %blocks, ptr %scratch",
    )
    e = Vectors(f, target)
    gathered, packed, x_at, out_at, accumulators = (
        f.offset("%scratch", at) for at in (GATHERED_AT, _PACKED_AT, _X_AT, _OUT_AT, _SUMS_AT)
    )
    with f.loop("%blocks") as block:
        strips = f.offset("%strips", f.op(f"mul i64 {block}, {8 * len(STRIP_FIELDS) * STRIPS}"))
        _emit_lanes(f, strips, x_at, out_at)
        with f.loop(f.op(f"mul i64 %columns, {WORD_BYTES}"), step=16) as byte:
            f.do(f"store <4 x float> zeroinitializer, ptr {f.offset(accumulators, byte)}, align 16")
        with f.loop("%depth", step=CHUNK) as chunk:
            count = emit_minimum(f, f.op(f"sub i64 %depth, {chunk}"), CHUNK)
            emit_pack_chunk(e, settings, x_at, chunk, count, gathered, BIAS if mode == "normal" else None)
            with f.loop("%columns") as n:
                sums = f.offset(accumulators, f.op(f"mul i64 {n}, {WORD_BYTES}"))
                start = f.op(f"add i64 {f.op(f'mul i64 {n}, %w_step')}, {chunk}")
                with f.loop(count, step=STRIP) as begin:
                    _emit_pack_weights(e, settings, strips, f.op(f"add i64 {start}, {begin}"), gathered, packed, mode)
                    with f.loop(emit_minimum(f, f.op(f"sub i64 {count}, {begin}"), STRIP)) as k:
                        x_planes = f.op(f"mul i64 {f.op(f'add i64 {begin}, {k}')}, {X_BYTES}")
                        _emit_add_products(e, settings, mode, f.offset("%scratch", x_planes), packed, k, sums)
        emit_scatter(f, out_at, BLOCK, accumulators)
    return f.text()


def _field(f: Function, strips: str, strip: str, name: str) -> str:
    address = f.offset(strips, f.op(f"mul i64 {strip}, {8 * len(STRIP_FIELDS)}"))
    return f.op(f"load i64, ptr {f.offset(address, 8 * STRIP_FIELDS.index(name))}")


def _emit_lanes(f: Function, strips: str, x_at: str, out_at: str) -> None:
    """Stores the places of the block's 512 lanes in x and out at the addresses `x_at` and `out_at`."""
    with f.loop(STRIPS) as strip:
        row = _field(f, strips, strip, "row")
        first_lane = f.op(f"mul i64 {strip}, {STRIP}")
        for name, places in (("x_at", x_at), ("out_at", out_at)):
            added, rows = _field(f, strips, strip, name), f.element(f"%{name}", "i64", row)
            with f.loop(STRIP) as i:
                place = f.op(f"load i64, ptr {f.element(rows, 'i64', i)}")
                lane = f.element(places, "i64", f.op(f"add i64 {first_lane}, {i}"))
                f.do(f"store i64 {f.op(f'add i64 {place}, {added}')}, ptr {lane}")


def _emit_pack_weights(
    e: Vectors, settings: KernelSettings, strips: str, start: str, gathered: str, packed: str, mode: str
) -> None:
    """Packs w[w_at(strip) + start + k] of a block's 32 strips and 16 k; element k of row `strip` is that weight's."""
    f = e.f
    source = f.element("%w", "i32", start)
    with f.loop(STRIPS) as strip:
        row = _field(f, strips, strip, "w_at")
        words = f.op(f"load <{STRIP} x i32>, ptr {f.element(source, 'i32', row)}, align 4")
        f.do(
            f"store <{STRIP} x i32> {words}, ptr {f.offset(gathered, f.op(f'mul i64 {strip}, {PLANE_BYTES}'))}, align 4"
        )
    w_words = f.offset("%scratch", W_WORDS_AT)
    emit_pack(e, settings, gathered, packed, w_words, less=0 if mode == "normal" else None)


def _emit_add_products(
    e: Vectors, settings: KernelSettings, mode: str, x_planes: str, packed: str, k: str, sums: str
) -> None:
    """sums[lane] += x[lane] * (packed weight k of the lane's strip) for a block."""
    f = e.f
    w_planes, product = f.offset("%scratch", W_PLANES_AT), f.offset("%scratch", PRODUCT_AT)
    of_position = f.element(packed, "i32", k)
    for plane in range(settings.fraction + 1):
        bits = e.broadcast(f.op(f"load i32, ptr {f.offset(of_position, plane * PLANE_BYTES)}"))
        for unit in range(e.units):
            f.do(f"store {e.v} {bits}, ptr {f.offset(w_planes, plane * PLANE_BYTES + unit * e.vector_bytes)}, align 16")
    f.do(f"call void %gates(ptr {x_planes}, ptr {w_planes}, ptr {product})")
    x_words = f.offset(x_planes, X_WORDS_AT)
    w_words = f.element(f.offset("%scratch", W_WORDS_AT), "i32", k)
    with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
        weights = [
            e.broadcast(f.op(f"load i32, ptr {f.offset(w_words, strip * PLANE_BYTES)}")) for strip in range(STRIPS)
        ]
        products = emit_products(e, settings, mode, product, x_words, weights, None, byte)
        emit_accumulate(e, products, sums, byte)


@lru_cache(maxsize=64)
def strip_kernel(settings: KernelSettings, mode: str, vector_bits: int | None = None) -> Any:
    """The compiled kernel, a ctypes function (see `strip_ir`)."""
    assert STRIPS == LIMB  # one bit of a plane's 32-bit elements for each strip
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    library = load(strip_ir(settings, target, mode), target)
    return library.function("kernel", p, p, p, p, p, p, n, n, n, p, p, n, n, p)
