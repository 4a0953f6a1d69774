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
    """Clauses as they are made: clause c is literals[ends[c] : ends[c + 1]].

    `counts` int64 [5]: variables, literals, clauses, whether the arrays were too small, and events queued.
    """

    literals: NDArray[np.int32]
    ends: Ints
    counts: Ints


class Thresholds(NamedTuple):
    """Event variables: `variable` [nets, 2, levels], -1 where not made; `queue` [., 3]: (net, edge, b) as made.

    `arrival` [nets, 2]: latest by structure; `step` ps; `is_input` uint8 [nets].
    """

    variable: Ints
    queue: Ints
    arrival: Floats
    is_input: Bytes
    step: float


@numba.njit(cache=True, nogil=True)
def _later(thresholds: Thresholds, formula: Formula, net: int, edge: int, time: float) -> int:
    """The literal of E(net, edge, time); makes and queues the variable if it is new."""
    slack = thresholds.arrival[net, edge] - time
    if slack <= _SMALL:
        return _FALSE
    if thresholds.is_input[net]:
        return int(2 * net + 1 - edge)
    variable, counts = thresholds.variable, formula.counts
    b = int(np.ceil(slack / thresholds.step - _SMALL))
    if b >= variable.shape[2]:
        return _TRUE
    if variable[net, edge, b] < 0:
        variable[net, edge, b] = counts[_VARIABLES]
        counts[_VARIABLES] += 1
        event = thresholds.queue[counts[_QUEUED]]
        event[0], event[1], event[2] = net, edge, b
        counts[_QUEUED] += 1
    return int(2 * variable[net, edge, b])


@numba.njit(cache=True, nogil=True)
def _clause(formula: Formula, clause: Ints, size: int) -> None:
    """Adds the first `size` literals as a clause; drops false and repeated ones, and skips clauses that always hold."""
    literals, ends, counts = formula
    start = counts[_LITERALS]
    if start + size > len(literals) or counts[_CLAUSES] + 2 > len(ends):
        counts[_FULL] = 1
        return
    at = start
    for k in range(size):
        literal = clause[k]
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
    clause = np.empty(4, dtype=np.int64)
    for literal in (1, 2):  # net 0 is 0, net 1 is 1
        clause[0] = literal
        _clause(formula, clause, 1)
    for n in range(len(circuit.inputs)):
        for o in range(2):
            net = circuit.outputs[n, o]
            if net < 0:
                continue
            for p in range(implicants.shape[2]):
                implicant = implicants[kinds[n], o, p]
                if implicant[3] < 0:
                    break
                size = 0
                for pin in range(3):
                    if implicant[pin] < 2:
                        clause[size] = 2 * circuit.inputs[n, pin] + implicant[pin]
                        size += 1
                clause[size] = 2 * net + 1 - implicant[3]
                _clause(formula, clause, size + 1)


@numba.njit(cache=True, nogil=True)
def _encode_arc(
    circuit: TimedCircuit, thresholds: Thresholds, formula: Formula, n: int, a: int, then: float, clause: Ints
) -> int:
    """A new variable for arc a of instance n, whose pin has an event later than `then`; returns its literal."""
    pin, row, _, edge = circuit.arcs[a]
    source = circuit.inputs[n, pin]
    arc = formula.counts[_VARIABLES]
    formula.counts[_VARIABLES] += 1
    for k in range(-1, 3):  # -1: the pin's own event
        side = source if k < 0 else circuit.inputs[n, k]
        if side < 2:
            continue
        value = edge if k < 0 else 1 - (row >> (2 - k) & 1)
        clause[0], clause[1] = 2 * arc + 1, _later(thresholds, formula, side, value, then)
        size = 2
        if k >= 0:
            clause[2] = 2 * side + value  # X(side) = 1 - value, as in the row
            size = 3
        _clause(formula, clause, size)
    return int(2 * arc)


@numba.njit(cache=True, nogil=True)
def _encode_event(
    circuit: TimedCircuit, thresholds: Thresholds, formula: Formula, event: Ints, n: int, o: int, clause: Ints
) -> None:
    """What E(net, edge, b) needs, where output o of instance n drives the net."""
    net, edge, b = event
    literal = 2 * thresholds.variable[net, edge, b]
    time = thresholds.arrival[net, edge] - b * thresholds.step
    opposite = _later(thresholds, formula, net, 1 - edge, time)
    clause[0], clause[1], clause[2] = literal ^ 1, 2 * net + 1 - edge, opposite
    _clause(formula, clause, 3)
    causes = np.empty(14, dtype=np.int64)  # at most 3 pins x 4 rows
    causes[0] = literal ^ 1
    size = 1
    for a in range(circuit.first_arc[n], circuit.first_arc[n + 1]):
        pin, row, output, pin_edge = circuit.arcs[a]
        if output != o or circuit.functions[n, o] >> row & 1 != edge:
            continue
        then = max(time - circuit.delay[a], _EARLY)
        if thresholds.arrival[circuit.inputs[n, pin], pin_edge] - then <= _SMALL:
            continue
        causes[size] = _encode_arc(circuit, thresholds, formula, n, a, then, clause)
        size += 1
    _clause(formula, causes, size)


@numba.njit(cache=True, nogil=True)
def _encode_order(thresholds: Thresholds, formula: Formula, clause: Ints) -> None:
    """Later than one threshold implies later than the next earlier one that was asked for."""
    variable = thresholds.variable
    for k in range(formula.counts[_QUEUED]):
        net, edge, b = thresholds.queue[k]
        for earlier in range(b + 1, variable.shape[2]):
            if variable[net, edge, earlier] >= 0:
                clause[0], clause[1] = 2 * variable[net, edge, b] + 1, 2 * variable[net, edge, earlier]
                _clause(formula, clause, 2)
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
    ends the list. `step`, `levels`: the thresholds' rounding. If `counts[_FULL]` is set afterwards (see `is_full`), the
    arrays were too small and the clauses are incomplete.
    """
    nets = len(arrival)
    formula.counts[:] = 0
    formula.counts[_VARIABLES] = nets
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
    for n in range(len(circuit.outputs)):
        for o in range(2):
            if circuit.outputs[n, o] >= 0:
                driver[circuit.outputs[n, o], 0], driver[circuit.outputs[n, o], 1] = n, o
    _encode_functions(circuit, formula, kinds, implicants)
    question = np.empty(2 * len(circuit.end_nets) + 1, dtype=np.int64)
    size = 0
    for net in circuit.end_nets:
        for edge in range(2):
            question[size] = _later(thresholds, formula, net, edge, time)
            size += 1
    _clause(formula, question, size)
    clause = np.empty(4, dtype=np.int64)
    expanded = 0
    while expanded < formula.counts[_QUEUED] and not formula.counts[_FULL]:
        event = thresholds.queue[expanded]
        expanded += 1
        n, o = driver[event[0]]
        _encode_event(circuit, thresholds, formula, event, n, o, clause)
    _encode_order(thresholds, formula, clause)


def is_full(formula: Formula) -> bool:
    """Whether the arrays were too small."""
    return bool(formula.counts[_FULL])


def sizes(formula: Formula) -> tuple[int, int]:
    """(variables, clauses)."""
    return int(formula.counts[_VARIABLES]), int(formula.counts[_CLAUSES])
