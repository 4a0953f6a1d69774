"""Encodes "some operands have an event at an output later than t" as clauses: compiled by numba, cached on disk.

The encoding follows `viable_kernels` with times as thresholds (after Devadas, Keutzer, Malik, IEEE TCAD 12(12), 1993).
Variables are X(n), the settled value of net n; E(n, e, t), "the last event of net n to edge e is later than t"; and one
variable A for each arc that may cause such an event. Clauses, f the function of the cell that drives n:

    n = f(pins)                                          for each prime implicant of f and of its complement
    E(n, e, t) for some output n and edge e              the question
    E(n, e, t)  ->  X(n) = e  or  E(n, 1 - e, t)         the edge to the settled value comes last
    E(n, e, t)  ->  A1 or A2 or ...                      arcs of the driver that end in n = e
    A           ->  E(pin, row[pin], t - delay)          the pin's own event
    A           ->  X(k) = row[k] or E(k, 1 - row[k], t - delay)
                                                         a pin that settles otherwise than in the row settles later
    E(n, e, t)  ->  E(n, e, t')  for t' < t

These are implications in one direction only. If operands with such an event exist, then all clauses can hold; so a
refutation proves that none exist, while a model is a candidate to be evaluated.

**Rounding.** Thresholds are arrival(n, e) - b step for whole b, where arrival is the latest by structure: a threshold
is rounded down to the next of these, which only admits more operands. b = 0 is false. Beyond the last level the event
is taken to happen (true). An input's events are at 0: "later than t" is X(n) = e for t < 0 and false otherwise.

**Literals.** 2 v is variable v and 2 v + 1 its negation; X(n) is variable n. FALSE and TRUE stand for constants until
`_clause` drops them. E variables are made when first asked for, and queued: each is expanded once.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from circuits.cost.kernel_records import Bytes, Floats, Ints
from circuits.cost.true_paths.viable_kernels import TimedCircuit

_FALSE, _TRUE = -2, -1
_EARLY = -1.0  # ps, before all events, which are at 0 or later
_SMALL = 1e-6  # of a step or a ps: what rounding errors may amount to
_VARIABLES, _LITERALS, _CLAUSES, _FULL, _QUEUED = range(5)


class Formula(NamedTuple):
    """Clauses so far: clause c is literals[ends[c] : ends[c + 1]].

    `counts` int64 [5]: variables, literals, clauses, whether the arrays were too small, and events queued.
    """

    literals: NDArray[np.int32]
    ends: Ints
    counts: Ints


class Thresholds(NamedTuple):
    """Event variables: `variable` [nets, 2, levels], -1 where none is needed yet; `queue` [., 3]: (net, edge, b) in the
    order of numbering.

    `arrival` [nets, 2]: latest by structure, ps; `is_input` uint8 [nets]; `step` ps.
    """

    variable: Ints
    queue: Ints
    arrival: Floats
    is_input: Bytes
    step: float


@numba.njit(cache=True, nogil=True)
def _later(
    variable: Ints,
    queue: Ints,
    arrival: Floats,
    is_input: Bytes,
    step: float,
    counts: Ints,
    event: tuple[int, int, float],
) -> int:
    """The literal of E(net, edge, time), the `event`; makes and queues the variable if it is new.

    The first five are the fields of `Thresholds`, not the record, because `_encode_events` asks in its inner loop: see
    there.
    """
    net, edge, time = event
    slack = arrival[net, edge] - time
    if slack <= _SMALL:
        return _FALSE
    if is_input[net]:
        # The event is at 0 and the net settles at `edge`: it is X(net) = edge.
        return int(2 * net + 1 - edge)
    #   arrival - b step  <=  time:  the threshold is rounded down, which only admits more operands.
    #
    # _SMALL keeps a quotient that is whole but for rounding errors from going to the next level.
    b = int(np.ceil(slack / step - _SMALL))
    if b >= variable.shape[2]:
        return _TRUE
    if variable[net, edge, b] < 0:
        variable[net, edge, b] = counts[_VARIABLES]
        counts[_VARIABLES] += 1
        queue[counts[_QUEUED], 0], queue[counts[_QUEUED], 1], queue[counts[_QUEUED], 2] = net, edge, b
        counts[_QUEUED] += 1
    return int(2 * variable[net, edge, b])


@numba.njit(cache=True, nogil=True)
def _clause(literals: NDArray[np.int32], ends: Ints, counts: Ints, clause: Ints, size: int) -> None:
    """Adds the first `size` literals as a clause; drops false and repeated ones, and skips clauses that always hold."""
    start = counts[_LITERALS]
    if start + size > len(literals) or counts[_CLAUSES] + 2 > len(ends):
        counts[_FULL] = 1
        return
    at = start
    for k in range(size):
        literal = clause[k]
        # Literals beyond counts[_LITERALS] are scratch: a clause that turns out to hold is simply not counted.
        if literal == _FALSE:
            continue
        holds = literal == _TRUE
        repeated = False
        for m in range(start, at):
            holds = holds or literals[m] == (literal ^ 1)
            repeated = repeated or literals[m] == literal
        if holds:
            return
        if not repeated:
            literals[at] = literal
            at += 1
    counts[_LITERALS] = at
    counts[_CLAUSES] += 1
    ends[counts[_CLAUSES]] = at


@numba.njit(cache=True, nogil=True)
def _encode_functions(circuit: TimedCircuit, formula: Formula, kinds: Ints, implicants: Ints) -> None:
    """The settled values: constants, then every output as the function of its instance's inputs."""
    inputs, outputs = circuit.inputs, circuit.outputs
    literals, ends, counts = formula
    clause = np.empty(4, dtype=np.int64)
    for literal in (1, 2):  # net 0 is 0, net 1 is 1
        clause[0] = literal
        _clause(literals, ends, counts, clause, 1)
    for n in range(len(inputs)):
        for o in range(2):
            net = outputs[n, o]
            if net < 0:
                continue
            for p in range(implicants.shape[2]):
                value = implicants[kinds[n], o, p, 3]
                if value < 0:
                    break
                size = 0
                for pin in range(3):
                    wanted = implicants[kinds[n], o, p, pin]
                    if wanted < 2:
                        clause[size] = 2 * inputs[n, pin] + wanted
                        size += 1
                #   (pins = implicant)  ->  net = value,  as a clause: some pin differs, or net = value.
                clause[size] = 2 * net + 1 - value
                _clause(literals, ends, counts, clause, size + 1)


