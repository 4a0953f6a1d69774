"""Conversion of float32 operands to a circuit's format, compiled: what the float kernels expect of their operands.

The same as `circuits.floats.arithmetic.quantize`, which is the reference.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_gates import kernel_settings
from circuits.engine.llvm.float_parts import EXPONENT, FRACTION, SIGN, KernelSettings
from circuits.engine.llvm.float_results import emit_rounded_to_grid
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Vectors

Array = NDArray[np.float32]
_LANES = 16  # a multiple of every target's lanes
_NAN = 0x7FC00000


def to_format(circuit: FloatCircuit, values: Array) -> Array:
    """`values`, C-contiguous, in the circuit's format; float32 needs no conversion, as kernels flush by themselves."""
    settings = kernel_settings(circuit)
    if settings.fraction == FRACTION and settings.least == 1 and settings.most == 254:
        return values
    words = values.reshape(-1)
    if words.size < _LANES:
        words = np.zeros(_LANES, dtype=np.float32)
        words[: values.size] = values.reshape(-1)
    converted = np.empty(words.size, dtype=np.float32)
    _kernel(settings)(words.ctypes.data, converted.ctypes.data, words.size)
    return converted[: values.size].reshape(values.shape)


@lru_cache(maxsize=64)
def _kernel(settings: KernelSettings) -> Any:
    target, p = Target.host(), ctypes.c_void_p
    return load(conversion_ir(settings, target), target).function("kernel", p, p, ctypes.c_int64)


def conversion_ir(settings: KernelSettings, target: Target) -> str:
    """@kernel(x, out, length): converts float32 words x[0 .. length) to the format; length >= 16, `out` is not x."""
    f = Function("kernel", "ptr %x, ptr %out, i64 %length")
    e = Vectors(f, target)
    whole = f.op(f"and i64 %length, {-_LANES}")
    # The last 16 words are converted once more, in a vector of their own.
    last = f.op(f"sub i64 %length, {_LANES}")
    for begin, end in (("0", whole), (last, "%length")):
        with f.loop(end, begin, e.lanes) as index:
            word = f.op(f"load {e.v}, ptr {f.element('%x', 'i32', index)}, align 4")
            f.do(f"store {e.v} {_emit_converted(e, settings, word)}, ptr {f.element('%out', 'i32', index)}, align 4")
    return f.text()


def _emit_converted(e: Vectors, settings: KernelSettings, word: str) -> str:
    drop = FRACTION - settings.fraction
    sign, magnitude = e.integer("and", word, SIGN), e.integer("and", word, SIGN - 1)
    rounded = magnitude
    if drop and settings.rounding == "nearest_even":
        # Half an ulp less one, plus the last bit that stays: more than half rounds up, and half only to an even one. A
        # carry runs into the exponent, where it belongs.
        odd = e.integer("and", e.integer("lshr", magnitude, drop), 1)
        rounded = e.integer("add", e.integer("add", magnitude, odd), (1 << drop - 1) - 1)
    if drop:
        rounded = e.integer("and", rounded, 0xFFFFFFFF << drop & 0xFFFFFFFF)
    if settings.gradual and settings.least > 1:
        subnormal = e.compare("ult", magnitude, settings.least << FRACTION)
        rounded = e.where(subnormal, emit_rounded_to_grid(e, settings, magnitude), rounded)
    elif not settings.gradual:
        # (Below float32's own smallest normal number the words are a uniform grid, and rounded as such already.)
        tiny = e.compare("ult", magnitude, _least_word(settings))
        rounded = e.where(tiny, "zeroinitializer", rounded)
    overflow = e.splat(EXPONENT if settings.infinity else _NAN)
    rounded = e.where(e.compare("ugt", rounded, settings.largest), overflow, rounded)
    rounded = e.where(e.compare("ugt", magnitude, EXPONENT - 1), overflow, rounded)
    rounded = e.where(e.compare("ugt", magnitude, EXPONENT), e.splat(_NAN), rounded)
    return e.integer("or", rounded, sign)


def _least_word(settings: KernelSettings) -> int:
    """The word of the least magnitude that is not tiny after a rounding with unbounded exponent.

    With s the smallest normal number, rounding to nearest takes s - s 2^(-F-2) and above to s. Below s float32's words
    have the distance s 2^-24, or s 2^-23 where s is float32's own smallest, so that this is 2^(22-F) or 2^(21-F) words
    below that of s.
    """
    word = settings.least << FRACTION
    exponent = (22 if settings.least > 1 else 21) - settings.fraction
    return word - (1 << exponent) if settings.rounding == "nearest_even" and exponent >= 0 else word
