"""The kernel that converts float32 operands to a design's format, as `circuits.floats.arithmetic.quantize` does."""

from __future__ import annotations

from circuits.engine.device.float_planes import FloatRules
from circuits.engine.device.thread_code import THREADS, GridPlace, Kernel, Registers
from circuits.engine.llvm.float_parts import BIAS, EXPONENT, FRACTION, SIGN


def conversion_kernel(rules: FloatRules) -> Kernel:
    """@kernel(source, out, count): out[i] is source[i] in the format; one thread an element."""

    def body(e: Registers, place: GridPlace) -> None:
        f = e.f
        index = f.op(f"add i64 {f.op(f'mul i64 {place.block}, {THREADS}')}, {place.thread}")
        with f.when(f.op(f"icmp slt i64 {index}, %count")):
            word = f.op(f"load i32, ptr {f.element('%source', 'i32', index)}")
            f.do(f"store i32 {_converted(e, rules, word)}, ptr {f.element('%out', 'i32', index)}")

    return Kernel("ptr %source, ptr %out, i64 %count", body)


def _converted(e: Registers, rules: FloatRules, word: str) -> str:
    """The float32 word of the value in the format.

    A float32 word without its sign orders like its magnitude, so that rounding its fraction and letting a carry run
    into the exponent rounds the number.
    """
    magnitude, sign = e.integer("and", word, SIGN - 1), e.integer("and", word, SIGN)
    drop = FRACTION - rules.fraction
    rounded = magnitude
    if drop:
        if rules.nearest_even:
            # Half an ulp less one, plus the last bit that stays: more than half rounds up, half only to an even one.
            odd = e.integer("and", e.integer("lshr", magnitude, drop), 1)
            rounded = e.integer("add", rounded, e.integer("add", odd, (1 << (drop - 1)) - 1))
        rounded = e.integer("and", rounded, 0x100000000 - (1 << drop))
    tiny = e.compare("ult", rounded, rules.least << FRACTION)
    small = "0"
    if rules.gradual:
        # The subnormal grid: multiples of 2^(m - F), by exact scaling to integers, which are less than 2^22. Adding and
        # subtracting 2^23 rounds to the nearest even one.
        power = rules.fraction - (rules.least - BIAS)
        scaled = _scaled(e, e.as_float(magnitude), power)
        if rules.nearest_even:
            big = e.as_float(e.splat((BIAS + FRACTION) << FRACTION))
            whole = e.f.op(f"fsub float {e.f.op(f'fadd float {scaled}, {big}')}, {big}")
        else:
            whole = e.f.op(f"call float @llvm.trunc.f32(float {scaled})")
        small = e.f.op(f"bitcast float {_scaled(e, whole, -power)} to i32")
    rounded = e.where(tiny, small, rounded)
    largest = rules.greatest << FRACTION | ((1 << rules.fraction) - (1 if rules.infinity else 2)) << drop
    beyond = e.splat(EXPONENT if rules.infinity else EXPONENT | 1 << (FRACTION - 1))
    rounded = e.where(e.compare("ugt", rounded, largest), beyond, rounded)
    # Rounding must not turn a NaN into an infinity or beyond.
    rounded = e.where(e.compare("ugt", magnitude, EXPONENT), e.splat(EXPONENT | 1 << (FRACTION - 1)), rounded)
    return e.integer("or", rounded, sign)


def _scaled(e: Registers, value: str, power: int) -> str:
    """value * 2^power, |power| < 127."""
    return e.f.op(f"fmul float {value}, {e.as_float(e.splat((BIAS + power) << FRACTION))}")
