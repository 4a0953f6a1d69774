"""Bounds on the longest true path: formulas of late events, refuted or answered by the satisfiability solver.

The longest true path lies in [lower, upper]: operands with an event at `lower` are known, none has one later than
`upper`. Each question is a time t between them. A refutation makes t the upper bound; operands with a later event raise
the lower bound. The rest, [low, high], is where the solver ran out of its budget: such times are not asked again, so
that the search goes on above `high`, where refutations are easier, and below `low`, where operands are easier to find,
in turn. It ends when the bounds meet, when both sides are close to the undecided times, or when the work is used up.

A model need not be operands with a late event, because thresholds are rounded. The candidate is then evaluated, and if
it comes no later than t, thresholds become finer (while the formula stays small enough) or t counts as undecided.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.cost.true_paths import satisfiability
from circuits.cost.true_paths.arrival_model import ArrivalModel
from circuits.cost.true_paths.proof_budget import RESOLUTION, WORK

_FIRST_STEPS = 10
"""Thresholds between the structural longest path and the time asked for, to begin with."""
_CONFLICTS = 200_000
"""Most conflicts of one call of the solver."""
_LARGEST_GRID = 1 << 18
"""Nets times levels up to which thresholds are made finer."""


def prove(model: ArrivalModel, bits: NDArray[np.uint8], lower: float, tries: int, work: int) -> float:
    """A proved upper bound of the longest true path, ps; `bits` become better operands if the proof finds some.

    `lower`: ps, the last event of `bits`. `tries`: evaluations to improve operands that the solver finds. `work`:
    clauses that solver and encoding may look at, which makes the answer the same on any machine.
    """
    steps, reach = _FIRST_STEPS, 1.0
    upper = structural = model.longest
    close = max(RESOLUTION, 0.02 * (upper - lower))
    low, high = upper, lower  # low > high: no undecided time yet
    above = True
    while upper - lower > RESOLUTION and work > 0:
        if low > high:
            # Bisection while the bounds lie far apart. At the end one question just above `lower` may close the whole
            # interval at once: a refutation of it makes `lower` exact.
            time = (lower + upper) / 2 if upper - lower > close else lower + RESOLUTION / 2
        elif upper - high <= close and low - lower <= close:
            break
        else:
            above = (not above or low - lower <= close) and upper - high > close
            time = (high + upper) / 2 if above else (lower + low) / 2
        # The structural longest path is a whole number of steps above `time`, so that its own threshold is not rounded.
        step, levels = (structural - time) / steps, int(reach * steps) + 2
        variables, literals, starts = model.formula(time, step, levels)
        # A fifth of what is left, so that one hard question cannot use up the work; but enough to settle an easy one.
        budget = max(work // 5, WORK // 50)
        guess = model.guess(bits, variables)
        answer, values, left = satisfiability.solve(literals, starts, guess, _CONFLICTS, budget)
        work -= budget - max(left, 0) + len(literals)
        if answer == satisfiability.UNSATISFIABLE:
            upper = time
            # A refutation below the undecided times answers those as well; (upper, lower) is the empty interval.
            low, high = (low, high) if time > high else (upper, lower)
            continue
        if answer == satisfiability.SATISFIABLE:
            candidate = model.operands_of(values)
            # No tries: this only evaluates the candidate.
            if model.climb(candidate, 0, upper) > time:
                lower = model.climb(candidate, tries // 4, upper)
                bits[:] = candidate
                # Operands later than all undecided times answer those as well.
                low, high = (max(low, lower), high) if lower < high else (upper, lower)
                continue
            if levels * model.nets < _LARGEST_GRID:
                steps, reach = 3 * steps, 1.5 * reach
                continue
        low, high = min(low, time), max(high, time)
    return lower if upper - lower <= RESOLUTION else upper
