"""Product tables as the kernels read them: one row for each code byte of a weight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.product_table import product_table
from circuits.engine.table_kernels.float_codes import code_bits, decoded, upper_halves
from circuits.engine.task_threads import aligned_empty

BYTES = 256
"""Values of a code byte; codes of fewer bits (sign-extended or not) are known by their low bits."""


@dataclass(frozen=True, eq=False)
class PlaneImage:
    """Byte planes, uint8 [256 weights, planes, segments * 64], of table - `smallest`; `smallest` is 0 for floats."""

    planes: NDArray[np.uint8]
    smallest: int

    @property
    def plane_count(self) -> int:
        return int(self.planes.shape[1])

    @property
    def segments(self) -> int:
        return int(self.planes.shape[2]) // 64


def segments_for(width: int) -> int:
    """Registers of 64 codes that hold all codes of x."""
    return 1 << max(0, width - 6)


@lru_cache(maxsize=32)
def integer_planes(circuit: MultiplierCircuit) -> PlaneImage:
    """The table of an integer circuit of at most 8 x 8 bits for the permutation kernel."""
    table = by_bytes(product_table(circuit), 64 * segments_for(circuit.shape[0])).astype(np.int64)
    smallest = int(table.min())
    count = max(1, -(-(int(table.max()) - smallest).bit_length() // 8))
    return PlaneImage(byte_planes(table - smallest, count), smallest)


@lru_cache(maxsize=32)
def float_products(circuit: FloatCircuit) -> NDArray[np.float32]:
    """The product of each pair of codes of a float format of at most 8 bits, the first operand first."""
    fmt = circuit.float_format
    assert fmt is not None
    values = decoded(fmt)
    with np.errstate(invalid="ignore", over="ignore"):
        return circuit.multiply(values[:, None], values)


@lru_cache(maxsize=32)
def float_planes(circuit: FloatCircuit) -> PlaneImage:
    """The table of a circuit of floats of at most 8 bits: two planes, the upper halves of the products' float32."""
    fmt = circuit.float_format
    assert fmt is not None
    halves = upper_halves(float_products(circuit))
    table = by_bytes(halves, 64 * segments_for(code_bits(fmt))).astype(np.int64)
    return PlaneImage(byte_planes(table, 2), 0)


@lru_cache(maxsize=32)
def word_table(circuit: MultiplierCircuit) -> NDArray[Any]:
    """int32, or for floats float32, [256 weights, 256 codes of x], 64-aligned: products for the kernels of any host."""
    table = product_table(circuit) if circuit.float_format is None else float_products(circuit)
    words = aligned_empty((BYTES, BYTES), table.dtype)
    words[...] = by_bytes(table, BYTES)
    return words


def by_bytes(table: NDArray[Any], x_codes: int) -> NDArray[Any]:
    """table [2**w, 2**v] repeated to [256, x_codes]: by the weight's byte first, then by the low bits of x's."""
    first, second = table.shape
    return np.ascontiguousarray(table[np.arange(x_codes) % first][:, np.arange(BYTES) % second].T)


def byte_planes(rows: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
    """uint8 [256, count, n], 64-aligned, from non-negative rows [256, n]; the least significant plane first."""
    planes: NDArray[np.uint8] = aligned_empty((len(rows), count, rows.shape[1]), np.uint8)
    for plane in range(count):
        planes[:, plane] = rows >> 8 * plane & 0xFF
    return planes
