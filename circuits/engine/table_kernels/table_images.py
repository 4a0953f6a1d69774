"""Product tables as the kernels read them: one row for each code byte of a weight.

The table of a circuit is indexed [first operand, second operand]. In an image the weight comes first, because a kernel
keeps one weight's row in registers while codes of x stream past, and the row is repeated up to the width of a register:
a code byte is looked up as it is, whether it is sign-extended or its upper bits are not in use (`by_bytes`).

    planes     byte k of all entries of a row, one behind the other: a byte permutation looks up one plane at a time
    half       16 bits an entry, for rows that are gathered whole
    words      the sums' own type, for look-ups one by one

Entries of planes are non-negative. Integers are stored less the smallest product, which the kernel adds back; products
of floats are upper halves of float32, whose lower halves are 0 for all formats that are served.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine import integer_operations
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.product_table import product_table
from circuits.engine.table_kernels.float_codes import HALF, code_bits, decoded, upper_halves
from circuits.engine.task_threads import aligned_empty
from circuits.floats import arithmetic
from circuits.floats.arithmetic import FloatFormat

_ONE = 0x3F80  # the upper half of 1.0
BYTES = 256
"""Values of a code byte; codes of fewer bits (sign-extended or not) are known by their low bits."""


@dataclass(frozen=True, eq=False)
class PlaneImage:
    """Byte planes, uint8 [256 weights, planes, segments * 64], of table - `smallest`; `smallest` is 0 for floats.

    `signs_apart`: the planes hold only products with codes of x whose sign bit, bit 7, is 0; those with the others
    differ by their sign. The operand whose codes lie in lanes is called x here, the other one the weight, also where
    the kernel is given the operands exchanged (`exchanged` below).
    """

    planes: NDArray[np.uint8]
    smallest: int
    signs_apart: bool = False

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
def integer_planes(circuit: MultiplierCircuit, exchanged: bool, width: int) -> PlaneImage:
    """The table of an integer circuit of at most 8 x 8 bits for the permutation kernel.

    `width`: bits of the codes in lanes, at most the operand's; fewer where no code has the upper ones set.
    """
    products = product_table(circuit)
    table = by_bytes(products.T if exchanged else products, 64 * segments_for(width))
    table = table.astype(np.int64)
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
def float_planes(circuit: FloatCircuit, exchanged: bool) -> PlaneImage:
    """The table of a circuit of floats of at most 8 bits: two planes, the upper halves of the products' float32."""
    fmt = circuit.float_format
    assert fmt is not None
    products = float_products(circuit)
    table = by_bytes(upper_halves(products.T if exchanged else products), 64 * segments_for(code_bits(fmt)))
    signs_apart = code_bits(fmt) == 8 and _signs_multiply(table[:, :128], table[:, 128:])
    if signs_apart:
        table = table[:, :128]
    return PlaneImage(byte_planes(table.astype(np.int64), 2), 0, signs_apart)


def _signs_multiply(positive: NDArray[np.uint16], negative: NDArray[np.uint16]) -> bool:
    """Whether upper halves of products differ in their signs only, or are zeros or NaN of whatever sign.

    A zero of either sign changes no sum that begins at +0, and NaN makes it NaN.
    """
    magnitudes = positive & 0x7FFF
    unsigned = (magnitudes == 0) | (magnitudes > 0x7F80)
    opposite = negative == positive ^ 0x8000
    return bool(np.all(opposite | unsigned & (magnitudes == negative & 0x7FFF)))


@dataclass(frozen=True, eq=False)
class FractionImage:
    """Products of significands in [1, 2), for formats with at most 7 fraction bits.

    With the fractions i and j, 7 bits each, as indices: float32's upper half of the product 1.i times 1.j, rounded with
    unbounded exponent, is that of 1.0 plus entry[j, i]. `planes`: uint8 [128 weights, 1 or 2 planes, 128 codes], the
    entries byte by byte. `raised`: the largest exponent of a product.
    """

    planes: NDArray[np.uint8]
    raised: int

    @property
    def plane_count(self) -> int:
        return int(self.planes.shape[1])


@lru_cache(maxsize=32)
def fraction_image(circuit: FloatCircuit, exchanged: bool = False) -> FractionImage:
    """The products of significands of a circuit with at most 7 fraction bits, as its gates give them."""
    fmt = circuit.float_format
    assert fmt is not None
    unused = 7 - fmt.fraction_bits  # low bits of an index that are 0
    significands = (1 + np.arange(0, 128, 1 << unused) / 128).astype(np.float32)
    products = arithmetic.multiply(
        FloatFormat("", 8, fmt.fraction_bits),  # whose exponents neither overflow nor become subnormal here
        significands[:, None],
        significands,
        lambda a, b: integer_operations.multiply(circuit.program(), a, b),
        rounding=circuit.rounding,
        normalization=circuit.normalization,
        subnormals="flush",
    )
    entries = np.zeros((128, 128), dtype=np.int64)
    entries[:: 1 << unused, :: 1 << unused] = (
        upper_halves(products if exchanged else products.T).astype(np.int64) - _ONE
    )
    return FractionImage(byte_planes(entries, 1 if entries.max() < 256 else 2), int(entries.max()) >> 7)


@lru_cache(maxsize=32)
def word_table(circuit: MultiplierCircuit) -> NDArray[Any]:
    """int32, or for floats float32, [256 weights, 256 codes of x], 64-aligned: products for the kernels of any host."""
    table = product_table(circuit) if circuit.float_format is None else float_products(circuit)
    words = aligned_empty((BYTES, BYTES), table.dtype)
    words[...] = by_bytes(table, BYTES)
    return words


@dataclass(frozen=True, eq=False)
class HalfImage:
    """Products in 16 bits, [256 weights, 256 codes of x], 64-aligned: integers as int16 less `constant`, floats as the
    upper halves of float32 with `constant` 0."""

    entries: NDArray[Any]
    constant: int


@lru_cache(maxsize=32)
def half_table(circuit: MultiplierCircuit) -> HalfImage | None:
    """The table for the expanding kernel; None where products span more than 16 bits."""
    if circuit.float_format is not None:
        table, constant = upper_halves(float_products(circuit)).view(np.int16), 0
    else:
        products = product_table(circuit).astype(np.int64)
        least, most = int(products.min()), int(products.max())
        if most - least >= 1 << HALF:
            return None
        constant = least + (1 << HALF - 1)
        table = (products - constant).astype(np.int16)
    entries = aligned_empty((BYTES, BYTES), np.int16)
    entries[...] = by_bytes(table, BYTES)
    return HalfImage(entries, constant)


def by_bytes(table: NDArray[Any], x_codes: int) -> NDArray[Any]:
    """table [2**w, 2**v] repeated to [256, x_codes]: by the weight's byte first, then by the low bits of x's."""
    first, second = table.shape
    return np.ascontiguousarray(table[np.arange(x_codes) % first][:, np.arange(BYTES) % second].T)


def byte_planes(rows: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
    """uint8 [rows, count, n], 64-aligned, from non-negative `rows` [rows, n]; the least significant plane first."""
    planes: NDArray[np.uint8] = aligned_empty((len(rows), count, rows.shape[1]), np.uint8)
    for plane in range(count):
        planes[:, plane] = rows >> 8 * plane & 0xFF
    return planes
