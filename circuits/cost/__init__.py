"""What cells and gates cost at 45 nm, and area, energy and timing of a netlist made of them.

A `Technology` gives the cost of one component; `netlist_area`, `netlist_energy` and `netlist_timing` are functions of a
netlist and a technology. `technology()` is the characterised one (`cells45`), from transistor-level simulations of
every library cell and gate (`python -m circuits characterize`). Cells that users define are
estimated (`estimates`). `cost_model` puts the numbers of a design together.
"""

from __future__ import annotations

from circuits.cost.activity import evaluate, toggles
from circuits.cost.area import Area, netlist_area
from circuits.cost.cell_table import AREA_UNIT, DELAY_UNIT, ENERGY_UNIT, CellData, Technology
from circuits.cost.cells45 import CORNERS, conditions, technology
from circuits.cost.circuit import Circuit, circuit_of
from circuits.cost.energy import GLITCHES, Energy, circuit_energy, netlist_energy, transitions
from circuits.cost.timing import Step, Timing, circuit_timing, netlist_timing
from circuits.cost.true_paths.viability import TrueTiming, circuit_true_timing, true_timing

__all__ = [
    "AREA_UNIT",
    "CORNERS",
    "DELAY_UNIT",
    "ENERGY_UNIT",
    "GLITCHES",
    "Area",
    "CellData",
    "Circuit",
    "Energy",
    "Step",
    "Technology",
    "Timing",
    "TrueTiming",
    "circuit_energy",
    "circuit_of",
    "circuit_timing",
    "circuit_true_timing",
    "conditions",
    "evaluate",
    "netlist_area",
    "netlist_energy",
    "netlist_timing",
    "technology",
    "toggles",
    "transitions",
    "true_timing",
]
