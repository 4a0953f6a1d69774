"""Pieces of the float kernels: settings, scratch memory, packing of operands, and product words out of the gates.

One kernel serves every design with the same settings: it calls the design's `@gates` through a pointer, 512 products a
call, so that operands and products stay in the first-level cache. Words and planes are laid out as
`circuits.engine.llvm.vectors` says. The way of a block of products:

    float32 words -> emit_pack -> 24 mantissa planes and packed words -> @gates -> planes of the mantissa product
                  -> emit_words -> product words -> circuits.engine.llvm.float_results -> float32 products

A product word holds, beside the packed exponents, all that a float32 product needs:

    bit 31          rounding increment, added to bit 0 at once by `emit_words`
    bits 23 and 24  s, the normaliser's shift: the mantissa product lies in [2^s, 2^(s+1)), 0 <= s <= 2
    bits 0 .. 22    the 23 fraction bits below its leading one

Why one integer addition then normalises, rounds and sets the exponent. With biased exponents E_x and E_w, the result is

    E = E_x + E_w - 127 + s,     word = E << 23 | fraction.

The product word is s << 23 | fraction. Adding (E_x - 127) << 23 and E_w << 23 to it gives E << 23 | fraction, which is
that word. The rounding increment is added at bit 0. Where the fraction is all ones, its carry runs into bit 23: the
fraction becomes 0 and the exponent rises by one, which is exactly what rounding up to the next power of two means. A
released normaliser takes s only as "shifted or not", so that its word differs in bits 23 and 24 alone.

A narrower format with F fraction bits has its values in float32 words, whose lowest 23 - F fraction bits are 0. All of
the above holds for its W = F + 1 mantissa bits: the fraction takes bits 23 - F .. 22 of the product word, and the
rounding increment is added at bit 23 - F. Where products may be subnormal ("gradual"), rounding has to wait until the
exponent is known: the "unrounded" word then holds all bits below the leading one that fit 23 fraction bits, and bit 0
is also set where a lower bit is. As that leaves at least two bits below the format's, every rounding of it gives what
the rounding of the full product gives. Formats that do not leave room for two bits, and those whose subnormals are
float32's, are rounded as integers (`KernelSettings.by_integers`): their unrounded word has F fraction bits, the bit
below them in bit 31, and in bit 30 whether any bit is set below that one.

Float32's own subnormals are operands of formats with its exponents ("subnormal_words"): m 2^-149 with 0 < m < 2^23.
Such an operand keeps its word in mode "full", but its mantissa is that of the float32 number m, whose leading one is at
bit 23, and its exponent that number's less 149 (`emit_normalised`).

Only the sum of exponents can go wrong: below 1 (flushed to zero), above 254 (infinity). Kernels of mode "normal" take
operands for which that cannot happen (zeros aside), "full" ones decide it lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from circuits.engine.blocks import BLOCK, PLANE_BYTES, WORD_BYTES
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.vectors import Plane, Vectors

FRACTION = 23
"""Fraction bits of float32."""
WIDTH = FRACTION + 1
"""Bits of a mantissa with its leading one."""
BIAS = 127
SUBNORMAL_EXPONENT = -149
"""The exponent of float32's least subnormal number, in whose multiples all of them are counted."""

SIGN = 0x80000000
EXPONENT = 0x7F800000
SIGN_AND_EXPONENT = SIGN | EXPONENT
FRACTION_BITS = (1 << FRACTION) - 1
"""Masks of float32's fields; the exponent's is also the word of infinity."""

ZERO_LANE = 1
"""Marks zero operands in the packed exponent words, whose low 23 bits are otherwise 0."""

CHUNK = 64
"""Operands along k that are packed at a time: 64 x 3.5 KB stay in the second-level cache."""


@dataclass(frozen=True)
class KernelSettings:
    """What a float kernel depends on, apart from the target.

    `product_bits`: 2 W = 48 for float32, or one more where tiles overestimate. `lowest`: the lowest product bit that
    the gates compute; those below are not needed when truncating. `rounding`: "truncate" or "nearest_even".
    `released`: the normaliser raises the exponent by at most one. `fraction`: fraction bits of the format. `least`,
    `most`: the biased exponents, as float32's, of its smallest and largest normal numbers. `infinity`: whether it has
    one; without, the last fraction of the exponent `most` is NaN. `gradual`: products may be subnormal; otherwise tiny
    ones are zeros.
    """

    product_bits: int
    lowest: int
    rounding: str
    released: bool
    fraction: int = FRACTION
    least: int = 1
    most: int = 254
    infinity: bool = True
    gradual: bool = False

    @property
    def highest_finite(self) -> int:
        """The largest biased exponent with which every fraction is a finite number."""
        return self.most if self.infinity else self.most - 1

    @property
    def subnormal_words(self) -> bool:
        """Whether operands and products may be subnormal numbers of float32."""
        return self.gradual and self.least == 1

    @property
    def by_integers(self) -> bool:
        """Whether products that may be subnormal are rounded as integers; elsewhere float32's own rounding serves."""
        return self.gradual and (self.least == 1 or self.fraction > FRACTION - 2)

    @property
    def nonzero_bits(self) -> int:
        """The bits of a word of which one is set unless the operand counts as zero."""
        return SIGN - 1 if self.subnormal_words else EXPONENT

    @property
    def largest(self) -> int:
        """The word of the largest finite number."""
        ulps = (1 << self.fraction) - (1 if self.infinity else 2)
        return self.most << FRACTION | ulps << FRACTION - self.fraction

    def words_rounded(self, mode: str) -> bool:
        """Whether the product words of that mode are rounded; else they are unrounded ones."""
        return not (self.gradual and mode == "full" and self.rounding == "nearest_even")


