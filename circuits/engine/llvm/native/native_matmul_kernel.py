"""The native matmul kernel: blocks of 64 rows, packed once for all columns, and register tiles of rows and columns.

    for each group, for each block of 64 rows m:
        totals[n] = 0                                       64 totals for each column n
        for each chunk of k:
            pack x[m, k] for the chunk's k                  once for all columns
            for each tile of C columns and R vectors of rows:
                its R C totals stay in registers for the whole chunk; each k loads R vectors and C weights
        write the totals

Each lane adds its products in ascending k. A piece is a stretch of consecutive lanes of a block whose elements (of x,
or of the output) are consecutive in memory, no longer than a vector: it is loaded or stored as one.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, NamedTuple

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.native.native_products import NativeProducts, NativeSettings

BLOCK_ROWS = 64
CHUNK = 160
"""Positions k that are packed at a time at most: 51 KB. Sums of so many products of 8-bit integers stay below 2^24."""
_PACKED_STRIDE = BLOCK_ROWS + 16
"""Numbers from one packed k to the next: a piece is stored as a whole vector and may run over its row's end."""

MATMUL_TASK = (
    *("x_pieces", "x_first", "out_pieces", "out_first", "x_step", "x_at", "transposed"),
    *("depth", "chunk", "rows", "first_block", "end_block", "first_column", "columns", "all_columns"),
    *("first_group", "end_group", "x_group", "out_group", "out_step"),
)
"""The 64-bit fields of a task. The pieces of block b are numbers first[b] .. first[b + 1] - 1; each is three int64:
offset in the array, first lane, length. All counts and offsets are in elements. `transposed`: 1 where x_step rises by
one, so that x is packed from vectors along k; `x_at` is then readable up to the next multiple of 64."""
_POINTERS = ("x_pieces", "x_first", "out_pieces", "out_first", "x_step", "x_at")


def matmul_scratch_bytes(columns: int) -> int:
    """Bytes of scratch (64-aligned) that a task of so many columns needs."""
    return 8 * CHUNK * _PACKED_STRIDE + 8 * (columns * BLOCK_ROWS + 16) + 128


def native_matmul_ir(settings: NativeSettings, target: Target, name: str = "kernel") -> str:
    """@name(task, x, w, bias, out, scratch): `gathering.gathered_matmul` for a task's blocks, columns and groups.

    `w` holds numbers of the computed type. `bias`: null, or one float32 for each column of all groups, added last.
    """
    f = Function(name, "ptr %task, ptr %x, ptr %w, ptr %bias, ptr %out, ptr %scratch")
    p = NativeProducts(f, settings, target)
    fields = {of: f.op(f"load {_kind(of)}, ptr {f.offset('%task', 8 * i)}") for i, of in enumerate(MATMUL_TASK)}
    totals = f.offset("%scratch", 8 * CHUNK * _PACKED_STRIDE)
    with f.loop(fields["end_group"], fields["first_group"]) as group:
        x = f.element("%x", settings.operand, f.op(f"mul i64 {group}, {fields['x_group']}"))
        out = f.element("%out", settings.total, f.op(f"mul i64 {group}, {fields['out_group']}"))
        columns_before = f.op(f"mul i64 {group}, {fields['all_columns']}")
        column = f.op(f"add i64 {columns_before}, {fields['first_column']}")
        w = f.element("%w", settings.computed, f.op(f"mul i64 {column}, {fields['depth']}"))
        with f.loop(fields["end_block"], fields["first_block"]) as block:
            lanes = f.op(f"sub i64 {fields['rows']}, {f.op(f'mul i64 {block}, {BLOCK_ROWS}')}")
            with f.loop(f.op(f"mul i64 {fields['columns']}, {BLOCK_ROWS}"), step=p.lanes) as place:
                f.do(f"store {p.totals} zeroinitializer, ptr {f.element(totals, settings.total, place)}, align 16")
            with f.loop(fields["depth"], step=fields["chunk"]) as first:
                rest = f.op(f"sub i64 {fields['depth']}, {first}")
                less = f.op(f"icmp slt i64 {rest}, {fields['chunk']}")
                count = f.op(f"select i1 {less}, i64 {rest}, i64 {fields['chunk']}")
                transposed = f.op(f"icmp ne i64 {fields['transposed']}, 0")
                with f.when(transposed):
                    _emit_transposed_pack(p, fields, x, block, lanes, first, count)
                with f.when(f.op(f"xor i1 {transposed}, true")):
                    _emit_pack(p, fields, x, block, first, count)
                weights = f.element(w, settings.computed, first)
                _emit_tiles(p, fields, weights, totals, lanes, count)
            _emit_scatter(p, fields, out, block, column, totals)
    return p.declarations() + f.text()


