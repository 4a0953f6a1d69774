"""Padded copies of images, by a compiled kernel: NumPy takes longer for a short row than the row's products do."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np

from circuits.engine.device.tensor_kinds import contiguous, filled, on_cuda
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load

_LANES = 16
_ELEMENTS = 1 << 15
"""Smaller images are copied by NumPy: compiling or loading the kernel is not worth it."""


def padded(x: Any, padding: tuple[int, int, int, int], value: int = 0) -> Any:
    """x [B, C, H, W] with (top, bottom, left, right) rows and columns of `value` around each image, C-contiguous.

    An array or a CUDA tensor; x itself, made contiguous, where nothing is padded.
    """
    x = contiguous(x)
    top, bottom, left, right = padding
    if not any(padding):
        return x
    batch, channels, height, width = x.shape
    shape = batch, channels, height + top + bottom, width + left + right
    if on_cuda(x) or x.dtype.itemsize != 4 or x.size < _ELEMENTS:
        out = filled(x, shape, None, value)
        out[:, :, top : top + height, left : left + width] = x
        return out
    out = np.empty(shape, dtype=x.dtype)
    fill = int(np.array(value, dtype=x.dtype).view(np.uint32))
    sizes = batch * channels, height, width, top * shape[3], bottom * shape[3], left, right
    _kernel(Target.host().vector_bits)(x.ctypes.data, out.ctypes.data, fill, *sizes)
    return out


def padding_ir() -> str:
    """@kernel(x, out, fill, planes, height, width, above, below, left, right): copies `planes` images of 32-bit words.

    The words `fill` go around them: `above` and `below` of them before and behind each image, `left` and `right` before
    and behind each row.
    """
    f = Function(
        "kernel",
        "ptr %x, ptr %out, i32 %fill, i64 %planes, i64 %height, i64 %width, "
        "i64 %above, i64 %below, i64 %left, i64 %right",
    )
    v, mask, wide = f"<{_LANES} x i32>", f"<{_LANES} x i1>", f"<{_LANES} x i64>"
    numbers = ", ".join(f"i64 {lane}" for lane in range(_LANES))
    whole = f.op(f"and i64 %width, {-_LANES}")
    rest = f.op(f"sub i64 %width, {whole}")
    first = f.op(f"insertelement {wide} poison, i64 {rest}, i32 0")
    splat = f.op(f"shufflevector {wide} {first}, {wide} poison, <{_LANES} x i32> zeroinitializer")
    present = f.op(f"icmp slt {wide} <{numbers}>, {splat}")
    row_length = f.op(f"add i64 {f.op('add i64 %left, %width')}, %right")
    image_length = f.op(f"add i64 {f.op(f'mul i64 {row_length}, %height')}, {f.op('add i64 %above, %below')}")

    def fill(place: str, count: str) -> str:
        """Fills `count` words; returns the address behind them."""
        with f.loop(count) as word:
            f.do(f"store i32 %fill, ptr {f.element(place, 'i32', word)}")
        return f.element(place, "i32", count)

    with f.loop("%planes") as plane:
        image = f.element("%out", "i32", f.op(f"mul i64 {plane}, {image_length}"))
        rows = fill(image, "%above")
        with f.loop("%height") as row:
            number = f.op(f"add i64 {f.op(f'mul i64 {plane}, %height')}, {row}")
            source = f.element("%x", "i32", f.op(f"mul i64 {number}, %width"))
            target = fill(f.element(rows, "i32", f.op(f"mul i64 {row}, {row_length}")), "%left")
            with f.loop(whole, step=_LANES) as lane:
                words = f.op(f"load {v}, ptr {f.element(source, 'i32', lane)}, align 4")
                f.do(f"store {v} {words}, ptr {f.element(target, 'i32', lane)}, align 4")
            # What is left of the row; words beyond it are neither read nor written.
            last, behind = f.element(source, "i32", whole), f.element(target, "i32", whole)
            load_words = f"@llvm.masked.load.v16i32.p0(ptr {last}, i32 4, {mask} {present}, {v} zeroinitializer)"
            words = f.op(f"call {v} {load_words}")
            f.do(f"call void @llvm.masked.store.v16i32.p0({v} {words}, ptr {behind}, i32 4, {mask} {present})")
            fill(f.element(target, "i32", "%width"), "%right")
        fill(f.element(rows, "i32", f.op(f"mul i64 {row_length}, %height")), "%below")
    return (
        f"declare {v} @llvm.masked.load.v16i32.p0(ptr, i32, {mask}, {v})\n"
        f"declare void @llvm.masked.store.v16i32.p0({v}, ptr, i32, {mask})\n{f.text()}"
    )


@lru_cache(maxsize=4)
def _kernel(vector_bits: int) -> Any:
    p, n = ctypes.c_void_p, ctypes.c_int64
    return load(padding_ir(), Target.host(vector_bits)).function("kernel", p, p, ctypes.c_uint32, n, n, n, n, n, n, n)
