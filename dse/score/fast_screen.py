"""A fast error screen for designs that differ only in which cell is where.

Turning a netlist into a LUT program takes longer than simulating a few thousand products, so an exhaustive search would
spend its time there. Designs of one structure have the same nets; only the truth tables of their adders differ. So one
program is built with placeholder cells, and for each design their tables are swapped: table k of the program becomes
the sum or carry table of the cell at the position of adder k. Nothing is simplified, since a simplification could
depend on the tables. The products are those of `Design.multiply`, bit for bit, and the operands those of
`error_metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.sampling import uniform01
from circuits.cells.adder_cells import AdderCell
from circuits.designs.design_record import Design, netlist_template
from circuits.designs.netlist_templates import PLACEHOLDER
from circuits.engine import float_assembly
from circuits.engine.blocks import BLOCK
from circuits.engine.integer_operations import product_words
from circuits.errors import DesignError
from circuits.netlists.lut_program import CONSTANT_OPERATIONS, Program, as_drawn

__all__ = ["Fingerprint", "Screen"]


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
        self._template = _Template(structure)
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
    """The program of the structure's netlist as drawn, one operation for each output of an instance.

    `_operations`, `_outputs`: of each output of an instance whose cell the placement chooses, the index of its
    operation, and which output it is; `_which`: the number of the instance among these.
    """

    def __init__(self, structure: Design) -> None:
        # Inexact, so that tiles have the product bit that inexact cells may need.
        self._template = netlist_template(replace(structure, placement=PLACEHOLDER, name=None))
        arrays = self._template.arrays
        drawn = as_drawn(arrays)
        product = arrays.output_nets
        self._program = replace(
            drawn,
            outputs={name: len(bus) for name, bus in arrays.outputs.items()},
            results=drawn.results[product],
        )
        # as_drawn: the constants come first, then one operation for each output of each instance.
        owners, outputs = np.nonzero(arrays.driven >= 0)
        which = np.full(len(arrays.kinds), -1, dtype=np.int64)
        which[self._template.positions] = np.arange(len(self._template.positions))
        chosen = which[owners] >= 0
        self._operations = CONSTANT_OPERATIONS + np.flatnonzero(chosen)
        self._which, self._outputs = which[owners[chosen]], outputs[chosen]

    def program(self, design: Design) -> Program:
        """The program with the tables of the cells of `design`."""
        placement = design.placement
        cells = np.array([_tables(entry) for entry in placement.all_cells()], dtype=np.uint8)
        tables = self._program.tables.copy()
        # cells[e, o] is the table of output o of cell e: both index arrays run over the outputs of placed cells.
        tables[self._operations] = cells[self._template.entries(placement)[self._which], self._outputs]
        return replace(self._program, tables=tables)


@lru_cache(maxsize=256)
def _tables(entry: AdderCell) -> tuple[int, ...]:
    return entry.tables
