"""Codes of float formats of at most 8 bits: sign, exponent, fraction from the highest bit down.

A float32 array becomes codes by one look-up an element, in a table of 2^16 codes that is indexed by the upper half of
the pattern with its last bit set if the lower half is not zero. That is rounding to odd: such a value lies on the same
side of every value of the format, and of every midpoint of two of them, as the float32 does, because the format's
fraction is at least two bits shorter than the 7 bits that stay.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.floats import arithmetic
from circuits.floats.arithmetic import FloatFormat

Codes = NDArray[np.uint8]
HALF = 16


def code_bits(fmt: FloatFormat) -> int:
    """Bits of a code."""
    return 1 + fmt.exponent_bits + fmt.fraction_bits


def decoded(fmt: FloatFormat) -> NDArray[np.float32]:
    """The value of each code, float32 [2**bits]; NaN for each of the format's NaN codes."""
    codes = np.arange(1 << code_bits(fmt))
    fraction = codes & (1 << fmt.fraction_bits) - 1
    exponent = codes >> fmt.fraction_bits & (1 << fmt.exponent_bits) - 1
    hidden = exponent > 0
    power = np.maximum(exponent, 1) - fmt.bias - fmt.fraction_bits
    values = np.ldexp((fraction + (hidden << fmt.fraction_bits)).astype(np.float64), power)
    top = (1 << fmt.exponent_bits) - 1
    if fmt.infinity:
        values[exponent == top] = np.where(fraction[exponent == top] == 0, np.inf, np.nan)
    else:
        values[(exponent == top) & (fraction == (1 << fmt.fraction_bits) - 1)] = np.nan
    negative = codes >> (code_bits(fmt) - 1) == 1
    return np.where(negative, -values, values).astype(np.float32)


def upper_halves(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of float32 patterns whose lower halves are zero; every NaN as 0x7FC0."""
    patterns = np.where(np.isnan(values), np.uint32(0x7FC00000), np.ascontiguousarray(values).view(np.uint32))
    assert not (patterns & 0xFFFF).any()
    return (patterns >> HALF).astype(np.uint16)


@lru_cache(maxsize=32)
def encoding(fmt: FloatFormat, rounding: str, subnormals: str) -> Codes:
    """The code of each upper half of a float32, uint8 [2**16]."""
    assert fmt.fraction_bits <= 5
    halves = np.arange(1 << HALF, dtype=np.uint32)
    with np.errstate(invalid="ignore"):
        values = arithmetic.quantize(fmt, (halves << HALF).view(np.float32), rounding=rounding, subnormals=subnormals)
    code_of_half = np.zeros(1 << HALF, dtype=np.uint8)
    code_of_half[upper_halves(decoded(fmt))] = np.arange(1 << code_bits(fmt))
    return code_of_half[upper_halves(values)]


def encode(circuit: FloatCircuit, values: NDArray[np.float32]) -> Codes:
    """The codes of contiguous float32 values, converted as the circuit converts its operands; same shape."""
    fmt = circuit.float_format
    assert fmt is not None
    table = encoding(fmt, circuit.rounding, str(circuit.subnormals))
    codes = np.empty(values.shape, dtype=np.uint8)
    _encoder()(table.ctypes.data, values.ctypes.data, values.size, codes.ctypes.data)
    return codes


@lru_cache
def _encoder() -> Any:
    f = Function("encode", "ptr %table, ptr %values, i64 %count, ptr %codes")
    with f.loop("%count") as index:
        pattern = f.op(f"load i32, ptr {f.element('%values', 'i32', index)}")
        lower = f.op(f"icmp ne i16 {f.op(f'trunc i32 {pattern} to i16')}, 0")
        half = f.op(f"or i32 {f.op(f'lshr i32 {pattern}, {HALF}')}, {f.op(f'zext i1 {lower} to i32')}")
        code = f.op(f"load i8, ptr {f.element('%table', 'i8', f.op(f'zext i32 {half} to i64'))}")
        f.do(f"store i8 {code}, ptr {f.element('%codes', 'i8', index)}")
    p = ctypes.c_void_p
    return load(f.text(), Target.host()).function("encode", p, p, ctypes.c_int64, p)
