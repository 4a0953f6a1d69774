"""Upper halves of float32 as codes of formats with at most 7 fraction bits, and their range of exponents.

With the 8 exponent bits of float32 itself, such as in bfloat16, a conversion is a few operations on the pattern. Of the
magnitude m, without sign, d = 23 - F bits are dropped:

    truncate        m - (m mod 2^d)
    nearest_even    the same of m + 2^(d - 1) - 1 + (bit d of m); a carry goes to the exponent, and on to infinity

Where subnormals are flushed, m below 2^23 becomes zero, unless its 1 + F leading bits round up to the least normal
number, from 2^23 - 2^(21 - F) on. NaN becomes 0x7FC0.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.table_kernels.float_codes import encode


@dataclass(frozen=True)
class CodeRange:
    """Least and greatest biased float32 exponent of nonzero numbers, infinity and NaN 255, and whether there are zeros.

    Of zeros alone the exponents are 256 and 0.
    """

    least: int
    greatest: int
    zeros: bool


_LANES = 16
_ALL_ONES = 0xFFFFFFFF
_WORDS = f"<{_LANES} x i32>"
_MASK = f"<{_LANES} x i1>"


def fraction_codes(circuit: FloatCircuit, values: NDArray[np.float32]) -> tuple[NDArray[np.uint16], CodeRange]:
    """The codes of contiguous float32 values, converted as the circuit converts its operands, and their range."""
    fmt = circuit.float_format
    assert fmt is not None
    if fmt.exponent_bits != 8:
        codes: NDArray[np.uint16] = encode(circuit, values)
        return codes, _range(codes)
    codes = np.empty(values.shape, dtype=np.uint16)
    extremes = np.empty(3, dtype=np.uint32)
    kernel = _encoder(fmt.fraction_bits, circuit.rounding, str(circuit.subnormals), Target.host())
    kernel(values.ctypes.data, values.size, codes.ctypes.data, extremes.ctypes.data)
    least_less, greatest, least = extremes.tolist()
    return codes, CodeRange(256 if least_less == _ALL_ONES else least_less + 1 >> 7, greatest >> 7, least == 0)


def _range(codes: NDArray[np.uint16]) -> CodeRange:
    magnitudes = codes.reshape(-1) << np.uint16(1)  # without the sign
    greatest, zeros = int(magnitudes.max(initial=0)) >> 8, bool(magnitudes.size and magnitudes.min() == 0)
    magnitudes -= np.uint16(1)  # zeros become the largest
    return CodeRange(int(magnitudes.min(initial=0xFFFF)) + 1 >> 8, greatest, zeros)


def encoder_ir(fraction_bits: int, rounding: str, subnormals: str) -> str:
    """@encode(values, count, codes, extremes).

    `extremes`: three i32 of codes without sign, the least one less 1, modulo 2^32, so that zero counts as the largest,
    the greatest code, and the least one.
    """
    declared = [f"declare i32 @llvm.vector.reduce.{name}.v{_LANES}i32({_WORDS})" for name in ("umin", "umax")]
    masked = f"declare {_WORDS} @llvm.masked.load.v{_LANES}i32.p0(ptr, i32, {_MASK}, {_WORDS})"
    stores = f"declare void @llvm.masked.store.v{_LANES}i16.p0(<{_LANES} x i16>, ptr, i32, {_MASK})"
    f = Function("encode", "ptr %values, i64 %count, ptr %codes, ptr %extremes")
    numbers = ", ".join(f"i64 {lane}" for lane in range(_LANES))
    wide = f"<{_LANES} x i64>"
    with f.fold("%count", _WORDS, ["splat (i32 -1)", "zeroinitializer", "splat (i32 -1)"], step=_LANES) as (
        index,
        present,
    ):
        left = f.op(f"insertelement {wide} poison, i64 {f.op(f'sub i64 %count, {index}')}, i32 0")
        left = f.op(f"shufflevector {wide} {left}, {wide} poison, <{_LANES} x i32> zeroinitializer")
        lanes = f.op(f"icmp slt {wide} <{numbers}>, {left}")
        source = f.element("%values", "i32", index)
        word = f.op(
            f"call {_WORDS} @llvm.masked.load.v{_LANES}i32.p0(ptr {source}, i32 4, {_MASK} {lanes}, "
            f"{_WORDS} zeroinitializer)"
        )
        half, magnitude = _emit_code(f, word, fraction_bits, rounding, subnormals)
        code = f.op(f"trunc {_WORDS} {half} to <{_LANES} x i16>")
        f.do(
            f"call void @llvm.masked.store.v{_LANES}i16.p0(<{_LANES} x i16> {code}, "
            f"ptr {f.element('%codes', 'i16', index)}, i32 2, {_MASK} {lanes})"
        )
        less = f.op(f"add {_WORDS} {magnitude}, splat (i32 -1)")
        # Lanes beyond the last value count as that of lane 0, which is always there.
        first = f.op(f"shufflevector {_WORDS} {magnitude}, {_WORDS} poison, <{_LANES} x i32> zeroinitializer")
        own = f.op(f"select {_MASK} {lanes}, {_WORDS} {magnitude}, {_WORDS} {first}")
        for k, (order, number) in enumerate((("ult", less), ("ugt", magnitude), ("ult", own))):
            better = f.op(f"icmp {order} {_WORDS} {number}, {present[k]}")
            present[k] = f.op(f"select {_MASK} {better}, {_WORDS} {number}, {_WORDS} {present[k]}")
    for k, name in enumerate(("umin", "umax", "umin")):
        extreme = f.op(f"call i32 @llvm.vector.reduce.{name}.v{_LANES}i32({_WORDS} {present[k]})")
        f.do(f"store i32 {extreme}, ptr {f.offset('%extremes', 4 * k)}")
    return "\n".join([*declared, masked, stores, f.text()])


def _emit_code(f: Function, word: str, fraction_bits: int, rounding: str, subnormals: str) -> tuple[str, str]:
    """The upper halves of converted patterns, with sign and without."""
    dropped, least_normal = 23 - fraction_bits, 1 << 23
    magnitude = f.op(f"and {_WORDS} {word}, splat (i32 {0x7FFFFFFF})")
    rounded = magnitude
    if rounding == "nearest_even":
        last = f.op(f"and {_WORDS} {f.op(f'lshr {_WORDS} {magnitude}, splat (i32 {dropped})')}, splat (i32 1)")
        rounded = f.op(f"add {_WORDS} {rounded}, splat (i32 {(1 << dropped - 1) - 1})")
        rounded = f.op(f"add {_WORDS} {rounded}, {last}")
        least_normal -= 1 << 21 - fraction_bits
    half = f.op(f"lshr {_WORDS} {rounded}, splat (i32 16)")
    if dropped > 16:
        half = f.op(f"and {_WORDS} {half}, splat (i32 {-(1 << dropped - 16)})")
    if subnormals == "flush":
        normal = f.op(f"icmp uge {_WORDS} {magnitude}, splat (i32 {least_normal})")
        half = f.op(f"select {_MASK} {normal}, {_WORDS} {half}, {_WORDS} zeroinitializer")
    nan = f.op(f"icmp ugt {_WORDS} {magnitude}, splat (i32 {0x7F800000})")
    half = f.op(f"select {_MASK} {nan}, {_WORDS} splat (i32 {0x7FC0}), {_WORDS} {half}")
    sign = f.op(f"and {_WORDS} {f.op(f'lshr {_WORDS} {word}, splat (i32 16)')}, splat (i32 {0x8000})")
    sign = f.op(f"select {_MASK} {nan}, {_WORDS} zeroinitializer, {_WORDS} {sign}")
    return f.op(f"or {_WORDS} {half}, {sign}"), half


@lru_cache(maxsize=16)
def _encoder(fraction_bits: int, rounding: str, subnormals: str, target: Target) -> Any:
    p = ctypes.c_void_p
    library = load(encoder_ir(fraction_bits, rounding, subnormals), target)
    return library.function("encode", p, ctypes.c_int64, p, p)
