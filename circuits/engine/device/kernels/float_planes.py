"""From mantissa products to float32 products, all on bit-planes: one register operation for 32 products.

The kernels of the processor (`circuits.engine.llvm.float_parts`) transpose the fraction and treat exponents word by
word. Here a word operation would be one product an instruction, so that exponents, zeros, overflow and NaN are decided
on planes as well, for about a hundred instructions, and every product takes the full range of its format. Semantics:
steps 2 to 5 of `circuits.floats.arithmetic`.

With biased exponents E of float32, whatever the format, the exponent of a product before rounding is

    E = E_x + (E_w - 127) + s,     the mantissa product lying in [2^s, 2^(s+1)), 0 <= s <= 2.

It is computed in ten bits of two's complement, from -127 - 127 to 255 + 128 + 3.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.device.kernels.gate_planes import ONES
from circuits.engine.device.kernels.thread_code import Registers
from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.llvm.float_parts import BIAS, FRACTION, FRACTION_BITS
from circuits.engine.llvm.vectors import Plane

_EXPONENT_BITS = 10


@dataclass(frozen=True)
class FloatRules:
    """What a float kernel depends on beside the gates.

    `width`: mantissa bits w, the leading one included. `product_bits`: 2w, or 2w + 1 where tiles overestimate. `least`,
    `greatest`: biased float32 exponents of the format's smallest normal and of its largest numbers. `infinity`: as in
    `FloatFormat`. `nearest_even`, else truncation; `released`: the normaliser raises the exponent by at most one;
    `gradual`: subnormal results are rounded to their grid ("ieee"), else flushed.
    """

    width: int
    product_bits: int
    least: int
    greatest: int
    infinity: bool
    nearest_even: bool
    released: bool
    gradual: bool

    @property
    def fraction(self) -> int:
        """Stored fraction bits."""
        return self.width - 1

    @property
    def lowest(self) -> int:
        """The lowest product bit that is read: truncation drops all below the fraction."""
        return 0 if self.nearest_even else self.fraction


def float_rules(circuit: FloatCircuit) -> FloatRules:
    """The rules of a float circuit."""
    fmt = circuit.float_format
    assert fmt is not None
    top = 2**fmt.exponent_bits - 1 - fmt.infinity - fmt.bias
    return FloatRules(
        width=fmt.width,
        product_bits=len(circuit.program().results),
        least=fmt.minimum_exponent + BIAS,
        greatest=top + BIAS,
        infinity=fmt.infinity,
        nearest_even=circuit.rounding == "nearest_even",
        released=circuit.normalization == "released",
        gradual=circuit.subnormals == "ieee",
    )


@dataclass(frozen=True)
class FloatOperand:
    """Planes of one operand: fraction bits, exponent bits, sign, and whether it is zero, infinite or NaN, or NaN."""

    fraction: list[str]
    exponent: list[str]
    sign: str
    zero: str
    special: str
    nan: str

    @property
    def mantissa(self) -> list[str]:
        """The planes that the gates read. That of a zero is 1.0; its product is dropped later."""
        return [*self.fraction, ONES]


def operand_planes(rules: FloatRules) -> int:
    """The number of planes of an operand in lanes."""
    return rules.fraction + 12


def lane_operand(rules: FloatRules, planes: list[str]) -> FloatOperand:
    """The operand whose planes `planes_of_words` made."""
    f = rules.fraction
    return FloatOperand(planes[:f], planes[f : f + 8], *planes[f + 8 : f + 12])


def planes_of_words(e: Registers, rules: FloatRules, rows: list[Plane]) -> list[str]:
    """The planes of an operand from those of its float32 words, rows 0 to 31: fraction, exponent, sign, marks."""
    words = [str(row) for row in rows]
    fraction, exponent, sign = words[FRACTION - rules.fraction : FRACTION], words[FRACTION:31], words[31]
    # Subnormals of float32 count as zeros: formats that keep their own have fewer exponent bits (`gate_products`).
    zero = e.inverse(e.fold_planes("or", exponent))
    special = e.fold_planes("and", exponent)
    nan = e.integer("and", special, e.fold_planes("or", fraction))
    return [*fraction, *exponent, sign, zero, special, nan]


def word_operand(e: Registers, rules: FloatRules, word: str) -> FloatOperand:
    """The operand that is the same float32 word in all lanes, its exponent less the bias."""
    exponent = e.integer("and", e.integer("lshr", word, FRACTION), 255)
    unbiased = e.integer("sub", exponent, BIAS)
    special = e.compare("eq", exponent, 255)
    fractional = e.compare("ne", e.integer("and", word, FRACTION_BITS), 0)
    return FloatOperand(
        [e.spread_bit(word, bit) for bit in range(FRACTION - rules.fraction, FRACTION)],
        [e.spread_bit(unbiased, bit) for bit in range(_EXPONENT_BITS)],
        e.spread_bit(word, 31),
        e.spread(e.compare("eq", exponent, 0)),
        e.spread(special),
        e.spread(e.f.op(f"and i1 {special}, {fractional}")),
    )


def product_rows(
    e: Registers, rules: FloatRules, product: list[str], lanes: FloatOperand, word: FloatOperand
) -> list[Plane]:
    """Planes of the float32 products, bit 0 to 31, from planes of the mantissa products (from bit `rules.lowest` on).

    With `rules.gradual` bit 0, free in such formats, marks tiny products: see `finished_products`.
    """
    aligned, dropped, leads = _normalised(e, rules, product)
    exponent = _exponent(e, rules, lanes, word, leads)
    tiny_before: Plane = None
    if rules.gradual:
        tiny_before = _below(e, exponent, rules.least)
        aligned, dropped = _denormalised(e, rules, aligned, dropped, exponent, tiny_before)
        exponent = [_choose(e, tiny_before, rules.least >> bit & 1, plane) for bit, plane in enumerate(exponent)]
    fraction = [str(plane or "0") for plane in aligned[1 : 1 + rules.fraction]]
    if rules.nearest_even:
        # More than half an ulp, or just half of one above an odd fraction. A carry out of a fraction of ones makes it 0
        # and raises the exponent by one, which is what rounding up to the next power of two means.
        carry = e.op2("and", aligned[0], e.op2("or", dropped, fraction[0]))
        fraction, carry = _incremented(e, fraction, carry)
        exponent, _ = _incremented(e, exponent, carry)

    zero = e.integer("or", lanes.zero, word.zero)
    if not rules.gradual:
        zero = e.integer("or", zero, _below(e, exponent, rules.least))
    over = e.inverse(_below(e, exponent, rules.greatest + 1))
    if not rules.infinity:
        # The last code, all ones, is NaN: as a result it is out of range.
        last = e.inverse(_below(e, exponent, rules.greatest))
        over = e.integer("or", over, e.fold_planes("and", [last, *fraction]))
    over = e.integer("and", over, e.inverse(zero))
    # Infinity times zero is NaN, and so is what overflows where there is no infinity.
    invalid = e.integer("or", e.integer("and", lanes.special, word.zero), e.integer("and", word.special, lanes.zero))
    nan = e.fold_planes("or", [lanes.nan, word.nan, invalid])
    if not rules.infinity:
        nan = e.integer("or", nan, over)
    raised = e.fold_planes("or", [lanes.special, word.special, over])
    kept = e.inverse(e.integer("or", zero, raised))
    rows: list[Plane] = [None] * (FRACTION - rules.fraction) + [e.integer("and", plane, kept) for plane in fraction]
    rows[FRACTION - 1] = e.op2("or", rows[FRACTION - 1], nan)
    if rules.gradual:
        rows[0] = e.op2("and", tiny_before, kept)
    rows += [e.integer("or", e.integer("and", plane, kept), raised) for plane in exponent[:8]]
    return [*rows, e.integer("xor", lanes.sign, word.sign)]


def finished_product(e: Registers, rules: FloatRules, word: str) -> str:
    """The float32 product (a float) of a transposed word of `product_rows`.

    Tiny products of gradual formats are marked. Their word is that of 2^m (1 + R / 2^F), with m the least exponent and
    R the rounded multiple of the subnormal grid's step 2^(m - F), so that an exact subtraction of 2^m leaves
    R 2^(m - F). R = 2^F needs no case of its own: its carry has raised the exponent.
    """
    if not rules.gradual:
        return e.as_float(word)
    tiny = e.compare("ne", e.integer("and", word, 1), 0)
    sign = e.integer("and", word, 0x80000000)
    offset = e.where(tiny, e.integer("or", sign, rules.least << FRACTION), sign)
    value = e.as_float(e.integer("and", word, 0xFFFFFFFE))
    return e.f.op(f"fsub float {value}, {e.as_float(offset)}")


def _normalised(e: Registers, rules: FloatRules, product: list[str]) -> tuple[list[Plane], Plane, list[str]]:
    """(guard bit, fraction bits and leading one; whether a bit below the guard is set; the bits above the leading one).

    As `float_parts.emit_words`: bit leading + s of the product is 1 where the shift is s, and a higher one overrules.
    """
    leading = 2 * rules.width - 2

    def bit(index: int) -> Plane:
        return product[index - rules.lowest] if index >= rules.lowest else None

    leads = [str(bit(index)) for index in range(leading + 1, rules.product_bits)]

    def aligned(index: int) -> Plane:
        value = bit(index)
        for shift, lead in enumerate(leads, 1):
            value = e.select(lead, bit(index + shift), value)
        return value

    guard = leading - rules.fraction - 1
    if not rules.nearest_even:
        return [None, *(aligned(guard + 1 + k) for k in range(rules.fraction)), ONES], None, leads
    dropped: Plane = None
    for index in range(guard):
        dropped = e.op2("or", dropped, bit(index))
    # A shift by s turns the s bits from `guard` on into dropped ones: bit guard + k counts if any of leads[k:] is set.
    for shift in range(len(leads)):
        dropped = e.op2("or", dropped, e.op2("and", bit(guard + shift), e.fold_planes("or", leads[shift:])))
    return [*(aligned(guard + k) for k in range(rules.fraction + 1)), ONES], dropped, leads


def _exponent(e: Registers, rules: FloatRules, lanes: FloatOperand, word: FloatOperand, leads: list[str]) -> list[str]:
    """E of the module's docstring, ten planes."""
    # s enters as the carry into bit 0; with a 49th product bit it can be 2, and the second 1 takes another pass.
    shifted = e.fold_planes("or", leads)
    total, carry = [], shifted
    for bit, plane in enumerate(word.exponent):
        if bit < len(lanes.exponent):
            other = lanes.exponent[bit]
            half = e.integer("xor", plane, other)
            total.append(e.integer("xor", half, carry))
            both = e.integer("and", plane, other)
            carry = e.integer("or", both, e.integer("and", half, carry))
        else:
            total.append(e.integer("xor", plane, carry))
            carry = e.integer("and", plane, carry)
    if len(leads) == 2 and not rules.released:
        total, _ = _incremented(e, total, leads[1])
    return total


