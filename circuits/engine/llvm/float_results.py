"""From product words to float32 products: exponents, zeros, overflow, and when none of these needs a decision.

Product words and packed words: see `circuits.engine.llvm.float_parts`.
"""

from __future__ import annotations

from circuits.engine.llvm.float_parts import (
    BIAS,
    EXPONENT,
    FRACTION,
    FRACTION_BITS,
    SIGN,
    ZERO_LANE,
    KernelSettings,
    emit_normalised,
    emit_words,
)
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.vectors import Vectors

_HIGHEST = 254
"""The biased exponent of float32's largest numbers; 255 is infinity or NaN."""
_NAN = 0x7FC00000
_NO_EXPONENT = 512
"""The least exponent where all words are zeros: more than any sum of two."""


def emit_products(
    e: Vectors,
    settings: KernelSettings,
    mode: str,
    product: str,
    x_words: str,
    w: str | list[str] | None,
    w_words: str | None,
    byte: str,
) -> list[str]:
    """32 registers of float32 products from the planes at `product`, in mode "normal" or "full".

    `x_words`: packed words of x. `w`: the weight's packed word in every lane, a list of one for each register, or None
    where each lane has its own in `w_words`. Packed words are, in mode "normal", those less BIAS for x and less 0 for
    w; in mode "full" the flushed operands themselves.
    """
    products = []
    for b, word in enumerate(emit_words(e, settings, product, byte, rounded=settings.words_rounded(mode))):
        x = e.load(x_words, b, byte)
        weight = w[b] if isinstance(w, list) else w or e.load(str(w_words), b, byte)
        if mode == "normal":
            products.append(_emit_normal_product(e, word, x, weight))
        else:
            products.append(_emit_full_product(e, settings, word, x, weight))
    return products


def _emit_normal_product(e: Vectors, word: str, x: str, w: str) -> str:
    """The product where none can leave the normal range; zeros have no sign, which a sum from +0 cannot tell.

    Modulo 2^32, word + x + w = (sign(x) + sign(w)) << 31 + E << 23 + fraction with 1 <= E <= 254, so that bit 31 is the
    XOR of the signs. Bits 0 and 1 of x + w count the operands that are zeros.
    """
    exponent = e.integer("add", x, w)
    zero = e.compare("ne", e.integer("and", exponent, 3 * ZERO_LANE), "zeroinitializer")
    total = e.integer("add", word, exponent)
    return e.as_float(e.where(zero, "zeroinitializer", total))


def _emit_full_product(e: Vectors, settings: KernelSettings, word: str, x: str, w: str) -> str:
    """The product of any operands of the format, in the semantics of `circuits.floats.arithmetic`.

    Infinities and NaN take the product that IEEE 754 defines, computed by the machine's own multiplication.
    """
    x_exponent, w_exponent = (_emit_exponent(e, settings, operand) for operand in (x, w))
    # From bit 23 up the word holds s plus the carry of rounding, so that both reach the exponent in one addition. The
    # sum may be negative or above 255; it is built apart from the fraction and compared as a signed number.
    raised = e.integer("lshr", word, FRACTION)
    if settings.by_integers:
        raised = e.integer("and", raised, 3)  # the bits above are the rounding's
    exponent = e.integer("add", e.integer("add", x_exponent, w_exponent), raised)
    exponent = e.integer("sub", exponent, BIAS)
    fraction = e.integer("and", word, FRACTION_BITS)
    if settings.gradual:
        # Exponents that float32 may not have: below this least one products are less than half the smallest number, and
        # round to zero; above the greatest one they overflow.
        least, greatest = e.splat(settings.least - settings.fraction - 2), e.splat(settings.most + 1)
        exponent = e.where(e.compare("slt", exponent, least), least, exponent)
        exponent = e.where(e.compare("sgt", exponent, greatest), greatest, exponent)
    if settings.by_integers:
        normal = _emit_rounded_integer(e, settings, exponent, word)
    else:
        normal = e.integer("or", e.integer("shl", exponent, FRACTION), fraction)
        if settings.gradual:
            normal = emit_rounded_to_grid(e, settings, normal)
    if settings.gradual:
        huge = e.compare("ugt", normal, settings.largest)
    else:
        tiny = e.compare("slt", exponent, settings.least)
        huge = e.compare("sgt", exponent, settings.most)
        if not settings.infinity:
            huge = e.either(huge, e.compare("ugt", normal, settings.largest))
    if settings.subnormal_words:
        x_zero, w_zero = (e.compare("eq", e.integer("and", operand, SIGN - 1), 0) for operand in (x, w))
    else:
        x_zero = e.compare("eq", x_exponent, "zeroinitializer")
        w_zero = e.compare("eq", w_exponent, "zeroinitializer")
    # Zeros are tested apart from `tiny`: the exponent field 0 of a zero times a large number would pass for a normal
    # one.
    zero = e.either(x_zero, w_zero)
    if not settings.gradual:
        zero = e.either(tiny, zero)
    magnitude = e.where(huge, e.splat(EXPONENT if settings.infinity else _NAN), normal)
    magnitude = e.where(zero, "zeroinitializer", magnitude)
    sign = e.integer("and", e.integer("xor", x, w), SIGN)
    finite = e.integer("or", magnitude, sign)
    # Last, because it overrules all before: infinity times a (flushed) zero must be NaN, not zero.
    special = e.compare("eq", x_exponent, _HIGHEST + 1)
    special = e.either(special, e.compare("eq", w_exponent, _HIGHEST + 1))
    if settings.subnormal_words:
        # A subnormal operand or product takes the machine's multiplier a hundred times as long, so that it gets ones.
        x, w = (e.where(special, operand, e.splat(BIAS << FRACTION)) for operand in (x, w))
    ieee = e.f.op(f"fmul {e.vf} {e.as_float(x)}, {e.as_float(w)}")
    return e.where(special, ieee, e.as_float(finite), e.vf)


