"""The part of the window kernel that adds the products of every row and writes the sums."""

from __future__ import annotations

from types import SimpleNamespace

from circuits.engine.matrix_products.windows.window_records import (
    LANES,
    PIECE_FIELDS,
    TAP_BYTES,
    TOGETHER,
    WindowCode,
)


class SumCode(WindowCode):
    """Emits the sums of all rows of a chunk."""

    def emit_sums(self, column: str, taps: str) -> None:
        """Writes the sums of all rows of the chunk."""
        f, shape, chunk = self.f, self.shape, self.chunk
        of_column = f.element("%out", "float", f.op(f"mul i64 {column}, {shape.out_step}"))
        with f.loop(chunk.end_group, chunk.first_group) as group:
            out = f.element(of_column, "float", f.op(f"mul i64 {group}, {shape.out_group}"))
            begin = self.group_begin(group)
            with f.loop(chunk.end_span, chunk.first_span) as span:
                s = self.span_of(span)
                first = f.op(f"add i64 {f.op(f'add i64 {begin}, {s.base}')}, {s.skipped}")
                with f.loop(s.end_piece, s.first_piece, TOGETHER) as number:
                    numbers = [f.op(f"add i64 {number}, {i}") for i in range(TOGETHER)]
                    pieces = [self.fields_of(shape.pieces, n, PIECE_FIELDS) for n in numbers]
                    elements = [f.op(f"add i64 {first}, {piece.lane}") for piece in pieces]
                    for piece, total in zip(pieces, self._emit_totals(elements, taps), strict=True):
                        self._emit_store(total, f.element(out, "float", piece.out_at), piece)

    def _emit_totals(self, elements: list[str], taps: str) -> list[str]:
        """The sums of 16 rows each, whose first ones meet the elements of these numbers at the least step."""
        f, vf = self.f, f"<{LANES} x float>"
        sums = ["zeroinitializer"] * len(elements)
        with f.fold(f.op(f"mul i64 {taps}, {TAP_BYTES}"), vf, sums, step=TAP_BYTES) as (tap, totals):
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
