"""The reference backend: NumPy on bit-planes, one truth table after the other. Simple; the others must equal it."""

from __future__ import annotations

import numpy as np

from circuits.engine.backends.backend import Backend
from circuits.engine.bit_planes import Planes
from circuits.netlists.lut_program import Program


def run(program: Program, inputs: Planes) -> Planes:
    """Output planes, uint64 [outputs, words], of the input planes uint64 [inputs, words]."""
    return run_nodes(program, inputs)[program.results]


def run_nodes(program: Program, inputs: Planes) -> Planes:
    """The planes of all nodes, uint64 [inputs + operations, words]."""
    count = program.input_count
    nodes = np.empty((count + len(program), inputs.shape[1]), dtype=np.uint64)
    nodes[:count] = inputs
    for k, (table, (a, b, c)) in enumerate(zip(program.tables, program.operands, strict=True)):
        nodes[count + k] = evaluate(int(table), nodes[a], nodes[b], nodes[c])
    return nodes


def evaluate(table: int, a: Planes, b: Planes, c: Planes) -> Planes:
    """Bit 4a + 2b + c of `table` in every lane, as a sum of minterms."""
    result = np.zeros_like(a)
    for row in range(8):
        if table >> row & 1:
            result |= (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
    return result


BACKEND = Backend(run)
