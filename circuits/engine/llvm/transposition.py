"""Transposes matrices of small elements, by vectors that interleave: NumPy takes four times as long and more."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.task_threads import default_threads, run_tasks

Array = NDArray[Any]
_VECTOR_BYTES = 64
_LANE_BYTES = 16  # vpunpck works within such parts of a vector
_BYTES_A_THREAD = 1 << 19
"""Bytes that repay waking a thread."""


def transposed(matrix: Array, threads: int | None = 1) -> Array:
    """The contiguous transpose of a contiguous matrix of elements of 1, 2 or 4 bytes. `threads`: None for all cores."""
    rows, columns = matrix.shape
    size = matrix.itemsize
    out = np.empty((columns, rows), dtype=matrix.dtype)
    transpose, source, target = _transposer(size, Target.host()), matrix.ctypes.data, out.ctypes.data

    def task(first: int, end: int) -> None:
        transpose(source + first * size, target + first * rows * size, rows, end - first, columns)

    # Bands of columns, which are contiguous in the result.
    parts = min(threads or default_threads(), max(1, matrix.nbytes // _BYTES_A_THREAD))
    band = -(-columns // parts)
    band += -band % (_VECTOR_BYTES // size)
    run_tasks(task, [(first, min(first + band, columns)) for first in range(0, columns, band)], parts)
    return out


def transposition_ir(size: int) -> str:
    """@transpose(matrix, out, rows, columns, stride) for elements of `size` bytes; rows of `matrix` are `stride` apart.

    A tile has as many rows as a 16-byte lane has elements, E = 2^e, and the columns of a vector. An element of a lane
    has the address (r, c), e bits each: register r, place c. Interleaving registers r and r + E/2 puts it at

        (r mod E/2, highest bit of c), (the other bits of c, highest bit of r)

    that is, rotates the address by one bit; after e times it is (c, r).
    """
    f = Function("transpose", "ptr %matrix, ptr %out, i64 %rows, i64 %columns, i64 %stride")
    per_lane, per_vector, kind = _LANE_BYTES // size, _VECTOR_BYTES // size, f"i{8 * size}"
    whole_rows = f.op(f"and i64 %rows, {-per_lane}")
    whole_columns = f.op(f"and i64 %columns, {-per_vector}")
    with f.loop(whole_columns, step=per_vector) as column, f.loop(whole_rows, step=per_lane) as row:
        _emit_tile(f, row, column, size)
    for first_row, end_column in (("0", "%columns"), (whole_rows, whole_columns)):
        # The right margin of all rows, then the rest of the last rows.
        first_column = whole_columns if first_row == "0" else "0"
        with f.loop("%rows", first_row) as row, f.loop(end_column, first_column) as column:
            source = f.op(f"add i64 {f.op(f'mul i64 {row}, %stride')}, {column}")
            target = f.op(f"add i64 {f.op(f'mul i64 {column}, %rows')}, {row}")
            value = f.op(f"load {kind}, ptr {f.element('%matrix', kind, source)}")
            f.do(f"store {kind} {value}, ptr {f.element('%out', kind, target)}")
    return f.text()


def _emit_tile(f: Function, row: str, column: str, size: int) -> None:
    per_lane, per_vector, kind = _LANE_BYTES // size, _VECTOR_BYTES // size, f"i{8 * size}"
    vector = f"<{per_vector} x {kind}>"
    registers = []
    for r in range(per_lane):
        place = f.op(f"mul i64 {f.op(f'add i64 {row}, {r}')}, %stride")
        address = f.element("%matrix", kind, f.op(f"add i64 {place}, {column}"))
        registers.append(f.op(f"load {vector}, ptr {address}, align {size}"))
    lane_starts = range(0, per_vector, per_lane)
    for _ in range(per_lane.bit_length() - 1):
        half = per_lane // 2
        interleaved = []
        for a, b in zip(registers[:half], registers[half:], strict=True):
            for part in (0, half):
                lanes = [start + part + k for start in lane_starts for k in range(half)]
                pairs = ", ".join(f"i32 {i}, i32 {i + per_vector}" for i in lanes)
                interleaved.append(f.op(f"shufflevector {vector} {a}, {vector} {b}, <{per_vector} x i32> <{pairs}>"))
        registers = interleaved
    for start in lane_starts:
        for c, register in enumerate(registers):
            own = ", ".join(f"i32 {start + i}" for i in range(per_lane))
            values = f.op(f"shufflevector {vector} {register}, {vector} poison, <{per_lane} x i32> <{own}>")
            place = f.op(f"mul i64 {f.op(f'add i64 {column}, {start + c}')}, %rows")
            address = f.element("%out", kind, f.op(f"add i64 {place}, {row}"))
            f.do(f"store <{per_lane} x {kind}> {values}, ptr {address}, align {size}")


@lru_cache(maxsize=4)
def _transposer(size: int, target: Target) -> Any:
    p, n = ctypes.c_void_p, ctypes.c_int64
    return load(transposition_ir(size), target).function("transpose", p, p, n, n, n)
