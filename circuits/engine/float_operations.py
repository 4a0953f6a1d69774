"""Float products and matrix products of a design: the compiled kernels where they serve, the reference elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine import integer_operations
from circuits.engine.backends.compiled import BLOCK, CompiledProgram, compile_program
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_kernel import (
    FRACTION,
    WIDTH,
    KernelSettings,
    matmul_kernel,
    multiply_kernel,
    narrow_kernel,
    narrow_scratch_bytes,
    scratch_bytes,
)
from circuits.errors import DesignError
from circuits.floats import arithmetic
from circuits.netlists.lut_program import restrict

Array = NDArray[np.float32]
Offsets = NDArray[np.int64]
_COLUMNS_A_CALL = 64  # accumulators of 64 columns, 128 KB, stay in the second-level cache
_BLOCKS_A_TASK = 4
_PRODUCTS_A_THREAD = 1 << 18
_PRODUCTS_A_TABLE = 1 << 12  # fewer are computed one by one
_TABLE_FRACTION_BITS = 10  # of both operands: a table of 4 MB
_PRODUCTS_A_TASK = 1 << 17  # of matrices with few rows: 512 KB


def has_kernel(design: FloatCircuit) -> bool:
    """Whether the compiled kernels serve the design: float32 with subnormals flushed."""
    return design.format == "float32" and design.subnormals == "flush"


def has_table(design: FloatCircuit) -> bool:
    """Whether `circuits.engine.lookup_matmul` serves the design: float32's exponents, few fraction bits, no subnormals."""
    fmt = design.float_format
    assert fmt is not None
    few = fmt.fraction_bits <= _TABLE_FRACTION_BITS
    return few and fmt.exponent_bits == 8 and fmt.infinity and design.subnormals == "flush"


