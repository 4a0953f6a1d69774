"""Latest events of given operands, and the search for operands with a late one: compiled by numba, cached on disk.

An event is (net, edge): the last time that the net goes to that value, ps. An arc is (instance, pin, row, output): an
event of the pin brings the instance into the row of its truth table, and an event of the output follows after the arc's
delay. `viability` defines when an arc can happen; in formulas, with x* the settled values, row* the settled row of the
instance and last(x, v) the last event of net x to value v:

    arc(pin -> row)     = min( last(pin, row[pin]),
                               last(k, k*) for every pin k with row[k] != row*[k] )
    last(y, f(row))     = max over arcs of  arc + delay
    last(y, not y*)    <= last(y, y*)           the edge to the settled value comes last

Instances are evaluated once, in topological order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from circuits.cost.kernel_records import Bytes, Floats, Grid, Ints, Wiring
from circuits.cost.longest_path import NEVER
from circuits.cost.table_lookup import interpolated, weights


class TimedCircuit(NamedTuple):
    """A circuit with the delays of its arcs.

    `inputs` [n, 3], `outputs` [n, 2]: nets, -1 for none. `functions` [n, 2]: bytes, bit r the output in row r. Arcs
    first_arc[n] <= a < first_arc[n + 1] belong to instance n: arcs[a] = (pin, row, output, edge of the pin), `delay`
    [a] ps. `input_nets`, `end_nets`: inputs and outputs of the netlist.
    """

    inputs: Ints
    outputs: Ints
    functions: Ints
    first_arc: Ints
    arcs: Ints
    delay: Floats
    input_nets: Ints
    end_nets: Ints


class Settling(NamedTuple):
    """What `evaluate` fills: `value` uint8 [nets], the settled values; `last` [nets, 2] ps, NEVER for none; `cause`
    [nets, 2, 3]: the instance behind each event, and the pin and edge that its time came from, -1 for none."""

    value: Bytes
    last: Floats
    cause: Ints


@numba.njit(cache=True, nogil=True)
def arc_delays(
    wiring: Wiring, variants: Ints, allowed: NDArray[np.bool_], tables: Floats, grid: Grid, slew: Floats
) -> Any:
    """(first arc of each instance [n + 1], arcs [a, 4], delay [a]), see `TimedCircuit`.

    Delays are read at `slew` [nets, 2], the slews of the structural longest paths. `tables`
    [variant, pin, row, output, S, L]; `allowed` [variant, row]: rows that constant pins allow.
    """
    inputs, outputs = wiring.inputs, wiring.outputs
    # An arc for each pin, output, edge of the output and value of the two other pins at most: 3 * 2 * 2 * 4.
    room = len(variants) * 48
    first_arc = np.zeros(len(variants) + 1, dtype=np.int64)
    arcs = np.empty((room, 4), dtype=np.int64)
    delay = np.empty(room)
    count = 0
    for n in range(len(variants)):
        v = variants[n]
        for pin in range(3):
            source = inputs[n, pin]
            if source < 2:
                continue
            for row in range(8):
                # Constant pins must allow the row before the change as well as that after it.
                if not allowed[v, row] or not allowed[v, row ^ (4 >> pin)]:
                    continue
                edge = row >> (2 - pin) & 1
                s, ws = weights(grid.slews, slew[source, edge])
                for o in range(2):
                    if outputs[n, o] < 0:
                        continue
                    c, wc = weights(grid.loads, wiring.loads[outputs[n, o]])
                    value = interpolated(tables[v, pin, row, o], s, ws, c, wc)
                    if not np.isnan(value):
                        arcs[count, 0], arcs[count, 1], arcs[count, 2], arcs[count, 3] = pin, row, o, edge
                        delay[count] = value
                        count += 1
        first_arc[n + 1] = count
    return first_arc, arcs[:count].copy(), delay[:count].copy()


@numba.njit(cache=True, nogil=True)
def arrivals(circuit: TimedCircuit, nets: int) -> Floats:
    """[nets, 2]: the latest that any path brings an edge of a net, whatever the operands."""
    inputs, outputs, functions, first_arc, arcs, delay, input_nets, _ = circuit
    arrival = np.full((nets, 2), NEVER)
    for net in input_nets:
        arrival[net] = 0.0
    for n in range(len(inputs)):
        for a in range(first_arc[n], first_arc[n + 1]):
            pin, row, o, edge = arcs[a]
            before = arrival[inputs[n, pin], edge]
            to = functions[n, o] >> row & 1
            if before != NEVER and before + delay[a] > arrival[outputs[n, o], to]:
                arrival[outputs[n, o], to] = before + delay[a]
    return arrival


@numba.njit(cache=True, nogil=True)
def settling(nets: int) -> Settling:
    """Arrays for `evaluate`."""
    return Settling(np.zeros(nets, dtype=np.uint8), np.empty((nets, 2)), np.empty((nets, 2, 3), dtype=np.int64))


@numba.njit(cache=True, nogil=True)
def evaluate(circuit: TimedCircuit, bits: Bytes, events: Settling) -> float:
    """The latest event at an output of the netlist when the operands become `bits` uint8 [input nets]; fills
    `events`."""
    inputs, outputs, functions, first_arc, arcs, delay, input_nets, end_nets = circuit
    value, last, cause = events
    last[:] = NEVER
    cause[:] = -1
    value[0], value[1] = 0, 1
    for k in range(len(input_nets)):
        value[input_nets[k]] = bits[k]
        last[input_nets[k], bits[k]] = 0.0
    for n in range(len(inputs)):
        settled = 0  # the settled row
        for pin in range(3):
            settled = 2 * settled + (value[inputs[n, pin]] if inputs[n, pin] >= 0 else 0)
        for o in range(2):
            if outputs[n, o] >= 0:
                value[outputs[n, o]] = functions[n, o] >> settled & 1
        for a in range(first_arc[n], first_arc[n + 1]):
            pin, row, o, edge = arcs[a]
            net = outputs[n, o]
            time = last[inputs[n, pin], edge]
            through, on = pin, edge
            #   arc  =  min(last(pin, edge), last(k, k*) for the pins k that settle otherwise than in `row`)
            #
            # The bound that decides is the one the path is traced through.
            for k in range(3):
                if (settled ^ row) >> (2 - k) & 1:
                    side = inputs[n, k]
                    if last[side, value[side]] < time:
                        time = last[side, value[side]]
                        through, on = k, value[side]
            if time == NEVER:
                continue
            to = functions[n, o] >> row & 1
            if time + delay[a] > last[net, to]:
                last[net, to] = time + delay[a]
                cause[net, to, 0], cause[net, to, 1], cause[net, to, 2] = n, through, on
        for o in range(2):
            net = outputs[n, o]
            # The last edge leads to the settled value, so that the other edge comes no later: both are capped together.
            if net >= 0 and last[net, 1 - value[net]] > last[net, value[net]]:
                last[net, 1 - value[net]] = last[net, value[net]]
                cause[net, 1 - value[net]] = cause[net, value[net]]
    latest = 0.0
    for net in end_nets:
        latest = max(latest, last[net, 0], last[net, 1])
    return latest


@numba.njit(cache=True, nogil=True)
def _draw(state: Any, below: int) -> int:
    """A pseudorandom number from 0 to `below` - 1, by Marsaglia's xorshift; `state` uint64 [1], not 0."""
    x = state[0]
    # The shifts 13, 7, 17 have full period 2^64 - 1 (Marsaglia, J. Statistical Software 8(14), 2003).
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return int((x >> np.uint64(11)) % np.uint64(below))


