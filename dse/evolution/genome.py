"""Circuits as evolution sees them: nodes of two-input gates in a row, each reading earlier nodes.

Node 0 is the constant 0 and node 1 the constant 1; the operands' bits follow (first operand first, least significant
bit first), then one node for each gate. `functions[n]` is an index into FUNCTIONS (-1 for constants and operands),
`first` and `second` are the nodes that it reads. Gates that no output depends on stay in the genome: they cost nothing,
drift, and are what new connections find (Miller, Thomson, "Cartesian genetic programming", EuroGP 2000).

Any multiplier becomes a genome: cells and gates of three inputs are taken apart into gates of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.designs.design_record import Design
from circuits.netlists.gates import AND2, NAND2, NOR2, NOT, OR2, XNOR2, XOR2, Gate
from circuits.netlists.netlist import Net, Netlist, NetlistBuilder
from circuits.netlists.simplification import analyse, simplify
from circuits.netlists.truth_table import INPUTS, TRUE

FUNCTIONS: tuple[Gate | None, ...] = (None, NOT, AND2, NAND2, OR2, NOR2, XOR2, XNOR2)
"""Functions of a node; None is a wire from its first input. A wire and an inverter do not read their second input."""
WIRE, INVERT = 0, 1
_AND, _NAND, _OR, _NOR, _XOR, _XNOR = range(2, 8)

MASKS = -np.array(
    #  c0 c1 c2: the function is c0 ^ c1 (a ^ b) ^ c2 a b; wires and inverters read the constant 0 as b
    [(0, 1, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 1, 0), (1, 1, 0)],
    dtype=np.int64,
)
"""int64 [functions, 3], each 0 or -1: what the gate kernel makes of each function."""


@dataclass(frozen=True, eq=False)
class Genome:
    """A circuit. `widths`: bits of both operands. int32 arrays: `functions`, `first`, `second` [nodes]; `outputs`
    [product bits], nodes of the product, the least significant bit first."""

    widths: tuple[int, int]
    functions: NDArray[np.int32]
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    outputs: NDArray[np.int32]

    @property
    def fixed(self) -> int:
        """Nodes that are constants or operands: the number of the first gate."""
        return 2 + sum(self.widths)

    def active(self) -> NDArray[np.bool_]:
        """Which nodes some output depends on."""
        needed = np.zeros(len(self.functions), dtype=bool)
        needed[self.outputs] = True
        for node in range(len(self.functions) - 1, self.fixed - 1, -1):
            if needed[node]:
                needed[self.first[node]] = True
                if self.functions[node] > INVERT:
                    needed[self.second[node]] = True
        return needed


def genome_of(design: Design, *, spare: int = 0) -> Genome:
    """The circuit of an integer `design` in gates of two inputs, simplified; `spare` further nodes are wires."""
    return _Decomposition(design).genome(spare)


def netlist_of(genome: Genome, name: str) -> Netlist:
    """The gates that outputs depend on, as a netlist with buses x, y and product, simplified."""
    builder = NetlistBuilder(name)
    nets: dict[int, Net] = {0: 0, 1: 1}
    for bus, width in zip(("x", "y"), genome.widths, strict=True):
        for net in builder.input(bus, width):
            nets[len(nets)] = net
    active = genome.active()
    for node in range(genome.fixed, len(genome.functions)):
        if active[node]:
            gate = FUNCTIONS[genome.functions[node]]
            operands = [
                nets[int(genome.first[node])],
                nets[int(genome.second[node])] if genome.functions[node] > INVERT else 0,
            ]
            if gate is None:
                nets[node] = operands[0]
            else:
                (nets[node],) = builder.add(gate, *operands[: len(gate.inputs)])
    builder.output("product", [nets[int(node)] for node in genome.outputs])
    return simplify(builder.build())


class _Decomposition:
    """Builds the gates of a design's netlist from the literals and functions of its analysis."""

    def __init__(self, design: Design) -> None:
        self._widths = design.shape
        analysis = analyse(design.netlist())
        self._fixed = 2 + sum(design.shape)
        assert analysis.inputs == sum(design.shape)
        self._rows: list[tuple[int, int, int]] = []
        self._known: dict[tuple[int, int, int], int] = {}
        # Nodes of the analysis are 0 for the constant, then inputs, then functions; a literal is 2 node + inverted.
        self._nodes: list[int] = [0, *range(2, self._fixed)]
        for table, operands in analysis.functions:
            values = tuple(self._nodes[operand] for operand in operands)
            self._nodes.append(self._function(table, values))
        self._outputs = [self._literal(int(analysis.literals[net])) for net in design.netlist().output_nets]

    def genome(self, spare: int) -> Genome:
        rows = np.array([*[(-1, 0, 0)] * self._fixed, *self._rows, *[(WIRE, 0, 0)] * spare], dtype=np.int32)
        functions, first, second = (np.ascontiguousarray(rows[:, k]) for k in range(3))
        return Genome(self._widths, functions, first, second, np.array(self._outputs, dtype=np.int32))

    def _literal(self, literal: int) -> int:
        node = self._nodes[literal >> 1]
        if not literal & 1:
            return node
        return 1 if node == 0 else self._gate(INVERT, node, 0)

    def _gate(self, function: int, a: int, b: int) -> int:
        """The node of a gate; equal gates are one node."""
        key = (function, min(a, b), max(a, b)) if function > INVERT else (function, a, 0)
        if key not in self._known:
            self._rows.append(key)
            self._known[key] = self._fixed + len(self._rows) - 1
        return self._known[key]

    def _function(self, table: int, operands: tuple[int, ...]) -> int:
        if len(operands) == 2:
            return self._expression(_expression_of(table, 2), operands)
        return self._expression(_expression_of(table, 3), operands)

    def _expression(self, expression: _Expression, operands: tuple[int, ...]) -> int:
        if isinstance(expression, int):
            return operands[expression]
        function, *arguments = expression
        nodes = [self._expression(argument, operands) for argument in arguments]
        return self._gate(function, nodes[0], nodes[1] if len(nodes) > 1 else 0)