def _kind(name: str) -> str:
    return "ptr" if name in _POINTERS else "i64"


def _emit_pieces(f: Function, first: str, block: str) -> tuple[str, str]:
    """The range of a block's pieces."""
    here = f.element(first, "i64", block)
    return f.op(f"load i64, ptr {here}"), f.op(f"load i64, ptr {f.offset(here, 8)}")


def emit_piece(f: Function, pieces: str, number: str) -> tuple[str, str, str]:
    """Offset, first lane and length of a piece."""
    record = f.offset(pieces, f.op(f"mul i64 {number}, 24"))
    offset, lane, length = (f.op(f"load i64, ptr {f.offset(record, byte)}") for byte in (0, 8, 16))
    return offset, lane, length


def _emit_pack(p: NativeProducts, fields: dict[str, str], x: str, block: str, first: str, count: str) -> None:
    """Packs the block's x for `count` positions from `first` on, one after the other, from the scratch's start."""
    f, s = p.f, p.settings
    begin, end = _emit_pieces(f, fields["x_first"], block)
    # Pieces come in ascending lanes: what a whole vector writes beyond its piece is overwritten by the next piece, and
    # what goes beyond the block lands in the room between two rows.
    with f.loop(end, begin) as number:
        offset, lane, length = emit_piece(f, fields["x_pieces"], number)
        mask = p.first_lanes(length)
        source = f.element(x, s.operand, offset)
        target = f.element("%scratch", s.computed, lane)
        with f.loop(count) as k:
            step = f.op(f"load i64, ptr {f.element(fields['x_step'], 'i64', f.op(f'add i64 {first}, {k}'))}")
            value = p.load_operands(f.element(source, s.operand, step), mask)
            place = f.element(target, s.computed, f.op(f"mul i64 {k}, {_PACKED_STRIDE}"))
            f.do(f"store {p.vector} {value}, ptr {place}, align 4")


def _emit_transposed_pack(
    p: NativeProducts, fields: dict[str, str], x: str, block: str, lanes: str, first: str, count: str
) -> None:
    """The same for rows that are consecutive in memory along k: squares of vectors are loaded, transposed and stored.

    Rows are read as far as the register tiles reach; those beyond the last are the last one again, and are not used.
    """
    f, s = p.f, p.settings
    x_at = f.element(fields["x_at"], "i64", f.op(f"mul i64 {block}, {BLOCK_ROWS}"))
    begin = f.op(f"load i64, ptr {f.element(fields['x_step'], 'i64', first)}")
    source = f.element(x, s.operand, begin)
    few, some = (f.op(f"icmp sle i64 {lanes}, {count * p.lanes}") for count in (1, 2))
    end = f.op(f"select i1 {some}, i64 {2 * p.lanes}, i64 {BLOCK_ROWS}")
    end = f.op(f"select i1 {few}, i64 {p.lanes}, i64 {end}")
    with f.loop(end, step=p.lanes) as row:
        starts = []
        for r in range(p.lanes):
            number = f.op(f"add i64 {row}, {r}")
            starts.append(f.element(source, s.operand, f.op(f"load i64, ptr {f.element(x_at, 'i64', number)}")))
        with f.loop(count, step=p.lanes) as k:
            mask = p.first_lanes(f.op(f"sub i64 {count}, {k}"))
            vectors = [p.load_operands(f.element(start, s.operand, k), mask) for start in starts]
            for r, vector in enumerate(p.transposed(vectors)):
                place = f.op(f"mul i64 {f.op(f'add i64 {k}, {r}')}, {_PACKED_STRIDE}")
                target = f.element("%scratch", s.computed, f.op(f"add i64 {place}, {row}"))
                f.do(f"store {p.vector} {vector}, ptr {target}, align 4")


