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

from circuits.netlists.gates import NOT
from circuits.netlists.netlist import Netlist, Place
from circuits.netlists.simplification import Analysis, analyse
from circuits.netlists.truth_table import FALSE, TRUE, complement_inputs

OUTSIDE: Place = (-1, -1)
"""The place of operations outside the array."""


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


class _Operations:
    """Operations of a program under construction, node numbers from `inputs` on."""

    def __init__(self, inputs: int) -> None:
        self._inputs = inputs
        self.rows: list[tuple[int, int, int, int]] = []
        self.places: list[Place] = []

    def emit(self, table: int, operands: tuple[int, ...], place: Place = OUTSIDE) -> int:
        """Appends an operation; returns its node."""
        a, b, c = (*operands, operands[0], operands[0])[:3]
        self.rows.append((table, a, b, c))
        self.places.append(place)
        return self._inputs + len(self.rows) - 1


def lower(netlist: Netlist) -> Program:
    """The LUT program of `netlist`: simplified, inversions absorbed, dead operations dropped."""
    analysis = analyse(netlist)
    inputs, functions = analysis.inputs, analysis.functions
    outputs = [analysis.literals[net] for net in netlist.output_nets]
    live = _live_nodes(analysis, outputs)
    # A node that outputs read only inverted is computed inverted; operations absorb either polarity.
    direct = {literal >> 1 for literal in outputs if not literal & 1}
    # Inputs and the constant have no operation that could absorb the inversion.
    inverted = {literal >> 1 for literal in outputs if literal & 1} - direct - set(range(inputs + 1))

    places = _places(netlist, analysis.literals)
    operations = _Operations(inputs)
    number = {node: node - 1 for node in range(1, inputs + 1)}  # node of the analysis -> node of the program
    for node, (table, operands) in enumerate(functions, inputs + 1):
        if live[node]:
            # Operands that are computed inverted are complemented back inside the table, at no cost.
            table = complement_inputs(table, tuple(int(operand in inverted) for operand in operands))
            if node in inverted:
                table ^= TRUE
            numbers = tuple(number[operand] for operand in operands)
            number[node] = operations.emit(table, numbers, places.get(node, OUTSIDE))

    # Outputs in the polarity in which their node is computed are that node; others take an inverter or a constant.
    results = []
    extra: dict[int, int] = {}
    for literal in outputs:
        node = literal >> 1
        other_polarity = bool(literal & 1) != (node in inverted)
        if node and not other_polarity:
            results.append(number[node])
            continue
        if literal not in extra:
            constant = TRUE if literal else FALSE
            extra[literal] = (
                operations.emit(NOT.tables[0], (number[node],)) if node else operations.emit(constant, (0,))
            )
        results.append(extra[literal])

    count = len(operations.rows)
    rows = np.array(operations.rows, dtype=np.int32).reshape(count, 4)
    return Program(
        MappingProxyType({name: len(bus) for name, bus in netlist.inputs.items()}),
        MappingProxyType({name: len(bus) for name, bus in netlist.outputs.items()}),
        rows[:, 0].astype(np.uint8),
        np.ascontiguousarray(rows[:, 1:]),
        np.array(results, dtype=np.int32),
        np.array(operations.places, dtype=np.int32).reshape(count, 2),
    )


def _live_nodes(analysis: Analysis, outputs: list[int]) -> bytearray:
    """1 for each node that an output literal depends on; operands come before their readers, so one pass suffices."""
    live = bytearray(analysis.inputs + 1 + len(analysis.functions))
    for literal in outputs:
        live[literal >> 1] = 1
    for node in range(len(live) - 1, analysis.inputs, -1):
        if live[node]:
            for operand in analysis.functions[node - analysis.inputs - 1][1]:
                live[operand] = 1
    return live


def _places(netlist: Netlist, literals: list[int]) -> dict[int, Place]:
    """Node -> place of the first instance that computes it."""
    places: dict[int, Place] = {}
    for instance in netlist.instances:
        if instance.place is not None:
            for net in instance.outputs:
                places.setdefault(literals[net] >> 1, instance.place)
    return places


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
