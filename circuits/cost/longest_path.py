"""Static timing as a compiled kernel: latest arrivals of rises and falls through a netlist.

An arc leads from an edge of an input pin to an edge of an output. Its delay depends on the slew of the input and on the
load of the output, so that arrivals and slews are propagated together, in topological order:

    arrival(y, e') = max over arcs (x, e) -> (y, e') of  arrival(x, e) + delay(slew(x, e), load(y))
    slew(y, e')    = slew of that output ramp, from the arc that attains the maximum

Taking the slew with the latest arrival is the usual choice of static timing. It is not a strict bound: an earlier edge
with a longer ramp could delay the next cell more.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from circuits.cost.kernel_records import ArcTables, Grid, Wiring
from circuits.cost.table_lookup import interpolated, weights

NEVER = -1.0e30
"""Arrival of an edge that no path brings."""


@numba.njit(cache=True, nogil=True)
def longest(wiring: Wiring, arcs: ArcTables, grid: Grid, input_slew: float) -> Any:
    """(arrival [nets, 2], slew [nets, 2], source [nets, 2], cause [nets, 2, 2]) of the latest fall and rise of each
    net.

    `source`: the instance that drives the edge, -1 for inputs and for edges that never come; `cause`: pin and edge that
    the latest arc came from. Inputs arrive at 0 with `input_slew`; constants never arrive.
    """
    nets = len(wiring.loads)
    arrival = np.full((nets, 2), NEVER)
    slew = np.full((nets, 2), input_slew)
    source = np.full((nets, 2), -1, dtype=np.int64)
    cause = np.zeros((nets, 2, 2), dtype=np.int64)
    for net in wiring.input_nets:
        arrival[net] = 0.0
    for n in range(len(wiring.inputs)):
        v = arcs.variants[n]
        for o in range(2):
            net = wiring.outputs[n, o]
            if net < 0:
                continue
            c, wc = weights(grid.loads, wiring.loads[net])
            for pin in range(3):
                driver = wiring.inputs[n, pin]
                if driver < 0:
                    continue
                for edge in range(2):
                    if arrival[driver, edge] == NEVER:
                        continue
                    s, ws = weights(grid.slews, slew[driver, edge])
                    for out in range(2):
                        delay = interpolated(arcs.delay[v, pin, edge, o, out], s, ws, c, wc)
                        if not np.isnan(delay) and arrival[driver, edge] + delay > arrival[net, out]:
                            arrival[net, out] = arrival[driver, edge] + delay
                            slew[net, out] = interpolated(arcs.slew[v, pin, edge, o, out], s, ws, c, wc)
                            source[net, out] = n
                            cause[net, out, 0] = pin
                            cause[net, out, 1] = edge
    return arrival, slew, source, cause
