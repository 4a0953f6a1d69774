"""MBM, the minimally biased logarithmic multiplier (Saadat, Bokhari, Parameswaran, IEEE TCAD 37(11), 2018).

The mean of Mitchell's error over uniform fractions is -2^(k1+k2) / 12. MBM adds c, about 1/12, to the mantissa before
it is scaled: c where f1 + f2 < 1, and c/2 before the doubling where f1 + f2 >= 1, which is c after it. So both are

    2^(k1+k2) (M + c),      c = 0.078125 = 0.0001010 in binary

in the terms of `linear_logarithms`, rounded down. Where M + c reaches 4 in the highest binade, so that the product
would need another bit, the correction is left out, as in the paper ("output overflow").
"""

from __future__ import annotations

from circuits.multipliers.array_builder import Frame
from circuits.multipliers.families.linear_logarithms import mantissa_sum, scaled_product
from circuits.multipliers.topology import gates_only
from circuits.netlists.block_options import IntegerOption, always
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ONE, ZERO

CORRECTION = (4, 6)
"""c = 2^-4 + 2^-6."""
_LEAST_BITS = 7
"""Fraction bits that c / 2 needs, the paper's adder."""


def generate(frame: Frame) -> list[int]:
    """w x v multiplier: floor(2^(k1+k2) (M + c)); option `truncate`: t low bits of the fractions, of 7 at least that
    stay, are left out and the next one is 1 (MBM-t)."""
    logic = Logic(frame.builder)
    terms = mantissa_sum(frame, logic, least_bits=_LEAST_BITS, truncate=frame.options["truncate"])
    correction = [ZERO] * terms.fraction_bits
    for place in CORRECTION:
        correction[terms.fraction_bits - place] = ONE
    *corrected, overflow = logic.add(terms.mantissa, correction)
    highest = logic.invert(logic.any_of(terms.places))
    kept = logic.choose_bits(corrected, terms.mantissa, logic.both(overflow, highest))
    # The overflow of lower binades is an ordinary bit.
    kept.append(logic.both(overflow, logic.invert(highest)))
    return scaled_product(frame, logic, kept, terms)


TOPOLOGY = gates_only(
    generate,
    {
        "truncate": IntegerOption(
            "low fraction bits left out (MBM-t)", always(0), lambda w, v: max(min(w, v) - 8, 0), always(0)
        )
    },
    "Saadat, Bokhari, Parameswaran, IEEE TCAD 37(11), 2018, MBM",
)
