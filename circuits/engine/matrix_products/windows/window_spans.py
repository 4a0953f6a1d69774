"""Stretches of x that hold the elements of many rows: what kernels use that read x where it lies.

A span is a stretch of positions, the same for every k up to a shift, with gaps where a kernel window would reach over
the image's edge. Kernels compute all of a span's positions, gaps included, and write those that are rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.engine.matrix_products.element_places import Offsets, Places

_WIDEST_GAP = 16  # positions computed for nothing between two rows; a span of its own costs about as much


@dataclass(frozen=True, eq=False)
class Spans:
    """`spans` int64 [S, 2]: the first position and the length. `rows` int64 [S + 1]: the first row m of each span.

    `pieces` int64 [P, 4]: (out_at, position - the span's first, a bit for each position that is a row, number of rows)
    of positions side by side whose rows stand side by side in the output. `first_pieces` int64 [S + 1]: the number of
    each span's first piece.
    """

    spans: Offsets
    rows: Offsets
    pieces: Offsets
    first_pieces: Offsets


def span_begins(x_at: Offsets, longest: int) -> NDArray[np.bool_]:
    """Marks the rows at which a span begins: those that lie before the preceding row, or far behind it.

    Spans get no longer than `longest` positions.
    """
    offsets = np.asarray(x_at, dtype=np.int64)
    begins = np.ones(len(offsets), dtype=bool)
    gaps = np.diff(offsets)
    begins[1:] = (gaps < 1) | (gaps > _WIDEST_GAP)
    # Long spans are cut: `rank` counts positions from where the stretch begins.
    start = np.maximum.accumulate(np.where(begins, np.arange(len(offsets)), 0))
    rank = (offsets - offsets[start]) // longest
    begins[1:] |= rank[1:] != rank[:-1]
    return begins


def spans_of(places: Places, longest: int, lanes: int, *, gaps: bool = False) -> Spans:
    """The spans of at most `longest` positions, with pieces of at most `lanes` positions, a power of two.

    `gaps`: whether positions that are no rows may lie within a piece.
    """
    rows = places.rows
    x_at = np.asarray(places.x_at, dtype=np.int64)
    out_at = np.asarray(places.out_at, dtype=np.int64)
    row = np.arange(rows)
    begins = span_begins(x_at, longest)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], rows) - 1
    spans = np.ascontiguousarray(np.stack([x_at[first], x_at[last] - x_at[first] + 1], axis=1))
    # A piece continues as long as both the position and the place in the output rise by one.
    ends = begins.copy()
    ends[1:] |= (np.diff(out_at) != 1) | (not gaps and np.diff(x_at) != 1)
    run_begin = np.maximum.accumulate(np.where(ends, row, 0))
    # Pieces are cut wherever `lanes` positions from the run's first one are full.
    part = (x_at - x_at[run_begin]) // lanes
    ends[1:] |= np.diff(part) != 0
    piece = np.flatnonzero(ends)
    lane = x_at[piece] - x_at[first][np.searchsorted(first, piece, side="right") - 1]
    bits = np.left_shift(1, x_at - np.repeat(x_at[piece], np.diff(piece, append=rows)))
    pieces = np.stack([out_at[piece], lane, np.add.reduceat(bits, piece), np.diff(piece, append=rows)], axis=1)
    bounds = np.append(first, rows)
    return Spans(
        spans,
        bounds,
        np.ascontiguousarray(pieces),
        np.ascontiguousarray(np.searchsorted(piece, bounds), dtype=np.int64),
    )
