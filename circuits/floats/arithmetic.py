"""Floating-point formats and the float multiplier around a mantissa multiplier, in NumPy: the reference semantics.

A product is computed as hardware would (DESIGN "Float semantics"):

1. Operands outside the format are converted by the design's rounding; with subnormals "flush", subnormals become
   zero of their sign.
2. NaN, infinity and zero never reach the circuit: NaN propagates, infinity times zero is NaN, infinity times finite is
   infinity, zero times finite is zero, each with the XOR of the signs.
3. The w-bit mantissas (hidden one included) go through the mantissa circuit, giving P of 2w bits, or 2w + 1 where tiles
   overestimate. Exponents add exactly.
4. The normaliser looks at the bits above 2w - 2: P is shifted right by one if bit 2w - 1 leads and by two if bit 2w
   does, and the exponent grows by as much. The hidden one is implied, also where the circuit left its bit at 0.
   `normalization="released"` raises the exponent by one only where bit 2w leads (FACTS 2: it halves those results).
5. The fraction is rounded ("truncate" or "nearest_even"). Results beyond the largest finite value become infinity (NaN
   in formats without infinity); results that are tiny after rounding with unbounded exponent become signed zero
   ("flush") or are rounded once to the subnormal grid ("ieee").

In numbers, with w = F + 1 mantissa bits: x = (-1)^s mx 2^(ex - F) with 2^F <= mx < 2^(F+1), and exactly
x y = (mx my) 2^(ex + ey - 2F). As 2^(2F) <= mx my < 2^(2F+2), an exact product leads at bit 2F = 2w - 2 or one above.

Values travel as float32, which holds every value of every format here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.errors import DesignError, unknown_name

ROUNDINGS = ("truncate", "nearest_even")
NORMALIZATIONS = ("full", "released")
SUBNORMALS = ("flush", "ieee")

Integers = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """A binary floating-point format held by float32: 2..8 exponent bits, 1..23 stored fraction bits.

    `infinity=False` follows OCP fp8 e4m3: no infinities, only the all-ones code is NaN, and overflow gives NaN.
    `subnormals` is the rule that designs of this format have by default. Raises DesignError for other sizes.
    """

    name: str
    exponent_bits: int
    fraction_bits: int
    infinity: bool = True
    subnormals: str = "flush"

    def __post_init__(self) -> None:
        if not (2 <= self.exponent_bits <= 8 and 1 <= self.fraction_bits <= 23):
            raise DesignError(
                f"2 <= exponent_bits <= 8 and 1 <= fraction_bits <= 23 must hold, but got {self.exponent_bits} and "
                f"{self.fraction_bits}; choose a format that float32 can hold."
            )

    @property
    def width(self) -> int:
        """Mantissa bits, the hidden one included."""
        return self.fraction_bits + 1

    @property
    def bias(self) -> int:
        """Exponent bias."""
        return int(2 ** (self.exponent_bits - 1)) - 1

    @property
    def minimum_exponent(self) -> int:
        """Unbiased exponent of the smallest normal number."""
        return 1 - self.bias

    @property
    def largest(self) -> float:
        """Largest finite value.

        All fraction bits 1 and the exponent just below the one that is reserved for infinity and NaN; without infinity
        the highest exponent is in use, and only its last code is NaN.
        """
        top = 2**self.exponent_bits - 1 - self.infinity - self.bias
        ulps = 2 ** (self.fraction_bits + 1) - (1 if self.infinity else 2)
        return float(np.ldexp(float(ulps), top - self.fraction_bits))


FORMATS: Mapping[str, FloatFormat] = MappingProxyType(
    {
        f.name: f
        for f in (
            FloatFormat("float32", 8, 23),
            FloatFormat("tf32", 8, 10),
            FloatFormat("bfloat16", 8, 7),
            FloatFormat("float16", 5, 10, subnormals="ieee"),
            FloatFormat("fp8_e5m2", 5, 2, subnormals="ieee"),
            FloatFormat("fp8_e4m3", 4, 3, infinity=False, subnormals="ieee"),
        )
    }
)
"""The formats by name."""


def float_format(name: str) -> FloatFormat:
    """The format of that name, or "eXmY" for X exponent and Y fraction bits; UnknownNameError otherwise.

    >>> float_format("e5m2").largest
    57344.0
    """
    if isinstance(name, str):
        if name in FORMATS:
            return FORMATS[name]
        if match := re.fullmatch(r"e(\d{1,2})m(\d{1,2})", name, re.ASCII):
            return FloatFormat(name, int(match[1]), int(match[2]))
    raise unknown_name("format", str(name), (*FORMATS, "e8m23"))


def quantize(fmt: FloatFormat, values: ArrayLike, *, rounding: str, subnormals: str) -> NDArray[np.float32]:
    """`values` (converted to float32) in the format, by one rounding; float32 array of the same shape.

    >>> float(quantize(FORMATS["bfloat16"], 1.999, rounding="truncate", subnormals="flush"))
    1.9921875
    """
    # frexp gives a fraction in [1/2, 1); times 2^24 it is an integer that leads at bit 23.
    x = np.asarray(values, dtype=np.float32)
    fraction, exponent = np.frexp(np.where(np.isfinite(x), np.abs(x), 0).astype(np.float64))
    significand = np.ldexp(fraction, 24).astype(np.int64)
    magnitude = _assemble(fmt, significand, 23, exponent.astype(np.int64) - 1, rounding, subnormals)
    return _finish(fmt, x, x, magnitude)


def bit_pattern(fmt: FloatFormat, value: np.float32) -> str:
    """The code of a value of the format: sign, exponent and fraction, "0 01111 1000000000" for 1.5 in float16.

    A NaN is the format's quiet one. `value` must lie in the format, subnormals included.
    """
    sign = int(np.signbit(value))
    top = 2**fmt.exponent_bits - 1
    if np.isnan(value):
        exponent, fraction = top, 2 ** (fmt.fraction_bits - 1) if fmt.infinity else 2**fmt.fraction_bits - 1
    elif np.isinf(value):
        exponent, fraction = top, 0
    elif value == 0:
        exponent, fraction = 0, 0
    else:
        power = max(int(np.frexp(abs(value))[1]) - 1, fmt.minimum_exponent)
        significand = int(np.ldexp(float(abs(value)), fmt.fraction_bits - power))
        hidden, fraction = divmod(significand, 2**fmt.fraction_bits)  # hidden is 0 for subnormals
        exponent = power + fmt.bias if hidden else 0
    return f"{sign} {exponent:0{fmt.exponent_bits}b} {fraction:0{fmt.fraction_bits}b}"


def multiply(
    fmt: FloatFormat,
    x: ArrayLike,
    w: ArrayLike,
    mantissa_product: Callable[[Integers, Integers], Integers],
    *,
    rounding: str,
    normalization: str,
    subnormals: str,
) -> NDArray[np.float32]:
    """Elementwise float32 products (broadcast) in the semantics of the module's docstring.

    `x`, `w`: float32 values. `mantissa_product(mx, mw)` takes flat uint64 arrays of w-bit mantissas with the leading
    one set and returns P.
    """
    conversion = {"rounding": rounding, "subnormals": subnormals}
    x, w = np.broadcast_arrays(quantize(fmt, x, **conversion), quantize(fmt, w, **conversion))
    through = np.isfinite(x) & np.isfinite(w) & (x != 0) & (w != 0)  # the pairs that reach the circuit

    fraction_x, exponent_x = np.frexp(np.abs(x[through]).astype(np.float64))
    fraction_w, exponent_w = np.frexp(np.abs(w[through]).astype(np.float64))
    width = fmt.width
    product = mantissa_product(
        np.ldexp(fraction_x, width).astype(np.uint64), np.ldexp(fraction_w, width).astype(np.uint64)
    ).astype(np.int64)

    leading = 2 * width - 2  # the hidden one's position before the normaliser
    shift = (product >> (leading + 1) > 0).astype(np.int64) + (product >> (leading + 2) > 0)
    raised = np.minimum(shift, 1) if normalization == "released" else shift
    # The bits below the hidden one, aligned to the widest product: every lane has its hidden one at bit leading + 2.
    hidden = np.int64(1) << (leading + 2)
    significand = (product << (2 - shift)) & (hidden - 1) | hidden
    exponent = exponent_x.astype(np.int64) + exponent_w - 2 + raised  # - 2: frexp's fractions are half of ours

    magnitude = np.zeros(x.shape, dtype=np.float64)
    magnitude[through] = _assemble(fmt, significand, leading + 2, exponent, rounding, subnormals)
    return _finish(fmt, x, w, magnitude)


def round_product(
    fmt: FloatFormat, product: NDArray[np.float64], *, rounding: str, subnormals: str
) -> NDArray[np.float64]:
    """Exact products, rounded once into the format by step 5 of the module's docstring; float64, same shape.

    `product`: float64 that holds the exact product of two values of the format, infinity or NaN. Where `multiply` goes
    through a mantissa circuit, this is the result that an exact circuit gives.
    """
    # A float64 read as an integer orders like its magnitude, so rounding its fraction field and letting a carry run
    # into the exponent field rounds the number: 1.11...1 becomes 10.00...0. `drop` fraction bits go.
    drop = 52 - fmt.fraction_bits
    bits = product.view(np.int64)
    if rounding == "nearest_even":
        # Half an ulp less one, plus the last bit that stays: more than half rounds up, and half only to an even one.
        bits = bits + (((bits >> drop) & 1) + ((1 << (drop - 1)) - 1))
    rounded = (bits & np.int64(-1 << drop)).view(np.float64)
    smallest = 2.0**fmt.minimum_exponent
    tiny = np.abs(rounded) < smallest
    if tiny.any():
        if subnormals == "flush":
            replaced = np.zeros_like(product)
        else:
            # The subnormal grid is uniform, of step `quantum`; the division by a power of two is exact.
            quantum = smallest * 2.0**-fmt.fraction_bits
            scaled = product / quantum
            replaced = (np.trunc(scaled) if rounding == "truncate" else np.rint(scaled)) * quantum
        rounded = np.where(tiny, replaced, rounded)
    over = np.abs(rounded) > fmt.largest
    if over.any():
        rounded = np.where(over, np.copysign(np.inf, product) if fmt.infinity else np.nan, rounded)
    return rounded


def _assemble(
    fmt: FloatFormat,
    significand: NDArray[np.int64],
    fraction_bits: int,
    exponent: NDArray[np.int64],
    rounding: str,
    subnormals: str,
) -> NDArray[np.float64]:
    """significand * 2^(exponent - fraction_bits) as float64, rounded to the format except for overflow.

    Zero significands give zero; the others have their leading one at bit `fraction_bits`. Magnitudes beyond the largest
    finite one are left as they are.
    """
    # Tininess is decided after a rounding with unbounded exponent, as IEEE 754 allows: 0.11...1, which rounds up to the
    # smallest normal number, is not tiny.
    drop = np.full(exponent.shape, fraction_bits - fmt.fraction_bits, dtype=np.int64)
    rounded = _round(significand, drop, rounding)
    carried = rounded >> (fmt.fraction_bits + 1)  # 1 where the rounding reached the next power of two
    tiny = exponent + carried < fmt.minimum_exponent
    if subnormals == "ieee":
        # One rounding, straight from the significand to the subnormal grid, whose step is the ulp of the smallest
        # normal number: rounding a rounded number again could go wrong by an ulp.
        drop = np.where(exponent < fmt.minimum_exponent, drop + fmt.minimum_exponent - exponent, drop)
        rounded = _round(significand, drop, rounding)
    elif subnormals == "flush":
        rounded = np.where(tiny, 0, rounded)
    scale = exponent - fraction_bits + drop
    return np.asarray(np.ldexp(rounded.astype(np.float64), scale.astype(np.int32)))


def _round(significand: NDArray[np.int64], drop: NDArray[np.int64], rounding: str) -> NDArray[np.int64]:
    """significand / 2^drop, rounded to an integer: down ("truncate") or to the nearest, ties to the even one."""
    # A significand has at most 49 bits, so that 62 dropped bits leave 0 already; more would overflow the shift.
    drop = np.minimum(drop, 62)
    quotient = significand >> drop
    if rounding == "truncate":
        return quotient
    remainder = significand - (quotient << drop)
    half = np.where(drop > 0, np.int64(1) << np.maximum(drop - 1, 0), np.int64(1) << 62)  # out of reach for drop = 0
    up: NDArray[np.int64] = ((remainder > half) | ((remainder == half) & (quotient & 1 == 1))).astype(np.int64)
    return quotient + up


def _finish(
    fmt: FloatFormat, x: NDArray[np.float32], w: NDArray[np.float32], magnitude: NDArray[np.float64]
) -> NDArray[np.float32]:
    """float32 results from the magnitudes of finite ones: adds signs, overflow, infinities and NaN.

    `x is w` marks the conversion of x, whose sign is its own; a product has the XOR of two signs.
    """
    overflowed = np.inf if fmt.infinity else np.nan
    magnitude = np.where(magnitude > fmt.largest, overflowed, magnitude)
    if x is w:
        sign = np.where(np.signbit(x), -1.0, 1.0)
        special = np.where(np.isnan(x), np.nan, np.copysign(overflowed, x))
        return np.where(np.isfinite(x), sign * magnitude, special).astype(np.float32)
    sign = np.where(np.signbit(x) ^ np.signbit(w), -1.0, 1.0)
    with np.errstate(invalid="ignore"):
        special = x.astype(np.float64) * w
    return np.where(np.isfinite(x) & np.isfinite(w), sign * magnitude, special).astype(np.float32)
