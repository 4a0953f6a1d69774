"""Matrix products of integer circuits through their gates: which operand runs along the lanes, and the tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.blocks import BLOCK
from circuits.engine.llvm.gates_function import compile_program
from circuits.engine.llvm.integers.integer_matmul_kernel import IntegerSettings, integer_matmul_kernel
from circuits.engine.matrix_products.element_places import Offsets, Places
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.task_threads import run_tasks, scratch_address, useful_threads

Array = NDArray[Any]
_WIDEST_CODE = 16
_COLUMNS_A_CALL = 64  # sums of 64 columns, about 100 KB, stay in the second-level cache
_BLOCKS_A_TASK = 4


def serves(circuit: MultiplierCircuit, depth: int) -> bool:
    """Whether the kernel serves the circuit: operands of at most 16 bits, sums of `depth` products within 64."""
    return max(circuit.shape) <= _WIDEST_CODE and _sum_bits(circuit, depth) <= 64


def run(circuit: MultiplierCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    """`gathering.gathered_matmul` for one group of a circuit that the kernel serves."""
    rows, columns = places.rows, len(w)
    if -(-rows // BLOCK) * columns <= -(-columns // BLOCK) * rows:
        settings = _settings(circuit, places.depth, out.dtype, lanes_first=True)
        _run_tasks(
            circuit, settings, (x, places.x_at, places.x_step), w, (out, places.out_at, places.out_step), threads
        )
        return
    # Few rows: lanes run over the columns. The rows are few, so that gathering them and their sums costs little.
    settings = _settings(circuit, places.depth, out.dtype, lanes_first=False)
    gathered = np.ascontiguousarray(x.reshape(-1)[places.x_at[:, None] + places.x_step])
    sums = np.empty((rows, columns), dtype=out.dtype)
    lanes = np.arange(columns) * places.depth
    _run_tasks(
        circuit, settings, (w, lanes, np.arange(places.depth)), gathered, (sums, np.arange(columns), columns), threads
    )
    out.reshape(-1)[places.out_at[:, None] + np.arange(columns) * places.out_step] = sums


def _run_tasks(
    circuit: MultiplierCircuit,
    settings: IntegerSettings,
    operands: tuple[Array, Offsets, Offsets],
    others: Array,
    results: tuple[Array, Offsets, int],
    threads: int | None,
) -> None:
    """All lanes and columns; `operands`: those of the lanes, where each lane begins, steps along k; `others` [N, K]."""
    gates, kernel = compile_program(circuit.program()), integer_matmul_kernel(settings)
    x, x_at, x_step = operands
    out, out_at, out_step = results
    columns, depth = others.shape
    lanes = len(x_at)
    x_step = np.ascontiguousarray(x_step, dtype=np.int64)
    x_at, out_at = (np.pad(np.asarray(a, dtype=np.int64), (0, -lanes % BLOCK), mode="edge") for a in (x_at, out_at))

    def task(first_lane: int, first_column: int) -> None:
        count = min(columns - first_column, _COLUMNS_A_CALL)
        kernel(
            gates.gates_address,
            x.ctypes.data,
            x_at.ctypes.data + 8 * first_lane,
            x_step.ctypes.data,
            others.ctypes.data + others.itemsize * depth * first_column,
            depth,
            count,
            out.ctypes.data + out.itemsize * out_step * first_column,
            out_at.ctypes.data + 8 * first_lane,
            out_step,
            min(lanes - first_lane, lanes_a_task),
            scratch_address(settings.scratch_bytes(count)),
        )

    threads = useful_threads(threads, lanes * others.size)
    lanes_a_task = min(max(1, -(-lanes // BLOCK) // (4 * threads)), _BLOCKS_A_TASK) * BLOCK
    tasks = [(lane, n) for lane in range(0, lanes, lanes_a_task) for n in range(0, columns, _COLUMNS_A_CALL)]
    run_tasks(task, tasks, threads)


def _settings(circuit: MultiplierCircuit, depth: int, dtype: Any, *, lanes_first: bool) -> IntegerSettings:
    operands = [(width, "i8" if width <= 8 else "i16") for width in circuit.shape]
    lane, other = operands if lanes_first else operands[::-1]
    bits = len(circuit.program().results)
    total = f"i{8 * np.dtype(dtype).itemsize}"
    return IntegerSettings(*lane, *other, lanes_first, circuit.signed, bits, _sum_bits(circuit, depth), total)


def _sum_bits(circuit: MultiplierCircuit, depth: int) -> int:
    """Bits that hold every sum of `depth` products; in steps of 4, so that few kernels serve all depths."""
    return len(circuit.program().results) + -(-(depth - 1).bit_length() // 4) * 4
