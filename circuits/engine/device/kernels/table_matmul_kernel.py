"""The kernels of matrix products of narrow codes: every product is looked up in a table in shared memory.

A thread sums one row of x with some columns of w. All threads of a warp meet the same weight at the same time, so that
their lookups fall into the one row of the table that belongs to it, 512 bytes for 8-bit codes:

    entry = table[weight code][x code],     16 bits; an integer, or the upper half of a float32 word

The address of a lookup is the sum of two offsets, one a thread has for all its columns and one for all its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.device.kernels.packing_kernel import load_word
from circuits.engine.device.kernels.thread_code import THREADS, GridPlace, Kernel, Registers
from circuits.engine.device.kernels.tiled_lookups import TileKind, load_quads, shared_address, tiled_kernel

ROWS = 1024
"""Rows of a block, one a thread: as many as share a multiprocessor's memory."""


@dataclass(frozen=True)
class TableMatmul:
    """What a table kernel depends on.

    `x_bits`, `w_bits`: of the codes, at most 8. `sums`: "float", "i32" or "i64"; `signed`: whether entries are (not for
    floats). `columns`: of w that a thread sums, 1 or a multiple of 4.
    """

    x_bits: int
    w_bits: int
    sums: str
    signed: bool
    columns: int

    @property
    def table_words(self) -> int:
        """32-bit words of the table."""
        return max(1, 1 << (self.x_bits + self.w_bits - 1))


def weight_kernel(kind: TableMatmul) -> Kernel:
    """@kernel(w, out, depth, columns, tiles): byte offsets of the weights' rows in the table, int32.

    w: bytes [groups, columns, depth]; out: [groups, tiles, depth, kind.columns], columns cut into tiles, where columns
    that do not exist get offset 0. One thread an offset, groups on the second axis of the grid.
    """

    def body(e: Registers, place: GridPlace) -> None:
        f = e.f
        number = f.op(f"add i64 {f.op(f'mul i64 {place.block}, {THREADS}')}, {place.thread}")
        size = f.op(f"mul i64 {f.op('mul i64 %tiles, %depth')}, {kind.columns}")
        with f.when(f.op(f"icmp slt i64 {number}, {size}")):
            column, rest = f.op(f"urem i64 {number}, {kind.columns}"), f.op(f"udiv i64 {number}, {kind.columns}")
            k, tile = f.op(f"urem i64 {rest}, %depth"), f.op(f"udiv i64 {rest}, %depth")
            n = f.op(f"add i64 {f.op(f'mul i64 {tile}, {kind.columns}')}, {column}")
            address = f.element("%out", "i32", f.op(f"add i64 {f.op(f'mul i64 {place.group}, {size}')}, {number}"))
            f.do(f"store i32 0, ptr {address}")
            with f.when(f.op(f"icmp slt i64 {n}, %columns")):
                row = f.op(f"add i64 {f.op(f'mul i64 {place.group}, %columns')}, {n}")
                word = load_word(e, 8, "%w", f.op(f"add i64 {f.op(f'mul i64 {row}, %depth')}, {k}"))
                code = e.integer("and", word, (1 << kind.w_bits) - 1)
                f.do(f"store i32 {e.integer('shl', code, kind.x_bits + 1)}, ptr {address}")

    return Kernel("ptr %w, ptr %out, i64 %depth, i64 %columns, i64 %tiles", body)


def table_matmul_kernel(kind: TableMatmul) -> Kernel:
    """@kernel(`tiled_lookups.PARAMETERS`): x bytes, weights the offsets of `weight_kernel`."""

    def sums(e: Registers, at: str, tile_number: str) -> list[str]:
        return _emit_sums(e, kind, at, tile_number)

    return tiled_kernel(TileKind(ROWS, kind.columns, kind.table_words, kind.sums), sums)


def _emit_sums(e: Registers, kind: TableMatmul, at: str, tile_number: str) -> list[str]:
    """The sums of one row with the tile's columns."""
    f = e.f
    offsets = f.element("%weights", "i32", f.op(f"mul i64 {f.op(f'mul i64 {tile_number}, %depth')}, {kind.columns}"))
    zero = "0.0" if kind.sums == "float" else "0"
    with f.fold("%depth", kind.sums, [zero] * kind.columns) as (k, sums):
        step = f.op(f"load i64, ptr {f.element('%x_step', 'i64', k)}")
        word = load_word(e, 8, "%x", f.op(f"add i64 {at}, {step}"))
        code = e.integer("and", word, (1 << kind.x_bits) - 1)
        entries = shared_address(e, "i16", "@table", f"i32 {code}")
        weights = f.element(offsets, "i32", f.op(f"mul i64 {k}, {kind.columns}"))
        for column, offset in enumerate(_load_offsets(e, kind.columns, weights)):
            address = shared_address(e, "i8", entries, f"i32 {offset}")
            entry = f.op(f"load i16, ptr addrspace(3) {address}, align 2")
            add = "fadd" if kind.sums == "float" else "add"
            sums[column] = f.op(f"{add} {kind.sums} {sums[column]}, {_term(e, kind, entry)}")
    return sums


def _load_offsets(e: Registers, count: int, address: str) -> list[str]:
    return [e.f.op(f"load i32, ptr {address}")] if count == 1 else load_quads(e, address, count)


def _term(e: Registers, kind: TableMatmul, entry: str) -> str:
    if kind.sums != "float":
        return e.f.op(f"{'sext' if kind.signed else 'zext'} i16 {entry} to {kind.sums}")
    return e.as_float(e.integer("shl", e.f.op(f"zext i16 {entry} to i32"), 16))