def _tile_shapes(p: NativeProducts) -> list[tuple[int, tuple[int, ...]]]:
    """(vectors of rows, column counts, each taking what the larger ones leave) of the register tiles."""
    s = p.settings
    if p.fits_registers == 16:
        return [(2, (4, 2, 1)), (1, (10, 4, 2, 1))] if not (s.is_float and s.full) else [(2, (2, 1)), (1, (4, 2, 1))]
    # 24 totals, 4 vectors of x, a weight and a product fill 32 registers; mode "full" needs more of the latter.
    if s.is_float and s.full:
        return [(4, (4, 2, 1)), (2, (8, 4, 2, 1)), (1, (10, 4, 2, 1))]
    return [(4, (6, 4, 2, 1)), (2, (12, 4, 2, 1)), (1, (10, 4, 2, 1))]


def _emit_tiles(p: NativeProducts, fields: dict[str, str], w: str, totals: str, lanes: str, count: str) -> None:
    """totals += packed x times w for the chunk; `w` points to the first column's weight of the chunk's first k."""
    f = p.f
    shapes = _tile_shapes(p)
    for number, (vectors, _) in enumerate(shapes):
        # Blocks of few rows take narrower tiles, so that no vector is multiplied for nothing.
        conditions = (
            [f.op(f"icmp sgt i64 {lanes}, {shapes[number + 1][0] * p.lanes}")] if number + 1 < len(shapes) else []
        )
        if number:
            conditions.append(f.op(f"icmp sle i64 {lanes}, {vectors * p.lanes}"))
        condition = conditions[0]
        if len(conditions) == 2:
            condition = f.op(f"and i1 {condition}, {conditions[1]}")
        fewer = f.op(f"icmp slt i64 {lanes}, {BLOCK_ROWS}")
        end = f.op(f"select i1 {fewer}, i64 {lanes}, i64 {BLOCK_ROWS}")
        with f.when(condition), f.loop(end, step=vectors * p.lanes) as lane:
            of_rows = f.element(totals, p.settings.total, lane)
            packed = f.element("%scratch", p.settings.computed, lane)
            rows = _TileRows(vectors, packed, of_rows, w, fields["depth"], count)
            _emit_columns(p, rows, shapes[number][1], fields["columns"])


class _TileRows(NamedTuple):
    """Rows of a register tile: `vectors` vectors of `packed`, and of the `totals` of column 0.

    `weights`: those of column 0 for the chunk, `length` positions, in a matrix of rows of `depth`.
    """

    vectors: int
    packed: str
    totals: str
    weights: str
    depth: str
    length: str


def _emit_columns(p: NativeProducts, rows: _TileRows, widths: tuple[int, ...], all_columns: str) -> None:
    """The tiles of all columns, `widths` of them at a time, each as far as it goes into what the larger ones leave."""
    f = p.f
    begin = "0"
    for width in widths:
        left = f.op(f"sub i64 {all_columns}, {begin}")
        rest = f.op(f"urem i64 {left}, {width}")
        end = f.op(f"sub i64 {all_columns}, {rest}")
        with f.loop(end, begin, width) as column:
            _emit_tile(p, rows, width, column)
        begin = end


