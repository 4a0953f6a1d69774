"""The order in which a program's operations are computed, so that sums and carries stay in registers.

Row by row, a 24-bit array keeps a row of sums and one of carries alive, 48 vectors, more than the 32 registers of
AVX-512. Blocks of a few rows that are computed as a skewed wavefront need far fewer: with i counted from the block's
first row, cell (i, j) comes at step j + 2 i.

    step of cell (i, j)     j = 0   1   2   3   4           It reads (i - 1, j) and (i - 1, j + 1) of the row above,
    i = 0                       0   1   2   3   4           from steps two and one before, and (i, j - 1) of its own
    i = 1                       2   3   4   5   6           row, from one step before. A value is therefore used
    i = 2                       4   5   6   7   8           within two steps, while a step has one cell per row: about
                                                            two cells' outputs per row are alive.

Only the last row of a block goes through memory, where the next block reads it. Skew 2 is the least for which both
cells above come strictly earlier. Operations without a place (outside the array) follow the last block in their own
order. Any topological order gives the same results, so that places are hints: where they contradict the data flow, as
in trees, the program's own order is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.netlists.lut_program import Program

BLOCK_ROWS = 5
"""Rows of a block; 4 to 6 measured alike (`python -m studies run throughput` prints the gain over one row)."""


def skewed(program: Program, block_rows: int = BLOCK_ROWS) -> NDArray[np.int64]:
    """A topological order of the operations, int64 [n]: in skewed blocks where the places allow it."""
    rows, columns = program.places[:, 0].astype(np.int64), program.places[:, 1].astype(np.int64)
    if not len(program) or rows.max(initial=-1) < 0:
        return np.arange(len(program))
    # rows.max() // block_rows + 1 is one block beyond the last, for operations without a place.
    block = np.where(rows < 0, rows.max() // block_rows + 1, rows // block_rows)
    step = np.where(rows < 0, 0, columns + 2 * (rows - block * block_rows))
    # lexsort's last key is the first to decide: block, step, row, then the program's own order.
    order = np.lexsort((np.arange(len(program)), rows, step, block))
    position = np.empty(len(program), dtype=np.int64)
    position[order] = np.arange(len(program))
    # The order stands only if every operand that is an operation comes before its reader.
    sources = program.operands - program.input_count
    late = np.where(sources >= 0, position[np.maximum(sources, 0)], -1).max(axis=1, initial=-1) >= position
    return np.arange(len(program)) if late.any() else order
