"""Event-driven simulation with characterised delays: glitches that narrow and fade, and the energy of every change.

An event is a net crossing 50 % of the swing. It is scheduled by the change of an input pin at time t, which brings the
cell into a row of its truth table; with the slew s of that pin and the load C of the output,

    at   = t + delay(s, C)         when the output crosses 50 %
    ramp = slew(s, C)              time of its full swing, passed on to the cells it drives

**Pulses.** The output may be called back before its previous ramp is complete. The previous crossing was at t0, the new
one would be at `at`. The ramp is complete where the input stood until it ended, so that the two crossings lie apart by
at least

    swing = max(previous ramp, delay + ramp / 2)
    peak  = min(1, (at - t0) / swing)       how far the net gets, as a share of the swing

A peak below 1/2 never crosses 50 %: neither event happens (inertial delay), and only energy is spent. A higher peak
makes a pulse; since the way back to 50 % is shorter from there, the pulse narrows: at' = at - (1 - peak) swing.

Near 1/2 this is all or nothing: an edge that hardly crosses may cross here and not in the circuit, or the reverse. Mean
energies hardly notice, but a transition may settle up to 120 ps too early or 170 ps too late (`cost_validation`).

**Energy.** Per transition of an input pin, the table gives the energy that the cell draws inside; it is divided equally
among the outputs that it changes. The supply charges the load with C V^2 when an output rises, and nothing when it
falls. An incomplete ramp draws its share: the event that calls back draws `peak` of its energy and returns
(1 - peak) of what the previous event was charged when it was scheduled.

**Invariants.** `scheduled` holds the value that each net has after all its live events; `values` the value now. Events
are numbered in the order of scheduling, and numbers are not reused while the operands stay. `latest[net]` is the last
event scheduled on the net: its number while it waits, -2 - number once it has fired (its ramp may still be under way),
-1 for none. The heap of waiting events is never longer than the list of events.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from circuits.cost.kernel_records import Activity, Bytes, CellTables, FanOut, Floats, Grid, Ints, Stimulus, Wiring
from circuits.cost.table_lookup import interpolated, weights

_CAPACITY = 1 << 16
_NONE = -1
# Keeps `swing`, by which `_peak` divides, positive where a table is extrapolated to a ramp of nothing.
_LEAST_RAMP = 1.0  # ps

EVENT = np.dtype(
    [("net", np.int64), ("time", np.float64), ("ramp", np.float64), ("spent", np.float64), ("alive", np.int64)]
)
"""An event: `net` crosses 50 % at `time` (ps) with `ramp` (ps). `spent`: the internal energy it was charged, fJ;
`alive`: 0 once it is called back."""
WAITING = np.dtype([("time", np.float64), ("event", np.int64)])
"""A place of the heap: the time and the number of an event."""

Records = NDArray[Any]


@numba.njit(cache=True, nogil=True)
def _push(heap: Records, waiting: int, time: float, event: int) -> None:
    """Adds an event to the heap of `waiting` events; the caller counts up."""
    # A hole moves up from the end until its parent is early enough; only then is the event written.
    k = waiting
    while k > 0:
        parent = (k - 1) >> 1
        if heap[parent].time <= time:
            break
        heap[k] = heap[parent]
        k = parent
    heap[k].time = time
    heap[k].event = event


@numba.njit(cache=True, nogil=True)
def _pop(heap: Records, waiting: int) -> int:
    """The earliest of `waiting` events, taken from the heap; the caller counts down."""
    top: int = heap[0].event
    size = waiting - 1
    time = heap[size].time
    event = heap[size].event
    # A hole moves down from the top; the last event fills it as soon as both children are later.
    k = 0
    while True:
        child = 2 * k + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1].time < heap[child].time:
            child += 1
        if heap[child].time >= time:
            break
        heap[k] = heap[child]
        k = child
    heap[k].time = time
    heap[k].event = event
    return top


@numba.njit(cache=True, nogil=True)
def _schedule(
    events: Records, heap: Records, number: int, waiting: int, net: int, time: float, ramp: float, spent: float
) -> None:
    """Makes event `number` and puts it into the heap; the caller counts both up."""
    events[number].net = net
    events[number].time = time
    events[number].ramp = ramp
    events[number].spent = spent
    events[number].alive = 1
    _push(heap, waiting, time, number)


@numba.njit(cache=True, nogil=True)
def _with_room(records: Records, needed: int) -> Records:
    """The records, in an array of twice the length if it has fewer than `needed` places."""
    if needed <= len(records):
        return records
    longer = np.empty(2 * len(records), dtype=records.dtype)
    longer[: len(records)] = records
    return longer


@numba.njit(cache=True, nogil=True)
def _row_at(inputs: Ints, values: Bytes, n: int, pin: int, net: int) -> int:
    """The row of instance n once `pin` has seen the change of `net`.

    A net on several pins of one instance reaches them one after the other: the later pins still have the old value.
    """
    row = 0
    for p in range(3):
        row = 2 * row + (values[inputs[n, p]] if inputs[n, p] >= 0 else 0)
    for p in range(pin + 1, 3):
        if inputs[n, p] == net:
            row ^= 4 >> p
    return row


@numba.njit(cache=True, nogil=True)
def _peak(events: Records, previous: int, at: float, delay: float, ramp: float) -> Any:
    """(peak, swing): how far the previous ramp gets, and what it needs to be complete; see the module."""
    # No earlier ramp in this transition: the net is at rest and the swing complete.
    if previous < 0:
        return 1.0, 0.0
    swing = max(events[previous].ramp, delay + 0.5 * ramp)
    return min(1.0, max(0.0, (at - events[previous].time) / swing)), swing


@numba.njit(cache=True, nogil=True)
def _charge(
    internal: Floats, loading: Floats, k: int, peak: float, spent: float, previous_spent: float, rise: float, up: int
) -> None:
    """Counts the energy of a change to `up` (0 or 1) that the previous ramp allows a share `peak` of the swing.

    `spent`, `previous_spent`: internal energy of this event and of the one it may call back; `rise`: C V^2.
    """
    if peak < 1.0:
        internal[k] += spent * peak - previous_spent * (1 - peak)
        # The supply charges the load on the way up, whichever of the two ramps that is.
        loading[k] += rise * peak if up else -rise * (1 - peak)
    else:
        internal[k] += spent
        loading[k] += rise * up


@numba.njit(cache=True, nogil=True)
def _changes(outputs: Ints, functions: Ints, scheduled: Bytes, n: int, kind: int, row: int) -> int:
    """How many outputs of instance n are not on their way to their value in `row`."""
    # Against `scheduled` and not `values`: an output that is already on its way to its value needs no new event.
    count = 0
    for o in range(2):
        if outputs[n, o] >= 0 and scheduled[outputs[n, o]] != functions[kind, o] >> row & 1:
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def simulate(
    wiring: Wiring, fan_out: FanOut, cells: CellTables, grid: Grid, stimulus: Stimulus, activity: Activity
) -> int:
    """Simulates every operand in turn, from the netlist settled at the first; fills `activity`.

    Returns the number of events. All inputs change at 0; each transition runs until no event is left.
    """
    # One loop over local names: numba counts a reference whenever an array leaves a record or a record is passed on,
    # which in the inner loop takes longer than the simulation itself.
    inputs, outputs, loads, input_nets = wiring
    fan_first, fan_instance, fan_pin, is_output = fan_out
    kinds, mean_loads, functions, delays, ramps, energies, voltage = cells
    slew_axis, load_axis = grid
    bits, values, input_slew = stimulus
    internal, loading, settled, toggles = activity
    scheduled = values.copy()
    latest = np.full(len(values), _NONE, dtype=np.int64)
    events, heap = np.empty(_CAPACITY, dtype=EVENT), np.empty(_CAPACITY, dtype=WAITING)
    total = 0
    for k in range(len(bits) - 1):
        waiting, next_event = 0, 0  # events in the heap, and the number of the next one
        latest[:] = _NONE
        for j in range(len(input_nets)):
            net = input_nets[j]
            # Inputs have no entry in `latest`: nothing calls them back.
            if bits[k + 1, j] != values[net]:
                events, heap = _with_room(events, next_event + 1), _with_room(heap, next_event + 1)
                scheduled[net] ^= 1
                _schedule(events, heap, next_event, waiting, net, 0.0, input_slew, 0.0)
                waiting += 1
                next_event += 1
        while waiting:
            event = _pop(heap, waiting)
            waiting -= 1
            # A called-back event stays in the heap until its time comes, which is cheaper than finding it there.
            if not events[event].alive:
                continue
            net, now = events[event].net, events[event].time
            values[net] ^= 1
            toggles[net] += 1
            total += 1
            # Otherwise a later event on this net has been scheduled meanwhile and stays the latest.
            if latest[net] == event:
                latest[net] = -2 - event
            if is_output[net] and now > settled[k]:
                settled[k] = now
            s, ws = weights(slew_axis, events[event].ramp)
            for f in range(fan_first[net], fan_first[net + 1]):
                n, pin = fan_instance[f], fan_pin[f]
                kind = kinds[n]
                row = _row_at(inputs, values, n, pin, net)
                # Internal energy is tabulated by transition of a pin and not by output, so that it takes the outputs'
                # mean load.
                c, wc = weights(load_axis, mean_loads[n])
                spent = interpolated(energies[kind, pin, row], s, ws, c, wc)
                changed = _changes(outputs, functions, scheduled, n, kind, row)
                # The pin's own transition costs energy even if no output moves.
                if changed == 0:
                    internal[k] += spent
                    continue
                spent /= changed
                events, heap = _with_room(events, next_event + 2), _with_room(heap, next_event + 2)
                for o in range(2):
                    output = outputs[n, o]
                    target = functions[kind, o] >> row & 1
                    if output < 0 or scheduled[output] == target:
                        continue
                    scheduled[output] = target
                    c, wc = weights(load_axis, loads[output])
                    delay = interpolated(delays[kind, pin, row, o], s, ws, c, wc)
                    ramp = interpolated(ramps[kind, pin, row, o], s, ws, c, wc)
                    at = now + delay
                    previous = latest[output]
                    fired = previous < _NONE
                    if fired:
                        previous = -2 - previous
                    peak, swing = _peak(events, previous, at, delay, ramp)
                    rise = loads[output] * voltage * voltage
                    previous_spent = events[previous].spent if previous >= 0 else 0.0
                    _charge(internal, loading, k, peak, spent, previous_spent, rise, target)
                    # The earlier crossing can be taken back only while it waits. Once it has fired, readers have seen
                    # it, and the way back must be an event however low the peak was. (Without an earlier event the peak
                    # is 1.)
                    if peak < 0.5 and not fired:
                        events[previous].alive = 0
                        latest[output] = _NONE
                        continue
                    latest[output] = next_event
                    # Narrowing must not move a crossing into the past: the heap's times never decrease.
                    time = max(at - (1 - peak) * swing, now)
                    _schedule(events, heap, next_event, waiting, output, time, max(ramp, _LEAST_RAMP), spent)
                    waiting += 1
                    next_event += 1
    return total
