"""Mitchell's logarithmic multiplier: linear logarithms are added (Mitchell, IRE Trans. Electronic Computers, 1962)."""

from __future__ import annotations

from circuits.multipliers.array_builder import Frame
from circuits.multipliers.families.linear_logarithms import mantissa_sum, scaled_product
from circuits.multipliers.topology import gates_only
from circuits.netlists.logic import Logic


def generate(frame: Frame) -> list[int]:
    """w x v multiplier: 2^(k1+k2) M of `linear_logarithms`, exact bits of it: never more than the product.

    The relative error is from -1/9 (at f1 = f2 = 1/2) to 0.
    """
    logic = Logic(frame.builder)
    terms = mantissa_sum(frame, logic)
    return scaled_product(frame, logic, terms.mantissa, terms)


TOPOLOGY = gates_only(generate, {}, "Mitchell, IRE Trans. Electronic Computers EC-11(4), 1962")
