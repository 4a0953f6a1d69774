"""Linear layers with their columns in lanes: the same product with the operands exchanged.

The permutation kernel loads the row of the table of one operand's code and looks up 64 codes of the other. Where a
layer has fewer rows than columns, its columns fill more lanes, and a row of the table serves more of them:

    out[m, n] = sum over k of x[m, k] * w[n, k]  =  the product of the rows n of w and the columns m of x

whose table is transposed. The kernel then reads 64 neighbouring codes of a k at once, so the weights are transposed
first, which takes as long as a few rows of products.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.table_kernels.kernel_task import LANES

Array = NDArray[Any]
_VECTOR_BYTES = 64
_LANE_BYTES = 16  # vpunpck works within such parts of a vector
_TRANSPOSED = 1 / 64
"""What transposing a column's code costs, in look-ups of 64 products."""


def exchanged_places(places: Places, columns: int, costs: tuple[float, float] = (1.0, 1.0)) -> Places | None:
    """The places of the exchanged product, x's first element at 0 of the second operand; None where it is no better.

    Its first operand is the transposed weights, [K, N], its second one the M contiguous rows of x. `costs`: the time of
    a look-up, in any unit, with codes of x and with codes of w in lanes.
    """
    key = "exchanged", columns, costs
    if key not in places.prepared:
        places.prepared[key] = _exchanged_places(places, columns, costs)
    exchanged: Places | None = places.prepared[key]
    return exchanged


def _exchanged_places(places: Places, columns: int, costs: tuple[float, float]) -> Places | None:
    rows, depth = places.rows, places.depth
    steps = np.diff(places.out_at)
    if (
        not _pays(rows, columns, costs)
        or places.groups != 1
        or np.any(np.diff(places.x_step) != 1)
        or np.any(np.diff(places.x_at) != depth)
        or np.any(steps != steps[:1])
    ):
        return None
    out_at = int(places.out_at[0]) + np.arange(columns) * places.out_step
    return Places(np.arange(columns), np.arange(depth) * columns, out_at, int(steps[0]) if rows > 1 else 0)


def _pays(rows: int, columns: int, costs: tuple[float, float]) -> bool:
    """Whether lanes over columns, transposition included, take less time than lanes over rows."""
    by_rows = columns * -(-rows // LANES) * _load_factor(rows) * costs[0]
    return (rows * -(-columns // LANES) + columns * _TRANSPOSED) * costs[1] <= by_rows


def _load_factor(rows: int) -> float:
    """How much longer look-ups take where a row of the table serves only one block of 64 rows."""
    return 1.15 if rows <= LANES else 1.0


def exchanged_operands(x: Array, w: Array, places: Places) -> tuple[Array, Array]:
    """(the transposed weights [K, N], the rows of x [M, K]) for `exchanged_places` of these places."""
    first = int(places.x_at[0] + places.x_step[0])
    rows, depth = places.rows, places.depth
    return transposed(w), x.reshape(-1)[first : first + rows * depth].reshape(rows, depth)


def transposed(matrix: Array) -> Array:
    """The contiguous transpose of a contiguous matrix of elements of 1 or 2 bytes."""
    rows, columns = matrix.shape
    out = np.empty((columns, rows), dtype=matrix.dtype)
    _transposer(matrix.itemsize, Target.host())(matrix.ctypes.data, out.ctypes.data, rows, columns)
    return out


def transposition_ir(size: int) -> str:
    """@transpose(matrix [rows, columns], out, rows, columns) for elements of `size` bytes.

    A tile has as many rows as a 16-byte lane has elements, E = 2^e, and the columns of a vector. An element of a lane
    has the address (r, c), e bits each: register r, place c. Interleaving registers r and r + E/2 puts it at

        (r mod E/2, highest bit of c), (the other bits of c, highest bit of r)

    that is, rotates the address by one bit; after e times it is (c, r).
    """
    f = Function("transpose", "ptr %matrix, ptr %out, i64 %rows, i64 %columns")
    per_lane, per_vector, kind = _LANE_BYTES // size, _VECTOR_BYTES // size, f"i{8 * size}"
    whole_rows = f.op(f"and i64 %rows, {-per_lane}")
    whole_columns = f.op(f"and i64 %columns, {-per_vector}")
    with f.loop(whole_columns, step=per_vector) as column, f.loop(whole_rows, step=per_lane) as row:
        _emit_tile(f, row, column, size)
    for first_row, end_column in (("0", "%columns"), (whole_rows, whole_columns)):
        # The right margin of all rows, then the rest of the last rows.
        first_column = whole_columns if first_row == "0" else "0"
        with f.loop("%rows", first_row) as row, f.loop(end_column, first_column) as column:
            source = f.op(f"add i64 {f.op(f'mul i64 {row}, %columns')}, {column}")
            target = f.op(f"add i64 {f.op(f'mul i64 {column}, %rows')}, {row}")
            value = f.op(f"load {kind}, ptr {f.element('%matrix', kind, source)}")
            f.do(f"store {kind} {value}, ptr {f.element('%out', kind, target)}")
    return f.text()


def _emit_tile(f: Function, row: str, column: str, size: int) -> None:
    per_lane, per_vector, kind = _LANE_BYTES // size, _VECTOR_BYTES // size, f"i{8 * size}"
    vector = f"<{per_vector} x {kind}>"
    registers = []
    for r in range(per_lane):
        place = f.op(f"mul i64 {f.op(f'add i64 {row}, {r}')}, %columns")
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
    return load(transposition_ir(size), target).function("transpose", p, p, n, n)
