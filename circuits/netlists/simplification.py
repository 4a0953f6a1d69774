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

from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.netlists import truth_table
from circuits.netlists.netlist import Bus, Netlist
from circuits.netlists.netlist_arrays import NetlistArrays, arrays_of, netlist_of

FALSE, TRUE = 0, 1
"""Literals of the constants: node 0 is the constant 0."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """Every net's value as a literal over nodes.

    Node 0 is the constant 0, nodes 1..inputs are the netlist's inputs; node n > inputs is the function
    k = n - inputs - 1: truth table `tables[k]` (uint8) of the nodes `operands[k]` (int32 [functions, 3], -1 for none).
    Bit 0 of every table is 0: inversions live in the literals. `literals` int32: one for each net.
    """

    inputs: int
    tables: NDArray[np.uint8]
    operands: NDArray[np.int32]
    literals: NDArray[np.int32]

    @property
    def functions(self) -> list[tuple[int, tuple[int, ...]]]:
        """(truth table, operand nodes) of each function, for readers that are not compiled."""
        rows = zip(self.tables.tolist(), self.operands.tolist(), strict=True)
        return [(table, tuple(node for node in nodes if node >= 0)) for table, nodes in rows]


# A design's error needs the analysis for its program, and its cost for the simplified netlist, one after the other.
@lru_cache(maxsize=4)
def analyse(netlist: Netlist) -> Analysis:
    """Values of all nets: constants propagated, aliases resolved, equal functions shared. Not to be altered."""
    return analyse_arrays(arrays_of(netlist))


def analyse_arrays(arrays: NetlistArrays) -> Analysis:
    """`analyse` of a netlist's arrays."""
    from circuits.netlists import analysis_kernels

    # Structural hashing, as in and-inverter graphs, but of functions of three inputs.
    literals, tables, operands = analysis_kernels.analyse(
        arrays.tables, arrays.kinds, arrays.pins, arrays.driven, arrays.input_nets, arrays.nets
    )
    return Analysis(len(arrays.input_nets), tables, operands, literals)


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
    return netlist_of(simplified(netlist))


def simplified(netlist: Netlist) -> NetlistArrays:
    """The arrays of `simplify(netlist)`, with consecutive net numbers."""
    from circuits.netlists import analysis_kernels

    arrays = arrays_of(netlist)
    # A literal includes the polarity: without remapping a complement keeps its own net.
    remains, representative, number, nets = analysis_kernels.simplify(
        analyse(netlist).literals, arrays.pins, arrays.driven, arrays.input_nets, arrays.output_nets
    )
    pins, driven = arrays.pins[remains], arrays.driven[remains]
    return replace(
        arrays,
        inputs={name: _renumbered(bus, number) for name, bus in arrays.inputs.items()},
        outputs={name: _renumbered(bus, number[representative]) for name, bus in arrays.outputs.items()},
        nets=nets,
        kinds=arrays.kinds[remains],
        pins=np.where(pins >= 0, number[representative[pins]], pins),
        driven=np.where(driven >= 0, number[driven], driven),
        places=arrays.places[remains],
    )


def _renumbered(bus: Bus, number: NDArray[np.int32]) -> Bus:
    return tuple(number[list(bus)].tolist())
