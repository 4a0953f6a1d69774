"""How native matrix products are split into tasks, and the tables of pieces that their kernel reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.llvm.native.direct_kernel import direct_scratch_bytes
from circuits.engine.llvm.native.native_matmul_kernel import BLOCK_ROWS, CHUNK, matmul_scratch_bytes
from circuits.engine.matrix_products.element_places import Offsets, Places
from circuits.engine.matrix_products.windows.window_spans import span_begins, spans_of
from circuits.engine.task_threads import useful_threads

_COLUMNS_A_TASK = 256  # 64 KB of totals
_TRANSPOSED_ROWS = 8  # fewer are packed word by word
_PRODUCTS_A_TASK = 1 << 21  # about .1 ms, so that the call itself costs little


@dataclass(frozen=True, eq=False)
class Split:
    """Tasks of one product: the addresses of `records`, and what they refer to, which lives as long."""

    tasks: list[tuple[int]]
    threads: int
    scratch_bytes: int
    records: Any
    arrays: tuple[Any, ...]


def split_matmul(places: Places, columns: int, lanes: int, threads: int | None) -> Split:
    """Splits the product at `places`, of `columns` columns a group, for the kernel with vectors of `lanes` numbers."""
    rows, depth, groups = places.rows, places.depth, places.groups
    x_pieces, x_first = pieces(places.x_at, lanes, fill=True)
    out_pieces, out_first = pieces(places.out_at, lanes, fill=False)
    x_step = np.ascontiguousarray(places.x_step, dtype=np.int64)
    blocks = len(x_first) - 1
    # Rows that are consecutive along k and not along m, as those of a linear layer, are transposed while packing.
    along_k = depth > 1 and bool((np.diff(x_step) == 1).all())
    transposed = along_k and rows >= _TRANSPOSED_ROWS and len(x_pieces) > rows // 4
    read = np.asarray(places.x_at if transposed else (), dtype=np.int64)
    x_at = np.pad(read, (0, -len(read) % BLOCK_ROWS), mode="edge") if transposed else read
    products = groups * rows * columns * depth
    threads = useful_threads(threads, products)
    # At least four tasks a thread where that leaves enough to each, first by rows, which are packed once a task.
    wanted = max(1, min(4 * threads if threads > 1 else 1, products // _PRODUCTS_A_TASK))
    columns_a_task = min(columns, _COLUMNS_A_TASK)
    column_tasks = -(-columns // columns_a_task)
    if groups > 1:
        groups_a_task, blocks_a_task = max(1, groups // wanted), blocks
    else:
        groups_a_task, blocks_a_task = 1, max(1, blocks * column_tasks // wanted)
        if blocks * column_tasks < wanted:
            columns_a_task = max(16, -(-columns // (wanted // blocks)))
    chunks = -(-depth // CHUNK)
    arrays = (x_pieces, x_first, out_pieces, out_first, x_step, x_at)
    records = np.array(
        [
            (
                *(array.ctypes.data for array in arrays),
                transposed,
                depth,
                # Chunks of equal length: a short last one would spend its time on loading totals.
                -(-depth // chunks),
                rows,
                block,
                min(block + blocks_a_task, blocks),
                column,
                min(columns_a_task, columns - column),
                columns,
                group,
                min(group + groups_a_task, groups),
                places.x_group,
                places.out_group,
                places.out_step,
            )
            for group in range(0, groups, groups_a_task)
            for block in range(0, blocks, blocks_a_task)
            for column in range(0, columns, columns_a_task)
        ],
        dtype=np.int64,
    )
    tasks = [(records.ctypes.data + k * records.strides[0],) for k in range(len(records))]
    return Split(tasks, threads, matmul_scratch_bytes(columns_a_task), records, arrays)


def pieces(offsets: Offsets, lanes: int, *, fill: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pieces of all blocks, int64 [pieces, 3], and the number of each block's first piece, int64 [blocks + 1].

    A piece is (offset, first lane in its block, length <= lanes). `fill`: the lanes beyond the last row get pieces of
    length 0, so that a kernel that loads pieces finds zeros there, as far as it looks.
    """
    offsets = np.asarray(offsets, dtype=np.int64)
    count = len(offsets)
    row = np.arange(count)
    begins = row & (BLOCK_ROWS - 1) == 0
    begins[1:] |= np.diff(offsets) != 1
    # Stretches of any length are cut every `lanes` rows, counted from where they begin.
    run_begin = np.maximum.accumulate(np.where(begins, row, 0))
    begins |= (row - run_begin) & (lanes - 1) == 0  # a power of two
    first = np.flatnonzero(begins)
    table = np.stack([offsets[first], first % BLOCK_ROWS, np.diff(first, append=count)], axis=1)
    blocks = -(-count // BLOCK_ROWS)
    first_of_block = np.searchsorted(first, np.arange(blocks + 1) * BLOCK_ROWS)
    if fill:
        last = count % BLOCK_ROWS or BLOCK_ROWS
        # As far as the register tiles of the last block reach.
        end = next(end for end in (lanes, 2 * lanes, BLOCK_ROWS) if end >= last)
        empty = np.arange(last, end, lanes)
        table = np.concatenate([table, np.stack([0 * empty, empty, 0 * empty], axis=1)])
        first_of_block[-1] = len(table)
    return np.ascontiguousarray(table, dtype=np.int64), np.ascontiguousarray(first_of_block, dtype=np.int64)


_MOST_DIRECT_COLUMNS = 2
_MOST_POSITIONS = 4096  # of a span: its line stays in the first-level cache


def pays_direct(places: Places, columns: int, lanes: int) -> bool:
    """Whether x is better read where it lies than packed: few columns share it, and few positions are in vain."""
    if columns > _MOST_DIRECT_COLUMNS or places.depth > CHUNK:
        return False
    first = np.flatnonzero(span_begins(places.x_at, _MOST_POSITIONS))
    last = np.append(first[1:], places.rows) - 1
    lengths = np.asarray(places.x_at)[last] - np.asarray(places.x_at)[first] + 1
    # Vectors are filled up; packing one element costs about as much as four positions in vectors.
    return int((-(-lengths // lanes) * lanes).sum()) <= 4 * places.rows


def split_direct(places: Places, columns: int, lanes: int, threads: int | None) -> Split:
    """Splits the product at `places` for the direct kernel with vectors of `lanes` numbers."""
    rows, depth, groups = places.rows, places.depth, places.groups
    found = spans_of(places, _MOST_POSITIONS, lanes)
    spans = found.spans
    x_step = np.ascontiguousarray(places.x_step, dtype=np.int64)
    products = groups * rows * columns * depth
    threads = useful_threads(threads, products)
    wanted = max(1, min(4 * threads if threads > 1 else 1, products // _PRODUCTS_A_TASK))
    groups_a_task = max(1, groups // wanted)
    spans_a_task = len(spans) if groups > 1 else max(1, len(spans) // wanted)
    table = np.ascontiguousarray(found.pieces[:, [0, 1, 3]])
    arrays = (spans, table, found.first_pieces, x_step)
    records = np.array(
        [
            (
                *(array.ctypes.data for array in arrays),
                depth,
                span,
                min(span + spans_a_task, len(spans)),
                columns,
                group,
                min(group + groups_a_task, groups),
                places.x_group,
                places.out_group,
                places.out_step,
            )
            for group in range(0, groups, groups_a_task)
            for span in range(0, len(spans), spans_a_task)
        ],
        dtype=np.int64,
    )
    tasks = [(records.ctypes.data + k * records.strides[0],) for k in range(len(records))]
    return Split(tasks, threads, direct_scratch_bytes(int(spans[:, 1].max())), records, arrays)
