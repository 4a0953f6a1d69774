"""The kernel that converts float32 operands to a design's format, as `circuits.floats.arithmetic.quantize` does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.device.kernels.float_planes import FloatRules
from circuits.engine.device.kernels.thread_code import THREADS, GridPlace, Kernel, Registers
from circuits.engine.llvm.float_parts import BIAS, EXPONENT, FRACTION, SIGN

_NAN = EXPONENT | 1 << (FRACTION - 1)


def conversion_kernel(rules: FloatRules, *, codes: bool = False) -> Kernel:
    """@kernel(source, out, count): out[i] is source[i] in the format; one thread an element.

    float32 words, or with `codes` bytes: sign, exponent and fraction of a format of at most 8 bits.
    """
    kind, convert = ("i8", _code) if codes else ("i32", _word)

    def body(e: Registers, place: GridPlace) -> None:
        f = e.f
        index = f.op(f"add i64 {f.op(f'mul i64 {place.block}, {THREADS}')}, {place.thread}")
        with f.when(f.op(f"icmp slt i64 {index}, %count")):
            word = f.op(f"load i32, ptr {f.element('%source', 'i32', index)}")
            value = convert(e, rules, word)
            value = f.op(f"trunc i32 {value} to i8") if codes else value
            f.do(f"store {kind} {value}, ptr {f.element('%out', kind, index)}")

    return Kernel("ptr %source, ptr %out, i64 %count", body)


def _word(e: Registers, rules: FloatRules, word: str) -> str:
    """The float32 word of the value in the format."""
    magnitude, sign = e.integer("and", word, SIGN - 1), e.integer("and", word, SIGN)
    rounded, tiny = _rounded(e, rules, magnitude)
    small = "0"
    if rules.gradual:
        whole, power = _grid_multiple(e, rules, magnitude)
        small = e.f.op(f"bitcast float {_scaled(e, whole, -power)} to i32")
    rounded = e.where(tiny, small, rounded)
    beyond = e.splat(EXPONENT if rules.infinity else _NAN)
    rounded = e.where(e.compare("ugt", rounded, _largest(rules)), beyond, rounded)
    # Rounding must not turn a NaN into an infinity or beyond.
    rounded = e.where(e.compare("ugt", magnitude, EXPONENT), e.splat(_NAN), rounded)
    return e.integer("or", rounded, sign)


def _code(e: Registers, rules: FloatRules, word: str) -> str:
    """The format's own code of the value. A subnormal's is its multiple of the grid's step, as a small integer."""
    magnitude = e.integer("and", word, SIGN - 1)
    rounded, tiny = _rounded(e, rules, magnitude)
    small = "0"
    if rules.gradual:
        # Of values that are not tiny nothing is read; those too large for an integer must still have a defined one.
        small = e.f.op(f"fptoui float {_grid_multiple(e, rules, e.where(tiny, magnitude, '0'))[0]} to i32")
    # Exponent 1 of the format is `rules.least`: codes of normal numbers count on from there.
    lowered = e.integer("sub", rounded, (rules.least - 1) << FRACTION)
    code = e.where(tiny, small, e.integer("lshr", lowered, FRACTION - rules.fraction))
    top = (rules.greatest - rules.least + 1 + rules.infinity) << rules.fraction
    nan = top | ((1 << rules.fraction) - 1)
    over = e.compare("ugt", rounded, _largest(rules))
    code = e.where(over, e.splat(top if rules.infinity else nan), code)
    code = e.where(e.compare("ugt", magnitude, EXPONENT), e.splat(nan), code)
    # nan has all bits of exponent and fraction, so that the sign is the next one.
    return e.integer("or", code, e.integer("shl", e.integer("lshr", word, 31), nan.bit_length()))


def code_values(rules: FloatRules) -> NDArray[np.float32]:
    """The values of all codes, float32 [codes], as `_code` numbers them."""
    top = rules.greatest - rules.least + 1 + rules.infinity  # the exponent field of ones
    exponent, fraction = np.divmod(np.arange((top + 1) << rules.fraction), 1 << rules.fraction)
    significand = fraction + ((exponent > 0) << rules.fraction)
    if not rules.gradual:
        significand = np.where(exponent == 0, 0, significand)
    magnitude = np.ldexp(
        significand.astype(np.float64), np.maximum(exponent, 1) - 1 + rules.least - BIAS - rules.fraction
    )
    if rules.infinity:
        magnitude = np.where(exponent == top, np.where(fraction == 0, np.inf, np.nan), magnitude)
    else:
        magnitude[-1] = np.nan
    return np.concatenate([magnitude, -magnitude]).astype(np.float32)


def _rounded(e: Registers, rules: FloatRules, magnitude: str) -> tuple[str, str]:
    """(the float32 word without sign rounded as if exponents had no bound, whether (i1) it is below normal numbers).

    Such a word orders like its value, so that rounding its fraction and letting a carry run into the exponent rounds
    the number.
    """
    drop = FRACTION - rules.fraction
    rounded = magnitude
    if drop:
        if rules.nearest_even:
            # Half an ulp less one, plus the last bit that stays: more than half rounds up, half only to an even one.
            odd = e.integer("and", e.integer("lshr", magnitude, drop), 1)
            rounded = e.integer("add", rounded, e.integer("add", odd, (1 << (drop - 1)) - 1))
        rounded = e.integer("and", rounded, 0x100000000 - (1 << drop))
    return rounded, e.compare("ult", rounded, rules.least << FRACTION)


def _largest(rules: FloatRules) -> int:
    """The float32 word of the format's largest number."""
    fraction = (1 << rules.fraction) - (1 if rules.infinity else 2)
    return rules.greatest << FRACTION | fraction << (FRACTION - rules.fraction)


def _grid_multiple(e: Registers, rules: FloatRules, magnitude: str) -> tuple[str, int]:
    """(value / step rounded to an integer, a float; -log2 of the step) for the grid of subnormal numbers, 2^(m - F).

    The scaling is exact and gives at most 2^F <= 2^22, so that adding and subtracting 2^23 rounds to the nearest even
    integer.
    """
    power = rules.fraction - (rules.least - BIAS)
    scaled = _scaled(e, e.as_float(magnitude), power)
    if not rules.nearest_even:
        return e.f.op(f"call float @llvm.trunc.f32(float {scaled})"), power
    big = e.as_float(e.splat((BIAS + FRACTION) << FRACTION))
    return e.f.op(f"fsub float {e.f.op(f'fadd float {scaled}, {big}')}, {big}"), power


def _scaled(e: Registers, value: str, power: int) -> str:
    """value * 2^power, |power| < 127."""
    return e.f.op(f"fmul float {value}, {e.as_float(e.splat((BIAS + power) << FRACTION))}")