# Scratch memory of all kernels: x of one chunk (planes, then packed words, for each k), planes of w, planes of the
# product, gathered words, packed words of w, and from ACCUMULATORS_AT on what is the kernel's own.
X_WORDS_AT = WIDTH * PLANE_BYTES
X_BYTES = X_WORDS_AT + WORD_BYTES
W_PLANES_AT = CHUNK * X_BYTES
PRODUCT_AT = W_PLANES_AT + WIDTH * PLANE_BYTES
GATHERED_AT = PRODUCT_AT + 64 * PLANE_BYTES
W_WORDS_AT = GATHERED_AT + WORD_BYTES
ACCUMULATORS_AT = W_WORDS_AT + WORD_BYTES


def scratch_bytes(columns: int) -> int:
    """Bytes of scratch (64-aligned) that a kernel needs for `columns` output columns a call; elementwise: none."""
    return ACCUMULATORS_AT + columns * WORD_BYTES


def emit_pack(e: Vectors, settings: KernelSettings, source: str, planes: str, words: str, *, less: int | None) -> None:
    """Packs the 512 float32 words at `source` into the format's mantissa planes and 512 packed words.

    A packed word is, where `less` is None, the operand itself, with subnormals flushed unless the format has
    `subnormal_words`; else its sign and its exponent minus `less`, or ZERO_LANE for zeros, and no operand may be
    subnormal that is not flushed. The mantissa of a zero is that of 1.0; its product is dropped later.
    """
    own_subnormals = less is None and settings.subnormal_words
    with e.f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
        mantissas: list[Plane] = []
        for b in range(32):
            word = e.load(source, b, byte)
            if own_subnormals:
                e.store(word, words, b, byte)
                fraction = e.integer("and", emit_normalised(e, word), FRACTION_BITS)
                mantissas.append(e.integer("or", fraction, 1 << FRACTION))
                continue
            zero = e.compare("eq", e.integer("and", word, EXPONENT), "zeroinitializer")
            if less is not None:
                # Where E < less, the subtraction borrows from the sign bit. Only the sum of both packed words and the
                # product word is used, modulo 2^32, and the other terms of that sum pay the borrow back.
                signed = e.integer("and", word, SIGN_AND_EXPONENT)
                lowered = e.integer("sub", signed, less << FRACTION) if less else signed
                packed = e.where(zero, e.splat(ZERO_LANE), lowered)
            else:
                # A flushed subnormal keeps its sign: in mode "full" -0 and +0 are told apart.
                packed = e.where(zero, e.integer("and", word, SIGN), word)
            e.store(packed, words, b, byte)
            mantissas.append(e.integer("or", e.integer("and", word, FRACTION_BITS), 1 << FRACTION))
        # The masked words are 0 from bit WIDTH on, and below the format's fraction. Those planes are not stored, and
        # LLVM removes the operations that only they need.
        for p, plane in enumerate(e.transpose(mantissas)[FRACTION - settings.fraction : WIDTH]):
            assert plane is not None
            e.store(plane, planes, p, byte)


def emit_normalised(e: Vectors, word: str) -> str:
    """A finite operand's exponent, in bits 23 and up as a signed number, and fraction; a zero's mean nothing."""
    magnitude = e.integer("and", word, SIGN - 1)
    number = e.f.op(f"bitcast {e.vf} {e.f.op(f'sitofp {e.v} {magnitude} to {e.vf}')} to {e.v}")
    lowered = e.integer("sub", number, -SUBNORMAL_EXPONENT << FRACTION)
    return e.where(e.compare("ult", magnitude, 1 << FRACTION), lowered, magnitude)


