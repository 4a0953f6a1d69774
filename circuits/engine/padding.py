"""Padded copies of images, by a compiled kernel: NumPy takes longer for a short row than the row's products do."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load

_LANES = 16
_ELEMENTS = 1 << 15
"""Smaller images are copied by NumPy: compiling or loading the kernel is not worth it."""


def padded(x: NDArray[Any], padding: tuple[int, int, int, int], value: int = 0) -> NDArray[Any]:
    """x [B, C, H, W] with (top, bottom, left, right) rows and columns of `value` around each image, C-contiguous.

    x itself, made contiguous, where nothing is padded.
    """
    x = np.ascontiguousarray(x)
    top, bottom, left, right = padding
    if not any(padding):
        return x
    batch, channels, height, width = x.shape
    out = np.full((batch, channels, height + top + bottom, width + left + right), value, dtype=x.dtype)
    if x.dtype.itemsize != 4 or x.size < _ELEMENTS:
        out[:, :, top : top + height, left : left + width] = x
        return out
    planes, (rows, columns) = batch * channels, out.shape[2:]
    corner = out.ctypes.data + 4 * (top * columns + left)
    _kernel(Target.host().vector_bits)(x.ctypes.data, corner, planes, height, width, rows * columns, columns)
    return out


def padding_ir() -> str:
    """@kernel(x, out, planes, height, width, out_plane, out_row): copies `planes` images of 32-bit words.

    Those of x lie one behind the other; in `out` planes and rows begin `out_plane` and `out_row` words apart.
    """
    f = Function("kernel", "ptr %x, ptr %out, i64 %planes, i64 %height, i64 %width, i64 %out_plane, i64 %out_row")
    v, mask = f"<{_LANES} x i32>", f"<{_LANES} x i1>"
    numbers = ", ".join(f"i64 {lane}" for lane in range(_LANES))
    whole = f.op(f"and i64 %width, {-_LANES}")
    rest = f.op(f"sub i64 %width, {whole}")
    first = f.op(f"insertelement <{_LANES} x i64> poison, i64 {rest}, i32 0")
    wide = f"<{_LANES} x i64>"
    splat = f.op(f"shufflevector {wide} {first}, {wide} poison, <{_LANES} x i32> zeroinitializer")
    present = f.op(f"icmp slt {wide} <{numbers}>, {splat}")
    with f.loop("%planes") as plane, f.loop("%height") as row:
        number = f.op(f"add i64 {f.op(f'mul i64 {plane}, %height')}, {row}")
        source = f.element("%x", "i32", f.op(f"mul i64 {number}, %width"))
        place = f.op(f"add i64 {f.op(f'mul i64 {plane}, %out_plane')}, {f.op(f'mul i64 {row}, %out_row')}")
        target = f.element("%out", "i32", place)
        with f.loop(whole, step=_LANES) as lane:
            words = f.op(f"load {v}, ptr {f.element(source, 'i32', lane)}, align 4")
            f.do(f"store {v} {words}, ptr {f.element(target, 'i32', lane)}, align 4")
        # What is left of the row; words beyond it are neither read nor written.
        last, behind = f.element(source, "i32", whole), f.element(target, "i32", whole)
        words = f.op(f"call {v} @llvm.masked.load.v16i32.p0(ptr {last}, i32 4, {mask} {present}, {v} zeroinitializer)")
        f.do(f"call void @llvm.masked.store.v16i32.p0({v} {words}, ptr {behind}, i32 4, {mask} {present})")
    return (
        f"declare {v} @llvm.masked.load.v16i32.p0(ptr, i32, {mask}, {v})\n"
        f"declare void @llvm.masked.store.v16i32.p0({v}, ptr, i32, {mask})\n{f.text()}"
    )


@lru_cache(maxsize=4)
def _kernel(vector_bits: int) -> Any:
    p, n = ctypes.c_void_p, ctypes.c_int64
    return load(padding_ir(), Target.host(vector_bits)).function("kernel", p, p, n, n, n, n, n)
