"""A small satisfiability solver: conflict-driven clause learning, compiled once by numba and cached on disk.

It follows MiniSat (Een, Sorensson, SAT 2003): two watched literals, first unique implication point, activities that
decay, saved phases, restarts after Luby's sequence. Learned clauses are never deleted: the budget of conflicts bounds
them. There is no randomness: the same clauses give the same answer and the same model.

**Representation.** Literal 2 v is variable v, 2 v + 1 its negation; l ^ 1 negates a literal, l >> 1 is its variable.
Clause c is literals[starts[c] : starts[c + 1]]. `value` is indexed by literal: 1 true, 0 false, -1 open, so that
value[l] = 1 - value[l ^ 1] unless both are open.

**Watched literals.** The first two literals of each clause are watched: the clause is in the linked lists of both,
`head[l]` -> clause -> following[clause, side] -> ..., with side 0 or 1 for the first or second literal. Once all
assignments are propagated, a watched literal is false only if the other one is true (assigned at the same level or
earlier). So only clauses that watch a literal that becomes false have to be looked at, and backtracking need not touch
the lists.

**Trail.** `trail[:assigned]` holds the true literals in the order of assignment, trail[:propagated] those whose
consequences are drawn. `limits[d]` is the length of the trail before the decision of level d + 1. `reason[v]` is the
clause that implied v (its first literal is v's), -1 for decisions. Level 0 holds what follows from the clauses alone: a
conflict there refutes them.

**Decisions.** `heap` is a binary heap of variables, the most active first; `place[v]` is v's index in it, -1 if v is
not in it. Every open variable is in the heap; assigned ones may be, and are skipped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

SATISFIABLE, UNSATISFIABLE, UNDECIDED = 1, 0, -1
"""Answers of `solve`."""
# MiniSat's decay of activities; restarts every _RESTART conflicts times Luby's sequence.
_DECAY = 0.95
_RESTART = 64
_LARGEST_INCREMENT, _RESCALE = 1e100, 1e-100  # activities are scaled down before they overflow

Bytes = NDArray[np.uint8]
Literals = NDArray[np.int32]
Longs = NDArray[np.int64]


class Clauses(NamedTuple):
    """Clauses and the lists of those that watch each literal; `literals` is replaced by a longer array when full."""

    literals: Literals
    starts: Longs
    head: Longs
    following: Longs


class Assignment(NamedTuple):
    """Values and their history: see the module. `phase` [variables]: the value that a decision tries first."""

    value: NDArray[np.int8]
    level: NDArray[np.int32]
    reason: Longs
    trail: Literals
    limits: Longs
    phase: Bytes


class Order(NamedTuple):
    """Variables by activity: `heap`, `place` and `activity`, see the module."""

    heap: Longs
    place: Longs
    activity: NDArray[np.float64]


class Analysis(NamedTuple):
    """Scratch of `_analyse`: `seen` [variables], 0 before and after; `learned` [variables], the clause it learns."""

    seen: Bytes
    learned: Literals


@numba.njit(cache=True, nogil=True)
def _luby(k: int) -> int:
    """Luby's sequence 1, 1, 2, 1, 1, 2, 4, ..., from k = 1 on."""
    size = 1
    # The sequence ends each run of 2^i - 1 terms with 2^(i-1); any other term is one of the shorter run it repeats.
    while size < k + 1:
        size *= 2
    while size - 1 != k:
        size //= 2
        if k >= size:
            k -= size - 1
        while size // 2 >= k + 1:
            size //= 2
    return size // 2


@numba.njit(cache=True, nogil=True)
def _up(order: Order, k: int) -> None:
    """Moves heap[k] towards the root until its parent is at least as active."""
    heap, place, activity = order
    variable = heap[k]
    while k > 0:
        parent = (k - 1) >> 1
        if activity[heap[parent]] >= activity[variable]:
            break
        heap[k] = heap[parent]
        place[heap[k]] = k
        k = parent
    heap[k] = variable
    place[variable] = k


