"""The part of the window kernel that finds a chunk's elements and moves those that are not zero together."""

from __future__ import annotations

from types import SimpleNamespace

from circuits.engine.blocks import BLOCK
from circuits.engine.matrix_products.windows.window_records import LANES, WindowCode


class ElementCode(WindowCode):
    """Emits the packing of elements: `operands`, and with AVX-512 `present` and `ranks`."""

    def emit_elements(self) -> str:
        """Moves the chunk's elements that are not zero together; returns their number, with gaps between groups."""
        f, shape, chunk = self.f, self.shape, self.chunk
        with f.fold(chunk.end_group, "i64", ["0"], chunk.first_group) as (group, count):
            before = count[0]
            begin = self.group_begin(group)
            source = f.element("%x", "i32", f.op(f"mul i64 {group}, {shape.x_group}"))
            with f.fold(chunk.end_span, "i64", count, chunk.first_span) as (span, of_span):
                s = self.span_of(span)
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

    def emit_fill(self, count: str) -> str:
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
            mask = e.compare("ne", e.integer("and", word, self.settings.nonzero_bits), "zeroinitializer")
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
