"""How rows, columns and groups of a matrix product fill blocks of 32 strips of 16 lanes.

A strip holds up to 16 rows m of one column of one group. `slots` columns of every group stand side by side, and a block
is computed for one column of each slot after the other:

    strips     (group g, slot s, rows 16 r .. 16 r + 15), r varying fastest
    step n     column first + s + n slots of group g

so that the last lanes of a row of blocks are all that stays empty, besides those of strips with fewer than 16 rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.strips.strip_kernel import STRIP, STRIPS

Offsets = NDArray[np.int64]
PACKING = 0.5  # packing a block of x once for all steps, in blocks of products; measured .3 to .6


@dataclass(frozen=True)
class Tile:
    """Columns first .. first + slots steps - 1 of every group, `slots` at a time."""

    first: int
    slots: int
    steps: int

    def blocks(self, rows: int, groups: int) -> int:
        """Blocks of 32 strips that the tile fills at each step."""
        return -(-groups * self.slots * -(-rows // STRIP) // STRIPS)


@lru_cache(maxsize=1024)
def tiles(rows: int, columns: int, groups: int) -> tuple[Tile, ...]:
    """The tiles that cover all columns at the least cost: at most two, the second for what the first leaves."""
    best: tuple[Tile, ...] = ()
    for slots in range(1, min(columns, STRIPS) + 1):
        steps, rest = divmod(columns, slots)
        candidate = (Tile(0, slots, steps), *([Tile(slots * steps, rest, 1)] if rest else []))
        if not best or _cost(candidate, rows, groups) < _cost(best, rows, groups):
            best = candidate
    return best


def _cost(candidate: tuple[Tile, ...], rows: int, groups: int) -> float:
    return sum(tile.blocks(rows, groups) * (tile.steps + PACKING) for tile in candidate)


def strip_blocks(rows: int, columns: int, groups: int) -> float:
    """Blocks of products for each k, packing of x included."""
    return _cost(tiles(rows, columns, groups), rows, groups)


def padded_rows(at: Offsets) -> Offsets:
    """The rows' places, int64, the last one repeated up to a whole number of strips.

    Lanes that repeat a row of their strip compute the same sums again, and writing those twice does no harm.
    """
    return np.pad(np.asarray(at, dtype=np.int64), (0, -len(at) % STRIP), mode="edge")


def strips_of(tile: Tile, places: Places, columns: int, width: int) -> Offsets:
    """The tile's strips, int64 [32 blocks, 4] with STRIP_FIELDS, for rows of w that are `width` words apart.

    `columns`: those of each group. The last strip is repeated up to a whole number of blocks.
    """
    group = np.arange(places.groups)[:, None, None]
    column = np.arange(tile.first, tile.first + tile.slots)[:, None]
    row = np.arange(0, places.rows, STRIP)
    fields = (
        row,
        group * places.x_group,
        group * places.out_group + column * places.out_step,
        (group * columns + column) * width,
    )
    strips = np.stack(np.broadcast_arrays(*fields), axis=-1).reshape(-1, len(fields)).astype(np.int64, copy=False)
    return np.pad(strips, ((0, -len(strips) % STRIPS), (0, 0)), mode="edge")
