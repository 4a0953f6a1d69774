"""True paths: the longest path that operands can take, found and proved, next to the longest path of the graph.

The criterion is viability (McGeer, Brayton, "Provably correct critical paths", 1989; "Integrating Functional and
Temporal Domains in Logic Design", 1991), with rises, falls and rows of the truth table kept apart. The operands change
once, at 0, from any to given ones; what the nets do meanwhile is left open, as in floating mode (Chen, Du, IEEE TCAD
12(2), 1993).

An arc of a cell is a change of one pin that brings the cell into a row of its truth table and changes an output. It can
happen as late as the last such change of the pin, and no later than any pin settles whose value in that row is not its
settled value: later, the row cannot occur any more. Pins that arrive later than the arc are smoothed, that is, they may
still have either value; pins that have settled must sensitise it. The delay for given operands is the last change of an
output so obtained; the delay of a netlist is the maximum over all operands. No sequence of single changes through the
arcs ends later, provided that no arc takes longer than its delay, here the delay at the structural slews.

Up to EXHAUSTIVE operand bits all operands are evaluated. Beyond, the maximum takes a search (`viable_kernels.climb`)
and a proof: "the last change is later than t" is a formula over the operands (`late_event_formula`), which a
satisfiability solver refutes, or answers with operands (`bound_proof`). What the budget leaves undecided stays an
interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.cost.cell_table import Technology
from circuits.cost.circuit import Circuit, circuit_of
from circuits.cost.energy import transitions
from circuits.cost.timing import Step, Timing, path_of, structure
from circuits.cost.true_paths.proof_budget import EXHAUSTIVE, RESOLUTION, TRIES, WORK
from circuits.netlists.netlist import Netlist

_SIMULATED = 32
"""Operands from which the change to the path's operands is simulated."""


@dataclass(frozen=True, slots=True)
class TrueTiming:
    """The longest true path that was found, and a proved bound.

    `delay`: ps, of a true path; `path`: its arcs, starting at an input; `operands` that take it, an integer for each
    bus. `bound`: ps, no true path is longer (proved); equal to `delay` where that is the longest. `structural`: the
    longest path of the graph, true or not. `simulated`: ps, the latest that the event-driven simulation settles on the
    way to `operands`, from the best, `before`, of a few operands: a lower bound of what is possible.
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
    circuit: Circuit, *, tries: int = TRIES, work: int = WORK, exhaustive: int = EXHAUSTIVE
) -> TrueTiming:
    """The longest true path found and a proved bound, within a work budget (in clauses, not in seconds).

    Up to `exhaustive` operand bits, all operands are evaluated. Beyond, `tries` operands are evaluated in the search
    and `work` clauses looked at in the proofs. The same netlist gives the same answer on any machine.
    """
    # Compiles: see `kernel_records`.
    from circuits.cost.true_paths import arrival_model, bound_proof

    latest = structure(circuit)
    structural = path_of(circuit, latest)
    model = arrival_model.ArrivalModel(circuit, latest)
    widths = [len(bus) for bus in circuit.netlist.inputs.values()]
    bits = np.zeros(sum(widths), dtype=np.uint8)
    if structural.delay <= 0 or not model.has_arcs:
        zeros = tuple(0 for _ in widths)
        return TrueTiming(0.0, 0.0, (), zeros, structural, 0.0, zeros)
    # Evaluating all operands is search and proof in one.
    if len(bits) <= exhaustive:
        upper = model.every(bits)
    else:
        # Operands that reach the structural bound cannot be surpassed: the search ends early and nothing is left to
        # prove.
        lower = model.climb(bits, tries, model.longest - RESOLUTION)
        upper = bound_proof.prove(model, bits, lower, tries, work)
    delay, path = model.path(bits)
    operands = _integers(bits, widths)
    simulated, before = _simulate(circuit, operands)
    return TrueTiming(delay, max(upper, delay), path, operands, structural, simulated, before)


def _integers(bits: NDArray[np.uint8], widths: list[int]) -> tuple[int, ...]:
    """The operands as an integer for each bus."""
    ends = np.cumsum([0, *widths])
    return tuple(sum(int(bit) << k for k, bit in enumerate(bits[ends[n] : ends[n + 1]])) for n in range(len(widths)))


def _simulate(circuit: Circuit, operands: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    """(ps, operands before): the latest that the event-driven simulation settles at `operands`.

    It starts from all zeros, all ones, the complement, and operands that differ from `operands` in random bits.
    """
    stream = np.random.default_rng(1)
    widths = [len(bus) for bus in circuit.netlist.inputs.values()]
    inverse = tuple(2**width - 1 - value for width, value in zip(widths, operands, strict=True))
    starts = [tuple(0 for _ in widths), tuple(2**width - 1 for width in widths), inverse]
    while len(starts) < _SIMULATED:
        # Each mask is ANDed 0 to 4 times with random words, so that few or many bits differ.
        masks = [int(stream.integers(0, 2**w, dtype=np.uint64)) if w < 64 else 2**w - 1 for w in widths]
        for _ in range(int(stream.integers(0, 5))):
            masks = [mask & int(stream.integers(0, 2**63, dtype=np.uint64)) for mask in masks]
        starts.append(tuple(value ^ mask for value, mask in zip(operands, masks, strict=True)))
    # start, operands, start, operands, ...: one simulation serves all starts.
    walk = [step for start in starts for step in (start, operands)]
    settled = transitions(circuit, [np.array(values, dtype=np.uint64) for values in zip(*walk, strict=True)]).settled
    latest = int(settled[::2].argmax())  # even transitions lead to `operands`, odd ones to the next start
    return float(settled[2 * latest]), starts[latest]