_Expression = int | tuple[Any, ...]  # an input's number, or (function, expression, ...)
_TABLES: Mapping[int, Callable[[int, int], int]] = {
    _AND: lambda a, b: a & b,
    _NAND: lambda a, b: TRUE ^ (a & b),
    _OR: lambda a, b: a | b,
    _NOR: lambda a, b: TRUE ^ (a | b),
    _XOR: lambda a, b: a ^ b,
    _XNOR: lambda a, b: TRUE ^ a ^ b,
}


@lru_cache
def _pairs(inputs: int) -> dict[int, _Expression]:
    """Table -> a cheapest expression of one gate, or of a gate and an inverter, over two of the inputs."""
    found: dict[int, _Expression] = {INPUTS[k]: k for k in range(inputs)}
    for inverters in (0, 1, 2):
        for a, b in permutations(range(inputs), 2):
            for function, apply in _TABLES.items():
                ta, tb = (INPUTS[k] ^ (TRUE * (n < inverters)) for n, k in enumerate((a, b)))
                ea, eb = ((INVERT, k) if n < inverters else k for n, k in enumerate((a, b)))
                found.setdefault(apply(ta, tb), (function, ea, eb))
    return found


@lru_cache(maxsize=256)
def _expression_of(table: int, inputs: int) -> _Expression:
    """An expression of few gates for a function of two or three inputs.

    The pair of first inputs is tried first: sum and carry of a full adder then share the XOR of the same two bits.
    """
    pairs = _pairs(inputs)
    if table in pairs:
        return pairs[table]
    for inner, expression in pairs.items():
        for k in reversed(range(3)):
            for function, apply in _TABLES.items():
                for inverted in (0, 1):
                    outer: _Expression = (INVERT, k) if inverted else k
                    if apply(inner, INPUTS[k] ^ (TRUE * inverted)) == table:
                        return (function, expression, outer)
    # OR, AND, NOR or XOR of two pairs: majority(a, b, c) = a b | (a ^ b) c is found with c as a factor of the second.
    for expression in _sums_of_products(table):
        return expression
    high = _expression_of(_restricted(table, 1), 2) if _depends(_restricted(table, 1)) else None
    low = _expression_of(_restricted(table, 0), 2) if _depends(_restricted(table, 0)) else None
    assert high is not None
    assert low is not None
    return (_OR, (_AND, high, 2), (_AND, low, (INVERT, 2)))


def _sums_of_products(table: int) -> Iterator[_Expression]:
    pairs = _pairs(3)
    a, b, c = INPUTS
    for first in (a & b, a | b, a ^ b, TRUE ^ a ^ b):
        for second in (a ^ b, a & b, a | b, TRUE ^ a ^ b):
            for function, apply in _TABLES.items():
                for inner in (_AND, _OR):
                    if apply(first, _TABLES[inner](second, c)) == table:
                        yield (function, pairs[first], (inner, pairs[second], 2))
    for one, left in pairs.items():
        for other, right in pairs.items():
            for function, apply in _TABLES.items():
                if apply(one, other) == table:
                    yield (function, left, right)


def _restricted(table: int, value: int) -> int:
    """The table with the third input fixed to `value`."""
    return sum((table >> (row & 6 | value) & 1) << row for row in range(8))


def _depends(table: int) -> bool:
    return table not in (0, TRUE)
