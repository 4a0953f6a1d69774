"""Float products and matrix products of a design: the compiled kernels where they serve, the reference elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits import floats
from circuits.engine import integers, tabled
from circuits.engine.compiled import BLOCK, CompiledProgram, compile_program
from circuits.engine.float_kernel import (
    FRACTION,
    WIDTH,
    KernelSettings,
    matmul_kernel,
    multiply_kernel,
    narrow_kernel,
    scratch_bytes,
)
from circuits.errors import DesignError
from circuits.program import restrict

if TYPE_CHECKING:
    from circuits.designs import Design

Array = NDArray[np.float32]
_COLUMNS_A_CALL = 64  # accumulators of 64 columns, 128 KB, stay in the second-level cache
_BLOCKS_A_TASK = 4
_PRODUCTS_A_THREAD = 1 << 18
_PRODUCTS_A_TASK = 1 << 17  # of matrices with few rows: 512 KB


def has_kernel(design: Design) -> bool:
    """Whether the compiled kernels serve the design: float32 with subnormals flushed."""
    return design.format == "float32" and design.subnormals == "flush"


def multiply(design: Design, x: ArrayLike, w: ArrayLike, *, backend: str = "auto") -> Array:
    """Elementwise products (broadcast), float32; see Design.multiply."""
    left, right = _float32(x, "x"), _float32(w, "w")
    if backend != "auto" or not has_kernel(design):
        backend = integers.choose_backend(backend, design.program(), max(left.size, right.size))
    if not has_kernel(design):
        fmt = design.float_format
        assert fmt is not None
        return floats.multiply(
            fmt,
            left,
            right,
            lambda a, b: integers.multiply(design.program(), a, b, backend=backend),
            rounding=design.rounding,
            normalization=design.normalization,
            subnormals=str(design.subnormals),
        )
    left, right = np.broadcast_arrays(left, right)
    shape = left.shape
    left, right = np.ascontiguousarray(left).reshape(-1), np.ascontiguousarray(right).reshape(-1)
    out = np.empty(left.size, dtype=np.float32)
    if backend not in ("auto", "compiled"):
        _multiply_by_planes(design, backend, left, right, out)
        return out.reshape(shape)
    settings, gates = _kernel_parts(design)
    kernel = multiply_kernel(settings)
    scratch = _scratch(0)

    def run(x: Array, w: Array, out: Array) -> None:
        addresses = (array.ctypes.data for array in (x, w, out))
        kernel(gates.gates_address, *addresses, x.size // BLOCK, scratch.ctypes.data)

    run(left, right, out)
    if rest := left.size % BLOCK:
        tail = np.zeros((3, BLOCK), dtype=np.float32)
        tail[0, :rest] = left[-rest:]
        tail[1, :rest] = right[-rest:]
        run(*tail)
        out[-rest:] = tail[2, :rest]
    return out.reshape(shape)


def _multiply_by_planes(design: Design, backend: str, x: Array, w: Array, out: Array) -> None:
    """The same products, of float32 [n] arrays, by a backend without a float kernel."""
    from circuits.engine import float_products

    run = integers.product_words(design.program(), backend)
    for start in range(0, out.size, _PRODUCTS_A_TASK):
        part = slice(start, start + _PRODUCTS_A_TASK)
        operands = [values[part].view(np.uint32) for values in (x, w)]
        count = operands[0].size
        words = np.zeros((4, -(-count // BLOCK) * BLOCK), dtype=np.uint32)
        for values, mantissas in zip(operands, words[:2, :count], strict=True):
            float_products.mantissas(values, mantissas)
        run(words[0:1], words[1:2], words[2:4])
        nearest, released = design.rounding == "nearest_even", design.normalization == "released"
        float_products.assemble(operands[0], operands[1], words[2:4], nearest, released, out[part].view(np.uint32))


def matmul(design: Design, x: ArrayLike, w: ArrayLike, *, threads: int | None = None) -> Array:
    """x [M, K] @ w [K, N] -> float32 [M, N]: gate-exact products, accumulated in float32 in ascending k from +0.

    The result does not depend on `threads` (default: all cores) nor on how the rows are split into calls.
    First operand = activation, second = weight. Raises DesignError on shapes that do not fit.
    """
    left, right = _float32(x, "x"), _float32(w, "w")
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        raise DesignError(
            f"x must be [M, K] and w [K, N] with equal K, but got shapes {left.shape} and {right.shape}; reshape them."
        )
    rows, depth = left.shape
    columns = right.shape[1]
    out = np.empty((rows, columns), dtype=np.float32)
    gathered_matmul(
        design,
        np.ascontiguousarray(left),
        np.arange(rows) * depth,
        np.arange(depth),
        np.ascontiguousarray(right.T),
        out,
        np.arange(rows) * columns,
        1,
        threads=threads,
    )
    return out


def gathered_matmul(
    design: Design,
    x: Array,
    x_at: NDArray[np.int64],
    x_step: NDArray[np.int64],
    w: Array,
    out: Array,
    out_at: NDArray[np.int64],
    out_step: int,
    *,
    threads: int | None = None,
) -> None:
    """The product that convolution and linear layers share, written into `out`:

    out.flat[out_at[m] + n out_step] = sum over k, ascending, of x.flat[x_at[m] + x_step[k]] * w[n, k].

    `x`, `w` [N, K] and `out` are C-contiguous float32. Lanes run over m, and over (k, n, m) where m alone fills few.
    """
    columns, depth = w.shape
    rows = len(x_at)
    if not has_kernel(design):
        _reference_matmul(design, x, x_at, x_step, w, out, out_at, out_step)
        return
    if not rows or not columns:
        return
    if -(-rows // BLOCK) * columns > 2 * -(-rows * columns // BLOCK):
        _narrow_matmul(design, x, x_at, x_step, w, out, out_at, out_step, threads)
        return
    settings, gates = _kernel_parts(design)
    x_step = np.ascontiguousarray(x_step, dtype=np.int64)
    mode = "normal" if _products_stay_normal(x, w) else "full"
    kernel = matmul_kernel(settings, mode)
    x_at, out_at = _padded(x_at), _padded(out_at)

    def task(first_row: int, first_column: int) -> None:
        count = min(columns - first_column, _COLUMNS_A_CALL)
        scratch = _scratch(count)
        kernel(
            gates.gates_address,
            x.ctypes.data,
            x_at.ctypes.data + 8 * first_row,
            x_step.ctypes.data,
            w.ctypes.data + 4 * depth * first_column,
            depth,
            count,
            out.ctypes.data + 4 * out_step * first_column,
            out_at.ctypes.data + 8 * first_row,
            out_step,
            min(rows - first_row, rows_a_task),
            scratch.ctypes.data,
        )

    # At least four tasks a thread where the rows allow it, so that no thread waits long for the last.
    threads = _useful_threads(threads, rows * w.size)
    blocks = -(-rows // BLOCK)
    rows_a_task = min(max(1, blocks // (4 * threads)), _BLOCKS_A_TASK) * BLOCK
    tasks = [(m, n) for m in range(0, rows, rows_a_task) for n in range(0, columns, _COLUMNS_A_CALL)]
    run_tasks(task, tasks, threads)


def run_tasks(task: Callable[..., None], tasks: Sequence[tuple[int, ...]], threads: int) -> None:
    """Calls task(*arguments) for all, on `threads` threads that stay for the next call."""
    if min(threads, len(tasks)) <= 1:
        for arguments in tasks:
            task(*arguments)
        return
    for future in [_pool(threads).submit(task, *arguments) for arguments in tasks]:
        future.result()


@lru_cache(maxsize=8)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="circuits")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has the pool, but not its threads


def _useful_threads(threads: int | None, products: int) -> int:
    """`threads` (default: all cores), but no more than the work repays waking."""
    return max(1, min(threads or default_threads(), products // _PRODUCTS_A_THREAD))


def default_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An uninitialised C-contiguous array at a 64-byte boundary."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    aligned: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return aligned


def _scratch(columns: int) -> NDArray[np.uint8]:
    """Scratch of a kernel, 64-aligned; held by the thread, because fresh memory costs more than the work on it."""
    size = scratch_bytes(columns)
    if len(getattr(_memory, "scratch", ())) < size:
        _memory.scratch = aligned_empty((size,), np.uint8)
    scratch: NDArray[np.uint8] = _memory.scratch
    return scratch


def _products(count: int) -> Array:
    """Room for `count` products, held by the thread."""
    if len(getattr(_memory, "products", ())) < count:
        _memory.products = aligned_empty((count,), np.float32)
    products: Array = _memory.products
    return products


_memory = threading.local()


@lru_cache(maxsize=64)
def _kernel_parts(design: Design) -> tuple[KernelSettings, CompiledProgram]:
    """The float kernel's settings and the gates that give the product bits it reads."""
    program = design.program()
    lowest = 2 * WIDTH - 2 - FRACTION if design.rounding == "truncate" else 0
    settings = KernelSettings(program.outputs["product"], lowest, design.rounding, design.normalization == "released")
    return settings, compile_program(restrict(program, "product", lowest))


