"""The table kernel for many rows, for any processor: products become additions of whole vectors.

For a position k and 16 columns n the table is expanded once to

    e[code][n] = table[w[n, k]][code]        256 codes, 16 entries of 16 bits each: 8 KB

and then serves all rows m: the 16 sums of row m grow by the vector e[x[m, k]], one load and one addition for 16
products. Expanding costs 256 x 16 moves, done as transpositions of 8 x 8 entries in registers, which a few hundred
rows repay. A few positions k are expanded at a time, so that each sum is loaded and stored once for all of them, and no
more than the first-level cache holds. Entries have 16 bits: integer products less a constant that is added to the sums
at the end, or the upper halves of float32 products (`table_images.half_table`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.table_kernels.kernel_task import PARAMETERS, field, kernel_function
from circuits.engine.table_kernels.table_images import BYTES
from circuits.engine.table_kernels.word_entries import WordEntries

COLUMNS = 16
"""Columns whose sums share a vector: those of an AVX-512 register; several registers elsewhere."""
POSITIONS = 6
"""Positions k expanded at a time: 6 x 8 KB."""
_ENTRY_BYTES = 2
_EXPANDED_BYTES = _ENTRY_BYTES * BYTES * COLUMNS
_CODES = 32
"""Codes that are transposed at a time."""
_ENTRIES = f"<{_CODES} x i16>"


def expanded_scratch_bytes(entries: WordEntries, rows: int) -> int:
    """Bytes of scratch (64-aligned) that a task of `rows` rows needs: expanded tables and sums."""
    return POSITIONS * _EXPANDED_BYTES + rows * COLUMNS * entries.result_bytes


def expanded_ir(entries: WordEntries) -> str:
    """The module of `expanded_kernel`."""
    f = Function("kernel", PARAMETERS)
    rows, columns, depth = (field(f, name) for name in ("rows", "columns", "depth"))
    x_first, w_first, out_first = field(f, "x_first"), field(f, "w_first"), field(f, "out_first")
    x_group, w_group, out_group = field(f, "x_group"), field(f, "w_group"), field(f, "out_group")
    sums = f.offset("%scratch", POSITIONS * _EXPANDED_BYTES)
    whole = f.op(f"sub i64 {depth}, {f.op(f'urem i64 {depth}, {POSITIONS}')}")
    with f.loop(field(f, "groups")) as group:
        x_begin = f.offset("%x", f.op(f"add i64 {x_first}, {f.op(f'mul i64 {group}, {x_group}')}"))
        w_begin = f.op(f"add i64 {w_first}, {f.op(f'mul i64 {group}, {w_group}')}")
        out_begin = f.op(f"add i64 {out_first}, {f.op(f'mul i64 {group}, {out_group}')}")
        with f.loop(columns, step=COLUMNS) as first_column:
            _emit_start(f, entries, rows, sums)
            for begin, end, positions in (("0", whole, POSITIONS), (whole, depth, 1)):
                with f.loop(end, begin, positions) as k:
                    for position in range(positions):
                        weight = f.op(f"add i64 {w_begin}, {f.op(f'add i64 {k}, {position}')}")
                        expanded = f.offset("%scratch", position * _EXPANDED_BYTES)
                        _emit_expansion(f, (first_column, columns, depth), weight, expanded)
                    _emit_additions(f, entries, positions, k, rows, x_begin, sums)
            _emit_results(f, entries, (first_column, columns), rows, out_begin, sums)
    return f.text()


def _emit_start(f: Function, entries: WordEntries, rows: str, sums: str) -> None:
    vector, size = f"<{COLUMNS} x {entries.result}>", entries.result_bytes * COLUMNS
    start = "zeroinitializer"
    if entries.result != "float":
        constant = field(f, "constant")
        if entries.result == "i32":
            constant = f.op(f"trunc i64 {constant} to i32")
        first = f.op(f"insertelement {vector} poison, {entries.result} {constant}, i32 0")
        start = f.op(f"shufflevector {vector} {first}, {vector} poison, <{COLUMNS} x i32> zeroinitializer")
    with f.loop(rows) as row:
        f.do(f"store {vector} {start}, ptr {f.offset(sums, f.op(f'mul i64 {row}, {size}'))}, align 64")


def _emit_expansion(f: Function, columns: tuple[str, str, str], weight: str, expanded: str) -> None:
    """e[code][n] for one k; columns beyond the last one repeat it. `columns`: (first, their number, depth)."""
    first_column, count, depth = columns
    table = field(f, "table")
    last = f.op(f"sub i64 {count}, 1")
    rows = []
    for n in range(COLUMNS):
        column = f.op(f"add i64 {first_column}, {n}")
        inside = f.op(f"icmp slt i64 {column}, {count}")
        column = f.op(f"select i1 {inside}, i64 {column}, i64 {last}")
        place = f.op(f"add i64 {weight}, {f.op(f'mul i64 {column}, {depth}')}")
        address = f.offset("%w", place)
        code = f.op(f"zext i8 {f.op(f'load i8, ptr {address}')} to i64")
        rows.append(f.offset(table, f.op(f"mul i64 {code}, {_ENTRY_BYTES * BYTES}")))
    with f.loop(BYTES, step=_CODES) as code:
        values = [f.op(f"load {_ENTRIES}, ptr {f.element(row, 'i16', code)}, align 2") for row in rows]
        low, high = _transposed(f, values[:8]), _transposed(f, values[8:])
        target = f.offset(expanded, f.op(f"mul i64 {code}, {_ENTRY_BYTES * COLUMNS}"))
        for number, (first, second) in enumerate(zip(low, high, strict=True)):
            for pair in range(2):
                # Quarters 2 pair and 2 pair + 1 of both, in turn: all columns of two codes.
                lanes = [
                    8 * quarter + i + _CODES * side
                    for quarter in (2 * pair, 2 * pair + 1)
                    for side in (0, 1)
                    for i in range(8)
                ]
                both = _shuffled(f, first, second, lanes)
                for half in range(2):
                    own = ", ".join(f"i32 {16 * half + i}" for i in range(16))
                    entries = f.op(f"shufflevector {_ENTRIES} {both}, {_ENTRIES} poison, <16 x i32> <{own}>")
                    own_code = 8 * (2 * pair + half) + number
                    address = f.offset(target, _ENTRY_BYTES * COLUMNS * own_code)
                    f.do(f"store <16 x i16> {entries}, ptr {address}, align 32")


def _transposed(f: Function, rows: list[str]) -> list[str]:
    """Transposes the 8 x 8 entries in each quarter of 8 vectors: result c, quarter q = entries 8 q + c of all rows.

    Three stages of unpacking: of rows a < b, `vpunpckl` gives the lower halves of their quarters in turn, entries (then
    pairs, then groups of four) of a and b beside each other, `vpunpckh` the upper halves.
    """
    for size in (1, 2, 4):
        # Before the stage, vector v holds groups of `size` rows for each of its columns.
        unpacked: list[str] = []
        half = 4 // size  # groups in the half of a quarter
        for first in range(0, 8, 2 * size):
            pairs = zip(rows[first : first + size], rows[first + size : first + 2 * size], strict=True)
            for a, b in pairs:
                for upper in range(2):
                    lanes = [
                        8 * quarter + (half * upper + group) * size + i + _CODES * side
                        for quarter in range(4)
                        for group in range(half)
                        for side in (0, 1)
                        for i in range(size)
                    ]
                    unpacked.append(_shuffled(f, a, b, lanes))
        rows = unpacked
    return rows


def _shuffled(f: Function, a: str, b: str, lanes: list[int]) -> str:
    numbers = ", ".join(f"i32 {lane}" for lane in lanes)
    return f.op(f"shufflevector {_ENTRIES} {a}, {_ENTRIES} {b}, <{_CODES} x i32> <{numbers}>")


def _emit_additions(
    f: Function, entries: WordEntries, positions: int, k: str, rows: str, x_begin: str, sums: str
) -> None:
    """Adds the terms of `positions` consecutive k to the sums of all rows, in ascending k."""
    x_at, x_step = field(f, "x_at"), field(f, "x_step")
    vector, size = f"<{COLUMNS} x {entries.result}>", entries.result_bytes * COLUMNS
    places = f.element(x_step, "i64", k)
    starts = [f.offset(x_begin, f.op(f"load i64, ptr {f.offset(places, 8 * i)}")) for i in range(positions)]
    with f.loop(rows) as row:
        at = f.op(f"load i64, ptr {f.element(x_at, 'i64', row)}")
        address = f.offset(sums, f.op(f"mul i64 {row}, {size}"))
        total = f.op(f"load {vector}, ptr {address}, align 64")
        for position, start in enumerate(starts):
            code = f.op(f"load i8, ptr {f.offset(start, at)}")
            shifted = f.op(f"shl i64 {f.op(f'zext i8 {code} to i64')}, {(_ENTRY_BYTES * COLUMNS).bit_length() - 1}")
            place = f.offset(f.offset("%scratch", shifted), position * _EXPANDED_BYTES)
            half = f.op(f"load <{COLUMNS} x i16>, ptr {place}, align 32")
            total = entries.add(f, total, _widened(f, entries, half), COLUMNS)
        f.do(f"store {vector} {total}, ptr {address}, align 64")


def _widened(f: Function, entries: WordEntries, half: str) -> str:
    """32-bit entries from those of 16 bits."""
    vector = f"<{COLUMNS} x i32>"
    if entries.result != "float":
        return f.op(f"sext <{COLUMNS} x i16> {half} to {vector}")
    shifted = f.op(f"shl {vector} {f.op(f'zext <{COLUMNS} x i16> {half} to {vector}')}, splat (i32 16)")
    return f.op(f"bitcast {vector} {shifted} to <{COLUMNS} x float>")


def _emit_results(
    f: Function, entries: WordEntries, columns: tuple[str, str], rows: str, out_begin: str, sums: str
) -> None:
    first_column, count = columns
    out_at, out_step = field(f, "out_at"), field(f, "out_step")
    left = f.op(f"sub i64 {count}, {first_column}")
    fewer = f.op(f"icmp slt i64 {left}, {COLUMNS}")
    left = f.op(f"select i1 {fewer}, i64 {left}, i64 {COLUMNS}")
    size = entries.result_bytes
    with f.loop(left) as n:
        column = f.op(f"add i64 {first_column}, {n}")
        place = f.op(f"add i64 {out_begin}, {f.op(f'mul i64 {column}, {out_step}')}")
        results = f.element("%out", entries.result, place)
        own = f.offset(sums, f.op(f"mul i64 {n}, {size}"))
        with f.loop(rows) as row:
            value = f.op(f"load {entries.result}, ptr {f.offset(own, f.op(f'mul i64 {row}, {size * COLUMNS}'))}")
            at = f.op(f"load i64, ptr {f.element(out_at, 'i64', row)}")
            f.do(f"store {entries.result} {value}, ptr {f.element(results, entries.result, at)}")


@lru_cache(maxsize=8)
def expanded_kernel(entries: WordEntries, target: Target) -> Any:
    """The compiled kernel; `kernel_task` says how it is called."""
    return kernel_function(load(expanded_ir(entries), target))
