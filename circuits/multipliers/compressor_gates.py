"""Compressors as gates: the network that is drawn for a truth table of four or five inputs.

The library characterises gates of up to three inputs, so that a wider function is put together from them:

1. Inputs that are constant, or on which the function does not depend, are removed.
2. Up to three inputs: a gate of the library where there is one, or two where f = g(h(a, b), c) for gates g and h of it;
   else one gate with this truth table, whose cost is estimated like that of a user's cell and marked so.
3. More: f = g(h(some inputs), the others), where the function allows it (Ashenhurst 1957): for every value of the
   inputs of h the rest is one of two functions, and h says which. Three inputs are tried before two.
4. Else f = x ? f1 : f0 at the input x that leaves the fewest inputs (Shannon).

Equal functions of equal nets are drawn once. An exact compressor is two full adders.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations, permutations

from circuits.cells.compressors import Compressor
from circuits.netlists.gates import AND2, EXTRA_GATES, NAND2, NOT, OR2, XOR2, Gate
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ONE, ZERO, NetlistBuilder, Place
from circuits.netlists.truth_table import cofactors, constant_one, reduce_inputs, support, widen

_GATES = (AND2, NAND2, OR2, XOR2, *(gate for gate in EXTRA_GATES))
"""What networks are drawn from, beside NOT."""


def draw(builder: NetlistBuilder, compressor: Compressor, nets: tuple[int, ...], place: Place) -> tuple[int, ...]:
    """The nets of sum, carry and, with a chain, Cout of `compressor` over x1, x2, x3, x4 (and Cin)."""
    if compressor.is_exact:
        logic = Logic(builder, place)
        inner, cout = logic.full_add(*nets[:3])
        total, carry = logic.full_add(inner, nets[3], nets[4])
        return total, carry, cout
    network = _Network(builder, compressor.name, place)
    return tuple(network.net(table, nets) for table in compressor.tables)


class _Network:
    """The gates of one compressor; `net` draws a function where it is not drawn yet."""

    def __init__(self, builder: NetlistBuilder, name: str, place: Place) -> None:
        self._builder = builder
        self._name = name
        self._place = place
        self._drawn: dict[tuple[int, tuple[int, ...]], int] = {}

    def net(self, table: int, nets: tuple[int, ...]) -> int:
        """The net of a function: a truth table over `nets`, the first one the high digit of its rows."""
        table, nets = reduce_inputs(table, nets, zero=ZERO, one=ONE)
        key = table, nets
        if key not in self._drawn:
            self._drawn[key] = self._draw(table, nets)
        return self._drawn[key]

    def _draw(self, table: int, nets: tuple[int, ...]) -> int:
        count = len(nets)
        if count == 0:
            return ONE if table else ZERO
        if count == 1:
            return nets[0] if table == 0b10 else self._add(NOT, nets)
        if count <= 3:
            return self._draw_narrow(table, nets)
        split = next(_splits(table, count, (3, 2)), None)
        if split is not None:
            inner, outer, chosen = split
            rest = tuple(net for k, net in enumerate(nets) if k not in chosen)
            return self.net(outer, (self.net(inner, tuple(nets[k] for k in chosen)), *rest))
        k = min(range(count), key=lambda k: sum(len(support(part, count - 1)) for part in cofactors(table, count, k)))
        rest = (*nets[:k], *nets[k + 1 :])
        zero, one = (self.net(part, rest) for part in cofactors(table, count, k))
        return Logic(self._builder, self._place).choose(zero, one, nets[k])

    def _draw_narrow(self, table: int, nets: tuple[int, ...]) -> int:
        """A function of two or three inputs, on all of which it depends."""
        match = _library(table, len(nets))
        if match is not None:
            gate, order = match
            return self._add(gate, tuple(nets[k] for k in order))
        if len(nets) == 3:
            for inner, outer, chosen in _splits(table, 3, (2,)):
                if _library(inner, 2) and _library(outer, 2):
                    (rest,) = (net for k, net in enumerate(nets) if k not in chosen)
                    return self.net(outer, (self.net(inner, tuple(nets[k] for k in chosen)), rest))
        name = f"{self._name}_{widen(table, len(nets)):02x}"
        byte = widen(table, len(nets))
        return self._add(Gate(name, ("a", "b", "c")[: len(nets)], ("y",), (byte,), _transistors(byte)), nets)

    def _add(self, gate: Gate, nets: tuple[int, ...]) -> int:
        return self._builder.add(gate, *nets, place=self._place)[0]


@cache
def _transistors(table: int) -> int:
    """Of the smallest network of characterised gates, which the estimate of costs composes too."""
    from circuits.cost.characterize.gate_networks import Tree, gates, networks, parse

    def count(tree: Tree) -> int:
        return 0 if isinstance(tree, str) else gates()[tree[0]].transistors + sum(map(count, tree[1:]))

    return count(parse(networks()[table]))


def _splits(table: int, inputs: int, sizes: tuple[int, ...]) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Yields (h, g, chosen) with f = g(h(chosen inputs), the others): first polarity h(0...) = 0, then the other."""
    for size in sizes:
        for chosen in combinations(range(inputs), size):
            rows = [_fixed(table, inputs, chosen, value) for value in range(1 << size)]
            if len(set(rows)) != 2:
                continue
            others = inputs - size
            first = rows[0]
            (second,) = set(rows) - {first}
            inner = sum((row == second) << value for value, row in enumerate(rows))
            # h is the first input of g, the high digit of its rows.
            yield inner, _joined(first, second, others), chosen
            yield inner ^ constant_one(size), _joined(second, first, others), chosen


def _joined(zero: int, one: int, inputs: int) -> int:
    """The table of `inputs` + 1 inputs that is `zero` where the first one is 0, else `one`."""
    return zero | one << (1 << inputs)


def _fixed(table: int, inputs: int, chosen: tuple[int, ...], value: int) -> int:
    """The function of the other inputs where the chosen ones have the digits of `value`, the first one the highest."""
    # From the last input down, so that removing one leaves the numbers of those before it as they are.
    for position, k in reversed(list(enumerate(chosen))):
        table = cofactors(table, inputs, k)[value >> (len(chosen) - 1 - position) & 1]
        inputs -= 1
    return table


@cache
def _library(table: int, inputs: int) -> tuple[Gate, tuple[int, ...]] | None:
    """(a gate of the library, which input drives each of its pins) that computes the function, or None."""
    for gate in _GATES:
        if len(gate.inputs) != inputs or len(gate.outputs) != 1:
            continue
        for order in permutations(range(inputs)):
            permuted = 0
            for row in range(1 << inputs):
                pins = sum((row >> (inputs - 1 - k) & 1) << (inputs - 1 - pin) for pin, k in enumerate(order))
                permuted |= (gate.tables[0] >> (pins << (3 - inputs)) & 1) << row
            if permuted == table:
                return gate, order
    return None
