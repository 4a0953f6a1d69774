"""SSM and ESSM, static segment multipliers (Narayanamoorthy et al., IEEE TVLSI 23(6), 2015).

Of each operand m bits are multiplied, by an exact m x m multiplier. They begin at one of a few fixed places, the lowest
that still covers the leading one: bit 0 or bit n - m of n (SSM), or also the middle one (n - m) / 2 (ESSM, meant for
m = n / 2). The bits below are left out, so that products are never too large. Fixed places need ORs and multiplexers in
place of a leading-one detector and shifters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from circuits.errors import DesignError
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.families.segments import exact_product
from circuits.multipliers.topology import gates_only
from circuits.netlists.block_options import ChoiceOption, IntegerOption, Options, always
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ZERO


def generate(frame: Frame) -> list[int]:
    """w x v multiplier of m bits of each operand (option `m`), at two or three places (option `places`)."""
    logic = Logic(frame.builder)
    m = frame.options["m"]
    (x, moves_x), (y, moves_y) = (
        _segment(logic, operand, _places(len(operand), m, frame.options["places"])) for operand in (frame.x, frame.y)
    )
    product = exact_product(frame.builder, x, y)
    for select, places in (*moves_x, *moves_y):
        product = logic.choose_bits(product, [*[ZERO] * places, *product], select)
    product += [ZERO] * sum(frame.width)
    return product[: sum(frame.width)]


def _places(width: int, m: int, count: str) -> list[int]:
    """The lowest bits of the segments, ascending."""
    middle = [(width - m) // 2] if count == "3" else []
    return sorted({0, *middle, width - m})


def _segment(logic: Logic, operand: Sequence[int], places: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """(the m bits, moves as pairs of a select net and the places by which it moves the product further up)."""
    m = len(operand) - places[-1]
    segment = list(operand[:m])
    moves = []
    for below, place in pairwise(places):
        # Some bit is above the segment that begins one place lower.
        above = logic.any_of(operand[below + m :])
        segment = logic.choose_bits(segment, operand[place : place + m], above)
        moves.append((above, place - below))
    return segment, moves


def _check(shape: tuple[int, int], options: Options) -> None:
    m = options["m"]
    if 2 * m < max(shape):
        raise DesignError(
            f"2 m >= the operand width must hold, because a segment at the top must meet the one at the bottom, but "
            f"got m={m} for {shape[0]} x {shape[1]} bits; choose m={-(-max(shape) // 2)} or more."
        )


TOPOLOGY = gates_only(
    generate,
    {
        "m": IntegerOption("bits of a segment", always(2), min, lambda w, v: min((max(w, v) + 1) // 2, min(w, v))),
        "places": ChoiceOption("places where a segment may begin", ("2", "3")),
    },
    "Narayanamoorthy et al., IEEE TVLSI 23(6), 2015, SSM and ESSM",
    check=_check,
)
