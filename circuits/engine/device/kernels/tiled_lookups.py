"""What the table kernels share: a table staged in shared memory, tiles of rows and columns, results.

A thread sums one row of x with the columns of a tile. The grid has as many blocks as run at the same time, and each
takes every `blocks`-th tile, so that a table that has been copied to shared memory serves many of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from circuits.engine.device.kernels.thread_code import GridPlace, Kernel, Registers

PARAMETERS = (
    "ptr %entries, ptr %x, ptr %x_at, ptr %x_step, i64 %x_group, ptr %weights, ptr %out, ptr %out_at, "
    "i64 %out_step, i64 %out_group, i64 %rows, i64 %depth, i64 %columns, i64 %row_tiles, i64 %column_tiles, "
    "i64 %all_tiles, i64 %blocks"
)


@dataclass(frozen=True)
class TileKind:
    """A tile and its table: `rows`, one a thread of the block; `columns` that a thread sums; 32-bit words of the table;
    the type of the sums in LLVM IR; `blocks` that shall run at the same time on a multiprocessor."""

    rows: int
    columns: int
    table_words: int
    sums: str
    blocks: int = 1


SumsEmitter = Callable[[Registers, str, str], list[str]]
"""(registers, where the row's x begins, number of the tile among those of all groups; i64 values) -> a sum a column."""


def tiled_kernel(tile: TileKind, emit_sums: SumsEmitter, more_parameters: str = "") -> Kernel:
    """@kernel(`PARAMETERS`), the matrix product of `gathering.gathered_matmul`. `entries`: the table, 32-bit words."""

    def stage(e: Registers, place: GridPlace) -> None:
        f = e.f
        with f.loop(tile.table_words, place.thread, tile.rows) as word:
            value = f.op(f"load i32, ptr {f.element('%entries', 'i32', word)}")
            f.do(f"store i32 {value}, ptr addrspace(3) {shared_address(e, 'i32', '@table', f'i64 {word}')}")

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
                row = f.op(f"add i64 {f.op(f'mul i64 {row_tile}, {tile.rows}')}, {place.thread}")
                with f.when(f.op(f"icmp slt i64 {row}, %rows")):
                    at = f.op(f"load i64, ptr {f.element('%x_at', 'i64', row)}")
                    at = f.op(f"add i64 {at}, {f.op(f'mul i64 {group}, %x_group')}")
                    tile_number = f.op(f"add i64 {f.op(f'mul i64 {group}, %column_tiles')}, {column_tile}")
                    sums = emit_sums(e, at, tile_number)
                    _emit_results(e, tile, group, row, column_tile, sums)

    return Kernel(PARAMETERS + more_parameters, body, tile.rows, tile.table_words, stage, tile.blocks)


def shared_address(e: Registers, kind: str, base: str, index: str) -> str:
    """The address of an element (a typed index) of an array of `kind` in shared memory."""
    return e.f.op(f"getelementptr {kind}, ptr addrspace(3) {base}, {index}")


def load_quads(e: Registers, address: str, count: int) -> list[str]:
    """The first `count` of the 32-bit words at an address that 16 divides."""
    words: list[str] = []
    for quad in range(-(-count // 4)):
        value = e.f.op(f"load <4 x i32>, ptr {e.f.offset(address, 16 * quad)}, align 16")
        words += [e.f.op(f"extractelement <4 x i32> {value}, i32 {index}") for index in range(min(4, count - 4 * quad))]
    return words


def _emit_results(e: Registers, tile: TileKind, group: str, row: str, column_tile: str, sums: list[str]) -> None:
    f = e.f
    at = f.op(f"load i64, ptr {f.element('%out_at', 'i64', row)}")
    at = f.op(f"add i64 {at}, {f.op(f'mul i64 {group}, %out_group')}")
    for column, value in enumerate(sums):
        n = f.op(f"add i64 {f.op(f'mul i64 {column_tile}, {tile.columns}')}, {column}")
        with f.when(f.op(f"icmp slt i64 {n}, %columns")):
            place = f.op(f"add i64 {at}, {f.op(f'mul i64 {n}, %out_step')}")
            f.do(f"store {tile.sums} {value}, ptr {f.element('%out', tile.sums, place)}")
