"""The reference backend: NumPy on bit-planes, one truth table after the other. Simple; the others must equal it."""

from __future__ import annotations

import numpy as np

from circuits.engine.backends.backend import Backend
from circuits.engine.bit_planes import Planes
from circuits.netlists.lut_program import Program
from circuits.netlists.truth_table import evaluate

_ONES = ~np.uint64(0)


def run(program: Program, inputs: Planes) -> Planes:
    """Output planes, uint64 [outputs, words], of the input planes uint64 [inputs, words]."""
    return run_nodes(program, inputs)[program.results]


def run_nodes(program: Program, inputs: Planes) -> Planes:
    """The planes of all nodes, uint64 [inputs + operations, words]."""
    count = program.input_count
    nodes = np.empty((count + len(program), inputs.shape[1]), dtype=np.uint64)
    nodes[:count] = inputs
    # Nodes are numbered topologically: operands of node count + k are below it and known.
    for k, (table, (a, b, c)) in enumerate(zip(program.tables, program.operands, strict=True)):
        nodes[count + k] = evaluate(int(table), (nodes[a], nodes[b], nodes[c]), _ONES)
    return nodes


BACKEND = Backend(run)
