"""True paths: the longest path that operands can take, found and proved, beside the longest path of the graph.

The criterion is viability (McGeer, Brayton, "Provably correct critical paths", 1989; "Integrating Functional and
Temporal Domains in Logic Design", 1991), with rises, falls and states apart. The operands change once, at 0, from any
to given ones; what the nets do meanwhile is left open, as in floating mode (Chen, Du, IEEE TCAD 12(2), 1993). An arc
of a cell is a change of one pin that brings the cell into a row of its truth table and changes an output. It can
happen as late as the last such change of the pin, and no later than any pin settles that has another value in that
row than its settled one: what arrives later is smoothed, what came before must sensitise. The delay for given
operands is the last change of an output so obtained; the delay of a netlist is the largest over all operands. No
sequence of single changes through the arcs ends later, as long as each arc takes no longer than its delay: here that
at the structural slews.

Up to EXHAUSTIVE operand bits all operands are evaluated. Beyond, the largest takes a search (`viable_kernels.climb`)
and a proof: "the last change is later than t" is a formula over the operands (as in Devadas, Keutzer, Malik,
"Computation of floating mode delay in combinational circuits", IEEE TCAD 12(12), 1993), which a satisfiability solver
refutes, or answers with operands. What the budget leaves undecided stays an interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from circuits.cost.cell_table import Technology
from circuits.cost.circuit import Circuit, circuit_of, possible_rows, stacked
from circuits.cost.energy import transitions
from circuits.cost.timing import Step, Structure, Timing, path_of, structure, traced
from circuits.netlists.netlist import Netlist

RESOLUTION = 0.01
"""ps: bounds as near as this are taken as one."""
TRIES = 4000
"""Operands that the search evaluates, from each start."""
WORK = 12_000_000
"""Clauses that the proofs look at, in all; what a proof does not reach stays a bound."""
EXHAUSTIVE = 16
"""Operand bits up to which all operands are evaluated."""
_PARTS = 10
"""Steps between the longest path and the time asked for, to begin with."""
_CONFLICTS = 200_000
_EVENTS = 1 << 18
"""Nets times levels, up to which a formula's times are made finer."""
_SIMULATED = 32
"""Operands before the path's, from which it is simulated."""


