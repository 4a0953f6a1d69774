"""Matrix products in strips of 16 lanes: how they are split into tasks, and when a range check is due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import BLOCK
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_gates import float_gates
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.operand_ranges import OperandRanges
from circuits.engine.matrix_products.strips.strip_kernel import STRIP, STRIPS, strip_kernel, strip_scratch_bytes
from circuits.engine.matrix_products.strips.strip_tiling import Tile, padded_rows, strips_of, tiles
from circuits.engine.task_threads import Tasks, fastest_split, run_tasks, scratch_address, useful_threads

Array = NDArray[np.float32]
_STEPS_A_CALL = 64  # sums of 64 steps, 128 KB, stay in the second-level cache
_CALL, _PACKING = 0.05, 1.5
"""`Tasks.unit_cost` and `Tasks.column_cost`: a call, and packing a block of x once for all steps. Measured for heap and
64 steps: tasks of 32, 16 and 8 steps take 1.02, 1.07 and 1.15 times the time."""
_PRODUCTS_A_TASK = 1 << 18  # a quarter of a millisecond


def run_strips(circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    """`gathering.gathered_matmul` with lanes over rows, columns and groups, for a float circuit."""
    depth, columns = places.depth, len(w) // places.groups
    threads = useful_threads(threads, places.rows * w.size)
    settings, gates = float_gates(circuit)
    x_step = np.ascontiguousarray(places.x_step, dtype=np.int64)
    # The kernel reads 16 weights of a row at a time.
    weights = w if depth % STRIP == 0 else np.pad(w, ((0, 0), (0, -depth % STRIP)))
    width = weights.shape[1]
    ranges = OperandRanges(circuit, x, w, x_step, threads)
    kernels = {mode: strip_kernel(settings, mode) for mode in ranges.modes}
    key = "strips", columns
    if key not in places.prepared:
        parts = [(tile, strips_of(tile, places, columns, width)) for tile in tiles(places.rows, columns, places.groups)]
        places.prepared[key] = padded_rows(places.x_at), padded_rows(places.out_at), parts
    x_at, out_at, parts = places.prepared[key]
    x_start, x_at_start, x_step_start, w_start, out_start, out_at_start = (
        array.ctypes.data for array in (x, x_at, x_step, weights, out, out_at)
    )

    def task(part: int, first_block: int, blocks: int, first_step: int, steps: int) -> None:
        tile, all_strips = parts[part]
        strips = all_strips[STRIPS * first_block : STRIPS * (first_block + blocks)]
        mode = "normal"
        if not ranges.all_normal:
            row, x_added, _, w_at = strips.T
            lanes = (x_at[row[:, None] + np.arange(STRIP)] + x_added[:, None]).reshape(-1)
            w_rows = w_at[:, None] // width + tile.slots * np.arange(first_step, first_step + steps)
            mode = ranges.mode(x_start, lanes.ctypes.data, lanes.size, w_rows)
        kernels[mode](
            gates.gates_address,
            x_start,
            x_at_start,
            x_step_start,
            strips.ctypes.data,
            w_start + 4 * width * tile.slots * first_step,
            width * tile.slots,
            depth,
            steps,
            out_start + 4 * places.out_step * tile.slots * first_step,
            out_at_start,
            places.out_step * tile.slots,
            blocks,
            scratch_address(strip_scratch_bytes(steps)),
        )

    tasks = [
        (part, *place)
        for part, (tile, strips) in enumerate(parts)
        for place in _split(tile, len(strips) // STRIPS, depth, threads)
    ]
    run_tasks(task, tasks, threads)


def _split(tile: Tile, all_blocks: int, depth: int, threads: int) -> list[tuple[int, int, int, int]]:
    """(first block, blocks, first step, steps) of a tile's tasks, of about _PRODUCTS_A_TASK products where they can."""
    most_steps = min(tile.steps, _STEPS_A_CALL)
    most_blocks = max(1, _PRODUCTS_A_TASK // (BLOCK * most_steps * depth))
    tasks = Tasks(all_blocks, tile.steps, most_blocks, most_steps, _CALL, _PACKING)
    blocks, steps = fastest_split(tasks, threads)
    return [
        (block, min(blocks, all_blocks - block), step, min(steps, tile.steps - step))
        for block in range(0, all_blocks, blocks)
        for step in range(0, tile.steps, steps)
    ]
