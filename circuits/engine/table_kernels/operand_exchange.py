"""Linear layers with their columns in lanes: the same product with the operands exchanged.

The permutation kernel loads the row of the table of one operand's code and looks up 64 codes of the other. Where a
layer has fewer rows than columns, its columns fill more lanes, and a row of the table serves more of them:

    out[m, n] = sum over k of x[m, k] * w[n, k]  =  the product of the rows n of w and the columns m of x

whose table is transposed. The kernel then reads 64 neighbouring codes of a k at once, so the weights are transposed
first, which takes as long as a few rows of products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.llvm.transposition import transposed
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.table_kernels.kernel_task import LANES

Array = NDArray[Any]
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