def _products_stay_normal(x: Array, w: Array) -> bool:
    """Whether no product of an x and a w can be NaN, infinite, subnormal or flushed (zeros aside)."""
    exponents = []
    for values in (x, w):
        magnitudes = values.reshape(-1).view(np.uint32) << np.uint32(1)
        highest = int(magnitudes.max(initial=np.uint32(0))) >> (FRACTION + 1)
        magnitudes -= np.uint32(1)  # zeros become the largest
        lowest = int(magnitudes.min(initial=np.uint32(0xFFFFFFFF))) + 1 >> (FRACTION + 1)
        exponents.append((lowest, highest))
    (x_low, x_high), (w_low, w_high) = exponents
    # The normaliser and the rounding add at most 3 to the exponent.
    return min(x_low, w_low) >= 1 and x_low + w_low - 127 >= 1 and x_high + w_high - 127 + 3 <= 254


def _padded(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64, contiguous, repeated up to a whole number of blocks."""
    return np.pad(np.asarray(offsets, dtype=np.int64), (0, -len(offsets) % BLOCK), mode="edge")


def _narrow_matmul(
    design: Design,
    x: Array,
    x_at: NDArray[np.int64],
    x_step: NDArray[np.int64],
    w: Array,
    out: Array,
    out_at: NDArray[np.int64],
    out_step: int,
    threads: int | None,
) -> None:
    """The same product for few rows: lanes run over (n, k), and the sums follow (see `float_kernel.narrow_ir`)."""
    columns, depth = w.shape
    flat = out.reshape(-1)
    if not depth:
        flat[np.asarray(out_at)[:, None] + np.arange(columns) * out_step] = 0
        return
    settings, gates = _kernel_parts(design)
    kernel = narrow_kernel(settings)
    threads = _useful_threads(threads, len(x_at) * w.size)
    columns_a_task = max(1, min(_PRODUCTS_A_TASK // depth, -(-columns // threads)))
    rows_a_task = max(1, _PRODUCTS_A_TASK // (depth * columns_a_task))

    def task(row: int, column: int) -> None:
        once = x.reshape(-1)[x_at[row : row + rows_a_task, None] + x_step]
        weights = w[column : column + columns_a_task]
        rows, lanes = len(once), weights.size
        activations = aligned_empty((rows, depth + BLOCK), np.float32)
        for start in range(0, depth + BLOCK, depth):
            activations[:, start : start + depth] = once[:, : depth + BLOCK - start]
        tail = weights
        if rest := lanes % BLOCK:
            tail = np.zeros(BLOCK, dtype=np.float32)
            tail[:rest] = weights.reshape(-1)[lanes - rest :]
        sums = np.empty((rows, len(weights)), dtype=np.float32)
        scratch, products = _scratch(0), _products(rows * -(-lanes // BLOCK) * BLOCK)
        kernel(
            gates.gates_address,
            activations.ctypes.data,
            depth + BLOCK,
            weights.ctypes.data,
            tail.ctypes.data,
            depth,
            len(weights),
            rows,
            products.ctypes.data,
            sums.ctypes.data,
            scratch.ctypes.data,
        )
        if rows == 1 and out_step == 1:
            start = int(out_at[row]) + column
            flat[start : start + len(weights)] = sums[0]
        else:
            places = np.arange(column, column + len(weights)) * out_step
            flat[out_at[row : row + rows_a_task, None] + places] = sums

    tasks = [(m, n) for m in range(0, len(x_at), rows_a_task) for n in range(0, columns, columns_a_task)]
    run_tasks(task, tasks, threads)


def _reference_matmul(
    design: Design,
    x: Array,
    x_at: NDArray[np.int64],
    x_step: NDArray[np.int64],
    w: Array,
    out: Array,
    out_at: NDArray[np.int64],
    out_step: int,
) -> None:
    """The same product through a table of mantissa products or through Design.multiply, one k at a time."""
    columns, depth = w.shape
    sums = tabled.matmul(design, x, w, np.asarray(x_at), np.asarray(x_step))
    if sums is None:
        sums = np.zeros((len(x_at), columns), dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            for k in range(depth):
                sums += multiply(design, x.ravel()[x_at + x_step[k]][:, None], w[None, :, k])
    out.reshape(-1)[np.asarray(out_at)[:, None] + np.arange(columns) * out_step] = sums


def _float32(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DesignError(f"{name} must hold real numbers, but has dtype {array.dtype}; convert it to float32.")
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)
