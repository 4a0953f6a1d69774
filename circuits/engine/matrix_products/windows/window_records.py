"""What the kernel whose lanes are elements of x reads and where it keeps its work: records, and its scratch memory."""

from __future__ import annotations

from types import SimpleNamespace

from circuits.engine.blocks import BLOCK, PLANE_BYTES, WORD_BYTES
from circuits.engine.known_operands.sparse_matmul_kernel import SLOTS
from circuits.engine.llvm.float_parts import WIDTH, X_BYTES, KernelSettings
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target
from circuits.engine.llvm.vectors import Vectors

LANES = 16
"""Elements of a run, lanes of a strip, and the most rows of a piece."""
STRIPS = BLOCK // LANES
CHUNK_FIELDS = ("first_group", "end_group", "first_span", "end_span", "elements")
"""int64 fields of a chunk: its groups, its spans and the elements of all of them, each span's a multiple of 16."""
SPAN_FIELDS = ("offset", "elements", "base", "skipped", "first_piece", "end_piece", "expansion")
"""int64 fields of a span: the offset in x of its first element; its elements; the number of the first one among the
group's, a multiple of 16; how many come before the first one that its positions meet; its pieces. With margins `offset`
is that of the image, and `expansion` the number of the span's first record in `expansions`."""
PIECE_FIELDS = ("out_at", "lane", "rows", "length")
"""int64 fields of a piece, at most 16 positions whose rows stand side by side in the output: the place there of the
first one; the first position, counted from the span's first one; a bit for each of the 16 that is a row; how many are.
Without AVX-512 these are the first ones."""
TOGETHER = 4
"""Pieces whose sums run side by side: a span has a multiple of them, some perhaps without rows."""
TAP_BYTES = 16

_SCRATCH = {
    "w_planes": (SLOTS * PLANE_BYTES, 0),
    "product": (64 * PLANE_BYTES, 0),
    "gathered": (WORD_BYTES, 0),
    "w_words": (WORD_BYTES, 0),
    "packed_w": (WIDTH * PLANE_BYTES, 0),
    "strip_w": (8 * STRIPS, 1),
    "present": (64, 1),
    "ranks": (64, 1),
    "operands": (WORD_BYTES, 4),
    "packed": (0, X_BYTES // BLOCK),
}
"""Part of the scratch -> its bytes, and bytes more for each element of the largest chunk.

`w_planes`: planes of the weights, or what gates for a known weight use as memory. `strip_w`: the place in w of each
strip's group. `operands`: the elements that take part. For each run of 16 elements, `present` has a bit for each of
them, and `ranks` the number of the first one's product."""

WINDOW_SHAPE = (
    *("spans", "pieces", "chunks", "x_step", "expansions", "depth", "lowest", "columns", "w_width", "group_elements"),
    *("x_group", "out_group", "out_step", "stride", "taps", "tap_weights", "products", *_SCRATCH),
)
"""The 64-bit fields of a product, addresses or numbers.

`spans`, `pieces` and `chunks`: records with the fields above. `expansions`: how 16 elements of a padded image come from
the image, see `padding.expanded_pieces`. `lowest`: the least x_step. `w_width`: words from a row of w to the next, a
multiple of 16. `group_elements`: what separates two groups of a chunk. The fields from `taps` on are places in the
scratch: `taps` for each k that takes part its step, less `lowest`, and where its products begin, `tap_weights` its
weight, and `products` its products, `stride` bytes apart from one k to the next."""
_POINTERS = ("spans", "pieces", "chunks", "x_step", "expansions")
_PLACES = ("taps", "tap_weights", "products", *_SCRATCH)


def scratch_places(capacity: int, depth: int) -> tuple[dict[str, int], int]:
    """The fields of WINDOW_SHAPE that depend on the elements of the largest chunk, a multiple of 512, and on the depth.

    Also the bytes of scratch (64-aligned) that the kernel needs.
    """
    # Products are read up to a vector beyond the last.
    stride = 4 * (capacity + LANES)
    sizes = {name: fixed + capacity * each for name, (fixed, each) in _SCRATCH.items()}
    # What is noted of weights that are zero is overwritten, or comes last.
    sizes |= {"taps": TAP_BYTES * (depth + 1), "tap_weights": 4 * (depth + 1), "products": depth * stride}
    fields, end = {}, 0
    for name, size in sizes.items():
        fields[name] = end
        end += -(-size // 64) * 64
    return {**fields, "stride": stride}, end


class WindowCode:
    """What the parts of the kernel share. Values are i64 or addresses; `chunk` has the fields of the present one."""

    def __init__(
        self, f: Function, settings: KernelSettings, target: Target, weight_gates: bool, margins: bool
    ) -> None:
        self.f, self.e = f, Vectors(f, target)
        self.settings, self.weight_gates, self.margins = settings, weight_gates, margins
        self.compresses = target.ternary
        assert self.compresses or not (weight_gates or margins)
        self.shape = self.chunk = SimpleNamespace()
        for i, name in enumerate(WINDOW_SHAPE):
            kind = "ptr" if name in _POINTERS else "i64"
            value = f.op(f"load {kind}, ptr {f.offset('%shape', 8 * i)}")
            setattr(self.shape, name, f.offset("%scratch", value) if name in _PLACES else value)
        numbers = ", ".join(f"i32 {lane}" for lane in range(LANES))
        self.numbers = f"<{numbers}>"

    def fields_of(self, records: str, number: str, names: tuple[str, ...]) -> SimpleNamespace:
        """The int64 fields of a record."""
        f = self.f
        record = f.offset(records, f.op(f"mul i64 {number}, {8 * len(names)}"))
        return SimpleNamespace(**{n: f.op(f"load i64, ptr {f.offset(record, 8 * i)}") for i, n in enumerate(names)})

    def span_of(self, span: str) -> SimpleNamespace:
        """The fields of a span."""
        return self.fields_of(self.shape.spans, span, SPAN_FIELDS)

    def group_begin(self, group: str) -> str:
        """The number in the chunk of a group's element 0."""
        f = self.f
        before = f.op(f"sub i64 {group}, {self.chunk.first_group}")
        skipped = self.span_of(self.chunk.first_span).base
        return f.op(f"sub i64 {f.op(f'mul i64 {before}, {self.shape.group_elements}')}, {skipped}")
