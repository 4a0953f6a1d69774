"""How the table kernels are launched: columns of a tile, tiles, and the blocks among which they are shared."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.device.gate_products import Operands, device_offsets
from circuits.engine.device.kernels.thread_code import THREADS, Kernel
from circuits.engine.device.launching import Launches, Memory
from circuits.engine.matrix_products.element_places import Places


def tile_columns(device: Launches, tile_rows: int, places: Places, columns: int) -> int:
    """Columns that a thread sums: many, so that few instructions are shared by many products, but enough tiles."""
    if columns < 3:
        return 1
    for count in (16, 8):
        tiles = -(-places.rows // tile_rows) * -(-columns // count) * places.groups
        if count < columns + 4 and tiles >= 2 * device.multiprocessors:
            return count
    return 4


@dataclass(frozen=True)
class TiledProduct:
    """A matrix product in tiles of `tile_rows` x `tile_columns`; `columns`: of w in a group. `blocks`: that run at the
    same time on a multiprocessor."""

    places: Places
    columns: int
    tile_rows: int
    tile_columns: int
    blocks: int = 1

    @property
    def column_tiles(self) -> int:
        """Tiles side by side."""
        return -(-self.columns // self.tile_columns)

    def weights(self, device: Launches, kernel: Kernel, w: int, words: int, threads: int) -> Memory:
        """What a kernel makes of the weights at address w: `words` 32-bit words for each k of a tile by `threads`
        threads."""
        depth, groups = self.places.depth, self.places.groups
        rows = self.column_tiles * depth
        memory = device.empty(4 * words * rows * groups)
        arguments = (w, memory.address, depth, self.columns, self.column_tiles)
        device.launch(kernel, arguments, -(-threads * rows // THREADS), groups)
        return memory

    def run(
        self,
        device: Launches,
        kernel: Kernel,
        operands: Operands,
        entries: Memory,
        x: int,
        weights: Memory,
        more: tuple[int, ...] = (),
    ) -> None:
        """Launches a kernel of `tiled_lookups` with x at an address; `more`: its arguments beyond the common ones."""
        places = self.places
        row_tiles = -(-places.rows // self.tile_rows)
        tiles = row_tiles * self.column_tiles * places.groups
        blocks = min(tiles, self.blocks * device.multiprocessors)
        at = device_offsets(device, places, self.columns)
        device.launch(
            kernel,
            (
                *(entries.address, x, at.x_at.address, at.x_step.address, places.x_group, weights.address),
                *(operands.out, at.row_out.address, places.out_step, places.out_group),
                *(places.rows, places.depth, self.columns, row_tiles, self.column_tiles, tiles, blocks, *more),
            ),
            blocks,
            1,
        )
