"""DRUM, the dynamic range unbiased multiplier (Hashemi, Bahar, Reda, ICCAD 2015).

Of each operand only k bits from its leading one downwards are multiplied, by an exact k x k multiplier, and the product
is shifted back. With t the position of the leading one and s = t - k + 1:

    x = ... 0 1 b b b b b | b b b       the k bits above | with the last one set to 1, s places up
              t           s-1

The last bit is set so that the part that is left out, uniform in [0, 2^s), is replaced by about its mean: the error has
hardly any bias. An operand below 2^k is taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.multipliers.array_builder import Frame
from circuits.multipliers.families.segments import exact_product
from circuits.multipliers.topology import gates_only
from circuits.netlists.block_options import IntegerOption
from circuits.netlists.logic import Logic


def generate(frame: Frame) -> list[int]:
    """w x v multiplier of the k bits from the leading one of each operand (option `k`); see the module's docstring."""
    logic = Logic(frame.builder)
    k = frame.options["k"]
    (x, places_x), (y, places_y) = (_segment(logic, operand, k) for operand in (frame.x, frame.y))
    product = exact_product(frame.builder, x, y)
    return logic.shift_left(product, logic.add(places_x, places_y), sum(frame.width))


def _segment(logic: Logic, operand: Sequence[int], k: int) -> tuple[list[int], list[int]]:
    """(the k bits of an operand, s as a binary number)."""
    # Bit k - 1 + s of the operand is its leading one, for s = 1 .. width - k; no bit is hot for s = 0.
    hot = logic.leading_one(operand[k:])
    places = logic.encode([0, *hot])
    segment = logic.shift_right(operand, places)[:k]
    return [logic.either(segment[0], logic.any_of(hot)), *segment[1:]], places


def _least(*widths: int) -> int:
    """The paper's least k, or all bits. With k = 2 the product of two powers of two would be 2.25 times too large, and
    that of the least signed numbers would not fit."""
    return min(3, *widths)


TOPOLOGY = gates_only(
    generate,
    {"k": IntegerOption("bits of a segment", _least, min, lambda w, v: max(_least(w, v), min(6, min(w, v) // 2)))},
    "Hashemi, Bahar, Reda, ICCAD 2015, DRUM",
)