def _emit_exponent(e: Vectors, settings: KernelSettings, word: str) -> str:
    """An operand's biased exponent, 0 or less for subnormal numbers of float32; that of zeros may be anything."""
    if settings.subnormal_words:
        return e.integer("ashr", emit_normalised(e, word), FRACTION)
    return e.integer("lshr", e.integer("and", word, EXPONENT), FRACTION)


def _emit_rounded_integer(e: Vectors, settings: KernelSettings, exponent: str, word: str) -> str:
    """The word of a positive product with this exponent E, rounded once to the format's numbers.

    With S the mantissa and the rounding's two bits behind it, F + 3 bits, the number is S 2^(E - F - 2), and the
    format's numbers around it are the multiples of 2^(E' - F) with E' = max(E, least):

        q = S / 2^d, rounded,   d = 2 + E' - E.

    A normal number has q = 2^F + fraction, so that (E' - 1) 2^23 + q 2^(23 - F) is its word, its exponent one higher by
    the leading one; a carry of the rounding goes where it belongs. With E' = 1 this is right for subnormals of float32,
    too, whose exponent field is 0. Truncation needs none of the two bits. As E is at least least - F - 2 here, d is at
    most F + 4 < 32, and with this S vanishes.
    """
    fraction, below = settings.fraction, 2 if settings.rounding == "nearest_even" else 0
    mantissa = e.integer("or", e.integer("and", word, FRACTION_BITS), 1 << FRACTION)
    shift = FRACTION - fraction - below
    if shift:
        mantissa = e.integer("lshr" if shift > 0 else "shl", mantissa, abs(shift))
    least = e.splat(settings.least)
    tiny = e.compare("slt", exponent, least)
    raised = e.where(tiny, least, exponent)
    drop = e.integer("add", e.integer("sub", raised, exponent), below)
    if below:
        mantissa = e.integer("or", mantissa, e.integer("lshr", word, 30))
        # Half an ulp less one, plus the last bit that stays.
        half = e.integer("shl", e.splat(1), e.integer("sub", drop, 1))
        odd = e.integer("and", e.integer("lshr", mantissa, drop), 1)
        mantissa = e.integer("add", mantissa, e.integer("add", e.integer("sub", half, 1), odd))
    quotient = e.integer("lshr", mantissa, drop)
    own = e.integer("shl", quotient, FRACTION - fraction) if fraction < FRACTION else quotient
    rounded = e.integer("add", e.integer("shl", e.integer("sub", raised, 1), FRACTION), own)
    if settings.subnormal_words:
        return rounded
    # Subnormals of the format that are normal numbers of float32: q itself, converted, times 2^(least - F).
    number = e.f.op(f"bitcast {e.vf} {e.f.op(f'sitofp {e.v} {quotient} to {e.vf}')} to {e.v}")
    scaled = e.integer("sub", number, BIAS + fraction - settings.least << FRACTION)
    zero = e.compare("eq", quotient, 0)
    return e.where(tiny, e.where(zero, "zeroinitializer", scaled), rounded)


