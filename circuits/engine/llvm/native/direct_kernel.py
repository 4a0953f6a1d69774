"""The native kernel for one or two columns a group, as in depthwise convolutions: x is read where it lies.

Packing x would take longer than its products where so few columns share it. A span is a stretch of x, the same for
every k up to a shift, that holds the first elements of many rows m, with gaps between them where a kernel window would
reach over the image's edge. The kernel computes all of a span's positions, gaps included, and writes those that are
rows. A gap's sums are made of whatever elements lie there, and dropped.

    for each group, for each span, for each column n of the group:
        for 4 vectors of the span's positions at a time:
            totals = 0
            for each k:  totals += x[span + position + x_step[k]] * w[n, k]
            write the totals into a line
        copy the pieces of the line to their places in the output
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.native.native_matmul_kernel import emit_piece
from circuits.engine.llvm.native.native_products import NativeProducts, NativeSettings

DIRECT_TASK = (
    *("spans", "out_pieces", "out_first", "x_step", "depth", "first_span", "end_span", "columns"),
    *("first_group", "end_group", "x_group", "out_group", "out_step"),
)
"""The 64-bit fields of a task. A span is two int64: offset in x, length. Pieces as in the matmul kernel, their lanes
counted from the span's first position."""
_POINTERS = ("spans", "out_pieces", "out_first", "x_step")
_VECTORS = 4


def direct_scratch_bytes(longest: int) -> int:
    """Bytes of scratch (64-aligned) for spans of at most so many positions."""
    return 8 * (longest + _VECTORS * 16) + 64


def native_direct_ir(settings: NativeSettings, target: Target) -> str:
    """@kernel(task, x, w, bias, out, scratch), as `native_matmul_kernel.native_matmul_ir`, without bias.

    Elements of x before and behind a span's are not read. depth is at most CHUNK.
    """
    f = Function("kernel", "ptr %task, ptr %x, ptr %w, ptr %bias, ptr %out, ptr %scratch")
    p = NativeProducts(f, settings, target)
    kinds = {name: "ptr" if name in _POINTERS else "i64" for name in DIRECT_TASK}
    fields = {name: f.op(f"load {kinds[name]}, ptr {f.offset('%task', 8 * i)}") for i, name in enumerate(DIRECT_TASK)}
    with f.loop(fields["end_group"], fields["first_group"]) as group:
        x = f.element("%x", settings.operand, f.op(f"mul i64 {group}, {fields['x_group']}"))
        out = f.element("%out", settings.total, f.op(f"mul i64 {group}, {fields['out_group']}"))
        columns_before = f.op(f"mul i64 {group}, {fields['columns']}")
        w = f.element("%w", settings.computed, f.op(f"mul i64 {columns_before}, {fields['depth']}"))
        with f.loop(fields["end_span"], fields["first_span"]) as span, f.loop(fields["columns"]) as n:
            record = f.offset(fields["spans"], f.op(f"mul i64 {span}, 16"))
            source = f.element(x, settings.operand, f.op(f"load i64, ptr {record}"))
            length = f.op(f"load i64, ptr {f.offset(record, 8)}")
            of_column = f.element(w, settings.computed, f.op(f"mul i64 {n}, {fields['depth']}"))
            with f.loop(length, step=_VECTORS * p.lanes) as position:
                _emit_positions(p, fields, source, position, length, of_column)
            column = f.element(out, settings.total, f.op(f"mul i64 {n}, {fields['out_step']}"))
            _emit_copy(p, fields, span, column)
    return p.declarations() + f.text()


def _emit_positions(p: NativeProducts, fields: dict[str, str], source: str, position: str, length: str, w: str) -> None:
    """Writes the totals of `_VECTORS` vectors of positions into the line, which is the scratch."""
    f, s = p.f, p.settings
    rest = f.op(f"sub i64 {length}, {position}")
    masks = [p.first_lanes(f.op(f"sub i64 {rest}, {v * p.lanes}")) for v in range(_VECTORS)]
    begin = f.element(source, s.operand, position)
    with f.fold(fields["depth"], p.vector, ["zeroinitializer"] * _VECTORS) as (k, totals):
        step = f.op(f"load i64, ptr {f.element(fields['x_step'], 'i64', k)}")
        here = f.element(begin, s.operand, step)
        weight = p.load_weight(f.element(w, s.computed, k))
        for v, mask in enumerate(masks):
            x = p.load_operands(f.element(here, s.operand, str(v * p.lanes)), mask)
            totals[v] = p.add_product(totals[v], x, p.scaled(x), weight)
    for v, total in enumerate(totals):
        place = f.element("%scratch", s.total, f.op(f"add i64 {position}, {v * p.lanes}"))
        f.do(f"store {p.totals} {total if s.is_float else p.to_totals(total)}, ptr {place}, align 4")


def _emit_copy(p: NativeProducts, fields: dict[str, str], span: str, out: str) -> None:
    """Copies the pieces of the line to the output."""
    f, s = p.f, p.settings
    here = f.element(fields["out_first"], "i64", span)
    begin, end = f.op(f"load i64, ptr {here}"), f.op(f"load i64, ptr {f.offset(here, 8)}")
    with f.loop(end, begin) as number:
        offset, lane, length = emit_piece(f, fields["out_pieces"], number)
        mask = p.first_lanes(length)
        value = p.load_totals(f.element("%scratch", s.total, lane), mask)
        p.store_totals(value, f.element(out, s.total, offset), mask)


@lru_cache(maxsize=64)
def native_direct_kernel(settings: NativeSettings, vector_bits: int | None = None) -> Any:
    """The compiled kernel, a ctypes function (see `native_direct_ir`)."""
    target, p = Target.host(vector_bits), ctypes.c_void_p
    return load(native_direct_ir(settings, target), target).function("kernel", p, p, p, p, p, p)
