"""Float32 arrays as the codes that table kernels look up: one look-up an element.

A format of at most 8 bits has code bytes: sign, exponent, fraction from the highest bit down. A value of a longer
format with at most 7 fraction bits is known by the upper half of its float32 pattern.

The table of codes is indexed by the upper bits of a float32's pattern, with the last one of them set if a lower bit is.
That is rounding to odd: such a value lies on the same side of every value of the format, and of every midpoint of two
of them, as the float32 does, if the upper bits hold two fraction bits more than the format.
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

HALF = 16
_UNROLLED = 8
_FRACTION = 23  # fraction bits of float32


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
    signed: NDArray[np.float32] = np.where(negative, -values, values).astype(np.float32)
    return signed


def upper_halves(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of float32 patterns whose lower halves are zero; every NaN as 0x7FC0."""
    patterns = np.where(np.isnan(values), np.uint32(0x7FC00000), np.ascontiguousarray(values).view(np.uint32))
    assert not (patterns & 0xFFFF).any()
    return (patterns >> HALF).astype(np.uint16)


def is_small(fmt: FloatFormat) -> bool:
    """Whether codes of the format are bytes."""
    return code_bits(fmt) <= 8


def _dropped_bits(fmt: FloatFormat) -> int:
    """Lower bits of a float32 that only count as zero or not: 16 leave bytes' formats two more bits, 14 the others."""
    return 16 if is_small(fmt) else 14


@lru_cache(maxsize=16)
def encoding(fmt: FloatFormat, rounding: str, subnormals: str) -> NDArray[Any]:
    """The code of each upper part of a float32: uint8 [2**16] for formats of at most 8 bits, else uint16 [2**18]."""
    drop = _dropped_bits(fmt)
    assert fmt.fraction_bits + 2 <= _FRACTION - drop
    parts = np.arange(1 << (32 - drop), dtype=np.uint32)
    with np.errstate(invalid="ignore"):
        values = arithmetic.quantize(
            fmt, (parts << np.uint32(drop)).view(np.float32), rounding=rounding, subnormals=subnormals
        )
    halves = upper_halves(values)
    if not is_small(fmt):
        return halves
    code_of_half = np.zeros(1 << HALF, dtype=np.uint8)
    code_of_half[upper_halves(decoded(fmt))] = np.arange(1 << code_bits(fmt))
    return code_of_half[halves]


def encode(circuit: FloatCircuit, values: NDArray[np.float32]) -> NDArray[Any]:
    """The codes of contiguous float32 values, converted as the circuit converts its operands; same shape."""
    fmt = circuit.float_format
    assert fmt is not None
    table = encoding(fmt, circuit.rounding, str(circuit.subnormals))
    codes = np.empty(values.shape, dtype=table.dtype)
    encoder = _encoder(_dropped_bits(fmt), 8 * table.itemsize, Target.host())
    encoder(table.ctypes.data, values.ctypes.data, values.size, codes.ctypes.data)
    return codes


@lru_cache
def _encoder(drop: int, code_size: int, target: Target) -> Any:
    p = ctypes.c_void_p
    return load(_encoder_ir(drop, code_size), target).function("encode", p, p, ctypes.c_int64, p)


def byte_encoder_ir(fmt: FloatFormat) -> str:
    """@encode(table, values, count, codes) for a format of at most 8 bits and its table from `encoding`."""
    return _encoder_ir(_dropped_bits(fmt), 8)


def _encoder_ir(drop: int, code_size: int) -> str:
    f = Function("encode", "ptr %table, ptr %values, i64 %count, ptr %codes")
    code_type = f"i{code_size}"
    whole = f.op(f"and i64 %count, {-_UNROLLED}")
    for begin, end, together in (("0", whole, _UNROLLED), (whole, "%count", 1)):
        with f.loop(end, begin, together) as first:
            source, target_codes = f.element("%values", "i32", first), f.element("%codes", code_type, first)
            for number in range(together):
                pattern = f.op(f"load i32, ptr {f.offset(source, 4 * number)}")
                lower = f.op(f"icmp ne i32 {f.op(f'and i32 {pattern}, {(1 << drop) - 1}')}, 0")
                part = f.op(f"or i32 {f.op(f'lshr i32 {pattern}, {drop}')}, {f.op(f'zext i1 {lower} to i32')}")
                code = f.op(f"load {code_type}, ptr {f.element('%table', code_type, f.op(f'zext i32 {part} to i64'))}")
                f.do(f"store {code_type} {code}, ptr {f.offset(target_codes, code_size // 8 * number)}")
    return f.text()
