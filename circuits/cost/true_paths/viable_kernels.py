"""The loops of `circuits.cost.true_paths.viability`, compiled once by numba and cached on disk.

An event is (net, edge): the last time that the net goes to that value, ps. An arc is (instance, pin, row, output): the
pin's event that brings the instance into the row, and the event of the output that follows after the arc's delay.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from circuits.cost.table_lookup import interpolated as _at, weights as _weights

NEVER = -1.0e30
_EARLY = -1.0  # before all events, which are at 0 or later
_FALSE, _TRUE = -2, -1  # what a literal is where it is no variable
_SMALL = 1e-6


@numba.njit(cache=True, nogil=True)
def arc_delays(
    variants: Any,
    inputs: Any,
    outputs: Any,
    loads: Any,
    tables: Any,
    slew: Any,
    allowed: Any,
    slews: Any,
    grid: Any,
) -> Any:
    """(first arc of each instance [n + 1], arcs [a, 4]: pin, row, output, edge; delay [a] ps), slews as given by net.

    `tables` [variant, pin, row, output, slew, load]; `allowed` [variant, row]: states that constant pins allow.
    """
    room = len(variants) * 24
    starts = np.zeros(len(variants) + 1, dtype=np.int64)
    arcs = np.empty((room, 4), dtype=np.int64)
    delay = np.empty(room)
    count = 0
    for n in range(len(variants)):
        v = variants[n]
        for pin in range(3):
            of = inputs[n, pin]
            if of < 2:
                continue
            for row in range(8):
                if not allowed[v, row] or not allowed[v, row ^ (4 >> pin)]:
                    continue
                edge = row >> (2 - pin) & 1
                s, ws = _weights(slews, slew[of, edge])
                for o in range(2):
                    if outputs[n, o] < 0:
                        continue
                    c, wc = _weights(grid, loads[outputs[n, o]])
                    value = _at(tables[v, pin, row, o], s, ws, c, wc)
                    if not np.isnan(value):
                        arcs[count, 0], arcs[count, 1], arcs[count, 2], arcs[count, 3] = pin, row, o, edge
                        delay[count] = value
                        count += 1
        starts[n + 1] = count
    return starts, arcs[:count].copy(), delay[:count].copy()


@numba.njit(cache=True, nogil=True)
def arrivals(
    inputs: Any, outputs: Any, functions: Any, starts: Any, arcs: Any, delay: Any, input_nets: Any, nets: int
) -> Any:
    """[nets, 2]: the latest that any path brings an edge of a net, whatever the operands."""
    arrival = np.full((nets, 2), NEVER)
    for net in input_nets:
        arrival[net] = 0.0
    for n in range(len(inputs)):
        for a in range(starts[n], starts[n + 1]):
            pin, row, o, edge = arcs[a]
            before = arrival[inputs[n, pin], edge]
            to = functions[n, o] >> row & 1
            if before != NEVER and before + delay[a] > arrival[outputs[n, o], to]:
                arrival[outputs[n, o], to] = before + delay[a]
    return arrival


@numba.njit(cache=True, nogil=True)
def evaluate(
    inputs: Any,
    outputs: Any,
    functions: Any,
    starts: Any,
    arcs: Any,
    delay: Any,
    input_nets: Any,
    bits: Any,
    ends: Any,
    value: Any,
    last: Any,
    cause: Any,
) -> float:
    """The latest event at one of the nets `ends`, when the operands become `bits`.

    Fills `value` [nets], `last` [nets, 2] and `cause` [nets, 2, 3]: the instance behind each event, and the pin and
    edge that its time came from (-1 for none).
    """
    last[:] = NEVER
    cause[:] = -1
    value[0], value[1] = 0, 1
    for k in range(len(input_nets)):
        value[input_nets[k]] = bits[k]
        last[input_nets[k], bits[k]] = 0.0
    for n in range(len(inputs)):
        row = 0
        for pin in range(3):
            row = 2 * row + (value[inputs[n, pin]] if inputs[n, pin] >= 0 else 0)
        for o in range(2):
            if outputs[n, o] >= 0:
                value[outputs[n, o]] = functions[n, o] >> row & 1
        for a in range(starts[n], starts[n + 1]):
            pin, other, o, edge = arcs[a]
            net = outputs[n, o]
            time = last[inputs[n, pin], edge]
            through, on = pin, edge
            for k in range(3):
                if (row ^ other) >> (2 - k) & 1:
                    side = inputs[n, k]
                    if last[side, value[side]] < time:
                        time = last[side, value[side]]
                        through, on = k, value[side]
            if time == NEVER:
                continue
            to = functions[n, o] >> other & 1
            if time + delay[a] > last[net, to]:
                last[net, to] = time + delay[a]
                cause[net, to, 0], cause[net, to, 1], cause[net, to, 2] = n, through, on
        for o in range(2):
            net = outputs[n, o]
            if net >= 0 and last[net, 1 - value[net]] > last[net, value[net]]:
                last[net, 1 - value[net]] = last[net, value[net]]
                cause[net, 1 - value[net]] = cause[net, value[net]]
    best = 0.0
    for net in ends:
        best = max(best, last[net, 0], last[net, 1])
    return best


@numba.njit(cache=True, nogil=True)
def _draw(state: Any, below: int) -> int:
    """A number from 0 on, less than `below`, by Marsaglia's xorshift; `state` uint64 [1], not 0."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return int((x >> np.uint64(11)) % np.uint64(below))


