"""What the cost model leaves out, as sensitivity: the circuits that drive the operands, and wires.

    drivers   charging the input nets: the sum over them of toggles C V^2 / 2, C the input capacitances that they drive
    wires     a capacitance on the way to every sink, that is every pin that a net drives and every output

Neither is known without a layout and a test bench. A ratio that moves much with them is known that much less; they are
no parameters to fit a published number with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.cost import Circuit, Technology, circuit_energy, circuit_of
from circuits.cost import technology as characterised
from circuits.cost.cost_model import drawn_netlist, exact_baseline, given_operands
from circuits.cost.timing import longest_delay
from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.netlists.netlist import ONE, ZERO, Netlist

MAXIMUM_WIRE = 1000.0
"""Largest wire capacitance accepted, fF: about 5 mm of wire."""


@dataclass(frozen=True, slots=True)
class DrawnCost:
    """Energy in fJ and delay in ps of a netlist as drawn.

    `energy`: as the cost model gives it. `driven`: with the operands' drivers. `wired`: with them and wires. `delay`,
    `wired_delay`: without and with wires.
    """

    energy: float
    driven: float
    wired: float
    delay: float
    wired_delay: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What drivers and `wire` fF of wire a sink add to a design and to the exact ripple array, both as drawn."""

    wire: float
    design: DrawnCost
    exact: DrawnCost

    def ratio(self, what: str) -> float:
        """`what`, a field of DrawnCost, of the design over that of the exact array; NaN where that is 0."""
        own, base = getattr(self.design, what), getattr(self.exact, what)
        return float(own / base) if base else math.nan

    def rows(self) -> list[tuple[str, str, float, float]]:
        """(quantity, unit, value, value over exact) of what is added; wires only where there are any."""
        added = [("energy with the operands' drivers", "fJ", "driven")]
        if self.wire:
            wires = f"{self.wire:g} fF of wire a sink"
            added += [(f"energy with drivers and {wires}", "fJ", "wired"), (f"delay with {wires}", "ps", "wired_delay")]
        return [(quantity, unit, getattr(self.design, what), self.ratio(what)) for quantity, unit, what in added]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; a ratio to 0 is None."""
        quantities = {
            quantity: {"value": value, "unit": unit, "over exact": None if math.isnan(ratio) else ratio}
            for quantity, unit, value, ratio in self.rows()
        }
        return {"wire_fF": self.wire, "view": "drawn", **quantities}


def left_out(
    design: Design,
    *,
    wire: float = 0.0,
    samples: int = 2048,
    seed: int = 0,
    technology: Technology | None = None,
    glitches: str = "none",
    whole: bool = False,
    operands: tuple[ArrayLike, ArrayLike] | None = None,
) -> LeftOut:
    """What the operands' drivers, and `wire` fF on the way to every sink, add to the costs of `cost_report`.

    The other arguments are those of `cost_report`. Raises DesignError for a wire that is negative, not finite or over
    MAXIMUM_WIRE, and as `cost_report` does.
    """
    if not 0 <= wire <= MAXIMUM_WIRE:
        raise DesignError(f"0 <= wire <= {MAXIMUM_WIRE:g} must hold (fF a sink), but got {wire:g}; choose less.")
    technology = technology or characterised()
    designs = design, exact_baseline(design, whole)
    if operands is None:
        own, exact = (_over_random(each, samples, seed, wire, technology, glitches, whole) for each in designs)
    else:
        values = given_operands(design, samples=samples, seed=seed, whole=whole, operands=operands)
        own, exact = (_drawn(drawn_netlist(each, whole), values, wire, technology, glitches) for each in designs)
    return LeftOut(wire, own, exact)


@lru_cache(maxsize=64)
def _over_random(
    design: Design, samples: int, seed: int, wire: float, technology: Technology, glitches: str, whole: bool
) -> DrawnCost:
    """The cost over random operands, which depend on widths and format alone: the exact array's are the design's."""
    values = given_operands(design, samples=samples, seed=seed, whole=whole, operands=None)
    return _drawn(drawn_netlist(design, whole), values, wire, technology, glitches)


def driver_energy(circuit: Circuit, operands: Sequence[NDArray[np.uint64]]) -> float:
    """fJ an operation that charges the input nets: C V^2 for each rise, and half of the toggles are rises.

    An input changes at most once an operation, whatever the activity model.
    """
    charge = 0.0
    for values, bus in zip(operands, circuit.arrays.inputs.values(), strict=True):
        changed = values[1:] ^ values[:-1]
        for place, net in enumerate(bus):
            toggles = float((changed >> np.uint64(place) & np.uint64(1)).mean())
            charge += toggles * float(circuit.loads[net])
    return charge * circuit.technology.voltage**2 / 2


def with_wires(circuit: Circuit, wire: float) -> Circuit:
    """The circuit with `wire` fF on every net for each of its sinks; constants need no wire."""
    pins = circuit.inputs[circuit.inputs >= 0]
    sinks = np.bincount(pins, minlength=circuit.arrays.nets)
    sinks[np.unique(circuit.arrays.output_nets)] += 1
    sinks[[ZERO, ONE]] = 0
    return replace(circuit, loads=circuit.loads + wire * sinks)


def _drawn(
    netlist: Netlist, operands: Sequence[NDArray[np.uint64]], wire: float, technology: Technology, glitches: str
) -> DrawnCost:
    bare = circuit_of(netlist, technology)
    energy, delay = _energy_and_delay(bare, operands, glitches)
    driven = energy + driver_energy(bare, operands)
    if not wire:
        return DrawnCost(energy, driven, driven, delay, delay)
    wired = with_wires(bare, wire)
    wired_energy, wired_delay = _energy_and_delay(wired, operands, glitches)
    return DrawnCost(energy, driven, wired_energy + driver_energy(wired, operands), delay, wired_delay)


def _energy_and_delay(circuit: Circuit, operands: Sequence[NDArray[np.uint64]], glitches: str) -> tuple[float, float]:
    delay = longest_delay(circuit)
    switching = circuit_energy(circuit, operands, glitches=glitches)
    return switching.energy + switching.leakage * delay * 1e-6, delay  # nW ps -> fJ
