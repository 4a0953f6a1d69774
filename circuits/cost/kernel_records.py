"""Records of arrays that the compiled kernels take.

Numba compiles a named tuple to a struct, so that a kernel takes a few named arguments rather than two dozen arrays, and
Python code that builds a record is checked by the type checker. This module needs no numba: importing numba takes half
a second and `import circuits` must compile nothing. Therefore modules with kernels (`event_simulation`, `longest_path`,
`true_paths.arrival_model`, `true_paths.bound_proof`) are imported inside the functions that call them.

Numba's disk cache notices changes of the file that holds a kernel, but not of this file nor of `table_lookup`. After an
edit of either, delete `__pycache__`; otherwise kernels may run as they were compiled before.

Units: ps, fF, fJ. Axes: n instances, p = 3 pins, o = 2 outputs, edge 0 a fall and 1 a rise; row = 4a + 2b + c; S slews
x L loads. NaN marks an arc that does not exist.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]


class Wiring(NamedTuple):
    """How instances are connected. Instances are in topological order; nets 0 and 1 are the constants.

    `inputs` [n, 3] and `outputs` [n, 2]: nets, -1 for none. `loads` [nets]: capacitance that each net drives.
    `input_nets`: the netlist's inputs, bus after bus, least significant bit first.
    """

    inputs: Ints
    outputs: Ints
    loads: Floats
    input_nets: Ints


class Grid(NamedTuple):
    """Where tables are known: `slews` [S] and `loads` [L], both ascending."""

    slews: Floats
    loads: Floats


class ArcTables(NamedTuple):
    """Worst arcs for static timing: `delay` and `slew` [variant, pin, input edge, output, output edge, S, L];
    `variants` [n]: which variant (component and constant pins) each instance is."""

    variants: Ints
    delay: Floats
    slew: Floats


class FanOut(NamedTuple):
    """What each net reaches: pins `pin[k]` of instances `instance[k]` for first[net] <= k < first[net + 1]; `is_output`
    uint8 [nets] marks outputs of the netlist."""

    first: Ints
    instance: Ints
    pin: Ints
    is_output: Bytes


class CellTables(NamedTuple):
    """What cells compute and cost.

    `kinds` [n]: the component of each instance. `mean_loads` [n]: load at which its internal energy is read. By
    component: `functions` [component, o], bytes whose bit r is the output in row r; `delay` and `slew`
    [component, pin, row after, o, S, L]; `energy` [component, pin, row after, S, L]. `voltage`: supply, V.
    """

    kinds: Ints
    mean_loads: Floats
    functions: Ints
    delay: Floats
    slew: Floats
    energy: Floats
    voltage: float


class Stimulus(NamedTuple):
    """Operands in turn: `bits` uint8 [operands, input nets]; `settled` uint8 [nets]: the value of every net under the
    first operands (overwritten). `slew`: ramp of the inputs."""

    bits: Bytes
    settled: Bytes
    slew: float


class Activity(NamedTuple):
    """Results of the event-driven simulation, by transition from one operand to the next: `internal` and `loading`
    energy, and `settled`, the time of the last change of an output. `toggles` [nets]: over all transitions."""

    internal: Floats
    loading: Floats
    settled: Floats
    toggles: Ints
