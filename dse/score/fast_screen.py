"""A fast error screen for designs that differ only in which cell is where.

Turning a netlist into a LUT program takes longer than simulating a few thousand products, so an exhaustive search would
spend its time there. Designs of one structure have the same nets; only the truth tables of their adders differ. So one
program is built with placeholder cells, and for each design their tables are swapped: table k of the program becomes
the sum or carry table of the cell at the position of adder k. Nothing is simplified, since a simplification could
depend on the tables. The products are those of `Design.multiply`, bit for bit, and the operands those of
`error_metrics`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.sampling import uniform01
from circuits.cells.adder_cells import AdderCell
from circuits.designs.design_record import Design
from circuits.designs.placement import Placement
from circuits.engine import float_assembly
from circuits.engine.blocks import BLOCK
from circuits.engine.integer_operations import product_words
from circuits.errors import DesignError
from circuits.netlists.lut_program import Program
from circuits.netlists.netlist import ONE, ZERO, Netlist

__all__ = ["Fingerprint", "Screen"]

_PLACEHOLDER = AdderCell("placeholder", "00000000", "00000000")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Errors over `samples` pairs: `nmed`, mean |e| over P_max = 1; `larger`, the share of results above the exact."""

    nmed: float
    larger: float
    samples: int


class Screen:
    """Computes fingerprints of designs that agree with `structure` in all but placement and name.

    Uses the first `samples` pairs, at most 65,536, that `error_metrics` draws from `seed` for "uniform01"; one thread.
    Raises DesignError unless the structure is a generated float32 design that truncates and flushes subnormals.
    """

    def __init__(self, structure: Design, *, samples: int, seed: int = 0) -> None:
        rules = (structure.format, structure.rounding, structure.subnormals)
        if structure.imported is not None or rules != ("float32", "truncate", "flush"):
            raise DesignError(
                f"a screen needs generated float32 designs that truncate and flush subnormals, but got "
                f"{structure.label}; use error_metrics."
            )
        self._fields = _structure(structure)
        self._template = _Template(replace(structure, placement=_PLACEHOLDER, name=None).netlist())
        self._x, self._w = uniform01(seed, 0, samples)
        # Whole blocks of lanes: those behind the samples multiply zeros, and no result is made of them.
        lanes = -(-samples // BLOCK) * BLOCK
        self._words = np.zeros((4, lanes), dtype=np.uint32)
        for values, words in zip((self._x, self._w), self._words[:2, :samples], strict=True):
            float_assembly.mantissas(values.view(np.uint32), words)
        self._exact = self._x.astype(np.float64) * self._w
        self._result = np.empty(samples, dtype=np.float32)

    def products(self, design: Design) -> NDArray[np.float32]:
        """The design's products, float32 [samples], in an array that the next call reuses.

        Raises DesignError for another structure.
        """
        if _structure(design) != self._fields:
            raise DesignError(f"a screened design must have the screen's structure, but got {design.label}.")
        program = self._template.program(design)
        # The backend that compiles nothing: every design is another program, and runs once.
        product_words(program, "interpreted")(self._words[0:1], self._words[1:2], self._words[2:4])
        bits = (self._x.view(np.uint32), self._w.view(np.uint32))
        released = design.normalization == "released"
        float_assembly.assemble(*bits, self._words[2:4], False, released, self._result.view(np.uint32))
        return self._result

    def fingerprint(self, design: Design) -> Fingerprint:
        """The errors of one design; DesignError for another structure."""
        # float64: the products of float32 operands are exact there. P_max is 1, so that mean |e| is NMED.
        e = self.products(design) - self._exact
        return Fingerprint(float(np.abs(e).mean()), float((e > 0).mean()), e.size)


def _structure(design: Design) -> list[Any]:
    """The values of all fields but placement and name."""
    return [getattr(design, item.name) for item in fields(design) if item.name not in ("placement", "name", "netlist")]


class _Template:
    """The program of a netlist with placeholder cells, one operation for each output of an instance.

    `_operations`, `_places`, `_outputs`: of each placeholder output, the index of its operation, the position (i, j) of
    its adder, and which output it is. `_entries`: for each kind of placement, the index into `all_cells` that belongs
    to each of them.
    """

    def __init__(self, netlist: Netlist) -> None:
        node = {net: place for place, net in enumerate(netlist.input_nets)}
        inputs = len(node)
        # The constants come first, as truth tables that ignore their operands.
        node[ZERO], node[ONE] = inputs, inputs + 1
        tables, operands = [0x00, 0xFF], [(0, 0, 0), (0, 0, 0)]
        self._places: list[tuple[int, int]] = []
        self._entries: dict[str, NDArray[np.int64]] = {}
        self._operations: list[int] = []
        self._outputs: list[int] = []
        for instance in netlist.instances:
            nodes = [node[net] for net in instance.inputs]
            for output, net in enumerate(instance.outputs):
                if instance.component is _PLACEHOLDER:
                    assert instance.place is not None
                    self._operations.append(len(tables))
                    self._places.append(instance.place)
                    self._outputs.append(output)
                node[net] = inputs + len(tables)
                tables.append(instance.component.tables[output])
                a, b, c = (*nodes, nodes[0], nodes[0])[:3]
                operands.append((a, b, c))
        # Not by `lower`: operations may be equal, constant or dead here. Backends ask for topological order only.
        self._program = Program(
            {name: len(bus) for name, bus in netlist.inputs.items()},
            {name: len(bus) for name, bus in netlist.outputs.items()},
            np.array(tables, dtype=np.uint8),
            np.array(operands, dtype=np.int32),
            np.array([node[net] for net in netlist.output_nets], dtype=np.int32),
            np.full((len(tables), 2), -1, dtype=np.int32),
        )

    def program(self, design: Design) -> Program:
        """The program with the tables of the cells of `design`."""
        placement = design.placement
        if placement.kind not in self._entries:
            # Which cell index stands where depends on the kind of placement only, and is found once by asking with
            # numbers.
            numbered = replace(placement, cells=_numbered(placement))
            entries = [numbered.at(i, j, design.tile) for i, j in self._places]
            self._entries[placement.kind] = np.array(entries, dtype=np.int64)
        cells = np.array([_tables(entry) for entry in placement.all_cells()], dtype=np.uint8)
        tables = self._program.tables.copy()
        # cells[e, o] is the table of output o of cell e: both index arrays run over the placeholder outputs.
        tables[self._operations] = cells[self._entries[placement.kind], self._outputs]
        return replace(self._program, tables=tables)


def _numbered(placement: Placement) -> Any:
    """Numbers in place of the cells, in the order of `all_cells`: `at` then gives the index of a position's cell."""
    count = itertools.count()
    return tuple(tuple(next(count) for _ in row) for row in placement.cells)


@lru_cache(maxsize=256)
def _tables(entry: AdderCell) -> tuple[int, ...]:
    return entry.tables
