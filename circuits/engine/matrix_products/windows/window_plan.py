"""How a matrix product is cut into chunks whose lanes are elements of x, and which records the kernel reads of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from circuits.engine.blocks import BLOCK
from circuits.engine.llvm.jit import Target
from circuits.engine.matrix_products.element_places import Offsets, Places
from circuits.engine.matrix_products.windows.window_records import (
    CHUNK_FIELDS,
    LANES,
    TOGETHER,
    WINDOW_SHAPE,
    scratch_places,
)
from circuits.engine.matrix_products.windows.window_spans import spans_of
from circuits.engine.padding import expanded_pieces

_ELEMENTS_AND_DEPTH = 1 << 16
_MOST_ELEMENTS = 1 << 13
"""Elements of a chunk, alone and times the depth: they fill blocks, and products stay in the second-level cache."""
_FEWEST_POSITIONS = 1 << 8
"""Positions that a span should have room for."""


@dataclass(frozen=True)
class Margins:
    """x holds images of a height and width alone; places count elements of the images padded with zeros.

    `padding`: rows above and below, columns to the left and right.
    """

    image: tuple[int, int]
    padding: tuple[int, int, int, int]

    @property
    def size(self) -> int:
        """Elements of an image."""
        return self.image[0] * self.image[1]

    @property
    def padded_size(self) -> int:
        """Elements of a padded image."""
        return (self.image[0] + sum(self.padding[:2])) * (self.image[1] + sum(self.padding[2:]))


@dataclass(frozen=True, eq=False)
class WindowSpans:
    """The spans of a product's positions and what they meet.

    `records` int64 [S, 7] with SPAN_FIELDS, `pieces` int64 [P, 4] with PIECE_FIELDS; `expansions`: see
    `padding.expanded_pieces`, empty without margins. `rows` int64 [S + 1]: the first row m of each span. `x_group`: the
    elements of x between two groups. `lowest`: the least x_step. `elements` int64 [S]: those of each span in
    whole runs; `total`: their sum.
    """

    records: Offsets
    pieces: Offsets
    rows: Offsets
    elements: Offsets
    expansions: Offsets
    x_group: int
    lowest: int
    total: int


def window_spans(places: Places, margins: Margins | None) -> WindowSpans | None:
    """The spans of a product, or None where positions meet elements too far apart, or those of several images."""
    lowest = int(np.min(places.x_step))
    window = int(np.max(places.x_step)) - lowest
    longest = _most_elements(places.depth) - window - 2 * LANES
    if longest < max(window, _FEWEST_POSITIONS):
        return None
    spans = spans_of(places, longest, LANES, gaps=Target.host().ternary)
    first = spans.spans[:, 0] + lowest
    elements = spans.spans[:, 1] + window
    skipped, offset, expansion, x_group = 0 * first, first, 0 * first, places.x_group
    expansions = np.zeros((0, 2), dtype=np.int64)
    if margins is not None:
        # Spans begin where an expansion does, up to 15 elements earlier.
        image, place = np.divmod(first, margins.padded_size)
        skipped, offset, expansion = place % LANES, image * margins.size, place // LANES
        if (place + elements > margins.padded_size).any() or places.x_group % margins.padded_size:
            return None
        elements = elements + skipped
        expansions = expanded_pieces(margins.image, margins.padding, LANES)
        x_group = places.x_group // margins.padded_size * margins.size
    whole = -(-elements // LANES) * LANES
    # Each span's pieces are filled up with empty ones.
    counts = np.diff(spans.first_pieces)
    bounds = np.append(0, np.cumsum(-(-counts // TOGETHER) * TOGETHER))
    pieces = np.zeros((int(bounds[-1]), spans.pieces.shape[1]), dtype=np.int64)
    pieces[np.arange(len(spans.pieces)) + np.repeat(bounds[:-1] - spans.first_pieces[:-1], counts)] = spans.pieces
    records = np.stack(
        [offset, elements, np.cumsum(whole) - whole, skipped, bounds[:-1], bounds[1:], expansion], axis=1
    )
    return WindowSpans(
        records=np.ascontiguousarray(records, dtype=np.int64),
        pieces=pieces,
        rows=spans.rows,
        elements=whole,
        expansions=expansions,
        x_group=x_group,
        lowest=lowest,
        total=int(whole.sum()),
    )


def _most_elements(depth: int) -> int:
    return min(_MOST_ELEMENTS, _ELEMENTS_AND_DEPTH // depth)


@dataclass(frozen=True, eq=False)
class WindowPlan:
    """Chunks of one product. `shape`: the record of WINDOW_SHAPE, which refers to `arrays`; `chunks` int64 [C, 5] with
    CHUNK_FIELDS."""

    shape: Offsets
    chunks: Offsets
    spans: WindowSpans
    arrays: tuple[Offsets, ...]
    scratch_bytes: int

    def part(self, places: Places, chunk: int) -> tuple[Places, int]:
        """The places of a chunk's rows and groups, and its first group."""
        group, end_group, span, end_span, _ = map(int, self.chunks[chunk])
        rows = slice(int(self.spans.rows[span]), int(self.spans.rows[end_span]))
        part = Places(
            places.x_at[rows] + group * places.x_group,
            places.x_step,
            places.out_at[rows] + group * places.out_group,
            places.out_step,
            end_group - group,
            places.x_group,
            places.out_group,
        )
        return part, group


