"""What the engine asks of a multiplier of integers or floats. `Design` satisfies it; the engine knows no designs."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from circuits.engine.float_circuit import FloatCircuit


class MultiplierCircuit(FloatCircuit, Protocol):
    """A multiplier whose `float_format` is None if its operands are integers ("codes") and not floats."""

    @property
    def shape(self) -> tuple[int, int]:
        """(w, v): widths of the first and the second operand of the circuit, in bits."""

    @property
    def signed(self) -> bool:
        """Whether integers are two's complement."""

    @property
    def exact_by_construction(self) -> bool:
        """Whether every product of the circuit is proven to be x * y. False where that is not known."""

    def multiply_integers(self, x: ArrayLike, y: ArrayLike, *, backend: str = "auto") -> NDArray[Any]:
        """Gate-exact integer products (broadcast)."""


def code_dtype(width: int, signed: bool) -> DTypeLike:
    """The dtype of integer operands of `width` bits: the smallest of 8, 16, 32 or 64 bits that holds them all."""
    bits = next(size for size in (8, 16, 32, 64) if width <= size)
    return np.dtype(f"{'int' if signed else 'uint'}{bits}")


def sum_dtype(circuit: MultiplierCircuit, depth: int) -> DTypeLike:
    """int32 where no sum of `depth` products can overflow it, whatever the operands, else int64."""
    # A product's bus has w + v bits, and one more where the circuit can exceed that.
    bits = len(circuit.program().results)
    largest = 1 << bits - 1 if circuit.signed else (1 << bits) - 1
    return np.dtype(np.int32 if depth * largest < 1 << 31 else np.int64)