def _denormalised(
    e: Registers, rules: FloatRules, aligned: list[Plane], dropped: Plane, exponent: list[str], tiny: str
) -> tuple[list[Plane], Plane]:
    """`aligned` and `dropped` with tiny products shifted right onto the subnormal grid, by least - E places."""
    distance = _difference(e, rules.least, exponent)
    planes = list(aligned)
    stages = (len(planes)).bit_length()
    for stage in range(stages):
        count = 1 << stage
        condition = e.integer("and", distance[stage], tiny)
        lost: Plane = None
        for plane in planes[:count]:
            lost = e.op2("or", lost, plane)
        dropped = e.op2("or", dropped, e.op2("and", lost, condition))
        shifted = [*planes[count:], *[None] * min(count, len(planes))]
        planes = [e.select(condition, above, plane) for above, plane in zip(shifted, planes, strict=True)]
    # Farther than all stages together: nothing is left but what was dropped.
    far = e.integer("and", tiny, e.fold_planes("or", distance[stages:]))
    everything: Plane = None
    for plane in planes:
        everything = e.op2("or", everything, plane)
    dropped = e.op2("or", dropped, e.op2("and", everything, far))
    near = e.inverse(far)
    return [e.op2("and", plane, near) for plane in planes], dropped


def _difference(e: Registers, number: int, planes: list[str]) -> list[str]:
    """number - value, two's complement of as many bits: number + NOT value + 1."""
    result, carry = [], ONES
    for bit, plane in enumerate(planes):
        inverse = e.inverse(plane)
        if number >> bit & 1:
            result.append(e.inverse(e.integer("xor", inverse, carry)))
            carry = e.integer("or", inverse, carry)
        else:
            result.append(e.integer("xor", inverse, carry))
            carry = e.integer("and", inverse, carry)
    return result


def _choose(e: Registers, condition: str, bit: int, plane: str) -> str:
    """The constant bit where the condition holds, else the plane."""
    return e.integer("or", plane, condition) if bit else e.integer("and", plane, e.inverse(condition))


def _incremented(e: Registers, planes: list[str], carry: Plane) -> tuple[list[str], str]:
    """(planes + carry, carry out)."""
    result = []
    rest = str(carry)
    for plane in planes:
        result.append(e.integer("xor", plane, rest))
        rest = e.integer("and", plane, rest)
    return result, rest


def _below(e: Registers, planes: list[str], number: int) -> str:
    """Where the two's complement value is less than a number of 0 .. 511."""
    below = "0"
    for bit, plane in enumerate(planes[:-1]):
        # The higher bit decides unless both are equal.
        inverse = e.inverse(plane)
        below = e.integer("or", inverse, below) if number >> bit & 1 else e.integer("and", inverse, below)
    return e.integer("or", planes[-1], below)
