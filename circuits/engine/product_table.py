"""The product table of a small circuit, filled by its gates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.errors import DesignError

WIDEST = 10
"""Largest operand width of a table, in bits: 2 x 10 bits are 2^20 products."""


def code_values(width: int, signed: bool) -> NDArray[np.int64]:
    """The integers int64 [2**width] whose bit patterns are 0, 1, 2, ...; `signed`: in two's complement."""
    patterns = np.arange(1 << width)
    return patterns - ((patterns >> (width - 1)) << width) if signed else patterns


@lru_cache(maxsize=16)
def product_table(circuit: MultiplierCircuit) -> NDArray[Any]:
    """All integer products of a circuit: [2**w, 2**v], indexed by bit patterns, the first operand first.

    int32, or int64 where a product needs more. A signed circuit's products are two's complement, those of a float
    design are the products of its mantissa circuit. The array is read-only and kept for the next call. Raises
    DesignError for operands of more than `WIDEST` bits.
    """
    first, second = circuit.shape
    if max(first, second) > WIDEST:
        raise DesignError(
            f"a product table needs operands of at most {WIDEST} bits, but the circuit is {first}x{second}; "
            "choose a narrower design."
        )
    x, y = code_values(first, circuit.signed), code_values(second, circuit.signed)
    products = circuit.multiply_integers(x[:, None], y)
    limits = np.iinfo(np.int32)
    fits = limits.min <= int(products.min()) and int(products.max()) <= limits.max
    table: NDArray[Any] = products.astype(np.int32 if fits else np.int64)
    table.flags.writeable = False
    return table