@dataclass(frozen=True, slots=True)
class TrueTiming:
    """`delay`: ps, of a true path; `path`: its arcs, from the inputs on; `operands`: what takes it, an integer a bus.

    `bound`: no true path is longer, proved; equal to `delay` where that is the longest. `structural`: the longest path
    of the graph, true or not. `simulated`: ps, the latest that the arc-delay simulation settles on the way to
    `operands`, from the best of a few operands before them, `before`: a lower bound of what is possible.
    """

    delay: float
    bound: float
    path: tuple[Step, ...]
    operands: tuple[int, ...]
    structural: Timing
    simulated: float
    before: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether the path is the longest true one."""
        return self.bound == self.delay


def true_timing(
    netlist: Netlist, technology: Technology, *, tries: int = TRIES, work: int = WORK, exhaustive: int = EXHAUSTIVE
) -> TrueTiming:
    """The longest true path; see `circuit_true_timing`."""
    return circuit_true_timing(circuit_of(netlist, technology), tries=tries, work=work, exhaustive=exhaustive)


def circuit_true_timing(
    made: Circuit, *, tries: int = TRIES, work: int = WORK, exhaustive: int = EXHAUSTIVE
) -> TrueTiming:
    """The longest true path that was found, and what was proved of longer ones, within a budget that is no time.

    Up to `exhaustive` operand bits, all operands are evaluated. `tries`: operands that the search evaluates beyond;
    `work`: clauses that the proofs look at. The same netlist gives the same answer on any machine.
    """
    found = structure(made)
    structural = path_of(made, found)
    model = _Model(made, found)
    widths = [len(bus) for bus in made.netlist.inputs.values()]
    bits = np.zeros(sum(widths), dtype=np.uint8)
    if structural.delay <= 0 or not len(model.delay):
        nothing = tuple(0 for _ in widths)
        return TrueTiming(0.0, 0.0, (), nothing, structural, 0.0, nothing)
    if len(bits) <= exhaustive:
        upper = model.every(bits)
    else:
        longest = float(model.arrival[model.ends].max())
        lower = model.climb(bits, tries, 1, longest - RESOLUTION)
        upper = _prove(model, bits, lower, longest, tries, work)
    delay, path = model.path(bits)
    operands = _integers(bits, widths)
    simulated, before = _simulate(made, operands)
    return TrueTiming(delay, max(upper, delay), path, operands, structural, simulated, before)


def _prove(model: _Model, bits: NDArray[np.uint8], lower: float, upper: float, tries: int, work: int) -> float:
    """A proved bound; `bits` become better operands where the proofs find some."""
    from circuits.cost.true_paths import satisfiability

    parts, reach = _PARTS, 1.0
    structural, close = upper, max(RESOLUTION, 0.02 * (upper - lower))
    low, high = upper, lower  # what is undecided lies between; there is no such time yet
    above = True
    while upper - lower > RESOLUTION and work > 0:
        if low > high:
            time = (lower + upper) / 2 if upper - lower > close else lower + RESOLUTION / 2
        elif upper - high <= close and low - lower <= close:
            break
        else:
            # Longer times are easier to refute, shorter ones to reach: go on at both sides in turn.
            above = (not above or low - lower <= close) and upper - high > close
            time = (high + upper) / 2 if above else (lower + low) / 2
        # The longest path's own slack is a whole number of steps, so that it is not rounded.
        step, levels = (structural - time) / parts, int(reach * parts) + 2
        variables, literals, starts = model.formula(time, step, levels)
        least = max(work // 5, WORK // 50)
        guess = model.values(bits, variables)
        answer, values, left = satisfiability.solve(literals, starts, guess, _CONFLICTS, least)
        work -= least - max(left, 0) + len(literals)
        if answer == satisfiability.UNSATISFIABLE:
            upper = time
            low, high = (low, high) if time > high else (upper, lower)
            continue
        if answer == satisfiability.SATISFIABLE:
            candidate = values[model.input_nets].astype(np.uint8)
            if model.climb(candidate, 0, 1, upper) > time:
                lower = model.climb(candidate, tries // 4, 1, upper)
                bits[:] = candidate
                low, high = (max(low, lower), high) if lower < high else (upper, lower)
                continue
            if levels * model.made.netlist.nets < _EVENTS:
                parts, reach = 3 * parts, 1.5 * reach  # what the rounding of times let through
                continue
        low, high = min(low, time), max(high, time)
    return lower if upper - lower <= RESOLUTION else upper


class _Model:
    """A circuit as the kernels take it."""

    def __init__(self, made: Circuit, found: Structure) -> None:
        from circuits.cost.true_paths import viable_kernels

        self.made, self.found = made, found
        count = len(made.components)
        functions = np.zeros((count, 2), dtype=np.int64)
        implicants = np.full((count, 2, 9, 4), -1, dtype=np.int64)
        for k, part in enumerate(made.components):
            functions[k, : len(part.tables)] = part.tables
            for o, table in enumerate(part.tables):
                cubes = prime_implicants(table)
                implicants[k, o, : len(cubes)] = cubes
        allowed = np.zeros((len(made.patterns), 8), dtype=np.bool_)
        for k, (part, pattern) in enumerate(made.patterns):
            allowed[k, possible_rows(part, pattern)] = True
        delays = [made.technology.cost_of(part).delay for part, _ in made.patterns]
        tables = stacked(delays, made.technology, 3, 8, 2)
        self.input_nets = np.array(made.netlist.input_nets, dtype=np.int64)
        self.ends = np.array(sorted(set(made.netlist.output_nets)), dtype=np.int64)
        self.functions, self.implicants = functions[made.parts], implicants
        self.starts, self.arcs, self.delay = viable_kernels.arc_delays(
            made.variants,
            made.inputs,
            made.outputs,
            made.loads,
            tables,
            found.slew,
            allowed,
            made.technology.slews,
            made.technology.loads,
        )
        self.arrival = viable_kernels.arrivals(
            made.inputs,
            made.outputs,
            self.functions,
            self.starts,
            self.arcs,
            self.delay,
            self.input_nets,
            made.netlist.nets,
        )
        self.circuit = (made.inputs, made.outputs, self.functions, self.starts, self.arcs, self.delay)

    def every(self, bits: NDArray[np.uint8]) -> float:
        """The last event over all operands, the first of which `bits` become."""
        from circuits.cost.true_paths import viable_kernels

        nets = self.made.netlist.nets
        return float(viable_kernels.every(*self.circuit, self.input_nets, self.ends, nets, bits))

    def climb(self, bits: NDArray[np.uint8], tries: int, seed: int, enough: float) -> float:
        """The last event for the best operands near `bits`, which they become."""
        from circuits.cost.true_paths import viable_kernels

        nets = self.made.netlist.nets
        return float(viable_kernels.climb(*self.circuit, self.input_nets, self.ends, nets, bits, tries, seed, enough))

    def values(self, bits: NDArray[np.uint8], variables: int) -> NDArray[np.uint8]:
        """Of all variables of a formula, a guess near these operands: the values of the nets, no event."""
        from circuits.cost.true_paths import viable_kernels

        nets = self.made.netlist.nets
        guess = np.zeros(variables, dtype=np.uint8)
        last, cause = np.empty((nets, 2)), np.empty((nets, 2, 3), dtype=np.int64)
        viable_kernels.evaluate(*self.circuit, self.input_nets, bits, self.ends, guess[:nets], last, cause)
        return guess

    def formula(self, time: float, step: float, levels: int) -> tuple[int, NDArray[np.int32], NDArray[np.int64]]:
        """(variables, literals, clause starts) of "some operands have an event at an output later than `time`"."""
        from circuits.cost.true_paths import viable_kernels

        made = self.made
        room = 1 << 18
        while True:
            literals, starts = np.empty(3 * room, dtype=np.int32), np.empty(room, dtype=np.int64)
            variables, clauses, enough = viable_kernels.encode(
                made.inputs,
                made.outputs,
                made.parts,
                self.functions,
                self.implicants,
                self.starts,
                self.arcs,
                self.delay,
                self.arrival,
                self.input_nets,
                self.ends,
                time,
                step,
                levels,
                literals,
                starts,
            )
            if enough:
                return variables, literals[: starts[clauses]], starts[: clauses + 1]
            room *= 4

    def path(self, bits: NDArray[np.uint8]) -> tuple[float, tuple[Step, ...]]:
        """(time, arcs) of the last event for these operands."""
        from circuits.cost.true_paths import viable_kernels

        made, nets = self.made, self.made.netlist.nets
        value, last = np.zeros(nets, dtype=np.uint8), np.empty((nets, 2))
        cause = np.empty((nets, 2, 3), dtype=np.int64)
        latest = viable_kernels.evaluate(*self.circuit, self.input_nets, bits, self.ends, value, last, cause)
        k, edge = divmod(int(last[self.ends].argmax()), 2)
        return float(latest), traced(made, int(self.ends[k]), edge, last, self.found.slew, cause)


def _integers(bits: NDArray[np.uint8], widths: list[int]) -> tuple[int, ...]:
    ends = np.cumsum([0, *widths])
    return tuple(sum(int(bit) << k for k, bit in enumerate(bits[ends[n] : ends[n + 1]])) for n in range(len(widths)))


def _simulate(made: Circuit, operands: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    """The latest that the arc-delay simulation settles at `operands`, from any of a few operands before, and those."""
    stream = np.random.default_rng(1)
    widths = [len(bus) for bus in made.netlist.inputs.values()]
    inverse = tuple(2**width - 1 - value for width, value in zip(widths, operands, strict=True))
    earlier = [tuple(0 for _ in widths), tuple(2**width - 1 for width in widths), inverse]
    while len(earlier) < _SIMULATED:
        # One operand stays, or changes in a few bits, or in any.
        masks = [int(stream.integers(0, 2**w, dtype=np.uint64)) if w < 64 else 2**w - 1 for w in widths]
        for _ in range(int(stream.integers(0, 5))):
            masks = [mask & int(stream.integers(0, 2**63, dtype=np.uint64)) for mask in masks]
        earlier.append(tuple(value ^ mask for value, mask in zip(operands, masks, strict=True)))
    walked = [entry for before in earlier for entry in (before, operands)]
    settled = transitions(made, [np.array(values, dtype=np.uint64) for values in zip(*walked, strict=True)]).settled
    at = int(settled[::2].argmax())
    return float(settled[2 * at]), earlier[at]


@lru_cache(maxsize=256)
def prime_implicants(table: int) -> tuple[tuple[int, int, int, int], ...]:
    """(a, b, c, value): the least that decides a function, pins at 0 or 1, 2 where it does not matter.

    At most 8 (a three-input function and its complement).
    """
    found: list[tuple[int, int, int, int]] = []
    for size in range(4):
        for pins in combinations(range(3), size):
            for bits in product((0, 1), repeat=size):
                cube = [2, 2, 2]
                for pin, bit in zip(pins, bits, strict=True):
                    cube[pin] = bit
                values = {
                    table >> row & 1
                    for row in range(8)
                    if all(c in (2, row >> (2 - pin) & 1) for pin, c in enumerate(cube))
                }
                covered = any(all(p in (2, c) for p, c in zip(prime[:3], cube, strict=True)) for prime in found)
                if len(values) == 1 and not covered:
                    found.append((cube[0], cube[1], cube[2], values.pop()))
    return tuple(found)
