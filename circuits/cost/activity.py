"""Settled values and toggles of all nets of a netlist as drawn, by bit-sliced simulation: bit k of a plane: lane k."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.bit_planes import Planes
from circuits.netlists.lut_program import as_drawn
from circuits.netlists.netlist import Netlist
from circuits.netlists.netlist_arrays import NetlistArrays, arrays_of


def evaluate(netlist: Netlist | NetlistArrays, inputs: Planes) -> Planes:
    """uint64 [nets, words]: the plane of every net, from the planes of the input nets (bus after bus, least significant
    bit first).

    Nothing is simplified: this is the netlist as drawn.
    """
    from circuits.engine.backends.interpreted import run

    return run(as_drawn(arrays_of(netlist) if isinstance(netlist, Netlist) else netlist), inputs)


def toggles(values: Planes, count: int) -> NDArray[np.int64]:
    """int64 [nets]: how often each net changes between consecutive lanes 0, 1, ..., count - 1."""
    # Bit k of `changed` compares lane k with lane k + 1, which for bit 63 is bit 0 of the next word.
    next_lane = values >> np.uint64(1)
    next_lane[:, :-1] |= values[:, 1:] << np.uint64(63)
    changed = values ^ next_lane
    full_words, lanes = divmod(count - 1, 64)
    total: NDArray[np.int64] = np.bitwise_count(changed[:, :full_words]).sum(axis=1, dtype=np.int64)
    # The last lane has no successor: count - 1 comparisons, not count.
    if lanes:
        total += np.bitwise_count(changed[:, full_words] & np.uint64((1 << lanes) - 1))
    return total