@numba.njit(cache=True, nogil=True)
def _down(order: Order, k: int, size: int) -> None:
    """Moves heap[k] away from the root until no child is more active."""
    heap, place, activity = order
    variable = heap[k]
    while 2 * k + 1 < size:
        child = 2 * k + 1
        if child + 1 < size and activity[heap[child + 1]] > activity[heap[child]]:
            child += 1
        if activity[heap[child]] <= activity[variable]:
            break
        heap[k] = heap[child]
        place[heap[k]] = k
        k = child
    heap[k] = variable
    place[variable] = k


@numba.njit(cache=True, nogil=True)
def _assign(assignment: Assignment, literal: int, level: int, reason: int, assigned: int) -> None:
    """Makes `literal` true and appends it to the trail; the caller counts up."""
    assignment.value[literal], assignment.value[literal ^ 1] = 1, 0
    assignment.level[literal >> 1] = level
    assignment.reason[literal >> 1] = reason
    assignment.trail[assigned] = literal


@numba.njit(cache=True, nogil=True)
def _watch(clauses: Clauses, c: int) -> None:
    """Puts clause c (of two or more literals) into the lists of its first two literals."""
    for side in range(2):
        literal = clauses.literals[clauses.starts[c] + side]
        clauses.following[c, side] = clauses.head[literal]
        clauses.head[literal] = c


@numba.njit(cache=True, nogil=True)
def _watch_all(clauses: Clauses, assignment: Assignment, count: int) -> int:
    """Watches the first `count` clauses and assigns those of one literal; returns the length of the trail.

    Returns -1 if a clause is empty, or false under those assignments.
    """
    assigned = 0
    for c in range(count):
        first, end = clauses.starts[c], clauses.starts[c + 1]
        if end == first:
            return -1
        if end - first > 1:
            _watch(clauses, c)
            continue
        literal = clauses.literals[first]
        if assignment.value[literal] == 0:
            return -1
        if assignment.value[literal] < 0:
            _assign(assignment, literal, 0, -1, assigned)
            assigned += 1
    return assigned


@numba.njit(cache=True, nogil=True)
def _restore(clauses: Clauses, false: int, c: int) -> None:
    """Puts clause c and those after it back into the list of `false`, where they were before propagation stopped."""
    literals, starts, head, following = clauses
    while c >= 0:
        side = 0 if literals[starts[c]] == false else 1
        after = following[c, side]
        following[c, side] = head[false]
        head[false] = c
        c = after


@numba.njit(cache=True, nogil=True)
def _propagate(clauses: Clauses, assignment: Assignment, propagated: int, assigned: int, depth: int, steps: int) -> Any:
    """Draws all consequences of trail[propagated:]; returns (false clause or -1, length of the trail, steps left)."""
    literals, starts, head, following = clauses
    value, level, reason, trail, _, _ = assignment
    while propagated < assigned:
        false = trail[propagated] ^ 1
        propagated += 1
        # Empty the list of `false`; each clause returns to it or finds another literal to watch.
        c = head[false]
        head[false] = -1
        while c >= 0:
            steps -= 1
            first = starts[c]
            if literals[first] == false:
                literals[first], literals[first + 1] = literals[first + 1], literals[first]
                following[c, 0], following[c, 1] = following[c, 1], following[c, 0]
            # Now `false` is the second literal, and side 1 its list.
            after = following[c, 1]
            other = literals[first]
            moved = False
            # A clause that its other watched literal makes true may keep watching a false one: the true one's level is
            # no higher, so that backtracking never opens it alone.
            if value[other] != 1:
                for k in range(first + 2, starts[c + 1]):
                    if value[literals[k]] != 0:
                        literals[first + 1], literals[k] = literals[k], literals[first + 1]
                        following[c, 1] = head[literals[first + 1]]
                        head[literals[first + 1]] = c
                        moved = True
                        break
            if not moved:
                # The clause is true, implies `other`, or is false.
                following[c, 1] = head[false]
                head[false] = c
                # Propagation stops here, so that the rest of the list, which `head` has lost, must return to it.
                if value[other] == 0:
                    _restore(clauses, false, after)
                    return c, assigned, steps
                if value[other] < 0:
                    # As `_assign`, without the cost of passing the record on.
                    value[other], value[other ^ 1] = 1, 0
                    level[other >> 1], reason[other >> 1] = depth, c
                    trail[assigned] = other
                    assigned += 1
            c = after
    return -1, assigned, steps