@numba.njit(cache=True, nogil=True)
def _encode_question(circuit: TimedCircuit, thresholds: Thresholds, formula: Formula, time: float) -> None:
    """Some output of the netlist has an event later than `time`."""
    variable, queue, arrival, is_input, step = thresholds
    literals, ends, counts = formula
    clause = np.empty(2 * len(circuit.end_nets) + 1, dtype=np.int64)
    size = 0
    for net in circuit.end_nets:
        for edge in range(2):
            clause[size] = _later(variable, queue, arrival, is_input, step, counts, (net, edge, time))
            size += 1
    _clause(literals, ends, counts, clause, size)


@numba.njit(cache=True, nogil=True)
def _encode_events(circuit: TimedCircuit, thresholds: Thresholds, formula: Formula, driver: Ints) -> None:
    """What the queued events need, and the events that these need in turn; `driver` [nets, 2]: (instance, output)."""
    # Local names: numba counts a reference whenever an array leaves a record, which would double the time.
    inputs, _, functions, first_arc, arcs, delay, _, _ = circuit
    variable, queue, arrival, is_input, step = thresholds
    literals, ends, counts = formula
    clause, causes = np.empty(3, dtype=np.int64), np.empty(14, dtype=np.int64)  # at most 3 pins x 4 rows cause an event
    expanded = 0
    while expanded < counts[_QUEUED] and not counts[_FULL]:
        net, edge, b = queue[expanded]
        expanded += 1
        event = 2 * variable[net, edge, b]
        time = arrival[net, edge] - b * step
        n, o = driver[net]
        clause[0], clause[1] = event ^ 1, 2 * net + 1 - edge
        clause[2] = _later(variable, queue, arrival, is_input, step, counts, (net, 1 - edge, time))
        _clause(literals, ends, counts, clause, 3)
        causes[0] = event ^ 1
        count = 1
        for a in range(first_arc[n], first_arc[n + 1]):
            pin, row, output, pin_edge = arcs[a]
            if output != o or functions[n, o] >> row & 1 != edge:
                continue
            source = inputs[n, pin]
            # All times before 0 ask the same, "is there such an event at all", and share one variable.
            then = max(time - delay[a], _EARLY)
            # No path brings this pin's event so late: the arc is no cause, and needs no variable.
            if arrival[source, pin_edge] - then <= _SMALL:
                continue
            arc = counts[_VARIABLES]
            counts[_VARIABLES] += 1
            causes[count] = 2 * arc
            count += 1
            clause[0] = 2 * arc + 1
            clause[1] = _later(variable, queue, arrival, is_input, step, counts, (source, pin_edge, then))
            _clause(literals, ends, counts, clause, 2)
            for k in range(3):
                side = inputs[n, k]
                if side < 2:
                    continue
                other = 1 - (row >> (2 - k) & 1)
                clause[1] = _later(variable, queue, arrival, is_input, step, counts, (side, other, then))
                clause[2] = 2 * side + other  # X(side) = 1 - other, as in the row
                _clause(literals, ends, counts, clause, 3)
        _clause(literals, ends, counts, causes, count)


