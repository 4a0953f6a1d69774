"""The flat circuit under construction: numbered nets, what drives them, and the cells and gates drawn so far.

Constants come in two kinds. Written ones stand in the text: a gate that reads one is drawn as it is written. Folded
ones (ZERO and ONE here) come from padding, shifts and constant expressions: a gate that reads one is simplified, so
that widening an operand draws nothing. Both mean the same value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from circuits.cells.adder_cells import EXACT
from circuits.errors import DesignError
from circuits.hdl.cell_gates import KNOWN
from circuits.hdl.verilog.syntax.tree import Place, failure
from circuits.netlists.gates import AND2, HALF_ADDER, MUX2, NAND2, NOR2, NOT, OR2, XNOR2, XOR2, Gate
from circuits.netlists.netlist import Component

WRITTEN_ZERO, WRITTEN_ONE, ZERO, ONE, UNKNOWN = range(5)
"""Nets of constants: the written ones, the folded ones, and x, which reads as 0."""
_FIRST_NET = 5
CONSTANT_VALUES = (0, 1, 0, 1, 0)
"""The value of each constant net."""

MAXIMUM_GATES = 200_000
"""Most cells and gates of one netlist read from Verilog; also the most module instances."""
_MAXIMUM_NETS = 2_000_000

GATES = {"&": AND2, "|": OR2, "^": XOR2}
INVERTED = {"&": NAND2, "|": NOR2, "^": XNOR2}
"""Gates of two inputs by operator, and those with an inverted output."""


@dataclass(slots=True)
class DrawnPart:
    """A cell or gate with its nets."""

    component: Component
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    place: Place


class Flat:
    """Nets, drivers and parts. A driver is (place, net it copies); a part or an input copies None."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.names = ["1'b0", "1'b1", "1'b0", "1'b1", "1'bx"]
        start = Place(where, 0)
        self.drivers: list[tuple[Place, int | None] | None] = [(start, None)] * _FIRST_NET
        self.parts: list[DrawnPart] = []
        self.notes: dict[str, None] = {}
        self.inside: list[str] = []

    def fail(self, place: Place, message: str) -> DesignError:
        """The error at a place, with the instance that is being read."""
        return failure(place, message + (self.inside[-1] if self.inside else ""))

    def note(self, text: str) -> None:
        """Adds a note for the user, once."""
        self.notes[text] = None

    # Nets.

    def new(self, name: str) -> int:
        """A net without a driver."""
        if len(self.names) >= _MAXIMUM_NETS:
            raise DesignError(
                f"{self.where} must have at most {_MAXIMUM_NETS} nets, but has more; import a part of it."
            )
        self.names.append(name)
        self.drivers.append(None)
        return len(self.names) - 1

    def text(self, nets: Sequence[int]) -> str:
        """The nets in words."""
        names = [self.names[net] for net in nets[:2]]
        return "net " + ", ".join(map(repr, names)) + ("..." if len(nets) > 2 else "")

    def drive(self, net: int, place: Place, source: int | None) -> None:
        """Makes `net` a copy of `source`, or an output of a part (None)."""
        known = self.drivers[net]
        if known is not None:
            raise self.fail(
                place,
                f"net {self.names[net]!r} must have one driver, but {known[0].seen_from(place)} drives it too; "
                "remove one",
            )
        self.drivers[net] = (place, source)

    def root(self, net: int) -> int | None:
        """The net that `net` copies in the end, driven by a part, an input or a constant; None where nothing drives it.

        Raises DesignError where copies form a loop.
        """
        path: dict[int, None] = {}
        while True:
            driver = self.drivers[net]
            if driver is None:
                return None
            if driver[1] is None:
                break
            if net in path:
                passed = list(path)
                raise self.loop(passed[passed.index(net) :])
            path[net] = None
            net = driver[1]
        for copy in path:
            known = self.drivers[copy]
            assert known is not None
            self.drivers[copy] = known[0], net
        return net

    def undriven(self, net: int, place: Place, reader: str) -> DesignError:
        """The error about a net that is read and not driven; names the net at the end of its copies."""
        while (driver := self.drivers[net]) is not None and driver[1] is not None:
            net = driver[1]
        return self.fail(
            place,
            f"net {self.names[net]!r} must have a driver, but {reader} reads it and nothing drives it; drive it or "
            "remove the reader",
        )

    def loop(self, nets: Sequence[int]) -> DesignError:
        """The error about a loop; `nets` against the flow of signals."""
        driver = self.drivers[nets[0]]
        assert driver is not None
        names = [self.names[net] for net in nets]
        names = names if len(names) <= 8 else [*names[:7], "..."]
        return self.fail(
            driver[0],
            "a combinational circuit must have no loop, but nets "
            f"{' -> '.join([*names[::-1], names[-1]])} form one; break it",
        )

    # Parts.

    def add(self, component: Component, inputs: Sequence[int], outputs: Sequence[int], place: Place) -> None:
        """A cell or gate that drives `outputs`."""
        if len(self.parts) >= MAXIMUM_GATES:
            raise self.fail(
                place, f"a netlist must have at most {MAXIMUM_GATES} cells and gates, but has more; import a part of it"
            )
        for net in outputs:
            self.drive(net, place, None)
        self.parts.append(DrawnPart(component, tuple(inputs), tuple(outputs), place))

    def draw(self, gate: Gate, inputs: Sequence[int], place: Place) -> int:
        """The output of a gate; folded constants among its inputs are propagated."""
        if ZERO in inputs or ONE in inputs:
            folded = self._fold(gate, inputs, place)
            if folded is not None:
                return folded
        output = self.new("an expression")
        self.add(gate, inputs, [output], place)
        return output

    def _fold(self, gate: Gate, inputs: Sequence[int], place: Place) -> int | None:
        """The output where folded constants leave less than the gate; None where the gate stays."""
        free = [net for net in inputs if net not in (ZERO, ONE)]
        values = []
        for assignment in range(1 << len(free)):
            row, k = 0, 0
            for position, net in enumerate(inputs):
                if net in (ZERO, ONE):
                    bit = net == ONE
                else:
                    bit = bool(assignment >> (len(free) - 1 - k) & 1)
                    k += 1
                row |= bit << (2 - position)
            values.append(gate.tables[0] >> row & 1)
        if len(free) == 2:
            if values[:2] == values[2:]:
                free, values = free[1:], values[:2]
            elif values[::2] == values[1::2]:
                free, values = free[:1], values[::2]
        if len(set(values)) == 1:
            return ONE if values[0] else ZERO
        if len(free) == 1:
            return free[0] if values[1] else self.invert(free[0], place)
        table = sum(values[row >> 1] << row for row in range(8))
        smaller = KNOWN.get((2, (table,)))
        return None if smaller is None else self.draw(smaller, free, place)

    def invert(self, net: int, place: Place) -> int:
        """The inverse; of a constant, the other constant."""
        if net < UNKNOWN:
            return net ^ 1
        return net if net == UNKNOWN else self.draw(NOT, (net,), place)

    def fold(self, operator: str, nets: Sequence[int], place: Place) -> int:
        """& | or ^ over nets, from the first to the last."""
        result = nets[0]
        for net in nets[1:]:
            result = self.draw(GATES[operator], (result, net), place)
        return result

    def choose(self, condition: int, no: int, yes: int, place: Place) -> int:
        """yes where condition, else no."""
        if condition < UNKNOWN:
            return yes if CONSTANT_VALUES[condition] else no
        return no if no == yes else self.draw(MUX2, (no, yes, condition), place)

    def add_bits(self, bits: Sequence[int], place: Place) -> tuple[int, int]:
        """(sum, carry) of three bits: the smallest of wires, half adder and exact adder cell."""
        present = [net for net in bits if net not in (WRITTEN_ZERO, ZERO)]
        free = [net for net in present if net != ONE]
        ones = len(present) - len(free)
        if not free:
            return ONE if ones & 1 else ZERO, ONE if ones & 2 else ZERO
        if len(free) == 1 and ones != 1:
            return free[0], ONE if ones else ZERO
        if len(free) == 1:
            return self.invert(free[0], place), free[0]
        inputs = free + [WRITTEN_ONE] * ones
        outputs = [self.new("a sum"), self.new("a carry")]
        self.add(EXACT if len(inputs) == 3 else HALF_ADDER, inputs, outputs, place)
        return outputs[0], outputs[1]


def constant_value(nets: Sequence[int]) -> int | None:
    """The number that constant nets spell, least significant first; None where one is no constant (or is x)."""
    value = 0
    for k, net in enumerate(nets):
        if net >= UNKNOWN:
            return None
        value |= CONSTANT_VALUES[net] << k
    return value


def constant_nets(value: int, width: int) -> list[int]:
    """Folded constants that spell the low `width` bits of a number."""
    return [ONE if value >> k & 1 else ZERO for k in range(width)]


def fold_constants(nets: Sequence[int]) -> list[int]:
    """The same nets, written constants as folded ones."""
    return [net + 2 if net <= WRITTEN_ONE else net for net in nets]