@numba.njit(cache=True, nogil=True)
def _analyse(
    clauses: Clauses,
    assignment: Assignment,
    order: Order,
    analysis: Analysis,
    conflict: int,
    assigned: int,
    depth: int,
    increment: float,
) -> Any:
    """Learns a clause from the false clause `conflict`; returns (its length, the level to return to).

    The false clause is resolved with the reasons of its literals, latest assignment first, until a single literal of
    the current level is left: the first unique implication point. `learned` then holds the negation of that literal,
    which the clause implies at the returned level, then a literal of that level, then the others.
    """
    seen, learned = analysis
    literals, starts = clauses.literals, clauses.starts
    level, trail = assignment.level, assignment.trail
    length = 1
    pending = 0  # literals of the current level that are seen and not yet resolved
    at = assigned - 1
    literal = np.int32(-1)
    c = conflict
    while True:
        for k in range(starts[c], starts[c + 1]):
            other = literals[k]
            v = other >> 1
            # Literals of level 0 are false for good and need not be in the clause; `literal` is the one being resolved
            # away.
            if other == literal or seen[v] or level[v] == 0:
                continue
            seen[v] = 1
            order.activity[v] += increment
            if order.place[v] >= 0:
                _up(order, order.place[v])
            if level[v] == depth:
                pending += 1
            else:
                learned[length] = other
                length += 1
        # Backwards along the trail: a reason's literals all stand before the literal that it implied.
        while not seen[trail[at] >> 1]:
            at -= 1
        literal = trail[at]
        at -= 1
        seen[literal >> 1] = 0
        pending -= 1
        if pending == 0:
            break
        c = assignment.reason[literal >> 1]
    learned[0] = literal ^ 1
    back = 0
    for k in range(1, length):
        seen[learned[k] >> 1] = 0
        if level[learned[k] >> 1] > back:
            back = level[learned[k] >> 1]
            # The watched second literal must be among the last to be opened by backtracking, or the watch invariant
            # breaks.
            learned[1], learned[k] = learned[k], learned[1]
    return length, back


@numba.njit(cache=True, nogil=True)
def _backtrack(assignment: Assignment, order: Order, size: int, assigned: int, depth: int, back: int) -> Any:
    """Takes back all levels above `back`; returns the lengths of trail and heap. Phases keep the values taken back."""
    if depth <= back:
        return assigned, size
    value, trail = assignment.value, assignment.trail
    kept = assignment.limits[back]
    for k in range(kept, assigned):
        v = trail[k] >> 1
        # Saved phases bring the search back near where it was, which makes restarts cheap.
        assignment.phase[v] = 1 - (trail[k] & 1)
        value[2 * v], value[2 * v + 1] = -1, -1
        if order.place[v] < 0:
            order.heap[size] = v
            order.place[v] = size
            size += 1
            _up(order, size - 1)
    return kept, size


@numba.njit(cache=True, nogil=True)
def _learn(clauses: Clauses, count: int, learned: Literals, length: int) -> Clauses:
    """Adds the learned clause as number `count`; returns the clauses, whose literals may have moved to a longer
    array."""
    literals, starts = clauses.literals, clauses.starts
    used = starts[count]
    if used + length > len(literals):
        longer = np.empty(2 * len(literals) + length, dtype=np.int32)
        longer[:used] = literals[:used]
        literals = longer
    literals[used : used + length] = learned[:length]
    starts[count + 1] = used + length
    extended = Clauses(literals, starts, clauses.head, clauses.following)
    _watch(extended, count)
    return extended


@numba.njit(cache=True, nogil=True)
def _decide(assignment: Assignment, order: Order, size: int) -> Any:
    """(literal, size of the heap): the most active open variable in its phase; literal -1 if none is open."""
    heap, place = order.heap, order.place
    while size:
        v = heap[0]
        size -= 1
        place[v] = -1
        if size:
            heap[0] = heap[size]
            place[heap[0]] = 0
            _down(order, 0, size)
        if assignment.value[2 * v] < 0:
            return 2 * v + 1 - assignment.phase[v], size
    return -1, size


