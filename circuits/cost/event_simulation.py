"""The loops of timing and of the arc-delay simulation, compiled once by numba and cached on disk.

Tables are those of `circuits.cost.circuit.Circuit`: values at SLEWS x LOADS, interpolated and extrapolated
linearly in both. Times are ps, loads fF, energies fJ; edge 0 is a fall, 1 a rise. Absent arcs are NaN.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_NEVER = -1.0e30


@numba.njit(cache=True, nogil=True)
def _weights(grid: Any, value: float) -> Any:
    """(index, weight): grid[index] .. grid[index + 1] holds `value`, or is the nearest interval."""
    k = 0
    while k + 2 < len(grid) and value > grid[k + 1]:
        k += 1
    return k, (value - grid[k]) / (grid[k + 1] - grid[k])


@numba.njit(cache=True, nogil=True)
def _at(table: Any, s: int, ws: float, c: int, wc: float) -> float:
    low = table[s, c] * (1 - wc) + table[s, c + 1] * wc
    high = table[s + 1, c] * (1 - wc) + table[s + 1, c + 1] * wc
    value: float = low * (1 - ws) + high * ws
    return value


@numba.njit(cache=True, nogil=True)
def longest(
    variants: Any,
    inputs: Any,
    outputs: Any,
    loads: Any,
    starts: Any,
    arc_delay: Any,
    arc_slew: Any,
    slews: Any,
    grid: Any,
    input_slew: float,
    nets: int,
) -> Any:
    """(arrival [nets, 2], slew [nets, 2], instance [nets, 2], pin and edge that the latest arc came from [nets, 2, 2]).

    `starts`: nets that arrive at 0. Arc tables: [variant, pin, input edge, output, output edge, slew, load].
    """
    arrival = np.full((nets, 2), _NEVER)
    slew = np.full((nets, 2), input_slew)
    source = np.full((nets, 2), -1, dtype=np.int64)
    cause = np.zeros((nets, 2, 2), dtype=np.int64)
    for net in starts:
        arrival[net] = 0.0
    for n in range(len(variants)):
        v = variants[n]
        for o in range(2):
            net = outputs[n, o]
            if net < 0:
                continue
            c, wc = _weights(grid, loads[net])
            for pin in range(3):
                of = inputs[n, pin]
                if of < 0:
                    continue
                for edge in range(2):
                    if arrival[of, edge] == _NEVER:
                        continue
                    s, ws = _weights(slews, slew[of, edge])
                    for out in range(2):
                        delay = _at(arc_delay[v, pin, edge, o, out], s, ws, c, wc)
                        if not np.isnan(delay) and arrival[of, edge] + delay > arrival[net, out]:
                            arrival[net, out] = arrival[of, edge] + delay
                            slew[net, out] = _at(arc_slew[v, pin, edge, o, out], s, ws, c, wc)
                            source[net, out] = n
                            cause[net, out, 0] = pin
                            cause[net, out, 1] = edge
    return arrival, slew, source, cause


@numba.njit(cache=True, nogil=True)
def _push(times: Any, ids: Any, size: int, time: float, number: int) -> None:
    k = size
    while k > 0:
        parent = (k - 1) >> 1
        if times[parent] <= time:
            break
        times[k] = times[parent]
        ids[k] = ids[parent]
        k = parent
    times[k] = time
    ids[k] = number


@numba.njit(cache=True, nogil=True)
def _pop(times: Any, ids: Any, size: int) -> int:
    """The id of the earliest event, out of `size`; the caller counts down."""
    top: int = ids[0]
    size -= 1
    time = times[size]
    number = ids[size]
    k = 0
    while True:
        child = 2 * k + 1
        if child >= size:
            break
        if child + 1 < size and times[child + 1] < times[child]:
            child += 1
        if times[child] >= time:
            break
        times[k] = times[child]
        ids[k] = ids[child]
        k = child
    times[k] = time
    ids[k] = number
    return top


@numba.njit(cache=True, nogil=True)
def simulate(
    parts: Any,
    inputs: Any,
    outputs: Any,
    loads: Any,
    mean_loads: Any,
    fan_start: Any,
    fan_instance: Any,
    fan_pin: Any,
    tables: Any,
    delays: Any,
    out_slews: Any,
    energies: Any,
    slews: Any,
    grid: Any,
    input_nets: Any,
    input_values: Any,
    is_output: Any,
    values: Any,
    input_slew: float,
    voltage: float,
    internal: Any,
    loading: Any,
    settled: Any,
    toggles: Any,
) -> int:
    """Event-driven simulation of every operand in turn; the netlist starts settled at the first, in `values` [nets].

    `input_values` uint8 [operations, input nets]. Fills, per transition k -> k + 1: `internal` and `loading` (fJ),
    `settled` (ps, last change of an output net); `toggles` int64 [nets] over all. Returns the events simulated.

    Inertial: an output that is called back before its ramp has reached half the swing makes no event, only the part of
    the energy that its peak takes; a ramp called back later takes the energy of its peak too.
    """
    nets = len(values)
    capacity = 1 << 16
    times = np.empty(capacity)
    ids = np.empty(capacity, dtype=np.int64)
    ev_net = np.empty(capacity, dtype=np.int64)
    ev_time = np.empty(capacity)
    ev_slew = np.empty(capacity)
    alive = np.empty(capacity, dtype=np.uint8)
    ev_spent = np.zeros(capacity)  # internal energy of the transition that caused the event, an output's share
    last = np.full(nets, -1, dtype=np.int64)  # the latest event scheduled on a net, while it may be called back
    scheduled = values.copy()
    total = 0
    for k in range(len(input_values) - 1):
        size = 0
        made = 0
        last[:] = -1
        for j in range(len(input_nets)):
            if input_values[k + 1, j] != values[input_nets[j]]:
                net = input_nets[j]
                ev_net[made] = net
                ev_time[made] = 0.0
                ev_slew[made] = input_slew
                ev_spent[made] = 0.0
                alive[made] = 1
                scheduled[net] ^= 1
                _push(times, ids, size, 0.0, made)
                size += 1
                made += 1
        while size:
            event = _pop(times, ids, size)
            size -= 1
            if not alive[event]:
                continue
            net = ev_net[event]
            now = ev_time[event]
            values[net] ^= 1
            toggles[net] += 1
            total += 1
            if last[net] == event:
                last[net] = -1 - event - 1  # fired: its ramp may still be under way
            if is_output[net] and now > settled[k]:
                settled[k] = now
            s, ws = _weights(slews, ev_slew[event])
            for f in range(fan_start[net], fan_start[net + 1]):
                n = fan_instance[f]
                pin = fan_pin[f]
                part = parts[n]
                row = 0
                for p in range(3):
                    row = 2 * row + (values[inputs[n, p]] if inputs[n, p] >= 0 else 0)
                # A net on two pins of one instance: the later pins are still at the old value.
                for p in range(pin + 1, 3):
                    if inputs[n, p] == net:
                        row ^= 4 >> p
                c, wc = _weights(grid, mean_loads[n])
                spent = _at(energies[part, pin, row], s, ws, c, wc)
                changed = 0
                for o in range(2):
                    if outputs[n, o] >= 0 and scheduled[outputs[n, o]] != tables[part, o] >> row & 1:
                        changed += 1
                if changed == 0:
                    internal[k] += spent
                    continue
                spent /= changed
                for o in range(2):
                    target_net = outputs[n, o]
                    if target_net < 0:
                        continue
                    target = tables[part, o] >> row & 1
                    if scheduled[target_net] == target:
                        continue
                    scheduled[target_net] = target
                    cl, wl = _weights(grid, loads[target_net])
                    delay = _at(delays[part, pin, row, o], s, ws, cl, wl)
                    ramp = _at(out_slews[part, pin, row, o], s, ws, cl, wl)
                    at = now + delay
                    energy = loads[target_net] * voltage * voltage
                    earlier = last[target_net]
                    fired = earlier < -1
                    if fired:
                        earlier = -2 - earlier
                    # How far the net gets before it is called back, as a part of the swing.
                    peak = 1.0
                    swing = 0.0
                    if earlier >= 0:
                        # Complete when the input has stood until the output's ramp ends: delay + ramp / 2 after it.
                        swing = max(ev_slew[earlier], delay + 0.5 * ramp)
                        peak = min(1.0, max(0.0, (at - ev_time[earlier]) / swing))
                    if peak < 1.0:
                        internal[k] += spent * peak - ev_spent[earlier] * (1 - peak)
                        # The supply charges the load on the way up, whichever of the two ramps that is.
                        loading[k] += energy * peak if target else -energy * (1 - peak)
                    else:
                        internal[k] += spent
                        loading[k] += energy * target
                    if peak < 0.5 and not fired:
                        alive[earlier] = 0
                        last[target_net] = -1
                        continue
                    # From a lower peak the way back to 50 % is shorter: the pulse narrows as it passes.
                    at = max(at - (1 - peak) * swing, now)
                    if made == capacity or size == capacity - 1:
                        grown = 2 * capacity
                        times = np.concatenate((times, np.empty(grown - capacity)))
                        ids = np.concatenate((ids, np.empty(grown - capacity, dtype=np.int64)))
                        ev_net = np.concatenate((ev_net, np.empty(grown - capacity, dtype=np.int64)))
                        ev_time = np.concatenate((ev_time, np.empty(grown - capacity)))
                        ev_slew = np.concatenate((ev_slew, np.empty(grown - capacity)))
                        alive = np.concatenate((alive, np.empty(grown - capacity, dtype=np.uint8)))
                        ev_spent = np.concatenate((ev_spent, np.empty(grown - capacity)))
                        capacity = grown
                    ev_net[made] = target_net
                    ev_time[made] = at
                    ev_slew[made] = max(ramp, 1.0)
                    ev_spent[made] = spent
                    alive[made] = 1
                    last[target_net] = made
                    _push(times, ids, size, at, made)
                    size += 1
                    made += 1
    return total