@numba.njit(cache=True, nogil=True)
def _encode_order(thresholds: Thresholds, formula: Formula) -> None:
    """Later than one threshold implies later than the next earlier one that was asked for."""
    variable, queue = thresholds.variable, thresholds.queue
    literals, ends, counts = formula
    clause = np.empty(2, dtype=np.int64)
    for k in range(counts[_QUEUED]):
        net, edge, b = queue[k]
        for earlier in range(b + 1, variable.shape[2]):
            if variable[net, edge, earlier] >= 0:
                clause[0], clause[1] = 2 * variable[net, edge, b] + 1, 2 * variable[net, edge, earlier]
                _clause(literals, ends, counts, clause, 2)
                # The next one suffices: implications to still earlier thresholds follow by transitivity.
                break


@numba.njit(cache=True, nogil=True)
def encode(
    circuit: TimedCircuit,
    kinds: Ints,
    implicants: Ints,
    arrival: Floats,
    time: float,
    step: float,
    levels: int,
    formula: Formula,
) -> None:
    """Fills `formula` with clauses that can hold if an output has an event later than `time` for some operands.

    `kinds` [n]: which `implicants` [kind, output, ., 4] an instance has: pins at 0, 1 or 2 (either), then the value; -1
    ends the list. `step`, `levels`: the thresholds' rounding. If the arrays are too small (`is_full`), the clauses are
    incomplete.
    """
    nets = len(arrival)
    outputs, counts = circuit.outputs, formula.counts
    counts[:] = 0
    counts[_VARIABLES] = nets
    formula.ends[0] = 0
    is_input = np.zeros(nets, dtype=np.uint8)
    is_input[circuit.input_nets] = 1
    thresholds = Thresholds(
        np.full((nets, 2, levels), -1, dtype=np.int64),
        np.empty((nets * 2 * levels, 3), dtype=np.int64),
        arrival,
        is_input,
        step,
    )
    driver = np.full((nets, 2), -1, dtype=np.int64)
    for n in range(len(outputs)):
        for o in range(2):
            if outputs[n, o] >= 0:
                driver[outputs[n, o], 0], driver[outputs[n, o], 1] = n, o
    _encode_functions(circuit, formula, kinds, implicants)
    _encode_question(circuit, thresholds, formula, time)
    _encode_events(circuit, thresholds, formula, driver)
    _encode_order(thresholds, formula)


def is_full(formula: Formula) -> bool:
    """Whether the arrays were too small."""
    return bool(formula.counts[_FULL])


def sizes(formula: Formula) -> tuple[int, int]:
    """(variables, clauses)."""
    return int(formula.counts[_VARIABLES]), int(formula.counts[_CLAUSES])