def window_plan(places: Places, columns: int, spans: WindowSpans, *, one_weight: bool) -> WindowPlan:
    """The chunks of a product of `columns` columns a group; with `one_weight` each has a single group."""
    depth, groups, elements = places.depth, places.groups, spans.elements
    of_group = spans.total
    most = _most_elements(depth)
    if one_weight or 2 * of_group > most:
        cuts = _cuts(elements, most)
        group_cuts = list(range(groups + 1))
    else:
        cuts = [0, len(elements)]
        count = -(-groups // (most // of_group))
        group_cuts = [groups * k // count for k in range(count + 1)]
    chunks = np.array(
        [
            (group, end_group, span, end_span, (end_group - group) * int(elements[span:end_span].sum()))
            for group, end_group in pairwise(group_cuts)
            for span, end_span in pairwise(cuts)
        ],
        dtype=np.int64,
    )
    capacity = -(-int(chunks[:, CHUNK_FIELDS.index("elements")].max()) // BLOCK) * BLOCK
    scratch, scratch_bytes = scratch_places(capacity, depth)
    arrays = {
        "spans": spans.records,
        "pieces": spans.pieces,
        "chunks": chunks,
        "x_step": np.ascontiguousarray(places.x_step, dtype=np.int64),
        "expansions": spans.expansions,
    }
    fields = {
        **{name: array.ctypes.data for name, array in arrays.items()},
        "depth": depth,
        "lowest": spans.lowest,
        "columns": columns,
        "w_width": -(-depth // LANES) * LANES,
        "group_elements": of_group,
        "x_group": spans.x_group,
        "out_group": places.out_group,
        "out_step": places.out_step,
        **scratch,
    }
    shape = np.array([fields[name] for name in WINDOW_SHAPE], dtype=np.int64)
    return WindowPlan(shape, chunks, spans, tuple(arrays.values()), scratch_bytes)


def _cuts(sizes: Offsets, most: int) -> list[int]:
    """Cuts a sequence into parts of about the same sum, none more than `most`, which no element exceeds."""
    ends = np.cumsum(sizes)
    parts = -(-int(ends[-1]) // most)
    while True:
        # The first element that reaches the k-th part's share of the sum ends that part.
        inner = np.searchsorted(ends, ends[-1] * np.arange(1, parts) / parts) + 1
        cuts = [0, *dict.fromkeys(cut for cut in inner.tolist() if cut < len(sizes)), len(sizes)]
        if all(int(sizes[a:b].sum()) <= most for a, b in pairwise(cuts)):
            return cuts
        parts += 1