@numba.njit(cache=True, nogil=True)
def climb(
    inputs: Any,
    outputs: Any,
    functions: Any,
    starts: Any,
    arcs: Any,
    delay: Any,
    input_nets: Any,
    ends: Any,
    nets: int,
    best: Any,
    tries: int,
    seed: int,
    enough: float,
) -> float:
    """Operands with a late last event by local search: one or two bits change as long as the event is no earlier.

    `best` uint8 [input nets]: where to start, and the best operands found; `tries` evaluations, fewer where `enough` is
    reached. Returns the event's time.
    """
    state = np.array([seed], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    size = len(input_nets)
    value = np.zeros(nets, dtype=np.uint8)
    last = np.empty((nets, 2))
    cause = np.empty((nets, 2, 3), dtype=np.int64)
    top = evaluate(inputs, outputs, functions, starts, arcs, delay, input_nets, best, ends, value, last, cause)
    bits = best.copy()
    now = top
    stalled = 0
    for _ in range(tries):
        if top >= enough:
            break
        if stalled > 3 * size:
            # Start again: from anywhere, or near the best so far.
            stalled = 0
            if _draw(state, 2):
                for k in range(size):
                    bits[k] = _draw(state, 2)
            else:
                bits[:] = best
                for _ in range(1 + _draw(state, 7)):
                    bits[_draw(state, size)] ^= 1
            now = evaluate(inputs, outputs, functions, starts, arcs, delay, input_nets, bits, ends, value, last, cause)
        else:
            first = _draw(state, size)
            second = _draw(state, 2 * size)
            bits[first] ^= 1
            if second < size and second != first:
                bits[second] ^= 1
            new = evaluate(inputs, outputs, functions, starts, arcs, delay, input_nets, bits, ends, value, last, cause)
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
def every(
    inputs: Any,
    outputs: Any,
    functions: Any,
    starts: Any,
    arcs: Any,
    delay: Any,
    input_nets: Any,
    ends: Any,
    nets: int,
    best: Any,
) -> float:
    """The latest event over all operands, which `best` becomes: the first in the order of their bits."""
    size = len(input_nets)
    value = np.zeros(nets, dtype=np.uint8)
    last = np.empty((nets, 2))
    cause = np.empty((nets, 2, 3), dtype=np.int64)
    bits = np.zeros(size, dtype=np.uint8)
    top = -1.0
    for operands in range(1 << size):
        for k in range(size):
            bits[k] = operands >> k & 1
        now = evaluate(inputs, outputs, functions, starts, arcs, delay, input_nets, bits, ends, value, last, cause)
        if now > top:
            top = now
            best[:] = bits
    return top


@numba.njit(cache=True, nogil=True)
def _event(node: Any, arrival: Any, is_input: Any, net: int, edge: int, time: float, step: float, made: Any) -> int:
    """The literal of "the last event of `net` to `edge` is later than `time`"; made[0] counts variables."""
    slack = arrival[net, edge] - time
    if slack <= _SMALL:
        return _FALSE
    if is_input[net]:
        return int(2 * net + 1 - edge)
    b = int(np.ceil(slack / step - _SMALL))
    if b >= node.shape[2]:
        return _TRUE
    if node[net, edge, b] < 0:
        node[net, edge, b] = made[0]
        made[0] += 1
    return int(2 * node[net, edge, b])


@numba.njit(cache=True, nogil=True)
def _clause(literals: Any, ends: Any, made: Any, clause: Any, size: int) -> None:
    """Adds the first `size` literals as a clause, unless it holds anyway; false ones and repeated ones are left out."""
    start = made[1]
    if start + size > len(literals) or made[2] + 2 > len(ends):
        made[3] = 1
        return
    at = start
    for k in range(size):
        literal = clause[k]
        if literal == _FALSE:
            continue
        known = literal == _TRUE
        repeated = False
        for m in range(start, at):
            known = known or literals[m] == (literal ^ 1)
            repeated = repeated or literals[m] == literal
        if known:
            return
        if not repeated:
            literals[at] = literal
            at += 1
    made[1] = at
    made[2] += 1
    ends[made[2]] = at


@numba.njit(cache=True, nogil=True)
def encode(
    inputs: Any,
    outputs: Any,
    kinds: Any,
    functions: Any,
    implicants: Any,
    starts: Any,
    arcs: Any,
    delay: Any,
    arrival: Any,
    input_nets: Any,
    ends: Any,
    time: float,
    step: float,
    levels: int,
    literals: Any,
    clause_ends: Any,
) -> Any:
    """Clauses that hold for some operands if one of the nets `ends` has an event later than `time`.

    Variable k < nets is the value of net k. The others are "the last event of a net to an edge is later than its
    structural arrival less b steps", b < `levels`: times are rounded down to such steps, and what would be later by
    more is taken to hold. Both only admit more operands. Returns (variables, clauses, whether the arrays were large
    enough); fills `literals` and `clause_ends` [clauses + 1].
    """
    nets = len(arrival)
    node = np.full((nets, 2, levels), -1, dtype=np.int64)
    made = np.array([nets, 0, 0, 0])
    clause = np.empty(32, dtype=np.int64)
    clause_ends[0] = 0
    is_input = np.zeros(nets, dtype=np.uint8)
    is_input[input_nets] = 1
    driver = np.full((nets, 2), -1, dtype=np.int64)
    clause[0] = 1
    _clause(literals, clause_ends, made, clause, 1)
    clause[0] = 2
    _clause(literals, clause_ends, made, clause, 1)
    for n in range(len(inputs)):
        for o in range(2):
            net = outputs[n, o]
            if net < 0:
                continue
            driver[net, 0], driver[net, 1] = n, o
            for p in range(implicants.shape[2]):
                to = implicants[kinds[n], o, p, 3]
                if to < 0:
                    break
                size = 0
                for pin in range(3):
                    wanted = implicants[kinds[n], o, p, pin]
                    if wanted < 2:
                        clause[size] = 2 * inputs[n, pin] + wanted
                        size += 1
                clause[size] = 2 * net + 1 - to
                _clause(literals, clause_ends, made, clause, size + 1)
    # The events asked for, then those that they need, each once: `queue` grows as variables are made.
    room = nets * 2 * levels
    queue = np.empty((room, 3), dtype=np.int64)
    filled, done = 0, 0
    top = np.empty(2 * len(ends) + 1, dtype=np.int64)
    size = 0
    for net in ends:
        for edge in range(2):
            before = made[0]
            literal = _event(node, arrival, is_input, net, edge, time, step, made)
            if made[0] > before:
                queue[filled] = net, edge, int(np.ceil((arrival[net, edge] - time) / step - _SMALL))
                filled += 1
            top[size] = literal
            size += 1
    _clause(literals, clause_ends, made, top, size)
    while done < filled and not made[3]:
        net, edge, b = queue[done]
        done += 1
        this = 2 * node[net, edge, b]
        at = arrival[net, edge] - b * step
        n, o = driver[net]
        # Of the two edges, the one to the settled value comes last.
        before = made[0]
        opposite = _event(node, arrival, is_input, net, 1 - edge, at, step, made)
        if made[0] > before:
            queue[filled] = net, 1 - edge, int(np.ceil((arrival[net, 1 - edge] - at) / step - _SMALL))
            filled += 1
        clause[0], clause[1], clause[2] = this ^ 1, 2 * net + 1 - edge, opposite
        _clause(literals, clause_ends, made, clause, 3)
        choices = np.empty(14, dtype=np.int64)
        choices[0] = this ^ 1
        count = 1
        for a in range(starts[n], starts[n + 1]):
            pin, row, output, on = arcs[a]
            if output != o or functions[n, o] >> row & 1 != edge:
                continue
            source = inputs[n, pin]
            then = max(at - delay[a], _EARLY)
            if arrival[source, on] - then <= _SMALL:
                continue
            arc = made[0]
            made[0] += 1
            choices[count] = 2 * arc
            count += 1
            for k in range(-1, 3):
                side = source if k < 0 else inputs[n, k]
                if side < 2:
                    continue
                wanted = on if k < 0 else 1 - (row >> (2 - k) & 1)
                before = made[0]
                late = _event(node, arrival, is_input, side, wanted, then, step, made)
                if made[0] > before:
                    queue[filled] = side, wanted, int(np.ceil((arrival[side, wanted] - then) / step - _SMALL))
                    filled += 1
                size = 2
                clause[0], clause[1] = 2 * arc + 1, late
                if k >= 0:
                    clause[2] = 2 * side + wanted
                    size = 3
                _clause(literals, clause_ends, made, clause, size)
        _clause(literals, clause_ends, made, choices, count)
    # Later than one time is later than an earlier one.
    for k in range(filled):
        net, edge, b = queue[k]
        for weaker in range(b + 1, levels):
            if node[net, edge, weaker] >= 0:
                clause[0], clause[1] = 2 * node[net, edge, b] + 1, 2 * node[net, edge, weaker]
                _clause(literals, clause_ends, made, clause, 2)
                break
    return made[0], made[2], made[3] == 0
