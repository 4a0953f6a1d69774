"""The matmul kernel whose lanes are elements of x: for products that read an element again at every position k.

In a depthwise convolution every element of an image meets every weight of its channel, at another row each time. The
kernels whose lanes are rows gather and pack it once for each k, which takes longer than its products. Here it is packed
once, multiplied with all weights, and the sums fetch the products from where they lie:

    element     p = position + step[k]           of a span, a stretch of x (see `window_spans`)
    line[k][p]  = x[p] * w[n, k]
    sum[m]      = +0 + line[0][position(m) + step[0]] + line[1][position(m) + step[1]] + ...

Each sum adds its products in ascending k, as everywhere. Rows that stand side by side have products side by side, so
that sums are whole vectors. An element at the edge of an image also meets weights whose products no row wants; those
are computed in vain.

With AVX-512 elements that are zero take no part, as in `known_operands.sparse_matmul_kernel`. The products of a line
are packed then; those that a vector of sums wants are found by rank, and `vexpandps` puts them where they belong:

    products        p0 p1 p2 p3 ...              of the elements that are not zero, in order
    present         1 0 0 1 1 0 1 ...            a bit for each element
    line[e ..]      expanded(products from the one whose number is the count of ones before e, bits from e on)

The work is cut into chunks, some spans of a group or all spans of some groups:

    for each chunk:
        for each group, for each span:       append the elements that are not zero
        pack them into blocks                a group begins at a multiple of 16 lanes
        for each column n:
            for each block, for each k:      products[k][block] = gates(block, weights)
            for each group, span and row:    add the lines

The gates take a weight that all lanes share (`known_operands.weight_gates`; a chunk then has one group), or weights of
strips of 16 lanes, as in `strips.strip_kernel`. A chunk in which a product may leave the normal range is left to other
kernels.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from circuits.engine.blocks import BLOCK, LIMB, PLANE_BYTES, WORD_BYTES
from circuits.engine.known_operands.sparse_matmul_kernel import SLOTS
from circuits.engine.llvm.float_parts import (
    BIAS,
    EXPONENT,
    SIGN_AND_EXPONENT,
    WIDTH,
    X_BYTES,
    X_WORDS_AT,
    KernelSettings,
    emit_pack,
    emit_words,
)
from circuits.engine.llvm.float_results import emit_exponent_range, emit_products, emit_stay_normal
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
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
_TAP_BYTES = 16

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
    sizes |= {"taps": _TAP_BYTES * (depth + 1), "tap_weights": 4 * (depth + 1), "products": depth * stride}
    fields, end = {}, 0
    for name, size in sizes.items():
        fields[name] = end
        end += -(-size // 64) * 64
    return {**fields, "stride": stride}, end


def window_ir(settings: KernelSettings, target: Target, *, weight_gates: bool, margins: bool) -> str:
    """The kernel of some chunks.

    @kernel(gates, shape, x, w, out, first_chunk, end_chunk, failed, scratch), `shape` as WINDOW_SHAPE says: writes the
    sums of all rows of the spans and groups of the chunks first_chunk .. end_chunk - 1, for all columns, as
    `gathering.gathered_matmul` says; or sets failed[chunk], a byte, to 1, where a product might not be normal.
    `margins`: x holds images without the margins that the places count (AVX-512).
    """
    f = Function(
        "kernel",
        "ptr %gates, ptr %shape, ptr %x, ptr %w, ptr %out, i64 %first_chunk, i64 %end_chunk, ptr %failed, ptr %scratch",
    )
    kernel = _Kernel(f, settings, target, weight_gates, margins)
    with f.loop("%end_chunk", "%first_chunk") as chunk:
        kernel.emit_chunk(chunk)
    return kernel.declarations() + f.text()


class _Kernel:
    """Emits the parts of the kernel. Values are i64 or addresses."""

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

    def emit_chunk(self, number: str) -> None:
        """One chunk."""
        f, shape = self.f, self.shape
        self.chunk = self._fields(shape.chunks, number, CHUNK_FIELDS)
        count = self._emit_elements()
        blocks = self._emit_fill(count)
        x_range = emit_exponent_range(self.e, [(shape.operands, f.op(f"mul i64 {blocks}, {BLOCK}"))])
        words = f.op(f"mul i64 {shape.columns}, {shape.w_width}")
        groups = f.op(f"sub i64 {self.chunk.end_group}, {self.chunk.first_group}")
        weights = f.element("%w", "i32", f.op(f"mul i64 {self.chunk.first_group}, {words}"))
        w_range = emit_exponent_range(self.e, [(weights, f.op(f"mul i64 {groups}, {words}"))])
        normal = emit_stay_normal(f, self.settings, x_range, w_range)
        failed = f.op(f"zext i1 {f.op(f'xor i1 {normal}, true')} to i8")
        f.do(f"store i8 {failed}, ptr {f.element('%failed', 'i8', number)}")
        with f.when(normal):
            with f.loop(blocks) as block:
                planes = f.offset(shape.packed, f.op(f"mul i64 {block}, {X_BYTES}"))
                source = f.offset(shape.operands, f.op(f"mul i64 {block}, {WORD_BYTES}"))
                words_at = f.offset(planes, X_WORDS_AT)
                emit_pack(self.e, source, planes, words_at, less=BIAS, fraction=self.settings.fraction)
            with f.loop(shape.columns) as column:
                multiply = self._emit_known_weights if self.weight_gates else self._emit_strips
                taps = multiply(column, blocks)
                self._emit_sums(column, taps)

    def declarations(self) -> str:
        """What the module must declare."""
        mask, v, vf = f"<{LANES} x i1>", f"<{LANES} x i32>", f"<{LANES} x float>"
        text = f"declare void @llvm.masked.store.v16f32.p0({vf}, ptr, i32, {mask})\n"
        if self.compresses:
            text += (
                f"declare {v} @llvm.masked.load.v16i32.p0(ptr, i32, {mask}, {v})\n"
                f"declare {v} @llvm.masked.expandload.v16i32(ptr, {mask}, {v})\n"
                f"declare {v} @llvm.x86.avx512.mask.compress.v16i32({v}, {v}, {mask})\n"
                f"declare {vf} @llvm.x86.avx512.mask.expand.v16f32({vf}, {vf}, {mask})\n"
                f"declare {vf} @llvm.x86.avx512.mask.compress.v16f32({vf}, {vf}, {mask})\n"
                "declare i32 @llvm.ctpop.i32(i32)\n"
                "declare i16 @llvm.ctpop.i16(i16)\n"
            )
        return text

    # Elements.

    def _fields(self, records: str, number: str, names: tuple[str, ...]) -> SimpleNamespace:
        """The int64 fields of a record."""
        f = self.f
        record = f.offset(records, f.op(f"mul i64 {number}, {8 * len(names)}"))
        return SimpleNamespace(**{n: f.op(f"load i64, ptr {f.offset(record, 8 * i)}") for i, n in enumerate(names)})

    def _span(self, span: str) -> SimpleNamespace:
        return self._fields(self.shape.spans, span, SPAN_FIELDS)

    def _group_begin(self, group: str) -> str:
        """The number in the chunk of a group's element 0."""
        f = self.f
        before = f.op(f"sub i64 {group}, {self.chunk.first_group}")
        skipped = self._span(self.chunk.first_span).base
        return f.op(f"sub i64 {f.op(f'mul i64 {before}, {self.shape.group_elements}')}, {skipped}")

    def _emit_elements(self) -> str:
        """Moves the chunk's elements that are not zero together; returns their number, with gaps between groups."""
        f, shape, chunk = self.f, self.shape, self.chunk
        with f.fold(chunk.end_group, "i64", ["0"], chunk.first_group) as (group, count):
            before = count[0]
            begin = self._group_begin(group)
            source = f.element("%x", "i32", f.op(f"mul i64 {group}, {shape.x_group}"))
            with f.fold(chunk.end_span, "i64", count, chunk.first_span) as (span, of_span):
                s = self._span(span)
                emit = self._emit_compress if self.compresses else self._emit_copy
                place = f.op(f"add i64 {begin}, {s.base}")
                of_span[0] = emit(f.element(source, "i32", s.offset), s, place, of_span[0])
            # The next group begins with a strip of its own. Lanes between groups are zeros whose products go nowhere.
            filled = of_span[0]
            end = f.op(f"and i64 {f.op(f'add i64 {filled}, {LANES - 1}')}, {-LANES}")
            with f.loop(end, filled) as lane:
                f.do(f"store i32 0, ptr {f.element(shape.operands, 'i32', lane)}")
            if not self.weight_gates:
                row = f.op(f"mul i64 {group}, {f.op(f'mul i64 {shape.columns}, {shape.w_width}')}")
                self._emit_fill_strips(before, end, row)
            count[0] = end
        return count[0]

    def _emit_fill_strips(self, first_lane: str, end_lane: str, row: str) -> None:
        """Notes `row`, a place in w, for the strips between two lanes."""
        f = self.f
        first, end = (f.op(f"udiv i64 {lane}, {LANES}") for lane in (first_lane, end_lane))
        with f.loop(end, first) as strip:
            f.do(f"store i64 {row}, ptr {f.element(self.shape.strip_w, 'i64', strip)}")

    def _emit_fill(self, count: str) -> str:
        """Fills the last block with zeros; returns the number of blocks."""
        f = self.f
        blocks = f.op(f"udiv i64 {f.op(f'add i64 {count}, {BLOCK - 1}')}, {BLOCK}")
        lanes = f.op(f"mul i64 {blocks}, {BLOCK}")
        with f.loop(lanes, count, LANES) as lane:
            address = f.element(self.shape.operands, "i32", lane)
            f.do(f"store <{LANES} x i32> zeroinitializer, ptr {address}, align 4")
        if not self.weight_gates:
            # Any weights do for them.
            self._emit_fill_strips(count, lanes, "0")
        return blocks

    def _emit_compress(self, words: str, span: SimpleNamespace, begin: str, before: str) -> str:
        """Appends a span's elements that are not zero behind `before` others; returns the new number."""
        f, e, shape = self.f, self.e, self.shape
        v, mask_kind = e.v, e.mask
        with f.fold(span.elements, "i64", [before], step=LANES) as (lane, count):
            word = self._emit_expanded_run(words, span, lane) if self.margins else self._emit_run(words, span, lane)
            mask = e.compare("ne", e.integer("and", word, EXPONENT), "zeroinitializer")
            arguments = f"{v} {word}, {v} zeroinitializer, {mask_kind} {mask}"
            moved = f.op(f"call {v} @llvm.x86.avx512.mask.compress.v16i32({arguments})")
            f.do(f"store {v} {moved}, ptr {f.element(shape.operands, 'i32', count[0])}, align 4")
            run = f.op(f"udiv i64 {f.op(f'add i64 {begin}, {lane}')}, {LANES}")
            bits = f.op(f"bitcast {mask_kind} {mask} to i16")
            f.do(f"store i32 {f.op(f'trunc i64 {count[0]} to i32')}, ptr {f.element(shape.ranks, 'i32', run)}")
            f.do(f"store i16 {bits}, ptr {f.element(shape.present, 'i16', run)}")
            size = f.op(f"zext i16 {f.op(f'call i16 @llvm.ctpop.i16(i16 {bits})')} to i64")
            count[0] = f.op(f"add i64 {count[0]}, {size}")
        return count[0]

    def _emit_run(self, words: str, span: SimpleNamespace, lane: str) -> str:
        """The span's 16 elements from number `lane` on, 0 behind the last."""
        f, e = self.f, self.e
        rest = e.broadcast(f.op(f"trunc i64 {f.op(f'sub i64 {span.elements}, {lane}')} to i32"))
        inside = e.compare("slt", self.numbers, rest)
        arguments = f"ptr {f.element(words, 'i32', lane)}, i32 4, {e.mask} {inside}, {e.v} zeroinitializer"
        return f.op(f"call {e.v} @llvm.masked.load.v16i32.p0({arguments})")

    def _emit_expanded_run(self, image: str, span: SimpleNamespace, lane: str) -> str:
        """The same, with the elements of the margins, which are 0."""
        f, e = self.f, self.e
        number = f.op(f"add i64 {span.expansion}, {f.op(f'udiv i64 {lane}, {LANES}')}")
        record = f.offset(self.shape.expansions, f.op(f"mul i64 {number}, 16"))
        place, bits = (f.op(f"load i64, ptr {f.offset(record, 8 * i)}") for i in range(2))
        inside = f.op(f"bitcast i16 {f.op(f'trunc i64 {bits} to i16')} to {e.mask}")
        arguments = f"ptr {f.element(image, 'i32', place)}, {e.mask} {inside}, {e.v} zeroinitializer"
        return f.op(f"call {e.v} @llvm.masked.expandload.v16i32({arguments})")

    def _emit_copy(self, words: str, span: SimpleNamespace, begin: str, before: str) -> str:
        """Copies all elements of a span, and zeros up to whole runs; returns the number of elements."""
        f = self.f
        end = f.op(f"and i64 {f.op(f'add i64 {span.elements}, {LANES - 1}')}, {-LANES}")
        target = f.element(self.shape.operands, "i32", begin)
        with f.loop(span.elements) as lane:
            word = f.op(f"load i32, ptr {f.element(words, 'i32', lane)}")
            f.do(f"store i32 {word}, ptr {f.element(target, 'i32', lane)}")
        with f.loop(end, span.elements) as lane:
            f.do(f"store i32 0, ptr {f.element(target, 'i32', lane)}")
        return f.op(f"add i64 {begin}, {end}")

    # Products.

    def _emit_tap(self, number: str, k: str) -> None:
        """Notes that the products `number` belong to position k."""
        f, shape = self.f, self.shape
        record = f.offset(shape.taps, f.op(f"mul i64 {number}, {_TAP_BYTES}"))
        step = f.op(f"load i64, ptr {f.element(shape.x_step, 'i64', k)}")
        f.do(f"store i64 {f.op(f'sub i64 {step}, {shape.lowest}')}, ptr {record}")
        f.do(f"store i64 {f.op(f'mul i64 {number}, {shape.stride}')}, ptr {f.offset(record, 8)}")

    def _products(self, tap: str, block: str) -> str:
        f = self.f
        line = f.offset(self.shape.products, f.op(f"mul i64 {tap}, {self.shape.stride}"))
        return f.offset(line, f.op(f"mul i64 {block}, {WORD_BYTES}"))

    def _packed(self, block: str) -> str:
        return self.f.offset(self.shape.packed, self.f.op(f"mul i64 {block}, {X_BYTES}"))

    def _emit_known_weights(self, column: str, blocks: str) -> str:
        """The products of all blocks with the weights of the chunk's group that are not zero; returns their number."""
        f, e, shape = self.f, self.e, self.shape
        row = f.op(f"add i64 {f.op(f'mul i64 {self.chunk.first_group}, {shape.columns}')}, {column}")
        weights = f.element("%w", "i32", f.op(f"mul i64 {row}, {shape.w_width}"))
        # A zero weight, like a zero element, changes no sum. What is noted of it is overwritten by the next one.
        with f.fold(shape.depth, "i64", ["0"]) as (k, count):
            weight = f.op(f"load i32, ptr {f.element(weights, 'i32', k)}")
            f.do(f"store i32 {weight}, ptr {f.element(shape.tap_weights, 'i32', count[0])}")
            self._emit_tap(count[0], k)
            present = f.op(f"icmp ne i32 {f.op(f'and i32 {weight}, {EXPONENT}')}, 0")
            count[0] = f.op(f"add i64 {count[0]}, {f.op(f'zext i1 {present} to i64')}")
        with f.loop(count[0]) as tap:
            weight = f.op(f"load i32, ptr {f.element(shape.tap_weights, 'i32', tap)}")
            w = e.broadcast(f.op(f"and i32 {weight}, {SIGN_AND_EXPONENT - (1 << 32)}"))
            with f.loop(blocks) as block:
                planes, products, product = self._packed(block), self._products(tap, block), shape.product
                f.do(f"call void %gates(ptr {planes}, i32 {weight}, ptr {product}, ptr {shape.w_planes})")
                x_words = f.offset(planes, X_WORDS_AT)
                with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
                    # No operand is zero, so that exponents are added unconditionally (see `float_results`).
                    for b, word in enumerate(emit_words(e, self.settings, product, byte)):
                        exponent = e.integer("add", e.load(x_words, b, byte), w)
                        e.store(e.integer("add", word, exponent), products, b, byte)
        return count[0]

    def _emit_strips(self, column: str, blocks: str) -> str:
        """The products of all blocks with the weights of their strips, 16 positions k at a time; returns the depth."""
        f, shape = self.f, self.shape
        depth: str = shape.depth
        with f.loop(depth) as k:
            self._emit_tap(k, k)
        skipped = f.op(f"mul i64 {column}, {shape.w_width}")
        with f.loop(blocks) as block, f.loop(depth, step=LANES) as begin:
            strips = f.element(shape.strip_w, "i64", f.op(f"mul i64 {block}, {STRIPS}"))
            self._emit_pack_weights(strips, f.op(f"add i64 {skipped}, {begin}"))
            rest = f.op(f"sub i64 {depth}, {begin}")
            count = f.op(f"select i1 {f.op(f'icmp slt i64 {rest}, {LANES}')}, i64 {rest}, i64 {LANES}")
            with f.loop(count) as k:
                self._emit_strip_products(block, f.op(f"add i64 {begin}, {k}"), k)
        return depth

    def _emit_pack_weights(self, strips: str, start: str) -> None:
        """Packs w[strip's row + start + k] of 32 strips and 16 k, as `strip_kernel` says."""
        f, shape = self.f, self.shape
        with f.loop(STRIPS) as strip:
            row = f.op(f"load i64, ptr {f.element(strips, 'i64', strip)}")
            source = f.element("%w", "i32", f.op(f"add i64 {row}, {start}"))
            words = f.op(f"load <{LANES} x i32>, ptr {source}, align 4")
            place = f.offset(shape.gathered, f.op(f"mul i64 {strip}, {PLANE_BYTES}"))
            f.do(f"store <{LANES} x i32> {words}, ptr {place}, align 4")
        fraction = self.settings.fraction
        emit_pack(self.e, shape.gathered, shape.packed_w, shape.w_words, less=0, fraction=fraction)

    def _emit_strip_products(self, block: str, tap: str, k: str) -> None:
        """The products of a block with weight k of those packed."""
        f, e, shape = self.f, self.e, self.shape
        planes, products = self._packed(block), self._products(tap, block)
        of_position = f.element(shape.packed_w, "i32", k)
        for plane in range(self.settings.fraction + 1):
            bits = e.broadcast(f.op(f"load i32, ptr {f.offset(of_position, plane * PLANE_BYTES)}"))
            for unit in range(e.units):
                place = f.offset(shape.w_planes, plane * PLANE_BYTES + unit * e.vector_bytes)
                f.do(f"store {e.v} {bits}, ptr {place}, align 16")
        f.do(f"call void %gates(ptr {planes}, ptr {shape.w_planes}, ptr {shape.product})")
        x_words = f.offset(planes, X_WORDS_AT)
        w_words = f.element(shape.w_words, "i32", k)
        with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
            weights = [
                e.broadcast(f.op(f"load i32, ptr {f.offset(w_words, strip * PLANE_BYTES)}")) for strip in range(STRIPS)
            ]
            terms = emit_products(e, self.settings, "normal", shape.product, x_words, weights, None, byte)
            for b, term in enumerate(terms):
                e.store(term, products, b, byte, e.vf)

    # Sums.

    def _emit_sums(self, column: str, taps: str) -> None:
        """Writes the sums of all rows of the chunk."""
        f, shape, chunk = self.f, self.shape, self.chunk
        of_column = f.element("%out", "float", f.op(f"mul i64 {column}, {shape.out_step}"))
        with f.loop(chunk.end_group, chunk.first_group) as group:
            out = f.element(of_column, "float", f.op(f"mul i64 {group}, {shape.out_group}"))
            begin = self._group_begin(group)
            with f.loop(chunk.end_span, chunk.first_span) as span:
                s = self._span(span)
                first = f.op(f"add i64 {f.op(f'add i64 {begin}, {s.base}')}, {s.skipped}")
                with f.loop(s.end_piece, s.first_piece, TOGETHER) as number:
                    numbers = [f.op(f"add i64 {number}, {i}") for i in range(TOGETHER)]
                    pieces = [self._fields(shape.pieces, n, PIECE_FIELDS) for n in numbers]
                    elements = [f.op(f"add i64 {first}, {piece.lane}") for piece in pieces]
                    for piece, total in zip(pieces, self._emit_totals(elements, taps), strict=True):
                        self._emit_store(total, f.element(out, "float", piece.out_at), piece)

    def _emit_totals(self, elements: list[str], taps: str) -> list[str]:
        """The sums of 16 rows each, whose first ones meet the elements of these numbers at the least step."""
        f, vf = self.f, f"<{LANES} x float>"
        sums = ["zeroinitializer"] * len(elements)
        with f.fold(f.op(f"mul i64 {taps}, {_TAP_BYTES}"), vf, sums, step=_TAP_BYTES) as (tap, totals):
            record = f.offset(self.shape.taps, tap)
            step, place = (f.op(f"load i64, ptr {f.offset(record, 8 * i)}") for i in range(2))
            products = f.offset(self.shape.products, place)
            for i, element in enumerate(elements):
                here = f.op(f"add i64 {element}, {step}")
                if self.compresses:
                    term = self._emit_expand(products, here)
                else:
                    term = f.op(f"load {vf}, ptr {f.element(products, 'float', here)}, align 4")
                totals[i] = f.op(f"fadd {vf} {totals[i]}, {term}")
        return totals

    def _emit_expand(self, products: str, element: str) -> str:
        """The products of 16 elements from one on, +0 for those that are not present."""
        f, shape, vf = self.f, self.shape, f"<{LANES} x float>"
        run = f.op(f"udiv i64 {element}, {LANES}")
        # The bits of two runs, of which those before the element are counted and dropped.
        bits = f.op(f"load i32, ptr {f.element(shape.present, 'i16', run)}, align 2")
        before = f.op(f"and i32 {f.op(f'trunc i64 {element} to i32')}, {LANES - 1}")
        chosen = f.op(f"trunc i32 {f.op(f'lshr i32 {bits}, {before}')} to i16")
        mask = f.op(f"bitcast i16 {chosen} to <{LANES} x i1>")
        bit = f.op(f"shl i32 1, {before}")
        earlier = f.op(f"and i32 {bits}, {f.op(f'sub i32 {bit}, 1')}")
        rank = f.op(f"load i32, ptr {f.element(shape.ranks, 'i32', run)}")
        rank = f.op(f"add i32 {rank}, {f.op(f'call i32 @llvm.ctpop.i32(i32 {earlier})')}")
        source = f.element(products, "float", f.op(f"zext i32 {rank} to i64"))
        following = f.op(f"load {vf}, ptr {source}, align 4")
        arguments = f"{vf} {following}, {vf} zeroinitializer, <{LANES} x i1> {mask}"
        return f.op(f"call {vf} @llvm.x86.avx512.mask.expand.v16f32({arguments})")

    def _emit_store(self, total: str, address: str, piece: SimpleNamespace) -> None:
        """Stores the lanes that are rows, one beside the other."""
        f, vf, v, mask_kind = self.f, f"<{LANES} x float>", f"<{LANES} x i32>", f"<{LANES} x i1>"
        if self.compresses:
            rows = f.op(f"bitcast i16 {f.op(f'trunc i64 {piece.rows} to i16')} to {mask_kind}")
            arguments = f"{vf} {total}, {vf} zeroinitializer, {mask_kind} {rows}"
            total = f.op(f"call {vf} @llvm.x86.avx512.mask.compress.v16f32({arguments})")
        number = f.op(f"insertelement {v} poison, i32 {f.op(f'trunc i64 {piece.length} to i32')}, i32 0")
        lengths = f.op(f"shufflevector {v} {number}, {v} poison, {v} zeroinitializer")
        mask = f.op(f"icmp slt {v} {self.numbers}, {lengths}")
        f.do(f"call void @llvm.masked.store.v16f32.p0({vf} {total}, ptr {address}, i32 4, {mask_kind} {mask})")


@lru_cache(maxsize=64)
def window_kernel(
    settings: KernelSettings, vector_bits: int | None = None, *, weight_gates: bool = False, margins: bool = False
) -> Any:
    """The compiled kernel, a ctypes function (see `window_ir`)."""
    assert STRIPS == LIMB  # one bit of a plane's 32-bit elements for each strip
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    library = load(window_ir(settings, target, weight_gates=weight_gates, margins=margins), target)
    return library.function("kernel", p, p, p, p, p, n, n, p, p)