def emit_weight_planes(e: Vectors, weight: str, planes: str, fraction: int = FRACTION) -> None:
    """Stores the mantissa planes of one weight in all lanes: all ones or all zeros each."""
    f = e.f
    lanes = e.vector_bytes // 8
    vector = f"<{lanes} x i64>"
    for bit in range(FRACTION - fraction, WIDTH):
        # The leading one is implicit in float32; a weight of zero gets it as well, as in `emit_pack`.
        if bit == FRACTION:
            value = "splat (i64 -1)"
        else:
            # The bit moves to the sign's place, from where an arithmetic shift spreads it over the whole word.
            raised = f.op(f"shl i32 {weight}, {31 - bit}")
            mask = f.op(f"sext i32 {f.op(f'ashr i32 {raised}, 31')} to i64")
            first = f.op(f"insertelement {vector} poison, i64 {mask}, i32 0")
            value = f.op(f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer")
        for unit in range(e.units):
            place = (bit - FRACTION + fraction) * PLANE_BYTES + unit * e.vector_bytes
            f.do(f"store {vector} {value}, ptr {f.offset(planes, place)}, align 16")


def emit_words(e: Vectors, settings: KernelSettings, product: str, byte: str, *, rounded: bool = True) -> list[str]:
    """The 32 word registers of product words (see above) from the product's planes at `product`.

    Mantissas lie in [2^F, 2^(F+1)), in float32 [2^23, 2^24), so that an exact product has its leading one at bit 46 or
    47; approximate ones may also lie below 2^46 (the bits are then taken as if the leading one were there) and, with 49
    bits, from 2^48 on. `rounded=False` gives the unrounded words.
    """
    fraction = settings.fraction
    leading = 2 * fraction  # the leading one's place where nothing is shifted
    kept = fraction if rounded or settings.by_integers else min(FRACTION, settings.product_bits - 1)

    def bit(index: int) -> str | None:
        return e.load(product, index - settings.lowest, byte) if index >= settings.lowest else None

    # Bit leading + s is 1 where the shift is s; a higher one overrules a lower one.
    leads = [str(bit(index)) for index in range(leading + 1, settings.product_bits)]

    def aligned(index: int) -> Plane:
        """Product bit `index` once the leading one stands at `leading`: bit index + s of the product."""
        value: Plane = bit(index)
        for shift, lead in enumerate(leads, 1):
            value = e.select(lead, bit(index + shift), value)
        return value

    # Fraction bits end at bit 22 of the word; below those that are kept there are zeros.
    rows: list[Plane] = [None] * (FRACTION - kept)
    rows += [aligned(leading - kept + p) for p in range(kept)]
    rows += [None] * (32 - FRACTION)
    if len(leads) == 1:
        rows[FRACTION] = leads[0]
    elif settings.released:
        rows[FRACTION] = e.op2("or", leads[0], leads[1])
    else:
        # s in binary: 1 where only leads[0] is set, 2 where leads[1] is.
        rows[FRACTION] = e.select(leads[1], None, leads[0])
        rows[FRACTION + 1] = leads[1]
    rounds = settings.rounding == "nearest_even"
    lowest_row = FRACTION - kept
    if rounds:
        # Round up where the guard bit, just below the fraction, is 1 and a sticky bit below it or the last fraction bit
        # is 1: more than half an ulp, or just half of one above an odd fraction.
        guard = leading - kept - 1
        sticky = _emit_sticky(e, bit, leads, guard if rounded or settings.by_integers else guard + 1)
        if settings.by_integers and not rounded:
            rows[30], rows[31] = sticky, aligned(guard)
        elif rounded:
            rows[31] = e.op2("and", aligned(guard), e.op2("or", sticky, rows[lowest_row]))
        else:
            rows[lowest_row] = e.op2("or", rows[lowest_row], sticky)
    words = []
    for word in e.transpose(rows):
        assert word is not None
        if rounds and rounded:
            increment = e.integer("lshr", word, 31)
            if lowest_row:
                increment = e.integer("shl", increment, lowest_row)
            word = e.integer("add", e.integer("and", word, SIGN - 1), increment)
        words.append(word)
    return words


def _emit_sticky(e: Vectors, bit: Callable[[int], Plane], leads: list[str], below: int) -> Plane:
    """Whether any product bit is 1 that lies below bit `below` once the product is aligned."""
    sticky: Plane = None
    # Every bit down to 0 is read: `float_gates` leaves out low product bits only when truncating.
    for index in range(below):
        sticky = e.op2("or", sticky, bit(index))
    # A shift by s turns the s bits from `below` on into sticky ones: bit below + k counts if the shift exceeds k, that
    # is, if any of leads[k:] is set. A higher lead may be set while a lower one is not.
    for shift in range(len(leads)):
        exceeds: Plane = None
        for lead in leads[shift:]:
            exceeds = e.op2("or", exceeds, lead)
        if below + shift >= 0:
            sticky = e.op2("or", sticky, e.op2("and", bit(below + shift), exceeds))
    return sticky


def emit_gather(f: Function, source: str, offsets: str, offset: str, words: str) -> None:
    """words[lane] = source[offsets[lane] + offset] for the 512 lanes."""
    shifted = f.element(source, "i32", offset)
    with f.loop(BLOCK) as lane:
        index = f.op(f"load i64, ptr {f.element(offsets, 'i64', lane)}")
        word = f.op(f"load i32, ptr {f.element(shifted, 'i32', index)}")
        f.do(f"store i32 {word}, ptr {f.element(words, 'i32', lane)}")


def emit_accumulate(e: Vectors, products: list[str], accumulator: str, byte: str) -> None:
    """Adds 32 registers of float32 products to a block of float32 sums, one addition a lane."""
    for b, product in enumerate(products):
        before = e.load(accumulator, b, byte, e.vf)
        e.store(e.f.op(f"fadd {e.vf} {before}, {product}"), accumulator, b, byte, e.vf)
