"""Accumulators of a given width, which wrap around or saturate; without one, sums are exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from circuits import DesignError
from circuits.errors import unknown_name
from cnn_eval.layers.convolution import Geometry, places_of_convolution
from cnn_eval.quantized.integer_sums import padded_codes

__all__ = ["Accumulator", "OverflowCount", "saturating_sums"]

Array = NDArray[Any]
Overflow = Literal["wrap", "saturate"]
MINIMUM_BITS, MAXIMUM_BITS = 2, 63
_ROWS_AT_ONCE = 1 << 13
"""Output positions whose sums stay in the cache while k runs."""


@dataclass(frozen=True)
class Accumulator:
    """A register of `bits` bits that adds a layer's products of codes in ascending k, starting at 0.

    `overflow`: "wrap" keeps the lowest bits; "saturate" limits the sum after every addition to the nearest value that
    the register holds. The register is two's complement where products can be negative (schemes int8 and
    sign_magnitude), else unsigned. Zero-point terms are added to its final value, exactly.
    """

    bits: int
    overflow: Overflow = "wrap"

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int) or not MINIMUM_BITS <= self.bits <= MAXIMUM_BITS:
            raise DesignError(
                f"{MINIMUM_BITS} <= bits <= {MAXIMUM_BITS} must hold for an accumulator, but got {self.bits!r}; choose "
                "another."
            )
        if self.overflow not in get_args(Overflow):
            raise unknown_name("overflow of an accumulator", self.overflow, get_args(Overflow))

    def limits(self, *, signed: bool) -> tuple[int, int]:
        """The least and the greatest value of the register."""
        return (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if signed else (0, (1 << self.bits) - 1)

    def wrapped(self, sums: Array, *, signed: bool) -> Array:
        """Exact sums modulo 2^bits, int64. Every addition may wrap: addition is associative modulo 2^bits."""
        low, _ = self.limits(signed=signed)
        return np.asarray(((sums.astype(np.int64) - low) & ((1 << self.bits) - 1)) + low)


@dataclass
class OverflowCount:
    """How many of a layer's sums left the range of its accumulator, at the end (wrap) or on the way (saturate)."""

    overflowed: int = 0
    sums: int = 0

    def add(self, overflowed: int, sums: int) -> None:
        """Counts the sums of one run of the layer."""
        self.overflowed += overflowed
        self.sums += sums


def saturating_sums(
    product: Callable[[Array, Array], Array],
    x: Array,
    weight: Array,
    geometry: Geometry | None,
    *,
    padding_code: int,
    limits: tuple[int, int],
) -> tuple[Array, int]:
    """Sums of product(x, w) that are limited after each addition, int64 [B, N, OH, OW] or [M, N], and how many of them
    were limited at least once.

    Saturation is not associative, so that the products are added one after the other, in ascending (channel, kernel
    row, kernel column). `product` multiplies integer arrays elementwise (broadcast).
    """
    x, geometry = padded_codes(x, geometry, padding_code)
    places, shape = places_of_convolution(x.shape, weight.shape, geometry)
    out = np.zeros(shape, dtype=np.int64)
    limited = 0
    flat, columns = x.reshape(-1), len(weight) // places.groups
    rows_of = weight.reshape(places.groups, columns, -1)
    for group, filters in zip(places.of_groups(), rows_of, strict=True):
        out_columns = np.arange(columns) * group.out_step
        for start in range(0, group.rows, _ROWS_AT_ONCE):
            x_at = group.x_at[start : start + _ROWS_AT_ONCE]
            total = np.zeros((len(x_at), columns), dtype=np.int64)
            beyond = np.zeros(total.shape, dtype=np.bool_)
            for k, step in enumerate(group.x_step):
                total += product(flat[x_at + step][:, None], filters[None, :, k])
                beyond |= (total < limits[0]) | (total > limits[1])
                np.clip(total, *limits, out=total)
            out.reshape(-1)[group.out_at[start : start + _ROWS_AT_ONCE, None] + out_columns] = total
            limited += int(beyond.sum())
    return out, limited
