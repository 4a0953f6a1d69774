"""What the logarithmic multipliers share: Mitchell's linear logarithms of both operands, their sum, and the way back.

An operand x = 2^k (1 + f), k the position of its leading one and 0 <= f < 1, has log2 x = k + log2(1 + f), which
Mitchell approximates by k + f (IRE Trans. Electronic Computers EC-11(4), 1962). The antilogarithm of the sum, by the
same approximation, is

    2^(k1+k2) (1 + f1 + f2)          f1 + f2 < 1
    2^(k1+k2+1) (f1 + f2)            f1 + f2 >= 1

Both are 2^(k1+k2) M with the mantissa M = 1 + s, or 2 s, for s = f1 + f2; 1 <= M < 4. A normalising shifter gives f and
the number of places z that it shifted; k is width - 1 - z, so that the product is M shifted right from its highest
position by z1 + z2.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.multipliers.array_builder import Frame
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ONE, ZERO


@dataclass(frozen=True)
class MantissaSum:
    """M of the module's docstring, in fixed point with `fraction_bits` bits below the point and two above.

    `places`: bits of z1 + z2. `nonzero`: whether both operands have a leading one.
    """

    mantissa: list[int]
    fraction_bits: int
    places: list[int]
    nonzero: int


def mantissa_sum(frame: Frame, logic: Logic, *, least_bits: int = 0, truncate: int = 0) -> MantissaSum:
    """M and z1 + z2 of both operands.

    `least_bits`: fractions have at least that many bits. `truncate`: that many of their lowest bits are left out, and
    the next one is set to 1 (0: none).
    """
    size = max(*frame.width, least_bits + 1) - 1
    fractions, places, leading = [], [], []
    for operand in (frame.x, frame.y):
        normalised, shifted = logic.normalise(operand)
        leading.append(normalised[-1])
        places.append(shifted)
        fraction = [*[ZERO] * (size + 1 - len(operand)), *normalised[:-1]]
        if truncate:
            fraction[: truncate + 1] = [*[ZERO] * truncate, ONE]
        fractions.append(fraction)
    *total, carry = logic.add(fractions[0], fractions[1])
    # 1 + s = carry 0: 01.total;  2 s = carry 1: 2 (1 + total) = 1t.otal0
    mantissa = logic.choose_bits([*total, ONE, ZERO], [ZERO, *total, ONE], carry)
    return MantissaSum(mantissa, size, logic.add(places[0], places[1]), logic.both(*leading))


def scaled_product(frame: Frame, logic: Logic, mantissa: list[int], terms: MantissaSum) -> list[int]:
    """The w + v bits of floor(2^(k1+k2) M), 0 where an operand is 0; `mantissa` is M, corrected or not."""
    bits = sum(frame.width)
    # With z1 = z2 = 0 the point stands at bit w + v - 2; fractions that are longer reach below bit 0.
    shift = bits - 2 - terms.fraction_bits
    below = max(-shift, 0)
    aligned = [*[ZERO] * max(shift, 0), *mantissa]
    # A mantissa of 4 and more has a bit above these, which a shift by one place or more brings down.
    product = logic.shift_right(aligned, terms.places)[below : below + bits]
    return logic.gated(product, terms.nonzero)
