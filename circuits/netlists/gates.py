"""Standard gates as data: those that the generators draw, and the rest of the characterised library.

Every gate is defined here and nowhere else. `circuits.cost.cells45` finds a gate's costs by equality, so that a second,
slightly different definition would silently turn a characterised cost into an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate of up to three inputs, as data; the counterpart of AdderCell for everything but adder cells.

    `tables`: one truth table for each output (see `circuits.netlists.truth_table`), a byte also where there are fewer
    than three inputs. `transistors`: of the static CMOS gate.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tables: tuple[int, ...]
    transistors: int


NOT = Gate("not", ("a",), ("y",), (0b00001111,), 2)
BUFFER = Gate("buffer", ("a",), ("y",), (0b11110000,), 4)
AND2 = Gate("and2", ("a", "b"), ("y",), (0b11000000,), 6)
NAND2 = Gate("nand2", ("a", "b"), ("y",), (0b00111111,), 4)
OR2 = Gate("or2", ("a", "b"), ("y",), (0b11111100,), 6)
XOR2 = Gate("xor2", ("a", "b"), ("y",), (0b00111100,), 10)
HALF_ADDER = Gate("half_adder", ("a", "b"), ("sum", "carry"), (0b00111100, 0b11000000), 16)

MUX2 = Gate("mux2", ("a", "b", "s"), ("y",), (0b11011000,), 12)
"""y = b where s, else a."""
NOR2 = Gate("nor2", ("a", "b"), ("y",), (0b00000011,), 4)
XNOR2 = Gate("xnor2", ("a", "b"), ("y",), (0b11000011,), 10)
NAND3 = Gate("nand3", ("a", "b", "c"), ("y",), (0b01111111,), 6)
NOR3 = Gate("nor3", ("a", "b", "c"), ("y",), (0b00000001,), 6)
AOI21 = Gate("aoi21", ("a", "b", "c"), ("y",), (0b00010101,), 6)
"""y = ~((a & b) | c)."""
OAI21 = Gate("oai21", ("a", "b", "c"), ("y",), (0b01010111,), 6)
"""y = ~((a | b) & c)."""
MAJORITY_NOT = Gate("majority_not", ("a", "b", "c"), ("y",), (0b00010111,), 10)
"""y = ~((a & b) | (a & c) | (b & c))."""

GATES: Mapping[str, Gate] = MappingProxyType({g.name: g for g in (NOT, BUFFER, AND2, NAND2, OR2, XOR2, HALF_ADDER)})
"""The gates that generators draw, by name. The text form of an imported circuit uses these without defining them."""

EXTRA_GATES = (MUX2, NOR2, XNOR2, NAND3, NOR3, AOI21, OAI21, MAJORITY_NOT)
"""The other characterised gates, for imported circuits, the float multiplier around the array, and cost estimates. They
are not in GATES because a circuit may give their names to gates of its own."""
