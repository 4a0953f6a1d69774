"""Few rows of many columns: lanes run over the columns, and each block shares an activation instead of a weight.

The kernels for many rows know that a block's lanes share a weight: they leave out weights that are zero, and gates for
a known weight cost about half (`wide_kernels`). Few rows do not fill a block; their columns may. So the product is
computed with its operands exchanged,

    out[m, n] = sum over k of x[m, k] * w[n, k]  =  the product of the rows n of w and the columns m of x

by the same kernels around the same circuit with its inputs exchanged (x * w need not equal w * x). What is left out are
now activations that are zero, one by one, which strips of lanes cannot do: there, 32 activations meet in a block.

Measured for 64 rows, 1024 -> 512, half of the activations zero, over strips of 16 lanes: heap 1.7 times as fast, exact
carry-save gates 2.4 times; for 64 rows, 400 -> 120, half as fast, since most lanes stay empty
(`lane_layout.column_work`). The circuit with exchanged inputs must be compiled first, .1 s, which long work repays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.known_operands.wide_kernels import estimated_nonzeros, repays_compilation
from circuits.engine.llvm.transposition import transposed
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.lane_layout import column_work, lane_layout, layout_work
from circuits.engine.matrix_products.wide_matmul import run_wide
from circuits.floats.arithmetic import FloatFormat
from circuits.netlists.lut_program import Program, with_inputs_exchanged

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ExchangedCircuit:
    """The float circuit whose product of (x, w) is `circuit`'s of (w, x)."""

    circuit: FloatCircuit

    @property
    def format(self) -> str | None:
        return self.circuit.format

    @property
    def float_format(self) -> FloatFormat | None:
        return self.circuit.float_format

    @property
    def rounding(self) -> str:
        return self.circuit.rounding

    @property
    def normalization(self) -> str:
        return self.circuit.normalization

    @property
    def subnormals(self) -> str | None:
        return self.circuit.subnormals

    def program(self) -> Program:
        return _exchanged_program(self.circuit.program())

    def multiply(self, x: ArrayLike, w: ArrayLike, *, backend: str = "auto") -> Array:
        return self.circuit.multiply(w, x, backend=backend)


_exchanged_program = lru_cache(maxsize=64)(with_inputs_exchanged)


def columns_pay(circuit: FloatCircuit, x: Array, places: Places, columns: int) -> bool:
    """Whether lanes over the columns of each group are worth more than the best layout of `lane_layout`."""
    sizes = places.rows, places.depth, columns, places.groups
    work = layout_work(*sizes)[lane_layout(*sizes)]
    if column_work(*sizes, 0.0) >= work or column_work(*sizes, estimated_nonzeros(x) / x.size) >= work:
        return False
    return repays_compilation(ExchangedCircuit(circuit), places.groups * places.rows * places.depth * columns)


def run_columns(circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    """`gathering.gathered_matmul` with lanes over the columns n, for a float circuit."""
    columns = len(w) // places.groups
    for number, group in enumerate(places.of_groups()):
        _run_group(circuit, x, w[number * columns : (number + 1) * columns], out, group, threads)


def _run_group(circuit: FloatCircuit, x: Array, w: Array, out: Array, places: Places, threads: int | None) -> None:
    (columns, depth), rows = w.shape, places.rows
    if "evenly spaced" not in places.prepared:
        places.prepared["evenly spaced"] = _are_rows(places), _distance(places.out_at)
    contiguous, distance = places.prepared["evenly spaced"]
    if contiguous:
        first = int(places.x_at[0] + places.x_step[0])
        activations = x.reshape(-1)[first : first + rows * depth].reshape(rows, depth)
    else:
        activations = x.reshape(-1)[places.x_at[:, None] + places.x_step]
    sums, first_out, step = (out, int(places.out_at[0]), places.out_step)
    if distance is None:
        sums, first_out, step, distance = np.empty((rows, columns), dtype=np.float32), 0, 1, columns
    exchanged = _exchanged_places(columns, depth, first_out, step, distance)
    run_wide(ExchangedCircuit(circuit), transposed(w, threads), activations, sums, exchanged, threads)
    if sums is not out:
        out.reshape(-1)[places.out_at[:, None] + np.arange(columns) * places.out_step] = sums


def _are_rows(places: Places) -> bool:
    """Whether the rows of x are those of a contiguous matrix."""
    return bool(np.all(np.diff(places.x_step) == 1) and np.all(np.diff(places.x_at) == places.depth))


def _distance(offsets: NDArray[np.int64]) -> int | None:
    """The distance of successive offsets, or None where they have several."""
    steps = np.diff(offsets)
    return (int(steps[0]) if steps.size else 0) if np.all(steps == steps[:1]) else None


@lru_cache(maxsize=16)
def _exchanged_places(columns: int, depth: int, first_out: int, step: int, distance: int) -> Places:
    """Those of the product with the transposed weights, since a block's lanes are then found side by side."""
    return Places(np.arange(columns), np.arange(depth) * columns, first_out + np.arange(columns) * step, distance)