def emit_rounded_to_grid(e: Vectors, settings: KernelSettings, word: str) -> str:
    """A positive product's word, rounded to the format's numbers, the subnormal ones included.

    With E the exponent, but at least the format's least normal one, the numbers around v are the multiples of
    g = 2^(E - F). The sum v + C with C = 2^(E - F + 23) lies in [C, 2 C), where float32's numbers have the distance g:
    the machine rounds v to the nearest multiple, ties to even, and C is subtracted exactly. Where that went up,
    truncation takes one g off.
    """
    least = e.splat(settings.least << FRACTION)
    exponent = e.integer("and", word, EXPONENT)
    exponent = e.where(e.compare("ugt", exponent, least), exponent, least)
    large = e.as_float(e.integer("add", exponent, FRACTION - settings.fraction << FRACTION))
    value = e.as_float(word)
    rounded = e.f.op(f"fadd {e.vf} {value}, {large}")
    rounded = e.f.op(f"fsub {e.vf} {rounded}, {large}")
    if settings.rounding == "truncate":
        grid = e.integer("sub", exponent, settings.fraction << FRACTION)
        up = e.f.op(f"fcmp ogt {e.vf} {rounded}, {value}")
        less = e.as_float(e.where(up, grid, "zeroinitializer"))
        rounded = e.f.op(f"fsub {e.vf} {rounded}, {less}")
    return e.f.op(f"bitcast {e.vf} {rounded} to {e.v}")


def emit_exponent_range(e: Vectors, subnormal_words: bool, arrays: list[tuple[str, str]]) -> tuple[str, str]:
    """Least and greatest biased exponents (i32) of the float32 words of arrays given as (address, length).

    Vectors must divide the lengths. Zeros are left out, and subnormals, too, unless `subnormal_words` are operands:
    then their exponent is 0. Without other words the range is (_NO_EXPONENT, 0). Exponents are compared in place, in
    bits 23 to 30; for the minimum less one, so that zeros become the largest.
    """
    f = e.f
    # The neutral elements of minimum and maximum.
    extremes = [e.splat(0xFFFFFFFF), e.splat(0)]

    def better(order: str, one: str, other: str) -> str:
        return e.where(e.compare(order, one, other), one, other)

    for address, length in arrays:
        with f.fold(length, e.v, extremes, step=e.lanes) as (index, present):
            word = f.op(f"load {e.v}, ptr {f.element(address, 'i32', index)}, align 4")
            exponent = e.integer("and", word, EXPONENT)
            compared = e.integer("and", word, SIGN - 1) if subnormal_words else exponent
            present[0] = better("ult", e.integer("sub", compared, 1), present[0])
            present[1] = better("ugt", exponent, present[1])
        extremes = present
    scalars = []
    for order, best in zip(("ult", "ugt"), extremes, strict=True):
        # The lanes are folded in halves until lane 0 holds the extreme of all.
        half = e.lanes // 2
        while half:
            lanes = ", ".join(f"i32 {lane % half + half}" for lane in range(e.lanes))
            upper = f.op(f"shufflevector {e.v} {best}, {e.v} poison, <{e.lanes} x i32> <{lanes}>")
            best = better(order, best, upper)
            half //= 2
        word = f.op(f"extractelement {e.v} {best}, i32 0")
        if order == "ult" and subnormal_words:
            exponent = f.op(f"lshr i32 {f.op(f'add i32 {word}, 1')}, {FRACTION}")
            none = f.op(f"icmp eq i32 {word}, -1")
            scalars.append(f.op(f"select i1 {none}, i32 {_NO_EXPONENT}, i32 {exponent}"))
        else:
            scalars.append(f.op(f"lshr i32 {word}, {FRACTION}"))
    if subnormal_words:
        return scalars[0], scalars[1]
    # (E << 23) - 1 has lost one in bit 23 and up.
    return f.op(f"add i32 {scalars[0]}, 1"), scalars[1]


def emit_stay_normal(f: Function, settings: KernelSettings, x_range: tuple[str, str], w_range: tuple[str, str]) -> str:
    """Whether (i1) no product of operands with these least and greatest exponents leaves the format's normal range.

    A product's exponent is E_x + E_w - 127 + s + r with a shift s <= 2 and a rounding carry r <= 1. In float32 it is at
    least 1 where E_x + E_w >= 127 + 1, and at most 254 where E_x + E_w <= 254 - 3 + 127.
    """
    lowest, highest = (f.op(f"add i32 {x}, {w}") for x, w in zip(x_range, w_range, strict=True))
    # An array of zeros only has the range (_NO_EXPONENT, 0), which by itself fails none of these, as it should.
    conditions = [
        f"icmp sge i32 {lowest}, {BIAS + settings.least}",
        f"icmp sle i32 {highest}, {settings.highest_finite - 3 + BIAS}",
        f"icmp ne i32 {x_range[1]}, {_HIGHEST + 1}",
        f"icmp ne i32 {w_range[1]}, {_HIGHEST + 1}",
    ]
    if settings.subnormal_words:
        conditions += [f"icmp sge i32 {least}, 1" for least, _ in (x_range, w_range)]
    result = f.op(conditions[0])
    for condition in conditions[1:]:
        result = f.op(f"and i1 {result}, {f.op(condition)}")
    return result