@numba.njit(cache=True, nogil=True)
def _restart(state: Any, bits: Bytes, best: Bytes) -> None:
    """Sets `bits` to random operands or to the best ones with a few bits changed, with equal probability."""
    size = len(bits)
    if _draw(state, 2):
        for k in range(size):
            bits[k] = _draw(state, 2)
    else:
        bits[:] = best
        for _ in range(1 + _draw(state, 7)):
            bits[_draw(state, size)] ^= 1


@numba.njit(cache=True, nogil=True)
def climb(circuit: TimedCircuit, nets: int, best: Bytes, tries: int, seed: int, enough: float) -> float:
    """Searches operands with a late last event; returns the event's time, ps.

    Local search: one bit or two are changed, and the change stays if the last event is no earlier. After 3 bits' worth
    of tries without progress it starts again. `best` uint8 [input nets]: where to start, then the best operands so far;
    `tries`: evaluations, fewer if the event comes no earlier than `enough`.
    """
    # The multiplier (2^64 over the golden ratio) spreads small seeds over all bits, which xorshift alone does slowly.
    state = np.array([seed], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    size = len(circuit.input_nets)
    events = settling(nets)
    top = evaluate(circuit, best, events)
    bits = best.copy()
    now = top
    stalled = 0
    for _ in range(tries):
        if top >= enough:
            break
        if stalled > 3 * size:
            stalled = 0
            _restart(state, bits, best)
            now = evaluate(circuit, bits, events)
        else:
            first = _draw(state, size)
            second = _draw(state, 2 * size)  # with probability 1/2 there is no second bit
            bits[first] ^= 1
            if second < size and second != first:
                bits[second] ^= 1
            new = evaluate(circuit, bits, events)
            # Equal moves are taken: long plateaus, where a bit does not lie on the latest path, must be crossed.
            if new >= now:
                stalled = 0 if new > now else stalled + 1
                now = new
            else:
                stalled += 1
                bits[first] ^= 1
                if second < size and second != first:
                    bits[second] ^= 1
        if now > top:
            top = now
            best[:] = bits
    return top


@numba.njit(cache=True, nogil=True)
def every(circuit: TimedCircuit, nets: int, best: Bytes) -> float:
    """The latest event over all operands, ps; `best` becomes the first operands that have it, in counting order."""
    size = len(circuit.input_nets)
    events = settling(nets)
    bits = np.zeros(size, dtype=np.uint8)
    top = -1.0
    for operands in range(1 << size):
        for k in range(size):
            bits[k] = operands >> k & 1
        now = evaluate(circuit, bits, events)
        if now > top:
            top = now
            best[:] = bits
    return top
