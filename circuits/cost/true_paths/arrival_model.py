"""A circuit as the true-path kernels take it, and what the search and the proof ask of it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.cost.circuit import Circuit, possible_rows, stacked
from circuits.cost.timing import Step, Structure, traced
from circuits.cost.true_paths import late_event_formula, viable_kernels
from circuits.cost.true_paths.late_event_formula import Formula
from circuits.cost.true_paths.viable_kernels import TimedCircuit
from circuits.netlists import truth_table

_FIRST_CLAUSES = 1 << 18
"""Clauses that a formula has room for at first; three literals a clause are typical."""


class ArrivalModel:
    """Arcs with their delays at the structural slews, and latest arrivals over all paths.

    Operands are uint8 arrays [bits], bus after bus, least significant bit first. `arrival` ps [nets, 2]: the latest
    that any path brings an edge; `has_arcs`: whether any operand can change an output through a cell.
    """

    def __init__(self, circuit: Circuit, latest: Structure) -> None:
        self.circuit, self._slew = circuit, latest.slew
        self.nets = circuit.netlist.nets
        wiring = circuit.wiring
        functions = np.zeros((len(circuit.components), 2), dtype=np.int64)
        # At most eight prime implicants of a function and its complement, and a row of -1 that ends the list.
        implicants = np.full((len(circuit.components), 2, 9, 4), -1, dtype=np.int64)
        for kind, component in enumerate(circuit.components):
            functions[kind, : len(component.tables)] = component.tables
            for output, table in enumerate(component.tables):
                primes = prime_implicants(table)
                implicants[kind, output, : len(primes)] = primes
        self._implicants = implicants
        allowed = np.zeros((len(circuit.patterns), 8), dtype=np.bool_)
        for variant, (component, pattern) in enumerate(circuit.patterns):
            allowed[variant, possible_rows(component, pattern)] = True
        delays = [circuit.technology.cost_of(component).delay for component, _ in circuit.patterns]
        first_arc, arcs, delay = viable_kernels.arc_delays(
            wiring,
            circuit.variants,
            allowed,
            stacked(delays, circuit.technology, 3, 8, 2),
            circuit.grid,
            latest.slew,
        )
        # Sorted: a set's order must not decide which of several equal paths is reported.
        end_nets = np.array(sorted(set(circuit.netlist.output_nets)), dtype=np.int64)
        self._timed = TimedCircuit(
            circuit.inputs,
            circuit.outputs,
            functions[circuit.kinds],
            first_arc,
            arcs,
            delay,
            wiring.input_nets,
            end_nets,
        )
        self.arrival: NDArray[np.float64] = viable_kernels.arrivals(self._timed, self.nets)

    @property
    def has_arcs(self) -> bool:
        """Whether any operand can change an output of a cell."""
        return len(self._timed.delay) > 0

    @property
    def longest(self) -> float:
        """The latest arrival at an output of the netlist over all paths, ps: a bound."""
        return float(self.arrival[self._timed.end_nets].max())

    def every(self, bits: NDArray[np.uint8]) -> float:
        """The last event over all operands, ps; `bits` become the first operands that have it."""
        return float(viable_kernels.every(self._timed, self.nets, bits))

    def climb(self, bits: NDArray[np.uint8], tries: int, enough: float) -> float:
        """The last event of the best operands found near `bits`, ps; `bits` become these operands."""
        return float(viable_kernels.climb(self._timed, self.nets, bits, tries, 1, enough))

    def operands_of(self, model: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The operands in a model of a formula."""
        return model[self._timed.input_nets].astype(np.uint8)

    def guess(self, bits: NDArray[np.uint8], variables: int) -> NDArray[np.uint8]:
        """Values for all variables of a formula, to start from: the settled nets of these operands, and no event."""
        values = np.zeros(variables, dtype=np.uint8)
        # A good start: the settled values meet every clause of `_encode_functions`, so that conflicts concern events
        # only.
        events = viable_kernels.settling(self.nets)
        viable_kernels.evaluate(self._timed, bits, events)
        values[: self.nets] = events.value
        return values

    def formula(self, time: float, step: float, levels: int) -> tuple[int, NDArray[np.int32], NDArray[np.int64]]:
        """(variables, literals, clause starts) of "some operands have an event at an output later than `time`"."""
        room = _FIRST_CLAUSES
        while True:
            formula = Formula(
                np.empty(3 * room, dtype=np.int32), np.empty(room, dtype=np.int64), np.zeros(5, dtype=np.int64)
            )
            late_event_formula.encode(
                self._timed, self.circuit.kinds, self._implicants, self.arrival, time, step, levels, formula
            )
            if not late_event_formula.is_full(formula):
                variables, clauses = late_event_formula.sizes(formula)
                return variables, formula.literals[: formula.ends[clauses]], formula.ends[: clauses + 1]
            # Encoding again from scratch is cheap next to solving, and simpler than growing arrays inside the kernels.
            room *= 4

    def path(self, bits: NDArray[np.uint8]) -> tuple[float, tuple[Step, ...]]:
        """(ps, arcs) of the last event for these operands."""
        events = viable_kernels.settling(self.nets)
        latest = viable_kernels.evaluate(self._timed, bits, events)
        end_nets = self._timed.end_nets
        end, edge = divmod(int(events.last[end_nets].argmax()), 2)
        return float(latest), traced(self.circuit, int(end_nets[end]), edge, events.last, self._slew, events.cause)


@lru_cache(maxsize=256)
def prime_implicants(table: int) -> tuple[tuple[int, int, int, int], ...]:
    """(a, b, c, value): smallest sets of pins that decide a function, each pin 0 or 1, or 2 where it does not matter.

    `table`: a byte, bit r the value in row r = 4a + 2b + c. At most 8: the prime implicants of the function and of its
    complement, those of fewer pins first.
    """
    cubes = [(cube, 1) for cube in truth_table.prime_implicants(table)]
    cubes += [(cube, 0) for cube in truth_table.prime_implicants(table ^ truth_table.TRUE)]
    cubes.sort(key=lambda item: (item[0].mask.bit_count(), -item[0].mask, item[0].value))
    pins = (4, 2, 1)
    return tuple(
        (*(int(bool(cube.value & pin)) if cube.mask & pin else 2 for pin in pins), value)  # type: ignore[misc]
        for cube, value in cubes
    )
