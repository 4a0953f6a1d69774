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
    """@kernel(entries, x, x_at, x_step, x_group, offsets, out, out_at, out_step, out_group, rows, depth, columns,
    row_tiles, column_tiles, all_tiles, blocks): as `gathering.gathered_matmul`, x bytes, offsets of `weight_kernel`.

    A tile is ROWS rows times `kind.columns` columns of one group. The grid has `blocks` blocks, and each takes every
    `blocks`-th tile, so that a table that has been copied to shared memory serves many of them.
    """

    def stage(e: Registers, place: GridPlace) -> None:
        f = e.f
        with f.loop(kind.table_words, place.thread, ROWS) as word:
            value = f.op(f"load i32, ptr {f.element('%entries', 'i32', word)}")
            f.do(f"store i32 {value}, ptr addrspace(3) {_shared(f'i32, ptr addrspace(3) @table, i64 {word}', e)}")

    def body(e: Registers, place: GridPlace) -> None:
        f = e.f
        rounded_up = f.op(f"sub i64 {f.op('add i64 %all_tiles, %blocks')}, 1")
        turns = f.op(f"udiv i64 {rounded_up}, %blocks")
        with f.loop(turns) as turn:
            number = f.op(f"add i64 {f.op(f'mul i64 {turn}, %blocks')}, {place.block}")
            with f.when(f.op(f"icmp slt i64 {number}, %all_tiles")):
                # Neighbouring blocks take the same rows with other columns: x comes from the second-level cache.
                column_tile = f.op(f"urem i64 {number}, %column_tiles")
                rest = f.op(f"udiv i64 {number}, %column_tiles")
                row_tile, group = f.op(f"urem i64 {rest}, %row_tiles"), f.op(f"udiv i64 {rest}, %row_tiles")
                row = f.op(f"add i64 {f.op(f'mul i64 {row_tile}, {ROWS}')}, {place.thread}")
                with f.when(f.op(f"icmp slt i64 {row}, %rows")):
                    sums = _emit_sums(e, kind, group, row, column_tile)
                    _emit_results(e, kind, group, row, column_tile, sums)

    parameters = (
        "ptr %entries, ptr %x, ptr %x_at, ptr %x_step, i64 %x_group, ptr %offsets, ptr %out, ptr %out_at, "
        "i64 %out_step, i64 %out_group, i64 %rows, i64 %depth, i64 %columns, i64 %row_tiles, i64 %column_tiles, "
        "i64 %all_tiles, i64 %blocks"
    )
    return Kernel(parameters, body, ROWS, kind.table_words, stage)


def _shared(element: str, e: Registers) -> str:
    return e.f.op(f"getelementptr {element}")


def _emit_sums(e: Registers, kind: TableMatmul, group: str, row: str, column_tile: str) -> list[str]:
    """The sums of one row with the tile's columns."""
    f = e.f
    at = f.op(f"load i64, ptr {f.element('%x_at', 'i64', row)}")
    at = f.op(f"add i64 {at}, {f.op(f'mul i64 {group}, %x_group')}")
    tile = f.op(f"add i64 {f.op(f'mul i64 {group}, %column_tiles')}, {column_tile}")
    offsets = f.element("%offsets", "i32", f.op(f"mul i64 {f.op(f'mul i64 {tile}, %depth')}, {kind.columns}"))
    zero = "0.0" if kind.sums == "float" else "0"
    with f.fold("%depth", kind.sums, [zero] * kind.columns) as (k, sums):
        step = f.op(f"load i64, ptr {f.element('%x_step', 'i64', k)}")
        word = load_word(e, 8, "%x", f.op(f"add i64 {at}, {step}"))
        code = e.integer("and", word, (1 << kind.x_bits) - 1)
        entries = _shared(f"i16, ptr addrspace(3) @table, i32 {code}", e)
        weights = f.element(offsets, "i32", f.op(f"mul i64 {k}, {kind.columns}"))
        for column, offset in enumerate(_load_offsets(e, kind.columns, weights)):
            address = _shared(f"i8, ptr addrspace(3) {entries}, i32 {offset}", e)
            entry = f.op(f"load i16, ptr addrspace(3) {address}, align 2")
            add = "fadd" if kind.sums == "float" else "add"
            sums[column] = f.op(f"{add} {kind.sums} {sums[column]}, {_term(e, kind, entry)}")
    return sums


def _load_offsets(e: Registers, count: int, address: str) -> list[str]:
    if count == 1:
        return [e.f.op(f"load i32, ptr {address}")]
    offsets = []
    for quad in range(count // 4):
        value = e.f.op(f"load <4 x i32>, ptr {e.f.offset(address, 16 * quad)}, align 16")
        offsets += [e.f.op(f"extractelement <4 x i32> {value}, i32 {index}") for index in range(4)]
    return offsets


def _term(e: Registers, kind: TableMatmul, entry: str) -> str:
    if kind.sums != "float":
        return e.f.op(f"{'sext' if kind.signed else 'zext'} i16 {entry} to {kind.sums}")
    return e.as_float(e.integer("shl", e.f.op(f"zext i16 {entry} to i32"), 16))


def _emit_results(e: Registers, kind: TableMatmul, group: str, row: str, column_tile: str, sums: list[str]) -> None:
    f = e.f
    at = f.op(f"load i64, ptr {f.element('%out_at', 'i64', row)}")
    at = f.op(f"add i64 {at}, {f.op(f'mul i64 {group}, %out_group')}")
    for column, value in enumerate(sums):
        n = f.op(f"add i64 {f.op(f'mul i64 {column_tile}, {kind.columns}')}, {column}")
        with f.when(f.op(f"icmp slt i64 {n}, %columns")):
            place = f.op(f"add i64 {at}, {f.op(f'mul i64 {n}, %out_step')}")
            f.do(f"store {kind.sums} {value}, ptr {f.element('%out', kind.sums, place)}")