def multiply(design: FloatCircuit, x: ArrayLike, w: ArrayLike, *, backend: str = "auto") -> Array:
    """Elementwise products (broadcast), float32; see Design.multiply."""
    left, right = _float32(x, "x"), _float32(w, "w")
    if backend != "auto" or not has_kernel(design):
        backend = integer_operations.choose_backend(backend, design.program(), max(left.size, right.size))
    if not has_kernel(design):
        fmt = design.float_format
        assert fmt is not None
        return arithmetic.multiply(
            fmt,
            left,
            right,
            lambda a, b: integer_operations.multiply(design.program(), a, b, backend=backend),
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
    scratch = _scratch(scratch_bytes(0))

    def run(x: Array, w: Array, out: Array) -> None:
        addresses = (array.ctypes.data for array in (x, w, out))
        kernel(gates.gates_address, *addresses, x.size // BLOCK, scratch)

    run(left, right, out)
    if rest := left.size % BLOCK:
        tail = np.zeros((3, BLOCK), dtype=np.float32)
        tail[0, :rest] = left[-rest:]
        tail[1, :rest] = right[-rest:]
        run(*tail)
        out[-rest:] = tail[2, :rest]
    return out.reshape(shape)


def _multiply_by_planes(design: FloatCircuit, backend: str, x: Array, w: Array, out: Array) -> None:
    """The same products, of float32 [n] arrays, by a backend without a float kernel."""
    from circuits.engine import float_assembly

    run = integer_operations.product_words(design.program(), backend)
    for start in range(0, out.size, _PRODUCTS_A_TASK):
        part = slice(start, start + _PRODUCTS_A_TASK)
        operands = [values[part].view(np.uint32) for values in (x, w)]
        count = operands[0].size
        words = np.zeros((4, -(-count // BLOCK) * BLOCK), dtype=np.uint32)
        for values, mantissas in zip(operands, words[:2, :count], strict=True):
            float_assembly.mantissas(values, mantissas)
        run(words[0:1], words[1:2], words[2:4])
        nearest, released = design.rounding == "nearest_even", design.normalization == "released"
        float_assembly.assemble(operands[0], operands[1], words[2:4], nearest, released, out[part].view(np.uint32))


def matmul(design: FloatCircuit, x: ArrayLike, w: ArrayLike, *, threads: int | None = None) -> Array:
    """x [M, K] @ w [K, N] -> float32 [M, N]: gate-exact products, accumulated in float32 in ascending k from +0.

    The result does not depend on `threads` (default: all cores) nor on how the rows are split into calls.
    First operand = activation, second = weight. Raises DesignError on shapes that do not fit, and for integer designs.
    """
    if design.float_format is None:
        raise DesignError(
            "matmul needs a float format, but got format=None; multiply_integers gives the products of integers to sum."
        )
    left, right = _float32(x, "x"), _float32(w, "w")
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        raise DesignError(
            f"x must be [M, K] and w [K, N] with equal K, but got shapes {left.shape} and {right.shape}; reshape them."
        )
    rows, depth = left.shape
    columns = right.shape[1]
    out = np.empty((rows, columns), dtype=np.float32)
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right.T)
    narrow = prepared_rows(design, rows, depth, columns)
    if narrow is not None:
        narrow.run(left.ctypes.data, right.ctypes.data, None, out.ctypes.data, threads)
    else:
        gathered_matmul(design, left, right, out, _places_of_rows(rows, depth, columns), threads=threads)
    return out


@dataclass(frozen=True, eq=False)
class Places:
    """Where a product of matrices finds its elements (see `gathered_matmul`): int64 arrays and a number.

    What is prepared for them is kept as long as they are, and may be used by several threads.
    """

    x_at: Offsets
    x_step: Offsets
    out_at: Offsets
    out_step: int
    _prepared: dict[Any, NarrowMatmul] = field(default_factory=dict, init=False, repr=False)

    def narrow(self, design: FloatCircuit, columns: int) -> NarrowMatmul:
        """The product with `columns` columns prepared for few rows."""
        key = design, columns
        if key not in self._prepared:
            self._prepared[key] = NarrowMatmul(design, self, columns)
        return self._prepared[key]


def gathered_matmul(
    design: FloatCircuit, x: Array, w: Array, out: Array, places: Places, *, threads: int | None = None
) -> None:
    """The product that convolution and linear layers share, written into `out`:

    out.flat[out_at[m] + n out_step] = sum over k, ascending, of x.flat[x_at[m] + x_step[k]] * w[n, k].

    `x`, `w` [N, K] and `out` are C-contiguous float32. Lanes run over m, and over (n, k) where m alone fills few.
    """
    columns, depth = w.shape
    rows = len(places.x_at)
    if not has_kernel(design):
        _other_matmul(design, x, w, out, places, threads)
        return
    if not rows or not columns:
        return
    if is_narrow(rows, depth, columns):
        places.narrow(design, columns).run(x.ctypes.data, w.ctypes.data, None, out.ctypes.data, threads)
        return
    settings, gates = _kernel_parts(design)
    x_step = np.ascontiguousarray(places.x_step, dtype=np.int64)
    mode = "normal" if _products_stay_normal(x, w) else "full"
    kernel = matmul_kernel(settings, mode)
    x_at, out_at = _padded(places.x_at), _padded(places.out_at)
    out_step = places.out_step

    def task(first_row: int, first_column: int) -> None:
        count = min(columns - first_column, _COLUMNS_A_CALL)
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
            _scratch(scratch_bytes(count)),
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


class _Scratch(threading.local):
    """Memory of one thread, because fresh memory costs more than the work on it."""

    size = 0
    address = 0
    memory: Any = None


def _scratch(size: int) -> int:
    """The address, 64-aligned, of `size` bytes that stay this thread's until its next call."""
    if _kept.size < size:
        _kept.memory = aligned_empty((size,), np.uint8)
        _kept.size, _kept.address = size, _kept.memory.ctypes.data
    return _kept.address


_kept = _Scratch()


@lru_cache(maxsize=64)
def _kernel_parts(design: FloatCircuit) -> tuple[KernelSettings, CompiledProgram]:
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
    # The normaliser and the rounding add at most 3 to the exponent; 255 is infinity or NaN.
    finite = max(x_high, w_high) <= 254
    return finite and min(x_low, w_low) >= 1 and x_low + w_low - 127 >= 1 and x_high + w_high - 127 + 3 <= 254


def _padded(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64, contiguous, repeated up to a whole number of blocks."""
    return np.pad(np.asarray(offsets, dtype=np.int64), (0, -len(offsets) % BLOCK), mode="edge")


def is_narrow(rows: int, depth: int, columns: int) -> bool:
    """Whether lanes over the rows alone would leave more than half of the lanes empty."""
    return depth > 0 and -(-rows // BLOCK) * columns > 2 * -(-rows * columns // BLOCK)


class NarrowMatmul:
    """`gathered_matmul` for few rows, prepared: lanes run over (n, k) and the sums follow (see `narrow_ir`).

    It depends on the design and on shapes alone, not on values; several threads may run it at a time.
    """

    def __init__(self, design: FloatCircuit, places: Places, columns: int) -> None:
        settings, self._gates = _kernel_parts(design)
        self._kernel = narrow_kernel(settings)
        self._places = places
        self._arrays = [np.ascontiguousarray(a, dtype=np.int64) for a in (places.x_at, places.x_step, places.out_at)]
        self._columns = columns
        self._splits: dict[int | None, _Split] = {}

    def run(self, x: int, w: int, bias: int | None, out: int, threads: int | None) -> None:
        """The product of the float32 arrays at these addresses, plus bias[n] if given."""
        split = self._splits.get(threads)
        if split is None:
            split = self._splits[threads] = self._split(threads)
        if split.only is not None:
            self._kernel(split.only, x, w, bias, out, _scratch(split.scratch_bytes))
            return

        def run_task(task: int) -> None:
            self._kernel(task, x, w, bias, out, _scratch(split.scratch_bytes))

        run_tasks(run_task, split.tasks, split.threads)

    def _split(self, threads: int | None) -> _Split:
        x_at, x_step, out_at = self._arrays
        rows, depth, columns = len(x_at), len(x_step), self._columns
        threads = _useful_threads(threads, rows * depth * columns)
        columns_a_task = max(1, min(_PRODUCTS_A_TASK // depth, -(-columns // threads)))
        rows_a_task = min(rows, max(1, _PRODUCTS_A_TASK // (depth * columns_a_task)))
        records = np.array(
            [
                (
                    self._gates.gates_address,
                    x_at.ctypes.data + 8 * row,
                    x_step.ctypes.data,
                    depth,
                    column,
                    min(columns_a_task, columns - column),
                    out_at.ctypes.data + 8 * row,
                    self._places.out_step,
                    min(rows_a_task, rows - row),
                )
                for row in range(0, rows, rows_a_task)
                for column in range(0, columns, columns_a_task)
            ],
            dtype=np.int64,
        )
        addresses = [(records.ctypes.data + k * records.strides[0],) for k in range(len(records))]
        only = addresses[0][0] if len(addresses) == 1 else None
        return _Split(addresses, only, threads, narrow_scratch_bytes(depth, columns_a_task, rows_a_task), records)


@dataclass(frozen=True, slots=True)
class _Split:
    """Tasks of a NarrowMatmul: the addresses of `records` (see NARROW_TASK), also the `only` one where there is one."""

    tasks: list[tuple[int]]
    only: int | None
    threads: int
    scratch_bytes: int
    records: Any


@lru_cache(maxsize=256)
def prepared_rows(design: FloatCircuit, rows: int, depth: int, columns: int) -> NarrowMatmul | None:
    """[rows, depth] @ [columns, depth].T -> [rows, columns], all contiguous, prepared; None where lanes run over rows
    or the design has no kernel."""
    if not has_kernel(design) or not is_narrow(rows, depth, columns):
        return None
    return NarrowMatmul(design, _places_of_rows(rows, depth, columns), columns)


def _places_of_rows(rows: int, depth: int, columns: int) -> Places:
    return Places(np.arange(rows) * depth, np.arange(depth), np.arange(rows) * columns, 1)


def _other_matmul(design: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    """The same product for designs without a kernel: from a table where one serves, else through Design.multiply."""
    columns, depth = w.shape
    rows = len(places.x_at)
    sums = np.zeros((rows, columns), dtype=np.float32)
    tabled = None
    if has_table(design) and sums.size * depth > _PRODUCTS_A_TABLE:
        from circuits.engine.lookup_matmul import TabledMatmul

        tabled = TabledMatmul(design, x, w)
    if tabled is not None and tabled.serves:
        threads = _useful_threads(threads, rows * w.size)
        step = max(1, -(-rows // (4 * threads)))

        def task(first: int) -> None:
            part = slice(first, first + step)
            tabled.run(places.x_at[part], places.x_step, sums[part])

        run_tasks(task, [(first,) for first in range(0, rows, step)], threads)
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            for k in range(depth):
                sums += multiply(design, x.ravel()[places.x_at + places.x_step[k]][:, None], w[None, :, k])
    out.reshape(-1)[places.out_at[:, None] + np.arange(columns) * places.out_step] = sums


def _float32(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DesignError(f"{name} must hold real numbers, but has dtype {array.dtype}; convert it to float32.")
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)
