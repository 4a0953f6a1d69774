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
_LANES = 16
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
    if is_small(fmt):
        encoder = _byte_encoder(fmt, circuit.rounding, str(circuit.subnormals), Target.host())
    else:
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


@lru_cache
def _byte_encoder(fmt: FloatFormat, rounding: str, subnormals: str, target: Target) -> Any:
    p = ctypes.c_void_p
    ir = vector_encoder_ir(fmt, rounding, subnormals)
    return load(ir, target).function("encode", p, p, ctypes.c_int64, p)


def vector_encoder_ir(fmt: FloatFormat, rounding: str, subnormals: str) -> str:
    """`byte_encoder_ir` by arithmetic, 16 values at a time; those beyond the largest finite one are looked up.

    With F fraction bits, exponents from e on and bias b, the pattern m of a magnitude gives the code

        (m rounded to F fraction bits) / 2^(23 - F) - (127 - b) 2^F      for |v| >= 2^e
        |v| / 2^(e - F), rounded                                         below, or 0 where subnormals are flushed

    A carry of the rounding reaches the exponent. Adding 2^(e - F + 23) rounds a subnormal to an integer, to nearest
    even, in the last bits of the sum. Flushed numbers from 2^e - 2^(e - F - 2) on round up to 2^e.
    """
    least, dropped, bits = fmt.minimum_exponent, _FRACTION - fmt.fraction_bits, code_bits(fmt)
    nearest, flush = rounding == "nearest_even", subnormals == "flush"
    largest = decoded(fmt)
    limit = int(largest[np.isfinite(largest)].max().view(np.uint32))
    words, floats, mask = (f"<{_LANES} x {kind}>" for kind in ("i32", "float", "i1"))
    f = Function("encode", "ptr %table, ptr %values, i64 %count, ptr %codes")
    whole = f.op(f"and i64 %count, {-_LANES}")
    with f.loop(whole, step=_LANES) as first:
        source, target = f.element("%values", "i32", first), f.element("%codes", "i8", first)
        pattern = f.op(f"load {words}, ptr {source}, align 4")
        magnitude = f.op(f"and {words} {pattern}, splat (i32 {0x7FFFFFFF})")
        rounded, least_normal = magnitude, 127 + least << _FRACTION
        if nearest:
            last = f.op(f"and {words} {f.op(f'lshr {words} {magnitude}, splat (i32 {dropped})')}, splat (i32 1)")
            half = f.op(f"add {words} {magnitude}, splat (i32 {(1 << dropped - 1) - 1})")
            rounded = f.op(f"add {words} {half}, {last}")
            least_normal -= 1 << _FRACTION - fmt.fraction_bits - 1 if flush else 0
        code = f.op(f"lshr {words} {rounded}, splat (i32 {dropped})")
        code = f.op(f"sub {words} {code}, splat (i32 {127 - fmt.bias << fmt.fraction_bits})")
        value = f.op(f"bitcast {words} {magnitude} to {floats}")
        if flush:
            small = "zeroinitializer"
        elif nearest:
            one = 127 + least - fmt.fraction_bits + _FRACTION << _FRACTION  # 2^(e - F + 23)
            unit = f.op(f"bitcast {words} splat (i32 {one}) to {floats}")
            total = f.op(f"bitcast {floats} {f.op(f'fadd {floats} {value}, {unit}')} to {words}")
            small = f.op(f"sub {words} {total}, splat (i32 {one})")
        else:
            scale = 127 - least + fmt.fraction_bits << _FRACTION
            unit = f.op(f"bitcast {words} splat (i32 {scale}) to {floats}")
            below = f.op(f"icmp ult {words} {magnitude}, splat (i32 {least_normal})")
            own = f.op(f"select {mask} {below}, {floats} {value}, {floats} zeroinitializer")
            small = f.op(f"fptosi {floats} {f.op(f'fmul {floats} {own}, {unit}')} to {words}")
        normal = f.op(f"icmp uge {words} {magnitude}, splat (i32 {least_normal})")
        code = f.op(f"select {mask} {normal}, {words} {code}, {words} {small}")
        sign = f.op(f"lshr {words} {pattern}, splat (i32 31)")
        code = f.op(f"or {words} {code}, {f.op(f'shl {words} {sign}, splat (i32 {bits - 1})')}")
        f.do(f"store <{_LANES} x i8> {f.op(f'trunc {words} {code} to <{_LANES} x i8>')}, ptr {target}, align 1")
        beyond = f.op(f"icmp ugt {words} {magnitude}, splat (i32 {limit})")
        some = f.op(f"icmp ne i{_LANES} {f.op(f'bitcast {mask} {beyond} to i{_LANES}')}, 0")
        with f.when(some):
            f.do(f"call void @lookup(ptr %table, ptr {source}, i64 {_LANES}, ptr {target})")
    rest = f.op(f"sub i64 %count, {whole}")
    values, codes = f.element("%values", "i32", whole), f.element("%codes", "i8", whole)
    f.do(f"call void @lookup(ptr %table, ptr {values}, i64 {rest}, ptr {codes})")
    return _encoder_ir(_dropped_bits(fmt), 8, "lookup") + f.text()


def _encoder_ir(drop: int, code_size: int, name: str = "encode") -> str:
    f = Function(name, "ptr %table, ptr %values, i64 %count, ptr %codes")
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
