"""What the rest of the project needs to know about a multiplier architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from circuits.multipliers.array_builder import Frame

Generate = Callable[[Frame], list[int]]
"""A frame -> the product's nets, least significant bit first."""

ARRAY_PORTS = ("partial product", "sum", "carry")
"""What the ports p, s and c of an array's cells take."""
COLUMN_PORTS = ("first bit", "second bit", "third bit")
"""What the ports p, s and c of a column compressor's cells take (see `circuits.multipliers.columns`)."""


@dataclass(frozen=True)
class Topology:
    """A generator, and the properties that designs, descriptions and searches ask for instead of its name.

    `has_final_adder`: whether it ends in an adder whose cells `Design.final_adder` chooses; arrays whose rows ripple
    need none. `port_names`: what p, s and c mean. `plain_partial_products`: whether the partial products of
    unsigned operands are x_i AND y_j. `truncation_may_wrap`: whether exact cells can give a product beyond w + v bits
    once columns are truncated. `multiplies_exactly`: whether exact cells give exact products while no column is
    truncated, for operands of any width and sign; the engine relies on it and then leaves out the gates.
    """

    generate: Generate
    has_final_adder: bool = True
    port_names: tuple[str, str, str] = ARRAY_PORTS
    plain_partial_products: bool = True
    truncation_may_wrap: bool = False
    multiplies_exactly: bool = False
