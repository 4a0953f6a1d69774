"""LUT programs: a netlist reduced to a straight-line list of 3-input truth tables (lookup tables) for simulation.

Node n < inputs is input n (bus after bus, least significant bit first); node inputs + k is operation k. An operation is
(table, a, b, c): a truth table (see `circuits.netlists.truth_table`) and the nodes that it reads. Invariants:

- Operands are earlier nodes, so that operations can be computed in their order, or in any other topological one.
- An operation of fewer than three inputs repeats its first operand; its table does not depend on the repeated ones.
- Every operation is needed: some output depends on it. Equal functions of equal operands occur once.
- There are no inverters inside: a table takes its operands in the polarity in which they are computed. An output that
  is an input inverted, a constant, or wanted in both polarities takes an operation of its own.

No host detail enters a program, so that its digest identifies compiled code, and anything else derived from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from circuits.netlists.netlist import ONE, ZERO, Netlist
from circuits.netlists.netlist_arrays import NetlistArrays, arrays_of
from circuits.netlists.simplification import analyse
from circuits.netlists.truth_table import FALSE, TRUE

CONSTANT_OPERATIONS = 2
"""Operations at the beginning of a program `as_drawn`: the constants 0 and 1."""


@dataclass(frozen=True, eq=False)
class Program:
    """A straight-line program over bit-planes.

    `inputs`, `outputs`: bus name -> width. `tables` uint8 [n]; `operands` int32 [n, 3], node numbers;
    `results` int32: the node of each output bit, bus after bus. `places` int32 [n, 2]: (row, column) of the cell that
    the operation came from, (-1, -1) outside the array; a scheduling hint only. Equal where the digests are.
    """

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    tables: NDArray[np.uint8]
    operands: NDArray[np.int32]
    results: NDArray[np.int32]
    places: NDArray[np.int32]

    @property
    def input_count(self) -> int:
        """Number of input planes."""
        return sum(self.inputs.values())

    def __len__(self) -> int:
        return len(self.tables)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of everything that a backend reads."""
        digest = hashlib.sha256(repr(("program 1", dict(self.inputs), dict(self.outputs))).encode())
        # Places belong to it: they decide the order of compiled code, though not its results.
        for array in (self.tables, self.operands, self.results, self.places):
            digest.update(np.ascontiguousarray(array).astype("<i4").tobytes())
        return digest.hexdigest()


def lower(netlist: Netlist) -> Program:
    """The LUT program of `netlist`: simplified, inversions absorbed, dead operations dropped."""
    from circuits.netlists import analysis_kernels

    analysis, arrays = analyse(netlist), arrays_of(netlist)
    outputs = analysis.literals[arrays.output_nets]
    tables, operands, places, results = analysis_kernels.lower(
        analysis.literals, analysis.tables, analysis.operands, analysis.inputs, outputs, arrays.driven, arrays.places
    )
    return Program(*_widths(arrays), tables, operands, results, places)


def as_drawn(arrays: NetlistArrays) -> Program:
    """A program of every output of every instance: nothing is simplified, dropped or shared.

    Its first two operations are the constants, its results are all nets in order. What is promised of a program holds
    but for that: operations may be equal, constant or unneeded.
    """
    inputs = len(arrays.input_nets)
    exists = arrays.driven >= 0
    owner = np.nonzero(exists)[0]  # row after row, so that the operations stand in topological order
    nodes = np.zeros(arrays.nets, dtype=np.int32)
    nodes[arrays.input_nets] = np.arange(inputs)
    nodes[[ZERO, ONE]] = inputs, inputs + 1
    nodes[arrays.driven[exists]] = inputs + CONSTANT_OPERATIONS + np.arange(len(owner))
    pins = arrays.pins[owner]
    operands = np.where(pins >= 0, nodes[pins], nodes[pins[:, :1]])
    constants = np.zeros((CONSTANT_OPERATIONS, 3), dtype=np.int32)
    return Program(
        _widths(arrays)[0],
        MappingProxyType({"nets": arrays.nets}),
        np.concatenate([np.array([FALSE, TRUE], dtype=np.uint8), arrays.tables[arrays.kinds][exists]]),
        np.concatenate([constants, operands]),
        nodes,
        np.concatenate([constants[:, :2] - 1, arrays.places[owner]]),
    )


def _widths(arrays: NetlistArrays) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Widths of the input and of the output buses."""
    inputs, outputs = ({name: len(bus) for name, bus in buses.items()} for buses in (arrays.inputs, arrays.outputs))
    return MappingProxyType(inputs), MappingProxyType(outputs)


def with_inputs_exchanged(program: Program) -> Program:
    """`program` with its two input buses in the other order: f(b, a) instead of f(a, b)."""
    (first, first_width), (second, second_width) = program.inputs.items()
    inputs = program.input_count
    # The first bus's nodes move behind those of the second.
    number = np.arange(inputs + len(program), dtype=np.int32)
    number[:inputs] = (number[:inputs] + second_width) % inputs
    return Program(
        MappingProxyType({second: second_width, first: first_width}),
        program.outputs,
        program.tables,
        number[program.operands],
        number[program.results],
        program.places,
    )


def restrict(program: Program, bus: str, lowest: int) -> Program:
    """`program` with only the bits `lowest`.. of its one output bus, and only the operations that these need."""
    assert list(program.outputs) == [bus]
    results = program.results[lowest:]
    inputs = program.input_count
    live = np.zeros(inputs + len(program), dtype=bool)
    live[results] = True
    for k in range(len(program) - 1, -1, -1):
        if live[inputs + k]:
            live[program.operands[k]] = True
    needed = np.flatnonzero(live[inputs:])
    # Inputs keep their numbers; the k-th live operation becomes operation k. Those of dropped operations are never
    # read.
    number = np.concatenate([np.arange(inputs), inputs + np.cumsum(live[inputs:]) - 1]).astype(np.int32)
    return Program(
        program.inputs,
        MappingProxyType({bus: len(results)}),
        program.tables[needed],
        number[program.operands[needed]],
        number[results],
        program.places[needed],
    )
