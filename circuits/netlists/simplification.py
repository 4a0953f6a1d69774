"""Logic simplification: constants, aliases, common and dead logic; cells are kept, never remapped.

`analyse` walks the netlist once, in its topological order, and gives every net a literal: 2 node + 1 if inverted, else
2 node. Node 0 is the constant 0, the next ones are the netlist's inputs, the others are functions of at most three
earlier nodes. The invariants that the rest builds on:

- Two nets with the same literal carry the same value for all inputs (the converse does not hold: functions are compared
  one level deep, not by what they compute altogether).
- A function depends on all of its operands, which are distinct and ascending, and is 0 where all operands are 0. A
  function and its complement therefore are one node and two literals; constants, wires and inverters are no nodes.
- Equal functions of equal operands are one node.

`simplify` (a netlist again, for cost) and `lut_program.lower` (a LUT program, for simulation) both read that analysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from circuits.netlists import truth_table
from circuits.netlists.netlist import Bus, Instance, Netlist

FALSE, TRUE = 0, 1
"""Literals of the constants: node 0 is the constant 0."""


@dataclass(frozen=True)
class Analysis:
    """Every net's value as a literal over nodes.

    Node 0 is the constant 0, nodes 1..inputs are the netlist's inputs; node n > inputs is the function
    `functions[n - inputs - 1]` = (truth table, operand nodes). Bit 0 of every table is 0: inversions live in the
    literals. `literals`: one for each net.
    """

    inputs: int
    functions: list[tuple[int, tuple[int, ...]]]
    literals: list[int]


# A design's error needs the analysis for its program, and its cost for the simplified netlist, one after the other.
@lru_cache(maxsize=4)
def analyse(netlist: Netlist) -> Analysis:
    """Values of all nets: constants propagated, aliases resolved, equal functions shared. Not to be altered."""
    literals = [-1] * netlist.nets
    literals[0], literals[1] = FALSE, TRUE
    for node, net in enumerate(netlist.input_nets, 1):
        literals[net] = 2 * node
    inputs = len(netlist.input_nets)
    functions: list[tuple[int, tuple[int, ...]]] = []
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    for instance in netlist.instances:
        operands = [literals[net] for net in instance.inputs]
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            reduced, nodes, inverted = reduce_function(table, operands)
            if not nodes:
                literals[net] = FALSE ^ inverted
                continue
            # f(a) with f(0) = 0 after normalisation depends on a, so that it is a itself: wires and inverters vanish.
            if len(nodes) == 1:
                literals[net] = 2 * nodes[0] ^ inverted
                continue
            # Structural hashing, as in and-inverter graphs, but of functions of three inputs.
            key = (reduced, nodes)
            if key not in known:
                functions.append(key)
                known[key] = inputs + len(functions)
            literals[net] = 2 * known[key] ^ inverted
    return Analysis(inputs, functions, literals)


def reduce_function(table: int, operands: list[int]) -> tuple[int, tuple[int, ...], int]:
    """(table, operand nodes, inverted): `table` over operand literals, normalised as Analysis describes.

    No operand left means the constant `inverted`; one operand left means that node itself, or its inverse.
    """
    nodes = sorted({literal >> 1 for literal in operands if literal > TRUE})
    # Each operand as (position among nodes or -1 for a constant, inverted): few distinct patterns, so cached.
    pattern = tuple(
        (-1, literal) if literal <= TRUE else (nodes.index(literal >> 1), literal & 1) for literal in operands
    )
    reduced, relevant, inverted = _reduce(table, pattern)
    return reduced, tuple(nodes[k] for k in relevant), inverted


@cache
def _reduce(table: int, pattern: tuple[tuple[int, int], ...]) -> tuple[int, tuple[int, ...], int]:
    """(table, numbers of the operands left, inverted); an operand of `pattern` is (number or -1 for 0, inverted)."""
    # Operands that are the same node share an input here: a & a or a ^ a is simplified by composing tables.
    operands = [(truth_table.INPUTS[k] if k >= 0 else 0) ^ (truth_table.TRUE * inverted) for k, inverted in pattern]
    composed = truth_table.compose(table, operands)
    relevant = truth_table.support(composed)
    inverted = composed & 1
    return truth_table.project(composed, relevant) ^ (truth_table.TRUE * inverted), relevant, inverted


def simplify(netlist: Netlist) -> Netlist:
    """What a synthesis tool would leave without remapping: fewer instances of the same cells, the same function.

    Inputs of the remaining instances read the earliest net of equal value; an instance goes when each of its outputs
    is unused, constant or equal to an earlier net. Never raises the number of instances.
    """
    literals = analyse(netlist).literals
    first: dict[int, int] = {}
    # Earliest nets first. A literal includes the polarity: without remapping a complement keeps its own net.
    for net in (0, 1, *netlist.input_nets, *(net for instance in netlist.instances for net in instance.outputs)):
        first.setdefault(literals[net], net)
    representative = [first.get(literal, 0) for literal in literals]
    live = {representative[net] for net in netlist.output_nets}
    remaining: list[Instance] = []
    # Readers before drivers: when an instance is reached, all that needs it is known.
    for instance in reversed(netlist.instances):
        if any(representative[net] == net and net in live for net in instance.outputs):
            inputs = tuple(representative[net] for net in instance.inputs)
            live.update(inputs)
            remaining.append(Instance(instance.component, inputs, instance.outputs, instance.place))
    outputs = {name: tuple(representative[net] for net in bus) for name, bus in netlist.outputs.items()}
    return _renumber(Netlist(netlist.name, netlist.inputs, outputs, tuple(remaining[::-1]), netlist.nets))


def _renumber(netlist: Netlist) -> Netlist:
    """The same netlist with consecutive net numbers."""
    number = {0: 0, 1: 1}
    for net in (*netlist.input_nets, *(net for instance in netlist.instances for net in instance.outputs)):
        number[net] = len(number)
    renamed = tuple(
        Instance(i.component, tuple(number[n] for n in i.inputs), tuple(number[n] for n in i.outputs), i.place)
        for i in netlist.instances
    )

    def rename(buses: Mapping[str, Bus]) -> dict[str, Bus]:
        return {name: tuple(number[net] for net in bus) for name, bus in buses.items()}

    return Netlist(netlist.name, rename(netlist.inputs), rename(netlist.outputs), renamed, len(number))
