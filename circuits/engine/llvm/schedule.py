"""The order in which a program's operations are computed, so that sums and carries stay in registers.

Row by row, a 24-bit array keeps two rows of sums and carries alive, more than a register file holds. In skewed blocks
of a few rows, column j of row i comes at step j + 2 (i - first row of the block): its inputs, columns j and j + 1 of
the row above and column j - 1 of its own, have just been computed, and only the block's boundary row travels through
memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.netlists.lut_program import Program

BLOCK_ROWS = 5
"""Rows a block; 4 to 6 measured alike (`python -m studies run throughput` prints the gain over one row)."""


def skewed(program: Program, block_rows: int = BLOCK_ROWS) -> NDArray[np.int64]:
    """A topological order of the operations, int64 [n]: skewed blocks where the places allow it, else as given."""
    rows, columns = program.places[:, 0].astype(np.int64), program.places[:, 1].astype(np.int64)
    if not len(program) or rows.max(initial=-1) < 0:
        return np.arange(len(program))
    block = np.where(rows < 0, rows.max() // block_rows + 1, rows // block_rows)
    step = np.where(rows < 0, 0, columns + 2 * (rows - block * block_rows))
    order = np.lexsort((np.arange(len(program)), rows, step, block))
    position = np.empty(len(program), dtype=np.int64)
    position[order] = np.arange(len(program))
    sources = program.operands - program.input_count
    late = np.where(sources >= 0, position[np.maximum(sources, 0)], -1).max(axis=1, initial=-1) >= position
    return np.arange(len(program)) if late.any() else order
