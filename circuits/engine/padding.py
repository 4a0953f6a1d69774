"""Padded copies of images, by a compiled kernel: NumPy takes longer for a short row than the row's products do."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.device.tensor_kinds import contiguous, filled, on_cuda
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.task_threads import TASKS_A_THREAD, default_threads, run_tasks

_LANES = 16
_BYTES = 64
_ELEMENTS = 1 << 15
"""Smaller images are copied by NumPy: compiling or loading the kernel is not worth it."""
_BYTES_A_TASK = 1 << 20
"""Bytes of padded images that repay waking a thread."""


def padded(x: Any, padding: tuple[int, int, int, int], value: int = 0, threads: int | None = 1) -> Any:
    """x [B, C, H, W] with (top, bottom, left, right) rows and columns of `value` around each image, C-contiguous.

    An array or a CUDA tensor; x itself, made contiguous, where nothing is padded. `threads`: None for all cores.
    """
    x = contiguous(x)
    top, bottom, left, right = padding
    if not any(padding):
        return x
    batch, channels, height, width = x.shape
    shape = batch, channels, height + top + bottom, width + left + right
    if on_cuda(x):
        out = filled(x, shape, None, value)
        out[:, :, top : top + height, left : left + width] = x
        return out
    copy = _copier(x.dtype, (height, width), padding, value) if x.size >= _ELEMENTS else None
    if copy is None:
        out = np.full(shape, value, dtype=x.dtype)
        out[:, :, top : top + height, left : left + width] = x
        return out
    out = np.empty(shape, dtype=x.dtype)
    planes = batch * channels
    source, target, plane, padded_plane = x.ctypes.data, out.ctypes.data, x.nbytes // planes, out.nbytes // planes

    def task(first: int, end: int) -> None:
        copy(source + first * plane, target + first * padded_plane, end - first)

    threads = min(threads or default_threads(), max(1, out.nbytes // _BYTES_A_TASK))
    count = 1 if threads == 1 else min(planes, TASKS_A_THREAD * threads)
    run_tasks(task, [(planes * k // count, planes * (k + 1) // count) for k in range(count)], threads)
    return out


def _copier(
    dtype: np.dtype[Any], image: tuple[int, int], padding: tuple[int, int, int, int], value: int
) -> Callable[[int, int, int], None] | None:
    """A function (x, out, planes) of two addresses that pads so many images, or None where there is no kernel."""
    size, target = dtype.itemsize, Target.host()
    height, width = image
    top, bottom, left, right = padding
    row = left + width + right
    if size not in (1, 4):
        return None
    fill = int(np.array(value, dtype=dtype).view(np.uint8 if size == 1 else np.uint32))
    features = target.features.split(",")
    if (size == 4 and target.vector_bits == 512) or "+avx512vbmi2" in features:
        pieces = expanded_pieces(image, padding, _BYTES // size)
        kernel = _expanding_kernel(target, size)
        sizes = height * width, (top + height + bottom) * row
        return lambda x, out, planes: kernel(x, out, fill, pieces.ctypes.data, planes, *sizes)
    if size == 1:
        return None
    rows = _row_kernel(target.vector_bits)
    return lambda x, out, planes: rows(x, out, fill, planes, height, width, top * row, bottom * row, left, right)


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
def _row_kernel(vector_bits: int) -> Any:
    p, n = ctypes.c_void_p, ctypes.c_int64
    return load(padding_ir(), Target.host(vector_bits)).function("kernel", p, p, ctypes.c_uint32, n, n, n, n, n, n, n)


@lru_cache(maxsize=64)
def expanded_pieces(image: tuple[int, int], padding: tuple[int, int, int, int], lanes: int) -> NDArray[np.int64]:
    """For every `lanes` elements of a padded image: the place of the first one in the image, and the mask of all."""
    inside = np.zeros((image[0] + sum(padding[:2]), image[1] + sum(padding[2:])), dtype=np.uint8)
    inside[padding[0] : padding[0] + image[0], padding[2] : padding[2] + image[1]] = 1
    bits = np.pad(inside.reshape(-1), (0, -inside.size % lanes)).reshape(-1, lanes)
    counts = bits.sum(axis=1, dtype=np.int64)
    masks = np.zeros((len(bits), 8), dtype=np.uint8)
    masks[:, : lanes // 8] = np.packbits(bits, axis=1, bitorder="little")
    return np.ascontiguousarray(np.stack([np.cumsum(counts) - counts, masks.view(np.int64)[:, 0]], axis=1))


def expanding_ir(size: int) -> str:
    """@kernel(x, out, fill, pieces, planes, size, padded): pads `planes` images of %size elements to %padded ones.

    Elements have `size` bytes, 1 or 4. A piece, 64 bytes of a padded image, is one `vpexpand`, which distributes
    consecutive elements of the image to those of the mask.
    """
    lanes = _BYTES // size
    kind, suffix = f"i{8 * size}", f"v{lanes}i{8 * size}"
    f = Function("kernel", f"ptr %x, ptr %out, {kind} %fill, ptr %pieces, i64 %planes, i64 %size, i64 %padded")
    v, mask = f"<{lanes} x {kind}>", f"<{lanes} x i1>"
    first = f.op(f"insertelement {v} poison, {kind} %fill, i32 0")
    margin = f.op(f"shufflevector {v} {first}, {v} poison, <{lanes} x i32> zeroinitializer")
    whole = f.op(f"and i64 %padded, {-lanes}")
    rest = f.op(f"sub i64 %padded, {whole}")
    ones = f.op(f"sub i64 {f.op(f'shl i64 1, {rest}')}, 1")
    last = f.op(f"bitcast i{lanes} {_truncated(f, ones, lanes)} to {mask}")

    def expanded(plane: str, begin: str) -> tuple[str, str]:
        """The piece of padded elements from `begin` on, and where it goes."""
        piece = f.offset("%pieces", f.op(f"mul i64 {f.op(f'udiv i64 {begin}, {lanes}')}, 16"))
        place, present = (f.op(f"load i64, ptr {f.offset(piece, 8 * k)}") for k in (0, 1))
        source = f.element(f.element("%x", kind, f.op(f"mul i64 {plane}, %size")), kind, place)
        inside = f.op(f"bitcast i{lanes} {_truncated(f, present, lanes)} to {mask}")
        value = f.op(f"call {v} @llvm.masked.expandload.{suffix}(ptr {source}, {mask} {inside}, {v} {margin})")
        return value, f.element(f.element("%out", kind, f.op(f"mul i64 {plane}, %padded")), kind, begin)

    with f.loop("%planes") as plane:
        with f.loop(whole, step=lanes) as begin:
            value, place = expanded(plane, begin)
            f.do(f"store {v} {value}, ptr {place}, align {size}")
        with f.when(f.op(f"icmp ne i64 {rest}, 0")):
            value, place = expanded(plane, whole)
            f.do(f"call void @llvm.masked.store.{suffix}.p0({v} {value}, ptr {place}, i32 {size}, {mask} {last})")
    return (
        f"declare {v} @llvm.masked.expandload.{suffix}(ptr, {mask}, {v})\n"
        f"declare void @llvm.masked.store.{suffix}.p0({v}, ptr, i32, {mask})\n{f.text()}"
    )


def _truncated(f: Function, value: str, bits: int) -> str:
    return value if bits == 64 else f.op(f"trunc i64 {value} to i{bits}")


@lru_cache(maxsize=4)
def _expanding_kernel(target: Target, size: int) -> Any:
    p, n = ctypes.c_void_p, ctypes.c_int64
    fill = ctypes.c_uint8 if size == 1 else ctypes.c_uint32
    return load(expanding_ir(size), target).function("kernel", p, p, fill, p, n, n, n)