@numba.njit(cache=True, nogil=True)
def _new_clauses(literals: Literals, starts: Longs, variables: int, room: int) -> Clauses:
    """A copy of the clauses, with space for `room` clauses."""
    all_starts = np.empty(room + 1, dtype=np.int64)
    all_starts[: len(starts)] = starts
    all_literals = np.empty(2 * len(literals) + 1024, dtype=np.int32)
    all_literals[: len(literals)] = literals
    return Clauses(
        all_literals,
        all_starts,
        np.full(2 * variables, -1, dtype=np.int64),
        np.full((room, 2), -1, dtype=np.int64),
    )


@numba.njit(cache=True, nogil=True)
def _new_assignment(guess: Bytes) -> Assignment:
    """All variables open."""
    variables = len(guess)
    return Assignment(
        np.full(2 * variables, -1, dtype=np.int8),
        np.zeros(variables, dtype=np.int32),
        np.full(variables, -1, dtype=np.int64),
        np.empty(variables, dtype=np.int32),
        np.empty(variables + 1, dtype=np.int64),
        guess.copy(),
    )


@numba.njit(cache=True, nogil=True)
def solve(literals: Literals, starts: Longs, guess: Bytes, conflicts: int, steps: int) -> Any:
    """(answer, model uint8 [variables], steps left): whether all clauses can hold together.

    `literals` int32, `starts` int64 [clauses + 1], see the module; `guess` uint8 [variables]: the values that are tried
    first. UNDECIDED after `conflicts` conflicts, or when `steps` clauses have been looked at in propagation.
    """
    variables = len(guess)
    count = len(starts) - 1
    # Each conflict learns one clause at most, so that this room suffices.
    clauses = _new_clauses(literals, starts, variables, count + conflicts + 1)
    assignment = _new_assignment(guess)
    order = Order(np.arange(variables), np.arange(variables), np.zeros(variables))
    analysis = Analysis(np.zeros(variables, dtype=np.uint8), np.empty(variables, dtype=np.int32))
    model = np.zeros(variables, dtype=np.uint8)
    assigned = _watch_all(clauses, assignment, count)
    if assigned < 0:
        return UNSATISFIABLE, model, steps
    propagated, depth, size, increment = 0, 0, variables, 1.0
    seen_conflicts, period, until_restart = 0, 1, _RESTART
    while True:
        conflict, assigned, steps = _propagate(clauses, assignment, propagated, assigned, depth, steps)
        propagated = assigned
        if conflict >= 0:
            # A conflict without decisions follows from the clauses alone.
            if depth == 0:
                return UNSATISFIABLE, model, steps
            seen_conflicts += 1
            until_restart -= 1
            if seen_conflicts >= conflicts or steps < 0:
                return UNDECIDED, model, steps
            length, back = _analyse(clauses, assignment, order, analysis, conflict, assigned, depth, increment)
            increment /= _DECAY  # instead of decaying all activities
            if increment > _LARGEST_INCREMENT:
                order.activity[:] *= _RESCALE
                increment *= _RESCALE
            assigned, size = _backtrack(assignment, order, size, assigned, depth, back)
            propagated, depth, reason = assigned, back, -1
            # A clause of one literal is not stored: `back` is 0, and the literal is assigned there for good.
            if length > 1:
                clauses = _learn(clauses, count, analysis.learned, length)
                reason = count
                count += 1
            _assign(assignment, analysis.learned[0], depth, reason, assigned)
            assigned += 1
        elif until_restart <= 0:
            period += 1
            until_restart = _RESTART * _luby(period)
            assigned, size = _backtrack(assignment, order, size, assigned, depth, 0)
            propagated, depth = assigned, 0
        elif steps < 0:
            return UNDECIDED, model, steps
        else:
            choice, size = _decide(assignment, order, size)
            # Every variable has a value and propagation found no false clause: a model.
            if choice < 0:
                for v in range(variables):
                    model[v] = assignment.value[2 * v]
                return SATISFIABLE, model, steps
            assignment.limits[depth] = assigned
            depth += 1
            _assign(assignment, choice, depth, -1, assigned)
            assigned += 1
