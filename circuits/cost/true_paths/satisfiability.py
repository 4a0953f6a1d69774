"""A small satisfiability solver: conflict-driven clause learning, compiled once by numba and cached on disk.

As MiniSat (Een, Sorensson, SAT 2003) does it: two watched literals, first unique implication point, activities that
decay, saved phases, restarts after Luby's sequence. Learned clauses are kept: the budget of conflicts bounds them. No
randomness: the same clauses give the same answer and the same model.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

SATISFIABLE, UNSATISFIABLE, UNDECIDED = 1, 0, -1
"""Answers of `solve`."""
_DECAY = 0.95
_RESTART = 64


@numba.njit(cache=True, nogil=True)
def _luby(k: int) -> int:
    """1, 1, 2, 1, 1, 2, 4, ..., from k = 1 on."""
    size = 1
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
def _up(heap: Any, place: Any, activity: Any, k: int) -> None:
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
def _down(heap: Any, place: Any, activity: Any, k: int, size: int) -> None:
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
def solve(literals: Any, starts: Any, guess: Any, conflicts: int, steps: int) -> Any:
    """(answer, model uint8 [variables], steps left): whether all clauses hold together.

    Clause k is literals[starts[k] : starts[k + 1]]; a literal is 2 variable, or 2 variable + 1 for its negation.
    `guess` uint8 [variables]: the values that are tried first. UNDECIDED after `conflicts` conflicts, or
    `steps` clauses looked at in propagation.
    """
    variables = len(guess)
    count = len(starts) - 1
    room = count + conflicts + 1
    where = np.empty(room + 1, dtype=np.int64)
    where[: count + 1] = starts
    lits = np.empty(2 * len(literals) + 1024, dtype=np.int32)
    lits[: len(literals)] = literals
    used = starts[count]
    value = np.full(2 * variables, -1, dtype=np.int8)  # by literal
    head = np.full(2 * variables, -1, dtype=np.int64)
    following = np.full((room, 2), -1, dtype=np.int64)
    level = np.zeros(variables, dtype=np.int32)
    reason = np.full(variables, -1, dtype=np.int64)
    phase = guess.copy()
    trail = np.empty(variables, dtype=np.int32)
    limits = np.empty(variables + 1, dtype=np.int64)
    activity = np.zeros(variables)
    seen = np.zeros(variables, dtype=np.uint8)
    heap = np.arange(variables)
    place = np.arange(variables)
    learned = np.empty(variables, dtype=np.int32)
    size = variables
    increment = 1.0
    trailed = 0
    done = 0
    depth = 0
    model = np.zeros(variables, dtype=np.uint8)
    for c in range(count):
        first, end = where[c], where[c + 1]
        if end == first:
            return UNSATISFIABLE, model, steps
        if end - first == 1:
            literal = lits[first]
            if value[literal] == 0:
                return UNSATISFIABLE, model, steps
            if value[literal] < 0:
                value[literal], value[literal ^ 1] = 1, 0
                trail[trailed] = literal
                trailed += 1
            continue
        for k in range(2):
            following[c, k] = head[lits[first + k]]
            head[lits[first + k]] = c
    found = 0
    period = 1
    left = _RESTART
    while True:
        # Propagation: clauses are linked through the lists of their first two literals.
        conflict = -1
        while done < trailed and conflict < 0:
            false = trail[done] ^ 1
            done += 1
            c = head[false]
            head[false] = -1
            while c >= 0:
                steps -= 1
                first = where[c]
                if lits[first] == false:
                    lits[first], lits[first + 1] = lits[first + 1], lits[first]
                    following[c, 0], following[c, 1] = following[c, 1], following[c, 0]
                after = following[c, 1]
                other = lits[first]
                moved = False
                if value[other] != 1:
                    for k in range(first + 2, where[c + 1]):
                        if value[lits[k]] != 0:
                            lits[first + 1], lits[k] = lits[k], lits[first + 1]
                            following[c, 1] = head[lits[first + 1]]
                            head[lits[first + 1]] = c
                            moved = True
                            break
                if not moved:
                    following[c, 1] = head[false]
                    head[false] = c
                    if value[other] == 0:
                        conflict = c
                        # The rest of the list stays where it was.
                        while after >= 0:
                            side = 0 if lits[where[after]] == false else 1
                            rest = following[after, side]
                            following[after, side] = head[false]
                            head[false] = after
                            after = rest
                        break
                    if value[other] < 0:
                        value[other], value[other ^ 1] = 1, 0
                        level[other >> 1] = depth
                        reason[other >> 1] = c
                        trail[trailed] = other
                        trailed += 1
                c = after
        if conflict >= 0:
            if depth == 0:
                return UNSATISFIABLE, model, steps
            found += 1
            left -= 1
            if found >= conflicts or steps < 0:
                return UNDECIDED, model, steps
            # First unique implication point.
            length = 1
            pending = 0
            at = trailed - 1
            literal = np.int32(-1)
            c = conflict
            while True:
                for k in range(where[c], where[c + 1]):
                    other = lits[k]
                    v = other >> 1
                    if other == literal or seen[v] or level[v] == 0:
                        continue
                    seen[v] = 1
                    activity[v] += increment
                    if place[v] >= 0:
                        _up(heap, place, activity, place[v])
                    if level[v] == depth:
                        pending += 1
                    else:
                        learned[length] = other
                        length += 1
                while not seen[trail[at] >> 1]:
                    at -= 1
                literal = trail[at]
                at -= 1
                seen[literal >> 1] = 0
                pending -= 1
                if pending == 0:
                    break
                c = reason[literal >> 1]
            learned[0] = literal ^ 1
            back = 0
            for k in range(1, length):
                seen[learned[k] >> 1] = 0
                if level[learned[k] >> 1] > back:
                    back = level[learned[k] >> 1]
                    learned[1], learned[k] = learned[k], learned[1]
            increment /= _DECAY
            if increment > 1e100:
                activity *= 1e-100
                increment *= 1e-100
        elif left <= 0:
            period += 1
            left = _RESTART * _luby(period)
            back = 0
            length = 0
        else:
            if steps < 0:
                return UNDECIDED, model, steps
            choice = -1
            while size:
                v = heap[0]
                size -= 1
                place[v] = -1
                if size:
                    heap[0] = heap[size]
                    place[heap[0]] = 0
                    _down(heap, place, activity, 0, size)
                if value[2 * v] < 0:
                    choice = 2 * v + 1 - phase[v]
                    break
            if choice < 0:
                for v in range(variables):
                    model[v] = value[2 * v]
                return SATISFIABLE, model, steps
            limits[depth] = trailed
            depth += 1
            value[choice], value[choice ^ 1] = 1, 0
            level[choice >> 1] = depth
            reason[choice >> 1] = -1
            trail[trailed] = choice
            trailed += 1
            continue
        # Back to the level where the learned clause decides something, or to the start.
        if depth > back:
            for k in range(limits[back], trailed):
                v = trail[k] >> 1
                phase[v] = 1 - (trail[k] & 1)
                value[2 * v], value[2 * v + 1] = -1, -1
                if place[v] < 0:
                    heap[size] = v
                    place[v] = size
                    size += 1
                    _up(heap, place, activity, size - 1)
            trailed = limits[back]
            done = trailed
            depth = back
        if length == 0:
            continue
        c = count
        if length > 1:
            if used + length > len(lits):
                grown = np.empty(2 * len(lits) + length, dtype=np.int32)
                grown[:used] = lits[:used]
                lits = grown
            lits[used : used + length] = learned[:length]
            used += length
            where[c + 1] = used
            for k in range(2):
                following[c, k] = head[learned[k]]
                head[learned[k]] = c
            count += 1
        else:
            c = -1
        literal = learned[0]
        value[literal], value[literal ^ 1] = 1, 0
        level[literal >> 1] = depth
        reason[literal >> 1] = c
        trail[trailed] = literal
        trailed += 1