def _emit_tile(p: NativeProducts, rows: _TileRows, width: int, column: str) -> None:
    """One register tile, of `width` columns from `column` on."""
    f, s = p.f, p.settings
    columns = [f.op(f"add i64 {column}, {c}") for c in range(width)]
    rows_of_weights = [f.element(rows.weights, s.computed, f.op(f"mul i64 {n}, {rows.depth}")) for n in columns]
    places = []
    for n in columns:
        of_column = f.element(rows.totals, s.total, f.op(f"mul i64 {n}, {BLOCK_ROWS}"))
        places += [f.element(of_column, s.total, str(v * p.lanes)) for v in range(rows.vectors)]
    before = [f.op(f"load {p.totals}, ptr {place}, align 16") for place in places]
    start = before if s.is_float else ["zeroinitializer"] * len(places)
    with f.fold(rows.length, p.vector, start) as (k, present):
        row = f.element(rows.packed, s.computed, f.op(f"mul i64 {k}, {_PACKED_STRIDE}"))
        xs = []
        for v in range(rows.vectors):
            x = f.op(f"load {p.vector}, ptr {f.element(row, s.computed, str(v * p.lanes))}, align 16")
            xs.append((x, p.scaled(x)))
        for c, weights in enumerate(rows_of_weights):
            weight = p.load_weight(f.element(weights, s.computed, k))
            for v, (x, scaled) in enumerate(xs):
                number = c * rows.vectors + v
                present[number] = p.add_product(present[number], x, scaled, weight)
    for place, old, new in zip(places, before, present, strict=True):
        # Integer sums of one chunk are exact in the computed type; those of all chunks need the integers.
        total = new if s.is_float else f.op(f"add {p.totals} {old}, {p.to_totals(new)}")
        f.do(f"store {p.totals} {total}, ptr {place}, align 16")


def _emit_scatter(p: NativeProducts, fields: dict[str, str], out: str, block: str, column: str, totals: str) -> None:
    """Writes the totals of the lanes that exist, with the bias where there is one."""
    f, s = p.f, p.settings
    if s.is_float:
        with f.when(f.op("icmp ne ptr %bias, null")), f.loop(fields["columns"]) as n:
            bias = p.load_broadcast(f.element("%bias", "float", f.op(f"add i64 {column}, {n}")))
            with f.loop(BLOCK_ROWS, step=p.lanes) as lane:
                index = f.op(f"add i64 {lane}, {f.op(f'mul i64 {n}, {BLOCK_ROWS}')}")
                place = f.element(totals, s.total, index)
                total = f.op(f"load {p.totals}, ptr {place}, align 16")
                f.do(f"store {p.totals} {f.op(f'fadd {p.totals} {total}, {bias}')}, ptr {place}, align 16")
    begin, end = _emit_pieces(f, fields["out_first"], block)
    out = f.element(out, s.total, f.op(f"mul i64 {fields['first_column']}, {fields['out_step']}"))
    with f.loop(end, begin) as number:
        offset, lane, length = emit_piece(f, fields["out_pieces"], number)
        mask = p.first_lanes(length)
        source, target = f.element(totals, s.total, lane), f.element(out, s.total, offset)
        with f.loop(fields["columns"]) as n:
            value = p.load_totals(f.element(source, s.total, f.op(f"mul i64 {n}, {BLOCK_ROWS}")), mask)
            p.store_totals(value, f.element(target, s.total, f.op(f"mul i64 {n}, {fields['out_step']}")), mask)


@lru_cache(maxsize=64)
def native_matmul_kernel(settings: NativeSettings, vector_bits: int | None = None) -> Any:
    """The compiled kernel, a ctypes function (see `native_matmul_ir`)."""
    target, p = Target.host(vector_bits), ctypes.c_void_p
    return load(native_matmul_ir(settings, target), target).function("kernel", p, p, p, p, p, p)
